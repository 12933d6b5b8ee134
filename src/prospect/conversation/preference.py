"""Two answers to the same: a sample says the one that was preferred, and `meta["rejected"]` is the other one."""

from __future__ import annotations

from dataclasses import replace

from prospect.conversation.sample import Sample


def rejected(sample: Sample) -> Sample:
    """The same conversation with the other answer at its end."""
    *before, last = sample.turns
    assert last.role == "assistant", "a pair ends with its answers"
    return replace(sample, turns=(*before, replace(last, parts=(sample.meta["rejected"],))))
