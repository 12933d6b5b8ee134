"""What TRL takes for a processor: our chat formats and our pictures, behind the calls that its trainers make.

TRL writes a conversation as one text, cuts prompt and reply apart, and tokenises the two. A plain text doesn't say
which of its characters are special tokens and which a user typed, so the text that TRL carries about has marks in it:
Unicode's noncharacters, which no exchanged text may hold, and which are escaped where one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from transformers import ProcessorMixin

from prospect.conversation.sample import Picture, Sample, Turn
from prospect.conversation.segments import Encoded, Segment, encode
from prospect.models.vlm import VLM
from prospect.training.collate import pad

BEGIN, END, APART, ESCAPE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"  # of special tokens; what stands apart
_MARKED = re.compile(f"{BEGIN}([^{END}]*){END}|({APART}?)([^{BEGIN}{APART}]*)")

Message = dict[str, Any]
Row = Sequence[Image.Image] | None


class TRLProcessor(ProcessorMixin):
    """Tokenises and prepares pictures exactly as supervised training does: see `training/collate.py`."""

    def __init__(self, vlm: VLM) -> None:
        self.tokenizer = vlm.tokenizer
        self.chat_template = None
        self.format = vlm.family.format
        self.images = vlm.images
        self.image_token_id = vlm.image_token_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.images!r})"

    def apply_chat_template(  # type: ignore[override]  # of transformers' options those that TRL makes use of
        self,
        conversation: list[Any],
        tokenize: bool = False,
        add_generation_prompt: bool = False,
        tools: None = None,
        chat_template: None = None,
        continue_final_message: bool = False,
        return_dict: bool = True,
    ) -> Any:
        """The marked text of one conversation or of several; with `tokenize` ids as lists and pixels as tensors.

        A conversation that ends with a reply ends as a model would end it, with its end token.
        """
        assert not any((tools, chat_template, continue_final_message)), "our formats have no such thing"
        several = not isinstance(conversation[0], Mapping)
        samples = [_sample(messages) for messages in (conversation if several else [conversation])]
        segments = [self._segments(sample, add_generation_prompt) for sample in samples]
        if not tokenize:
            texts = [marked(each) for each in segments]
            return texts if several else texts[0]
        rows = [encode(each, self.tokenizer, sample.id) for each, sample in zip(segments, samples, strict=True)]
        inputs: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
        inputs["attention_mask"] = [[1] * len(row) for row in rows]
        pixels = self._pixels([sample.pictures for sample in samples])
        if "image_grid_thw" in pixels:
            inputs["mm_token_type_ids"] = [[int(token == self.image_token_id) for token in row.ids] for row in rows]
        return inputs | pixels

    def __call__(
        self,
        images: Sequence[Row] | None = None,
        text: str | list[str] = "",
        padding: bool = False,
        padding_side: Literal["left", "right"] = "left",
        return_tensors: str | None = None,
        add_special_tokens: bool = False,
    ) -> Any:
        """Ids of marked texts, as lists or as padded tensors, and the pixels of their pictures."""
        texts = [text] if isinstance(text, str) else text
        rows = [encode(unmarked(each), self.tokenizer) for each in texts]
        pixels = self._pixels([[Picture(image) for image in row or ()] for row in images or ()])
        if not padding:
            return {"input_ids": [row.ids for row in rows], "attention_mask": [[1] * len(row) for row in rows]} | pixels
        return self._padded(rows, padding_side) | self._types(rows, padding_side, pixels) | pixels

    def _segments(self, sample: Sample, prompt: bool) -> list[Segment]:
        if prompt:
            asked = Sample(sample.id, (*sample.turns, Turn("assistant", ("",))))
            return self.format.chat(asked, self.images.segments, reply=False)
        segments = self.format.chat(sample, self.images.segments)
        return segments[:-1] if sample.turns[-1].role == "assistant" else segments  # a line that no model writes

    def _padded(self, rows: Sequence[Encoded], side: Literal["left", "right"]) -> dict[str, Tensor]:
        pad_id = self.tokenizer.pad_token_id
        assert isinstance(pad_id, int), "every chat family has a pad token"
        batch = pad(rows, pad_id, side)
        return {key: batch[key] for key in ("input_ids", "attention_mask")}

    def _types(
        self, rows: Sequence[Encoded], side: Literal["left", "right"], pixels: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Where a model counts positions in three coordinates it must know which tokens are a picture's."""
        if "image_grid_thw" not in pixels:
            return {}
        return {"mm_token_type_ids": (pad(rows, 0, side)["input_ids"] == self.image_token_id).long()}

    def _pixels(self, rows: Sequence[Sequence[Picture]]) -> dict[str, Tensor]:
        """Tiles by row, filled up with tiles of zeros, which SmolVLM's class drops; patches all in one."""
        if not any(rows):
            return {}
        flat = self.images.pixels([picture for row in rows for picture in row])
        if "image_grid_thw" in flat:
            return flat
        made = [self.images.pixels(list(row)) for row in rows]
        most = max(row["pixel_values"].shape[1] for row in made if row)
        return {key: torch.cat([_filled(row, key, most, like) for row in made]) for key, like in flat.items()}

    def decode(self, token_ids: Any, **options: Any) -> Any:
        return self.tokenizer.decode(token_ids, **options)

    def batch_decode(self, sequences: Any, **options: Any) -> list[str]:
        return self.tokenizer.batch_decode(sequences, **options)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **options: Any) -> None:
        assert not push_to_hub, "nothing leaves this machine"
        self.tokenizer.save_pretrained(save_directory)
        self.images.write(Path(save_directory))


