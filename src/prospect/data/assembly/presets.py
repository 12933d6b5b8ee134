"""How hard the assembly world is, and which splits it has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prospect.errors import UserError

SPLITS = ("train", "val", "test")
DENSE = "dense"  # a fourth split, to warm up on


@dataclass(frozen=True)
class Preset:
    """How hard a world is. Shares are per step."""

    ordered: bool = True  # steps happen in the order of the recipe
    crooked: float = 0.25  # share of parts put on askew at first
    wrong: float = 0.0  # share of steps before which a part that is not on the list is taken
    together: float = 0.0  # share of steps that complete at the frame at which the next one starts
    anywhere: bool = False  # parts lie at any place, wander when carried, and the picture is grainy
    taken_away: bool = True  # the end can be seen: the finished toy leaves the table
    slowest: int | None = None  # dense: every stage, idle ones too, takes one to this many frames
    frames: tuple[int, int] = (60, 100)  # least and most of a clip
    lasts: tuple[int, int] | None = None  # frames of a video, about, however many its steps; None is as it comes
    covered: bool = False  # what is built in cannot be seen: no frame tells how far the toy has come
    anytime: bool = False  # a clip may begin while a part lies there or is askew, which was said before


EASY = Preset()
HARD = Preset(ordered=False, wrong=0.25, together=0.3, anywhere=True, taken_away=False)
# Videos of two minutes to an hour, so that clips of any length and from any moment on are learnt from. What is watched
# in val and test is long: at least 20 times a context of 256 tokens in frames alone, a frame being one token.
LONG = Preset(lasts=(200, 8000), frames=(60, 7000), covered=True, anytime=True)
LONG_WATCHED = replace(LONG, lasts=(6000, 6600), frames=(5120, 5900))
PRESETS = {"easy": EASY, "default": EASY, "hard": HARD, "long": LONG}  # default: the hardest that tiny masters


def dense(rules: Preset) -> Preset:
    """The same world in a hurry: short stages, hardly an idle frame. Many events a clip teach names and looks soon."""
    return replace(rules, slowest=4, frames=(24, 40), lasts=None)


def settings(preset: str, split: str = "train") -> Preset:
    """The rules of a world; those of the split `dense` are in a hurry."""
    if preset not in PRESETS:
        raise UserError(f"data.preset={preset}: accepted are {', '.join(PRESETS)}")
    if preset == "long" and split in ("val", "test"):
        return LONG_WATCHED
    return dense(PRESETS[preset]) if split == DENSE else PRESETS[preset]
