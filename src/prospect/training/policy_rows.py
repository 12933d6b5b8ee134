"""Samples as TRL's GRPO takes them: prompts with pictures and columns, in an order that the seed alone decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import datasets
from PIL import Image

from prospect.conversation.sample import Sample, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models.vlm import VLM
from prospect.training.trl_processor import Message, messages, pictures

OURS = ("prompt", "prompts", "completion", "completions", "completion_ids", "images", "image", "sample_id")
SHOWN = 10  # prompts spelt out in a message; the rest are counted


def prompt(sample: Sample) -> tuple[Turn, ...]:
    """All turns before the last learnt answer; every turn where there is none."""
    learnt = [place for place, turn in enumerate(sample.turns) if turn.role == "assistant" and turn.learn]
    return sample.turns[: learnt[-1]] if learnt else sample.turns


def asked_in(conversation: Sequence[Message]) -> str:
    """The words of the last question of a conversation as TRL holds it."""
    users = [message["content"] for message in conversation if message["role"] == "user"]
    return "".join(block["text"] for block in users[-1] if block["type"] == "text") if users else ""


def columns(sample: Sample) -> dict[str, Any]:
    """What rewards may see of a sample."""
    return sample.meta.get("columns", {})


def order(samples: int, wanted: int, seed: int) -> list[int]:
    """Numbers of samples: every one once, then every one again in another order, until there are as many as wanted.

    One long epoch of this list, so that a resumed run knows its place in it.
    """
    numbers: list[int] = []
    for epoch in range(-(-wanted // samples)):
        numbers += Random(f"{seed} {epoch}").sample(range(samples), samples)
    return numbers[:wanted]


def rows(samples: Sequence[Sample], numbers: Sequence[int]) -> datasets.Dataset:
    """Pictures are opened when a row is asked for, and are never written into a table."""
    return datasets.Dataset.from_dict({"number": list(numbers)}).with_transform(_Opened(samples))


@dataclass(frozen=True)
class _Opened:
    samples: Sequence[Sample]

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [self.samples[number] for number in batch["number"]]
        names = dict.fromkeys(name for sample in chosen for name in columns(sample))
        opened: dict[int, list[Image.Image]] = {}  # the rows of a group share their pictures
        for number, sample in zip(batch["number"], chosen, strict=True):
            if number not in opened:
                opened[number] = pictures(prompt(sample))
        return {
            "prompt": [messages(prompt(sample)) for sample in chosen],
            "images": [opened[number] for number in batch["number"]],
            "sample_id": [sample.id for sample in chosen],
            **{name: [columns(sample).get(name) for sample in chosen] for name in names},
        }


def check(vlm: VLM, samples: Sequence[Sample], where: str, limit: int | None, completion: int) -> list[int]:
    """The true length of every prompt in tokens; one message with all that are too long, or cannot be asked."""
    most = min(limit or vlm.max_length, vlm.max_length - completion)
    if most < 1:
        raise UserError(
            f"trainer.args.max_completion_length={completion} leaves no room for a prompt: the model has positions for "
            f"{vlm.max_length} tokens"
        )
    lengths: list[int] = []
    wrong: list[str] = []
    for index, sample in enumerate(samples):
        name = f"{where}[{index}] ({sample.id})"
        lengths.append(_length(vlm, sample, name))
        wrong += [f"{name}: {fault}" for fault in _faults(sample, lengths[-1], most, completion)]
    if wrong:
        more = f"\n  … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError("prompts that cannot be learnt from:\n  " + "\n  ".join(wrong[:SHOWN]) + more)
    return lengths


def _length(vlm: VLM, sample: Sample, name: str) -> int:
    whole = replace(sample, turns=(*prompt(sample), Turn("assistant", ("",))))
    return len(encode(vlm.chat(whole, reply=False), vlm.tokenizer, name))


def _faults(sample: Sample, length: int, most: int, completion: int) -> Iterator[str]:
    turns = prompt(sample)
    if not turns or turns[-1].role != "user":
        yield "the last turn of a prompt must be a user's"
    if taken := sorted(set(OURS) & columns(sample).keys()):
        yield f"a column cannot be called {taken[0]}, which rewards are given already; rename it"
    if length > most:
        yield (
            f"{length} tokens, over the limit of {most} (trainer.max_prompt_length, and the model's positions less "
            f"{completion} for a completion); smaller or unsplit images (model.image), or fewer words"
        )