def _filled(row: dict[str, Tensor], key: str, most: int, like: Tensor) -> Tensor:
    """(1, most, …)."""
    filled = torch.zeros((1, most, *like.shape[2:]), dtype=like.dtype)
    if row:
        filled[:, : row[key].shape[1]] = row[key]
    return filled


def messages(turns: Iterable[Turn]) -> list[Message]:
    """Turns as TRL takes them, with a place for each picture; `pictures` are handed over beside them."""
    return [{"role": turn.role, "content": [_block(part) for part in turn.parts]} for turn in turns]


def pictures(turns: Iterable[Turn]) -> list[Image.Image]:
    return [picture.open() for turn in turns for picture in turn.pictures]


def _block(part: Any) -> dict[str, str]:
    if isinstance(part, Picture):
        return {"type": "image"}
    assert isinstance(part, str), "neither frames nor transitions"
    return {"type": "text", "text": part}


def _sample(conversation: Iterable[Message]) -> Sample:
    turns = [Turn(message["role"], tuple(_parts(message["content"]))) for message in conversation]
    return Sample("of TRL", tuple(turns))


def _parts(content: str | list[dict[str, Any]]) -> list[str | Picture]:
    if isinstance(content, str):
        return [content]
    return [Picture(block["image"]) if block["type"] == "image" else block["text"] for block in content]


def marked(segments: Iterable[Segment]) -> str:
    """Segments as one text, from which `unmarked` reads them again; their channels are not in it."""
    return "".join(
        f"{BEGIN}{segment.text}{END}"
        if segment.control
        else (APART if segment.apart else "") + "".join(map(_escaped, segment.text))
        for segment in segments
    )


def unmarked(text: str) -> list[Segment]:
    """A text without marks, such as a plain prompt, is plain characters."""
    segments = []
    for control, apart, plain in _MARKED.findall(text):
        if control:
            segments.append(Segment(control, control=True))
        elif apart or plain:
            segments.append(Segment(re.sub(f"{ESCAPE}(.)", _unescaped, plain), apart=bool(apart)))
    return segments


def _escaped(character: str) -> str:
    return f"{ESCAPE}{ord(character) - ord(BEGIN)}" if BEGIN <= character <= ESCAPE else character


def _unescaped(found: re.Match[str]) -> str:
    return chr(ord(BEGIN) + int(found[1]))
