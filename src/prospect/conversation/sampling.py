"""Negative-frame sampling: which silent frames say so in the loss. Only labels change, never inputs."""

from __future__ import annotations

from random import Random

from prospect.conversation.segments import Decision, Encoded


def labelled(encoded: Encoded, rate: float = 1.0, key: str = "") -> dict[int, Decision]:
    """The decisions that carry a label, by position: all eventful ones, and exactly the share `rate` of the silent.

    Which of the silent ones is drawn from `key` alone (seed, epoch and sample id), so it is the same for any number of
    workers or ranks.
    """
    assert 0 <= rate <= 1, "a share"
    if rate == 1:
        return encoded.decisions
    silent = [position for position, decision in encoded.decisions.items() if decision.silent]
    kept = set(Random(key).sample(silent, int(rate * len(silent) + 0.5)))
    return {
        position: decision
        for position, decision in encoded.decisions.items()
        if not decision.silent or position in kept
    }
