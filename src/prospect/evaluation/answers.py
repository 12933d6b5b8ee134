"""A model's own words: greedy answers to the last question of each sample, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from prospect.conversation.sample import Picture, Sample
from prospect.conversation.segments import encode
from prospect.models.vlm import VLM
from prospect.training.collate import pad
from prospect.training.processes import gathered, share


@torch.no_grad()
def answers(vlm: VLM, samples: Sequence[Sample], batch_size: int, max_new_tokens: int) -> list[str]:
    """One answer a sample, in the order of the samples. Ranks share the work."""
    was_training = vlm.model.training
    vlm.model.eval()
    mine = share(samples)
    texts = [text for batch in _batches(mine, batch_size) for text in _generate(vlm, batch, max_new_tokens)]
    vlm.model.train(was_training)
    return gathered(texts)


def _batches(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _generate(vlm: VLM, samples: Sequence[Sample], max_new_tokens: int) -> list[str]:
    prompts = [encode(vlm.chat(sample, reply=False), vlm.tokenizer, sample.id) for sample in samples]
    pad_id = vlm.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    batch = pad(prompts, pad_id, "left")
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    inputs |= vlm.images.pixels([picture for sample in samples for picture in prompt_pictures(sample)])
    inputs = {key: value.to(vlm.device) for key, value in inputs.items()}
    ids = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens)
    replies = ids[:, batch["input_ids"].shape[1] :]
    return [text.strip() for text in vlm.tokenizer.batch_decode(replies, skip_special_tokens=True)]


def prompt_pictures(sample: Sample) -> list[Picture]:
    """Pictures before the last assistant turn: those that the prompt has placeholders for."""
    last = max(index for index, turn in enumerate(sample.turns) if turn.role == "assistant")
    return [picture for turn in sample.turns[:last] for picture in turn.pictures]
