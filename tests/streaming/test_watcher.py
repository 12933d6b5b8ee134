"""What a watched stream holds, decides and writes, against forwards over whole sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models import nanovlms
from tests.streaming.films import film, lively, outcome, seer

from prospect.conversation.dst import applied
from prospect.conversation.sample import Sample, Step, Task, Turn
from prospect.conversation.segments import encode
from prospect.errors import UserError
from prospect.models.adapt import lora
from prospect.models.patches import PatchSettings
from prospect.models.tiny_qwen3_vl import tiny_qwen3_vl
from prospect.streaming.context import NoDrop
from prospect.streaming.recorded import happened, recorded
from prospect.streaming.stream import Stream, WatchSettings
from prospect.streaming.watcher import watch, watch_all
from prospect.training.collate import Item, collator

CLOSE = 1e-4
MODELS = {
    "binary-1": lambda: seer(),
    "token-1": lambda: seer("token"),
    "binary-2": lambda: seer(grid=(1, 2), tile=64),
    "qwen-token-2": lambda: seer("token", grid=(1, 2), make=tiny_qwen3_vl, image=PatchSettings(frame=64)),
    "nanovlm-binary-2": lambda: seer(grid=(1, 2), make=nanovlm),
}


def nanovlm(layers, **options):
    return nanovlms.small(sizes=replace(nanovlms.SMALL, layers=layers), **options)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


@torch.no_grad()
def at_once(vlm, sample: Sample):
    """Probabilities at every frame, and the logits of every learnt token, as training computes them."""
    item = Item(sample, encode(vlm.chat(sample), vlm.tokenizer, sample.id))
    batch = collator(vlm)([item])
    wanted = ("input_ids", "attention_mask", "position_ids", "learnt_points", "decision_points", "frame_features")
    out = vlm.model(**{name: batch[name] for name in (*wanted, "frame_pixels") if name in batch}, use_cache=False)
    return torch.sigmoid(out.decisions.double()), out.logits


def forced(vlm, sample: Sample, checked):
    """The same of a stream in which all happens as it truly did."""
    moments = list(watch(vlm, recorded(sample, forced=True)))
    decisions = torch.tensor([[moment.p_speak, moment.p_dst] for moment in moments]).double()
    return decisions, torch.stack(checked[-1].logits), moments


@pytest.mark.parametrize("seed", range(4))
def test_forced_as_training_has_it(model, seed, checked):
    sample = film(model, seed=seed)
    decisions, logits, moments = forced(model, sample, checked)
    right_decisions, right_logits = at_once(model, sample)
    torch.testing.assert_close(decisions, right_decisions, atol=CLOSE, rtol=0)
    torch.testing.assert_close(logits, right_logits, atol=CLOSE, rtol=0)
    truly = happened(sample)
    state = sample.task.state
    for moment in moments:
        state = applied(state, truly[moment.frame].transitions) if moment.frame in truly else state
        assert moment.state == state
        assert moment.utterance == (truly[moment.frame].text if moment.frame in truly else None)


def test_pictures_as_training_has_them(clips, checked):
    vlm = seer()
    for clip in clips:
        checked.clear()
        decisions, logits, _ = forced(vlm, clip, checked)
        right_decisions, right_logits = at_once(vlm, clip)
        torch.testing.assert_close(decisions, right_decisions, atol=CLOSE, rtol=0)
        torch.testing.assert_close(logits, right_logits, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("constrained", [True, False], ids=["legal", "free"])
def test_cached_is_recomputed(model, constrained, checked):
    """At every call of a lively stream: decisions and next tokens are those of a fresh forward over all so far."""
    for seed in range(2):
        stream = recorded(film(model, seed=seed))
        settings = lively(model, [recorded(film(model, seed=seed))], constrained=constrained)
        checked.clear()
        moments = list(watch(model, stream, settings))
        assert sum(moment.utterance is not None for moment in moments) >= 3
        assert sum(moment.written is not None for moment in moments) >= 2
        assert checked[0].calls > 40
        assert checked[0].worst < CLOSE


def test_an_adapter_is_part_of_the_model(vlm, checked):
    base = seer()
    adapted = lora(base, rank=4)
    with torch.no_grad():
        for name, weight in adapted.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    list(watch(adapted, recorded(film(base)), lively(adapted, [recorded(film(base))])))
    assert checked[-1].worst < CLOSE


@pytest.mark.parametrize("ahead", [3, 8])
def test_frames_ahead_change_nothing(model, ahead):
    films = [film(model, seed=seed) for seed in range(4)]
    settings = lively(model, [recorded(sample) for sample in films])
    for sample in films:
        alone = list(watch(model, recorded(sample), settings))
        together = list(watch(model, recorded(sample), replace(settings, ahead=ahead)))
        assert outcome(together) == outcome(alone)
        assert close(together, alone)


def test_frames_ahead_are_rolled_back_rightly(model, checked):
    sample = film(model, seed=9)
    settings = lively(model, [recorded(sample)], ahead=5)
    list(watch(model, recorded(sample), settings))
    assert checked[-1].worst < CLOSE


@pytest.mark.parametrize("rows", [2, 5])
def test_streams_of_a_batch_are_what_they_are_alone(model, rows):
    films = [film(model, frames=10 + 7 * seed, seed=seed) for seed in range(5)]
    settings = lively(model, [recorded(sample) for sample in films], ahead=2)
    together: dict[int, list] = {}
    for number, moment in watch_all(model, [recorded(sample) for sample in films], settings, rows=rows):
        together.setdefault(number, []).append(moment)
    for number, sample in enumerate(films):
        alone = list(watch(model, recorded(sample), settings))
        assert outcome(together[number]) == outcome(alone)
        assert close(together[number], alone)


def close(ones, others) -> bool:
    pairs = [[(m.p_speak, m.p_dst) for m in moments] for moments in (ones, others)]
    return bool(np.abs(np.array(pairs[0]) - np.array(pairs[1])).max() < CLOSE)


def test_eager_attention_and_half_precision_watch_too():
    for options in ({"attention": "eager"}, {"dtype": "bfloat16"}):
        vlm = seer(**options)
        films = [film(vlm, frames=15, seed=seed) for seed in range(3)]
        settings = lively(vlm, [recorded(sample) for sample in films], ahead=3)
        together = list(watch_all(vlm, [recorded(sample) for sample in films], settings, rows=3))
        assert len(together) == 45
        if "attention" in options:
            alone = [outcome(watch(vlm, recorded(sample), settings)) for sample in films]
            assert [outcome(m for n, m in together if n == number) for number in range(3)] == alone


def test_no_future(model):
    """Later frames in another order, later users silent: what was is the same to the last bit."""
    for seed in range(4):
        stream = recorded(film(model, seed=seed))
        frames, settings = list(stream.source), lively(model, [recorded(film(model, seed=seed))])
        now = 20
        later = [(frame, []) for frame, _ in np.random.default_rng(seed).permutation(np.array(frames[now:], object))]
        told = list(watch(model, replace(stream, source=frames), settings))
        other = list(watch(model, replace(stream, source=frames[:now] + later), settings))
        assert told[:now] == other[:now]
        assert told[now:] != other[now:]


def test_a_live_source_is_answered_before_it_goes_on(model):
    asked = []

    def live():
        for number, frame in enumerate(recorded(film(model, frames=5)).source):
            asked.append(number)
            yield frame

    moments = watch(model, replace(recorded(film(model)), source=live()))
    for number in range(5):
        assert next(moments).frame == 3 + number
        assert asked == list(range(number + 1))
    assert list(moments) == []


def test_a_turn_without_end_is_ended(model):
    sample = film(model, frames=3)
    moments = list(watch(model, recorded(sample), WatchSettings(0, 1, speak_tokens=4)))
    assert [moment.counts for moment in moments] == [{"cut": 1}] * 3
    assert all(len(model.pieces.text(moment.utterance)) >= 1 for moment in moments)


def test_nothing_legal_is_not_asked_for(model):
    done = Task("a toy", (Step("S1", "base"),), {"S1": "completed"})
    for task in (done, None):
        stream = replace(recorded(film(model, frames=3)), task=task)
        moments = list(watch(model, stream, WatchSettings(1, 0)))
        assert [(moment.update, moment.counts) for moment in moments] == [(None, {"barred": 1})] * 3


def test_a_stream_of_nothing():
    vlm = seer()
    assert list(watch(vlm, Stream((), None, []))) == []
    assert list(watch_all(vlm, [])) == []
    nothing = [Stream((), None, []), recorded(film(vlm, frames=2)), Stream((), None, [])]
    assert [number for number, _ in watch_all(vlm, nothing, rows=2)] == [1, 1]


def test_what_cannot_be_watched_is_said(vlm):
    with pytest.raises(UserError, match="needs heads"):
        list(watch(vlm, Stream((), None, [])))
    watches = seer()
    with pytest.raises(UserError, match=r"context.length=9999: the model has positions for 1 to 8192 tokens"):
        list(watch(watches, Stream((), None, []), context=NoDrop(9999)))
    with pytest.raises(UserError, match=r"ahead=0: must be at least 1"):
        WatchSettings(ahead=0)
    with pytest.raises(UserError, match=r"sample s has no frames"):
        recorded(Sample("s", (Turn("system", ("Help.",)),)))
