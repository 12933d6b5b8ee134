"""Claims: own words tell a name; an utterance is right where it names the very things that its reference names."""

from __future__ import annotations

import pytest

from prospect.data.assembly.story import PARTS
from prospect.evaluation.names import Names, counts, rates
from prospect.evaluation.pooling import micro

STEPS = ["Attach the red disc", "Attach the blue ring", "Attach the red square"]


def named(names, text):
    return {" ".join(name) for name in Names(names).named(text)}


def test_own_words():
    assert named(STEPS, "Next is the red disc.") == {"red disc"}
    assert named(STEPS, "RED DISC, then the blue ring!") == {"red disc", "blue ring"}
    assert named(STEPS, "Attach the red one to the blue disc") == set()  # no name stands together
    assert named(STEPS, "redder disco") == set()
    assert named(STEPS, "All done.") == set()


def test_words_of_every_name_may_stand_between():
    steps = ["attach wheel to the chassis", "attach cabin to the chassis", "attach crane to the cabin"]
    assert named(steps, "Now attach the wheel to the chassis.") == {"wheel chassis"}
    assert named(steps, "Now attach the crane to your cabin.") == set()


def test_of_names_within_names_the_longer_counts():
    assert named(["disc", "red disc"], "the red disc") == {"red disc"}
    assert named(["disc", "red disc"], "the red disc and a disc") == {"red disc", "disc"}
    assert named(["red disc", "disc holder", "bolt"], "red disc holder") == {"disc holder"}
    assert named(["bolt"], "bolt bolt") == {"bolt"}


def test_few_names():
    assert named([], "the red disc") == set()
    assert named(["Attach the red disc"], "attach the red disc now") == {"attach the red disc"}
    assert named(["", "red disc", "Red disc."], "the red disc") == {"red disc"}


def test_share_of_right_names():
    names = Names(part.name for part in PARTS)
    pairs = [
        ("First is the red disc.", "Next is the red disc."),
        ("Next is the blue disc.", "Next is the red disc."),
        ("Next is the.", "Next is the red disc."),
        ("The red disc and the blue disc.", "Next is the red disc."),
        ("All done, red disc.", "All done."),
    ]
    video = counts(pairs, names)
    assert video == {"naming": 4, "right_names": 1}
    assert micro([video, video], rates) == {"right_names": 0.25}
    assert micro([counts([], names)], rates) == {"right_names": 0}


@pytest.mark.parametrize("part", PARTS[::7])
def test_the_parts_of_the_world_are_told_apart(part):
    assert named([other.name for other in PARTS], f"Good, now the {part.name} is in place.") == {part.name}
