"""Negative-frame sampling: which silent frames say so in the loss. Only labels change, never inputs."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from random import Random

import numpy as np

from prospect.conversation.segments import Decision, Encoded


def kept(encoded: Encoded, rate: float = 1.0, key: str = "") -> np.ndarray:
    """Which decisions carry a label, by number: all eventful ones, and exactly the share `rate` of the silent.

    Which of the silent ones is drawn from `key` alone (seed, epoch and sample id), so it is the same for any number of
    workers or ranks.
    """
    assert 0 <= rate <= 1, "a share"
    eventful: np.ndarray = encoded.right[:, 0] | encoded.right[:, 1]
    if rate == 1:
        return np.arange(len(eventful))
    silent = np.flatnonzero(~eventful).tolist()
    share = Fraction(str(rate)) * len(silent)  # as written: in binary 0.35 x 90 is less than the 31.5 that rounds up
    drawn = Random(key).sample(silent, floor(share + Fraction(1, 2)))
    return np.sort(np.concatenate([np.flatnonzero(eventful), np.array(drawn, int)]))


def labelled(encoded: Encoded, rate: float = 1.0, key: str = "") -> dict[int, Decision]:
    """The same decisions by their position."""
    places = list(encoded.decisions)
    return {places[number]: encoded.decisions[places[number]] for number in kept(encoded, rate, key)}
