"""What was trained is what runs: a trained model, streamed, against training's own encode → collate → forward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import yaml
from tests.commands import ROOT
from tests.streaming.films import Heard, Recomputed, outcome

from prospect.conversation.dst import read_state
from prospect.conversation.sample import Sample, Turn
from prospect.conversation.segments import Encoded, encode
from prospect.models.vlm import VLM
from prospect.runs.build import build
from prospect.streaming.context import NoDrop
from prospect.streaming.held import Unit
from prospect.streaming.recorded import happened, recorded
from prospect.streaming.watcher import watch, watch_all
from prospect.training.collate import TARGETS, Item, collator

pytestmark = pytest.mark.slow  # three minutes; the same of random weights and fewer clips is in the other files

CLOSE = 1e-4
CONTEXTS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((ROOT / "conf" / "context").glob("*.yaml"))}
LIGHTER = {"keep": 0.8, "tokens": 8}  # where a strategy has such a setting, so that a room of these clips' size does
HISTORY = {"drop_middle", "sliding_window", "dst_state"}  # keep some of what was before


@dataclass
class Stretch:
    """What a stream holds just before a drop, or at its end. Frames up to `since` were there before the last drop."""

    units: list[Unit]
    since: int
    logits: list[torch.Tensor]  # of the tokens that were written in it


class Noted:
    """A strategy, and the stretches between its drops."""

    def __init__(self, context, made):
        self.context, self.made = context, made
        self.length = context.length
        self.stretches: list[Stretch] = []
        self.first, self.since = 0, -1

    def reserve(self, author):
        self.author = author
        return self.context.reserve(author)

    def shorten(self, held, room, author):
        self.note()
        yield from self.context.shorten(held, room, author)
        self.first = len(self.made[-1].logits)  # behind those of a summary

    def note(self):
        units = self.author.held.units
        self.stretches.append(Stretch(list(units), self.since, self.made[-1].logits[self.first :]))
        self.since = units[-1].number


def as_sample(vlm: VLM, sample: Sample, stretch: Stretch) -> Sample:
    """The same as a clip for training, in which only what is new since the last drop is learnt."""
    truly, task = happened(sample), sample.task
    texts = [vlm.tokenizer.decode(unit.ids) for unit in stretch.units]
    system, _, state = texts[0].removesuffix("<end_of_utterance>\n").rpartition("\nState: ")
    turns = [Turn("system", (system.removeprefix("<|im_start|>System: ").partition("\nGoal: ")[0],))]
    for unit, text in zip(stretch.units[1:], texts[1:], strict=True):
        new = unit.number > stretch.since
        if unit.role == "frames":
            span = next(span for span in sample.frames if span.start <= unit.number < span.stop)
            turns.append(Turn("frames", (span.part(unit.number, unit.number + 1),), new))
        elif unit.role == "user":
            turns.append(Turn("user", (text.removeprefix("User: ").removesuffix("<end_of_utterance>\n"),)))
        elif unit.role == "dst":
            turns.append(Turn("dst", truly[unit.number].transitions, new))
        else:
            turns.append(Turn("assistant", (truly[unit.number].text,), new))
    return Sample(sample.id, tuple(turns), task=replace(task, state=read_state(state)))


@torch.no_grad()
def at_once(vlm: VLM, sample: Sample, encoded: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities at each frame that is learnt, and the logits of each token that is, as training has them."""
    batch = collator(vlm)([Item(sample, encoded)])
    out = vlm.model(**{key: value for key, value in batch.items() if key not in TARGETS}, use_cache=False)
    return torch.sigmoid(out.decisions.double()), out.logits


