"""Models with random weights that watch, made-up clips, and a Feeder that checks itself against fresh forwards."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import numpy as np
import torch

from prospect.conversation.dst import Transition, applied, legal, state_of
from prospect.conversation.sample import Frames, Sample, Step, Task, Turn
from prospect.models.stream import for_streams
from prospect.models.stream_settings import StreamSettings
from prospect.models.tiny import tiny
from prospect.models.vlm import VLM
from prospect.streaming import watcher
from prospect.streaming.feeding import Answer, Ask, Decided, Feeder
from prospect.streaming.stream import WatchSettings

SAYINGS = ["Next is the red disc.", "Good, it is in place.", "Wait.", "No 🔥 that is wrong."]


class Given:
    """Features of a video, as a store has them."""

    def __init__(self, features):
        self.made = features

    def features(self, start, stop):
        return self.made[start:stop]


class Trained(NamedTuple):
    """A model that was trained, clips that it has not seen, and the thresholds that its run chose."""

    vlm: VLM
    clips: list[Sample]
    settings: WatchSettings


def seer(heads="binary", layers=2, grid=(1,), seed=0, make=tiny, **sizes):
    """A small model that watches, its heads drawn wide so that decisions differ from frame to frame."""
    settings = StreamSettings(heads, frame_grid=grid if grid == "native" else list(grid))
    vlm = for_streams(make(seed=seed, layers=layers, device="cpu", stream=settings, **sizes), seed)
    vlm.model.eval()
    with torch.no_grad():
        for parameter in vlm.model.decisions.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
    return vlm


def film(vlm, frames=40, seed=0, start=3, steps=4, users=0.1, events=0.2):
    """A clip of made-up features in which much happens."""
    random, draw = Random(seed), np.random.default_rng(seed)
    width = vlm.model.config.feature_width
    made = draw.normal(size=(start + frames, vlm.frame_tokens, width)).astype(np.float32)
    task = Task(
        "a toy",
        tuple(Step(f"S{n}", f"part {n}") for n in range(1, steps + 1)),
        state_of(f"S{n}" for n in range(1, steps + 1)),
    )
    turns, state = [Turn("system", ("You watch.",))], task.state
    for number in range(start, start + frames):
        if random.random() < users:
            turns.append(Turn("user", (random.choice(["What now?", "<image> OK?"]),)))
        turns.append(Turn("frames", (Frames(number, number + 1, features=Given(made)),)))
        if random.random() < events and legal(state):
            changes: list[Transition] = []
            for _ in range(random.choice([1, 2])):
                if options := legal(state):
                    changes.append(random.choice(options))
                    state = applied(state, changes[-1:])
            turns.append(Turn("dst", tuple(changes)))
        if random.random() < events:
            turns.append(Turn("assistant", (random.choice(SAYINGS),)))
    return Sample(f"film-{seed}", tuple(turns), task=task)


def lively(vlm, streams, share=0.3, **settings):
    """Settings under which about this share of frames has an utterance, and as many an update."""
    silent = WatchSettings(speak_threshold=1, dst_threshold=1)
    seen = [moment for _, moment in watcher.watch_all(vlm, streams, silent)]
    speak, dst = (np.quantile([getattr(moment, name) for moment in seen], 1 - share) for name in ("p_speak", "p_dst"))
    told = {"speak_tokens": 5, "dst_tokens": 20, **settings}
    return WatchSettings(speak_threshold=float(speak), dst_threshold=float(dst), **told)


def outcome(moments):
    """All but the probabilities, which rounding may move."""
    return [(m.frame, m.update, m.utterance, m.written, m.state, m.counts) for m in moments]


class Heard(Feeder):
    """For one stream: keeps the logits of every token that was asked for."""

    def __init__(self, vlm, rows, length):
        super().__init__(vlm, rows, length)
        assert rows == 1
        self.logits: list[torch.Tensor] = []

    def __call__(self, asks):
        (answer,) = super().__call__(asks).values()
        if answer.logits_V is not None:
            self.logits.append(answer.logits_V)
        return {0: answer}


class Recomputed(Feeder):
    """For one stream: no cache, every answer is that of a forward over all that the cache should hold."""

    def __init__(self, vlm, rows, length):
        super().__init__(vlm, rows, length)
        assert rows == 1
        self.tokens: list[int] = []
        self.seen: list[torch.Tensor | None] = []  # at the last token of a frame its features

    def __call__(self, asks):
        (ask,) = asks.values()
        self._see(ask.sights)
        return {0: self.fresh(ask)}

    def fresh(self, ask: Ask) -> Answer:
        held = sum(stop - start for start, stop in ask.drops) + ask.at
        del self.tokens[held:], self.seen[held:]
        for start, stop in ask.drops:
            del self.tokens[start:stop], self.seen[start:stop]
        features = dict(zip(ask.decided, (sight.features_ID for sight in ask.sights), strict=True))
        self.tokens += ask.ids
        self.seen += [features.get(place) for place in range(len(ask.ids))]
        return self._forward(ask)

    @torch.no_grad()
    def _forward(self, ask: Ask) -> Answer:
        features = [made for made in self.seen if made is not None]
        out = self.vlm.model(
            input_ids=torch.tensor([self.tokens]),
            learnt_points=torch.tensor([[0, len(self.tokens) - 1]]),
            decision_points=torch.tensor([[0, ask.at + place] for place in ask.decided]).long().reshape(-1, 2),
            use_cache=False,
            **({"frame_features": torch.stack(features)} if features else {}),
        )
        decisions = [Decided(*pair) for pair in torch.sigmoid(out.decisions.double()).tolist()]
        return Answer(decisions, out.logits[0] if ask.next_token else None)


class Checked(Recomputed):
    """Answers from its cache, each compared with the recomputed one."""

    def __init__(self, vlm, rows, length):
        super().__init__(vlm, rows, length)
        self.logits: list[torch.Tensor] = []
        self.worst, self.calls = 0.0, 0

    def __call__(self, asks):
        (answer,) = Feeder.__call__(self, asks).values()
        (ask,) = asks.values()
        self._compare(answer, self.fresh(ask))
        return {0: answer}

    def _compare(self, answer: Answer, right: Answer) -> None:
        off = [(torch.tensor(right.decisions) - torch.tensor(answer.decisions)).abs()]
        if answer.logits_V is not None:
            self.logits.append(answer.logits_V)
            off.append((right.logits_V - answer.logits_V).abs())
        self.worst = max(self.worst, *(float(each.max()) for each in off if each.numel()))
        self.calls += 1
