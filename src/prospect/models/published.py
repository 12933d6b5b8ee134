"""A published model of a known size: its weights, or its true architecture with random ones and no download."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from prospect.errors import UserError
from prospect.models.family import Family, family_of
from prospect.models.hub import at_hand, fetched
from prospect.models.images import SETTINGS_FILE, ImageSettings
from prospect.models.loading import (
    Attention,
    Dtype,
    agreed,
    built,
    has_words,
    loaded,
    placed,
    recomputing,
    tokenizer_of,
)
from prospect.models.patches import PatchSettings
from prospect.models.stream_settings import StreamSettings
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What is known of a series of models without any file of theirs.

    `dims`: width and layers of the language model by size. `images`: the published settings, from size and
    configuration. `stand_in`: a tokenizer with the published special tokens at their ids.
    """

    name: str
    dims: Callable[[], Mapping[str, tuple[int, int]]]
    architecture: Callable[[str], PreTrainedConfig]
    images: Callable[[str, Any], Any]
    stand_in: Callable[[], PreTrainedTokenizerFast]


@dataclass(frozen=True)
class Where:
    """Which weights and words, and how they are held."""

    path: str
    weights: Literal["pretrained", "random"]
    tokenizer: str | None
    dtype: Dtype
    device: str
    attention: Attention
    seed: int


def opened(
    series: Published,
    size: str,
    where: Where,
    image: ImageSettings | PatchSettings | None,
    stream: StreamSettings | None,
    gradient_checkpointing: bool,
) -> VLM:
    """From a hub name or a folder. With random weights, or on the meta device, nothing is downloaded."""
    config = series.architecture(size)
    family = family_of(config)
    words = _words(where.tokenizer, family) if where.tokenizer else None
    if where.weights == "random" or placed(where.device).type == "meta":
        folder = _settings_folder(series, where.path, size)
        model = built(config, where.dtype, where.device, where.attention, where.seed)
        words = words or _words_of(series, folder, family)
        vlm = VLM(model, words, _images(series, size, model, folder, family, image), stream=stream)
        agreed(vlm)
    else:
        place = (where.dtype, where.device, where.attention)
        vlm = loaded(fetched(where.path), where.path, *place, image, words, stream)
        _check_size(series, vlm.model.config, size, where.path)
    if gradient_checkpointing:
        recomputing(vlm)
    return vlm


def _words(name: str, family: Family) -> PreTrainedTokenizerFast:
    return tokenizer_of(fetched(name, "model.tokenizer", weights=False), family.template)


def _words_of(series: Published, folder: Path | None, family: Family) -> PreTrainedTokenizerFast:
    """The tokenizer beside the settings, if it is at hand."""
    if folder and has_words(folder):
        return tokenizer_of(folder, family.template)
    log.warning(
        "%s's tokenizer is not at hand: a stand-in has the same size and the same special tokens, but other "
        "word pieces, so token counts of text differ; give the true one with model.tokenizer=FOLDER",
        series.name,
    )
    return series.stand_in()


def _images(
    series: Published,
    size: str,
    model: PreTrainedModel,
    folder: Path | None,
    family: Family,
    image: ImageSettings | PatchSettings | None,
) -> Any:
    if folder and (folder / SETTINGS_FILE).is_file():
        return family.images(folder, model.config, image)
    return series.images(size, model.config).adjusted(image)


def _settings_folder(series: Published, path: str, size: str) -> Path | None:
    """What is on this machine of the model, without asking the network; weights are not needed."""
    folder = at_hand(path)
    if folder and (folder / "config.json").is_file():
        _check_size(series, AutoConfig.from_pretrained(folder, local_files_only=True), size, str(folder))
    return folder


def _check_size(series: Published, config: PreTrainedConfig, size: str, path: str) -> None:
    """A folder of another size would train and score, under a wrong name."""
    found = config.text_config.hidden_size, config.text_config.num_hidden_layers
    dims = series.dims()
    if found != dims[size]:
        names = [name for name, values in dims.items() if values == found]
        raise UserError(f"{path} holds {names[0] if names else 'another model'}, not size {size}; mend model.size")
