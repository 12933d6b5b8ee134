"""A model's own words: greedy answers to the last question of each sample, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from prospect.conversation.sample import Picture, Sample
from prospect.conversation.segments import Encoded, encode
from prospect.models.vlm import VLM
from prospect.training.collate import blank_item, pad
from prospect.training.processes import gathered, rounds, share


def budget(vlm: VLM, samples: Sequence[Sample]) -> int:
    """Twice the tokens of the longest true answer: room to be wrong, no room to ramble."""
    lengths = [_longest_learnt(encode(vlm.chat(sample), vlm.tokenizer, sample.id)) for sample in samples]
    return 2 * max(lengths, default=1) + 2


def _longest_learnt(encoded: Encoded) -> int:
    return max((stop - start for channel, start, stop in encoded.spans() if channel is not None), default=0)


@torch.no_grad()
def answers(vlm: VLM, samples: Sequence[Sample], batch_size: int, max_new_tokens: int) -> list[str]:
    """One answer a sample, in the order of the samples. Ranks share the work."""
    was_training = vlm.model.training
    vlm.model.eval()
    texts: list[str] = []
    for batch, counts in rounds(samples, share(samples), batch_size):
        replies = _generate(vlm, batch, max_new_tokens)
        texts += replies if counts else []
    vlm.model.train(was_training)
    return gathered(texts)


def _generate(vlm: VLM, samples: Sequence[Sample], max_new_tokens: int) -> list[str]:
    prompts = [encode(vlm.chat(sample, reply=False), vlm.tokenizer, sample.id) for sample in samples]
    company: list[Picture] = []
    if vlm.sharded and not any(map(prompt_pictures, samples)):  # the tower runs on every rank, or the others hang
        blank = blank_item(vlm)
        prompts, company = [*prompts, blank.encoded], list(blank.sample.pictures)
    pad_id = vlm.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    batch = pad(prompts, pad_id, "left")
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    pictures = [picture for sample in samples for picture in prompt_pictures(sample)] + company
    inputs |= vlm.images.places(batch["input_ids"], batch["attention_mask"], pictures)
    inputs |= vlm.images.pixels(pictures)
    inputs = {key: value.to(vlm.device) for key, value in inputs.items()}
    # Ranks that share one spread model go on until the last of them has ended its answers.
    ids = vlm.model.generate(**inputs, do_sample=False, max_new_tokens=max_new_tokens, synced_gpus=vlm.sharded)
    replies = ids[: len(samples), batch["input_ids"].shape[1] :]
    return [text.strip() for text in vlm.tokenizer.batch_decode(replies, skip_special_tokens=True)]


def prompt_pictures(sample: Sample) -> list[Picture]:
    """Pictures before the last assistant turn: those that the prompt has placeholders for."""
    last = max(index for index, turn in enumerate(sample.turns) if turn.role == "assistant")
    return [picture for turn in sample.turns[:last] for picture in turn.pictures]
