"""From a folder to a model in memory, and what every model needs before it is used: a type, a place, a mode."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SmolVLMForConditionalGeneration,
)

from prospect.errors import UserError
from prospect.models.base import Base, adapters_in, base_of, in_use
from prospect.models.decisions import StreamModel
from prospect.models.family import family_of
from prospect.models.four_bit import held
from prospect.models.images import ImageSettings
from prospect.models.machine import check_four_bits
from prospect.models.nanovlm_layout import is_own, read
from prospect.models.patches import PatchSettings
from prospect.models.sealed import model_folder
from prospect.models.stream_settings import StreamSettings, fitted, settings_of
from prospect.models.tiles import TileSettings
from prospect.models.vlm import VLM, no_bars
from prospect.models.words import token_id

Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["sdpa", "eager", "flash_attention_2"]
WORD_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"))


def placed(device: str) -> torch.device:
    """`auto` is this process's own GPU where there is one, else the CPU."""
    if device == "auto":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"model.device={device}: use auto, cpu, cuda, cuda:N or meta") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"model.device={device}: torch sees no GPU here; use model.device=auto or cpu")
    return place


def built(config: PreTrainedConfig, dtype: Dtype, device: str, attention: Attention, seed: int) -> PreTrainedModel:
    """The architecture with random weights from `seed`; on the meta device shapes alone, at no cost."""
    place = placed(device)
    model: Any
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "attn_implementation": attention}
    with _attention_named(attention):
        if place.type == "meta":
            with place:
                model = AutoModelForImageTextToText.from_config(config, **options)
            return model.eval()
        with torch.random.fork_rng(devices=[]):  # the caller's own random numbers stay what they would have been
            torch.manual_seed(seed)
            model = AutoModelForImageTextToText.from_config(config, **options)
        return model.to(place).eval()


def trained(run: str, model: Mapping[str, Any], adapter: str | None = None) -> VLM:
    """The model that a run left, in the type and place that `model` asks for; its image settings travel with it.

    `adapter`: which one, where there are several; else the one that was trained.
    """
    options: dict[str, Any] = {"dtype": "float32", "device": "auto", "attention": "sdpa"}
    options |= {key: model[key] for key in options if key in model}
    vlm = loaded(model_folder(run), run, **options)
    if adapter:
        vlm.use(adapter)
    return vlm


def loaded(
    folder: Path,
    source: str,
    dtype: Dtype,
    device: str,
    attention: Attention,
    image: ImageSettings | PatchSettings | TileSettings | None = None,
    tokenizer: PreTrainedTokenizerFast | None = None,
    stream: StreamSettings | None = None,
) -> VLM:
    """The model of a folder: a whole one, or its adapters put onto their recorded and verified base."""
    adapters = adapters_in(folder)
    base = base_of(folder) if adapters else None
    origin = base or Base(source, folder.resolve())
    assert origin.folder is not None
    model = _weights(origin.folder, dtype, attention)
    family = family_of(model.config)
    images = family.images(folder, model.config, image)
    vlm = VLM(model, tokenizer or tokenizer_of(folder, family.template), images, origin, base, stream)
    if base:
        vlm.model = _with_adapters(model, folder, adapters, base)
    vlm.model.to(placed(device)).eval()
    if isinstance(vlm.bare, StreamModel) and stream is None:
        vlm.stream = settings_of(vlm.bare.config)
    agreed(vlm)
    return vlm


def _with_adapters(model: PreTrainedModel, folder: Path, adapters: dict[str, Path], base: Base) -> PeftModel:
    model = fitted(model, folder, list(adapters.values()))
    if base.four_bit:
        check_four_bits()
        model = held(model, base.four_bit)
    first, *others = adapters
    adapted = PeftModel.from_pretrained(model, adapters[first], adapter_name=first)
    for name in others:
        adapted.load_adapter(adapters[name], name)
    adapted.set_adapter(in_use(folder), inference_mode=True)
    return adapted


def _weights(folder: Path, dtype: Dtype, attention: Attention) -> PreTrainedModel:
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no weights (*.safetensors)")
    with no_bars(), _attention_named(attention):
        options: dict[str, Any] = {"dtype": getattr(torch, dtype), "attn_implementation": attention}
        options |= {"local_files_only": True, "output_loading_info": True}
        if is_own(folder):
            config, state = read(folder)
            answer: Any = SmolVLMForConditionalGeneration.from_pretrained(
                None, config=config, state_dict=state, **options
            )
        else:
            answer = AutoModelForImageTextToText.from_pretrained(folder, **options)
    model, found = answer
    family_of(model.config, str(folder))
    if missing := sorted(found["missing_keys"]):  # transformers would only warn, and go on with random numbers
        raise UserError(f"{folder} lacks {len(missing)} weights of the model, the first of them {missing[0]}")
    return model


def tokenizer_of(folder: Path, template: str) -> PreTrainedTokenizerFast:
    """`template` is for a folder that brings no chat template."""
    if not has_words(folder):
        raise UserError(f"{folder} holds no tokenizer.json; give the folder of a tokenizer with model.tokenizer=FOLDER")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.chat_template is None:  # older folders keep it in a file that only processors read
        tokenizer.chat_template = template
    return tokenizer


def has_words(folder: Path) -> bool:
    return any(all((folder / name).is_file() for name in names) for names in WORD_FILES)


def agreed(vlm: VLM) -> None:
    """Model and tokenizer must mean the same token by a picture; generation ends and pads as the tokenizer says."""
    config, tokenizer, chat = vlm.model.config, vlm.tokenizer, vlm.family.format
    image = token_id(tokenizer, chat.image)
    if image != config.image_token_id or len(tokenizer) > config.text_config.vocab_size:
        raise UserError(
            f"the tokenizer doesn't fit the model: {chat.image} is {image} there and {config.image_token_id} here, "
            f"{len(tokenizer)} entries there and {config.text_config.vocab_size} here"
        )
    generation = vlm.bare.generation_config
    generation.eos_token_id = token_id(tokenizer, chat.end)
    generation.pad_token_id = tokenizer.pad_token_id
    model: Any = vlm.bare
    model.accepts_loss_kwargs = True  # Qwen's class denies it, and trainers then divide wrongly when accumulating


def recomputing(vlm: VLM) -> None:
    """Less memory for more time: what the layers made is made again on the way back."""
    # The reentrant kind would lose the gradients of an adapter, whose inputs need none.
    vlm.bare.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


@contextmanager
def _attention_named(attention: Attention) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if attention == "flash_attention_2":
            raise UserError("model.attention=flash_attention_2 needs the package flash-attn; use sdpa") from error
        raise
