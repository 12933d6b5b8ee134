"""From a plain vision-language model to one that watches streams."""

from __future__ import annotations

import logging
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from prospect.conversation.segments import DECISIONS
from prospect.errors import UserError
from prospect.models.adapt import merged
from prospect.models.decisions import StreamModel
from prospect.models.stream_settings import StreamSettings, settings_of, watching
from prospect.models.vlm import VLM

log = logging.getLogger(__name__)


def for_streams(vlm: VLM, seed: int = 0) -> VLM:
    """The same model with frames and decisions; its weights move over, the heads are new and follow from `seed`.

    The plain model must not be used any more. One that already watches streams is returned as it is, if its settings
    are those that were asked for.
    """
    if isinstance(vlm.bare, StreamModel):
        found = settings_of(vlm.bare.config)
        _check_agreed(vlm.stream, found)
        if vlm.images.side != (side := vlm.bare.config.connector_side):
            raise UserError(
                f"the model was trained for frames of {side} × {side} tokens and {vlm.images.tile}-px frames are of "
                f"{vlm.images.side} × {vlm.images.side}: leave out model.image.frame"
            )
        return replace(vlm, stream=found)
    settings = vlm.stream or StreamSettings()
    if vlm.adapter_base:
        log.warning("the model has an adapter and no heads: the adapter is merged into its base first")
        vlm = merged(vlm)
    rows = vlm.model.config.text_config.vocab_size
    tokens = decision_tokens(vlm.tokenizer, rows) if settings.heads == "token" else None
    record = {**vars(settings), "frame_grid": settings.edges, "decision_tokens": tokens, "frame_size": vlm.images.tile}
    record = {name: record[name] for name in vlm.family.watching.config_class.STREAM}
    return replace(vlm, model=watching(vlm.model, record, seed), stream=settings)


def decision_tokens(tokenizer: PreTrainedTokenizerFast, rows: int) -> list[int]:
    """Four of the LM head's rows that no text has: speak yes, speak no, dst yes, dst no.

    They belong to spare special tokens, or lie behind the last token of all.
    """
    vocabulary, wanted = tokenizer.get_vocab(), 2 * len(DECISIONS)
    names = [name for number in range(wanted) if (name := f"<|reserved_special_token_{number}|>") in vocabulary]
    spare = [*(vocabulary[name] for name in names), *range(len(tokenizer), rows)][:wanted]
    if len(spare) < wanted:
        raise UserError(
            f"heads=token needs {wanted} spare tokens (<|reserved_special_token_0|> …, or rows of the vocabulary "
            f"behind the last token), not {len(spare)}"
        )
    return spare


def _check_agreed(asked: StreamSettings | None, found: StreamSettings) -> None:
    if asked is None:
        return
    idle = {"head"} if asked.heads == found.heads != "binary" else set()  # the shape of heads that aren't there
    wrong = [
        f"model.stream.{name}={value} (it is {vars(found)[name]})"
        for name, value in (vars(asked) | {"frame_grid": asked.edges or "native"}).items()
        if name not in idle and value != vars(found)[name]
    ]
    if wrong:
        raise UserError(f"the model was trained for streams of other settings than asked for: {', '.join(wrong)}")