@pytest.mark.parametrize("name", CONTEXTS)
def test_streamed_as_trained(name, trained, fed):
    """All that truly happened given, the engine decides and foresees each token as one forward in training does."""
    vlm, clips, settings = trained
    made, old = fed(Heard), 0
    for clip in clips:
        whole = encode(vlm.chat(clip), vlm.tokenizer)
        context = Noted(_context(vlm, clip, name), made)
        moments = list(watch(vlm, recorded(clip, forced=True), settings, context))
        context.note()
        drops = sum(moment.counts.get("shortened", 0) for moment in moments)
        assert drops == len(context.stretches) - 1
        assert (drops > 0) == (name != "none")
        given = {moment.frame: (moment.p_speak, moment.p_dst) for moment in moments}
        assert list(given) == [number for span in clip.frames for number in range(span.start, span.stop)]
        for stretch in context.stretches:
            sample = as_sample(vlm, clip, stretch)
            encoded = encode(vlm.chat(sample), vlm.tokenizer)
            ids = [token for unit in stretch.units for token in unit.ids]
            assert ids == encoded.ids, "what is held is what training would have of it"
            if stretch is context.stretches[0]:
                assert ids == whole.ids[: len(ids)], "and before a drop it is what training had"
            numbers = [unit.number for unit in stretch.units if unit.sight]
            new = [number for number in numbers if number > stretch.since]
            old += len(numbers) - len(new)
            decisions, logits = at_once(vlm, sample, encoded)
            streamed = torch.tensor([given[number] for number in new]).double().reshape(-1, 2)
            torch.testing.assert_close(streamed, decisions, atol=CLOSE, rtol=0)
            foreseen = torch.cat([logits[:0], *(row[None] for row in stretch.logits)])
            torch.testing.assert_close(foreseen, logits, atol=CLOSE, rtol=0)
    assert (old > 0) == (name in HISTORY)


def _context(vlm: VLM, clip: Sample, name: str):
    """The strategy as it stands in its file, in a context in which every clip soon has no room."""
    node = CONTEXTS[name] | {key: value for key, value in LIGHTER.items() if key in CONTEXTS[name]}
    prompt = vlm.pieces.prompt(recorded(clip).system, clip.task)
    return build(node | {"length": None if name == "none" else len(prompt) + 100})


def test_cached_is_recomputed(trained, fed):
    """Free, with the thresholds of the run: without a cache the model decides and writes the very same."""
    vlm, clips, settings = trained
    cached = [outcome(watch(vlm, recorded(clip), settings)) for clip in clips]
    fed(Recomputed)
    assert [outcome(watch(vlm, recorded(clip), settings)) for clip in clips] == cached
    _lively(cached)


def test_no_future(trained):
    """From some frame on frames and questions come in another order: nothing before it differs in any bit."""
    vlm, clips, settings = trained
    matters = said = 0
    for seed, clip in enumerate(clips):
        stream, random = recorded(clip), np.random.default_rng(seed)
        frames = list(stream.source)
        now = int(random.integers(len(frames) // 4, 3 * len(frames) // 4))
        mixed = frames[:now] + [frames[now + place] for place in random.permutation(len(frames) - now)]
        told = list(watch(vlm, stream, settings))
        other = list(watch(vlm, replace(stream, source=mixed), settings))
        assert told[:now] == other[:now]
        matters += told[now:] != other[now:]
        said += sum(moment.utterance is not None for moment in told[:now])
    assert matters > len(clips) / 2, "later it does matter, where the pictures still change"
    assert said > len(clips)


@pytest.mark.parametrize("rows", [1, 8])
def test_eight_frames_ahead_change_nothing(rows, trained):
    vlm, clips, settings = trained
    alone, ahead = (
        _by_clip(watch_all(vlm, [recorded(clip) for clip in clips], each, NoDrop(), rows))
        for each in (settings, replace(settings, ahead=8))
    )
    for clip in range(len(clips)):
        assert outcome(ahead[clip]) == outcome(alone[clip])
        p, q = (np.array([(m.p_speak, m.p_dst) for m in moments]) for moments in (alone[clip], ahead[clip]))
        assert np.abs(p - q).max() < CLOSE
    _lively([outcome(alone[clip]) for clip in range(len(clips))])


def _by_clip(moments: Iterator) -> dict[int, list]:
    found: dict[int, list] = {}
    for number, moment in moments:
        found.setdefault(number, []).append(moment)
    return found


def _lively(clips: list[list[tuple]]) -> None:
    """There was something to get wrong, and silence between."""
    rows = [row for clip in clips for row in clip]
    updates, utterances = (sum(row[place] is not None for row in rows) for place in (1, 2))
    assert min(updates, utterances) > 50
    assert max(updates, utterances) < len(rows) / 2
