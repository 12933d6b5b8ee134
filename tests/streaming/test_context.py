"""Each strategy keeps whole turns and frames behind a system prompt, in their order and their places."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.streaming.films import film, lively, outcome, seer

from prospect.conversation.dst import said_state
from prospect.conversation.sample import Turn
from prospect.errors import UserError
from prospect.streaming import session
from prospect.streaming.context import DropAll, DropMiddle, DSTState, NoDrop, SlidingWindow, SummarizeAndDrop
from prospect.streaming.held import Held
from prospect.streaming.recorded import recorded
from prospect.streaming.watcher import watch, watch_all

LENGTH, CLOSE = 250, 1e-4
EXACT = {
    "drop_all": DropAll(LENGTH),
    "drop_middle": DropMiddle(LENGTH),
    "sliding_window": SlidingWindow(LENGTH),
    "summarize_and_drop": SummarizeAndDrop(LENGTH, tokens=8),
    "dst_state": DSTState(LENGTH, seconds=4),
}
TURNED = {"drop_middle": DropMiddle(LENGTH, refeed=False), "sliding_window": SlidingWindow(LENGTH, refeed=False)}


@pytest.fixture(scope="module")
def model():
    return seer(tile=64, grid=(1, 2))


@pytest.fixture
def shortened(monkeypatch):
    """(session, frame, units before, units after) of each time that a context is shortened."""
    seen = []
    original = session.Session._shortened

    def watched(self, coming):
        before = list(self.held.units)
        yield from original(self, coming)
        seen.append((self, coming.number, before, list(self.held.units)))

    monkeypatch.setattr(session.Session, "_shortened", watched)
    return seen


def played(model, context, seed=0, frames=70, **settings):
    sample = film(model, frames=frames, seed=seed)
    return list(
        watch(model, recorded(sample), lively(model, [recorded(sample)], 0.15, dst_tokens=9, **settings), context)
    )


@pytest.mark.parametrize("name", EXACT)
def test_after_a_drop_as_if_it_had_never_been(name, model, checked):
    """Every answer, before and after, is that of a fresh forward over what is kept."""
    for seed in range(2):
        moments = played(model, EXACT[name], seed)
        assert len(moments) == 70
        assert sum(moment.counts.get("shortened", 0) for moment in moments) >= 2
        assert checked[-1].worst < CLOSE


@pytest.mark.parametrize("name", TURNED)
def test_turned_keys_are_exact_in_one_layer(name, checked):
    one = seer(layers=1, tile=64, grid=(1, 2))
    moments = played(one, TURNED[name])
    assert sum(moment.counts.get("shortened", 0) for moment in moments) >= 2
    assert checked[-1].worst < CLOSE


@pytest.mark.parametrize("name", TURNED)
def test_turned_keys_are_near_in_two_layers(name, model, checked):
    played(model, TURNED[name])
    assert CLOSE < checked[-1].worst < 2, "what is kept has seen what was dropped, but stands in its right place"


@pytest.mark.parametrize("name", [*EXACT, *(f"{name} turned" for name in TURNED)])
def test_whole_turns_and_frames_within_the_limit(name, model, shortened):
    context = TURNED[name.split()[0]] if "turned" in name else EXACT[name]
    frame = len(model.pieces.frame())
    for seed in range(2):
        shortened.clear()
        played(model, context, seed)
        assert shortened
        for watching, _, before, after in shortened:
            assert after[0].role == "system"
            assert sum(len(unit.ids) for unit in after) <= LENGTH
            assert all(len(unit.ids) == frame for unit in after if unit.sight)
            assert all(unit.ids[-len(watching.closed) :] == watching.closed for unit in after if not unit.sight)
            stayed = [place for unit in after[1:] for place, old in enumerate(before) if old is unit]
            assert stayed == sorted(stayed)
            assert len(stayed) == len(after) - 1, "nothing is made up"
            gaps = [place for i, place in enumerate(stayed) if place - (stayed[i - 1] if i else 0) > 1]
            assert all(before[place].role in ("user", "frames") for place in gaps), "no event without its frame"


@pytest.mark.parametrize("name", EXACT)
def test_nothing_changes_before_the_context_is_full(name, model):
    context = EXACT[name]
    limited, free = played(model, context), played(model, NoDrop())
    first = next(place for place, moment in enumerate(limited) if "shortened" in moment.counts)
    assert first > 5
    assert limited[:first] == free[:first]


@pytest.mark.parametrize("name", EXACT)
def test_frames_ahead_and_batches_shorten_alike(name, model):
    films = [film(model, frames=50, seed=seed) for seed in range(3)]
    settings = lively(model, [recorded(sample) for sample in films], 0.15, dst_tokens=9)
    alone = [outcome(watch(model, recorded(sample), settings, EXACT[name])) for sample in films]
    for ahead, rows in ((4, 1), (4, 3)):
        together: dict[int, list] = {}
        streams = [recorded(sample) for sample in films]
        for number, moment in watch_all(model, streams, replace(settings, ahead=ahead), EXACT[name], rows=rows):
            together.setdefault(number, []).append(moment)
        assert [outcome(together[number]) for number in range(3)] == alone


def test_drop_middle_keeps_both_ends_and_a_window_only_one(model, shortened):
    played(model, EXACT["drop_middle"])
    for *_, before, after in shortened:
        assert after[1] is before[1]
        assert after[-1] is before[-1] or after[-1].role in ("user", "frames")
    shortened.clear()
    played(model, EXACT["sliding_window"])
    for *_, before, after in shortened:
        assert after[1] is not before[1]
        assert after[1:] == before[len(before) - len(after) + 1 :]


def test_the_state_told_is_the_predicted_one_before_what_is_kept(model, shortened):
    moments = {moment.frame: moment for moment in played(model, EXACT["dst_state"])}
    assert any("completed" in moment.state.values() for moment in moments.values())
    for watching, now, _, after in shortened:
        told = watching.pieces.tokenizer.decode(after[0].ids)
        at = after[1].number if len(after) > 1 else now
        before = moments.get(at - 1)
        assert before is not None
        assert f"State: {said_state(before.state)}<end_of_utterance>" in told
        assert all(unit.number >= now - 8 for unit in after[1:])


def test_a_summary_is_the_models_own(model, shortened):
    played(model, EXACT["summarize_and_drop"])
    for watching, *_, after in shortened:
        assert len(after) == 1
        told = watching.pieces.tokenizer.decode(after[0].ids)
        first = watching.pieces.tokenizer.decode(watching.prompt().ids)
        assert told != first
        assert told.split("\nGoal:")[1] == first.split("\nGoal:")[1]


def test_none_says_so(model):
    with pytest.raises(UserError, match=r"the context is full at frame \d+, with \d+ tokens; choose how to go on"):
        played(model, NoDrop(LENGTH))


def test_what_cannot_fit_is_said(model):
    stream = recorded(film(model))
    loud = replace(stream, source=[(frame, ["word " * 200]) for frame, _ in stream.source])
    with pytest.raises(UserError, match=r"sample film-0: frame 3 with what is said there takes \d+ tokens"):
        list(watch(model, loud, context=DropAll(LENGTH)))
    with pytest.raises(UserError, match=r"the context is full at frame 3"):
        list(watch(model, stream, lively(model, [stream]), NoDrop(20)))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: SlidingWindow(keep=0), "keep=0"),
        (lambda: DropMiddle(first=1.5), "first=1.5"),
        (lambda: DSTState(seconds=-1), "seconds=-1"),
        (lambda: SummarizeAndDrop(tokens=0), "tokens=0"),
    ],
)
def test_settings_without_sense_are_refused(made, said):
    with pytest.raises(UserError, match=f"context.{said}"):
        made()


def test_a_note_goes_into_the_system_prompt(model):
    watching = session.Session(
        recorded(film(model)), model.pieces, lively(model, [recorded(film(model))]), NoDrop(), 999
    )
    told = watching.pieces.tokenizer.decode(watching.prompt(note="\nall done").ids)
    assert told.startswith("<|im_start|>System: You watch.\nall done\nGoal: a toy")
    assert isinstance(watching.held, Held)
    bare = replace(recorded(film(model)), system=(), task=None)
    watching = session.Session(bare, model.pieces, watching.settings, NoDrop(), 999)
    assert watching.prompt().ids == model.pieces.prompt((), None)
    assert watching.prompt(note="done").ids == model.pieces.prompt((Turn("system", ("done",)),), None)
