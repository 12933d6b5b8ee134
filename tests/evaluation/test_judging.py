"""Claims: each clip is asked about once, several at a time; means are over what could be read, and whatever could not
is counted; a refusal asks nobody else."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
from tests.endpoint import SCORES, said, stall

from prospect.errors import UserError
from prospect.evaluation.judge import Verdict, verdicts
from prospect.evaluation.judging import ASPECTS, Judging, dialogues, in_time, knock, summary
from prospect.evaluation.pooling import drawn
from prospect.evaluation.scored import Scored

KEY = "sk-secret-0123456789"


def row(number: int) -> dict:
    return {
        "id": f"clip {number}",
        "fps": 2.0,
        "said": [[12, f"Take disc {number}."], [20, "Stop."]],
        "asked": [[12, "What now?"]],
        "pairs": [[12, f"Take disc {number}.", 13, "Take the disc.", 0.8, True]],
        "missed": [[10, "Good."]],
    }


def environment(endpoint) -> dict[str, str]:
    return {"OPENAI_BASE_URL": endpoint.address, "OPENAI_API_KEY": KEY}


def scored(count: int) -> dict[str, Scored]:
    return {"test": Scored({"dialogue/f1": 0.5}, (), [], watched=[row(number) for number in range(count)])}


def judged(endpoint, tmp_path, count, **how):
    judging = Judging(**{"model": "m", "cache": str(tmp_path / "kept"), "tries": 1, **how})
    judge = judging.judge(environment(endpoint), watches=True)
    assert judge is not None
    return judging.judged(scored(count), judge)["test"]


def test_both_dialogues_hold_the_users_words_in_the_order_of_time():
    reference, generated = dialogues(row(3))
    question = (6.0, "user", "What now?")
    assert reference == [(5.0, "assistant", "Good."), question, (6.5, "assistant", "Take the disc.")]
    assert generated == [question, (6.0, "assistant", "Take disc 3."), (10.0, "assistant", "Stop.")]


def test_every_clip_is_asked_about_once(endpoint, tmp_path):
    endpoint.plan.append((200, said(json.dumps(SCORES))))
    found = judged(endpoint, tmp_path, 5)
    assert [each["judge"] for each in found.watched] == [{"model": "m", "scores": SCORES, "failure": ""}] * 5
    assert found.metrics["dialogue/f1"] == 0.5
    assert (found.metrics["judge/judged"], found.metrics["judge/failed"]) == (5, 0)
    assert found.metrics["judge/correctness"] == 4
    assert len(endpoint.asked) == 5
    assert judged(endpoint, tmp_path, 5) == found
    assert len(endpoint.asked) == 5


def test_verdicts_come_in_the_order_of_the_clips():
    class Slow:
        def kept(self, asked):
            return None

        def asked(self, asked):
            time.sleep(0.02 * (5 - int(asked)))
            return Verdict(dict.fromkeys(ASPECTS, int(asked)))

    found = list(verdicts(Slow(), "12345", 5, in_time(60)))
    assert [verdict.scores["overall"] for verdict in found] == [1, 2, 3, 4, 5]


def test_several_are_asked_at_once(endpoint, tmp_path):
    together = threading.Barrier(3, timeout=10)

    def answer(handler):
        together.wait()  # breaks unless three are under way
        body = said(json.dumps(SCORES))
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    endpoint.plan.append(answer)
    assert judged(endpoint, tmp_path, 6, at_once=3).metrics["judge/judged"] == 6


def test_failures_are_counted_and_are_no_score(endpoint, tmp_path):
    endpoint.plan += [(200, said(json.dumps(SCORES))), (500, b""), stall, (200, said("5 of 5")), (200, said("{}"))]
    found = judged(endpoint, tmp_path, 5, at_once=1, timeout=0.3)
    assert {name: found.metrics[f"judge/{name}"] for name in ASPECTS} == SCORES
    assert (found.metrics["judge/judged"], found.metrics["judge/failed"]) == (1, 4)
    assert [bool(each["judge"]["scores"]) for each in found.watched] == [True, False, False, False, False]
    assert found.watched[1]["judge"]["failure"] == "status 500, 1 try"
    assert found.watched[2]["judge"]["failure"] == "no answer within 0.3 s, 1 try"
    endpoint.plan.clear()
    endpoint.plan.append((200, said(json.dumps(SCORES))))
    assert judged(endpoint, tmp_path, 5).metrics["judge/failed"] == 0  # a failure is kept nowhere
    assert len(endpoint.asked) == 5 + 4


def test_where_all_failed_there_is_no_mean(endpoint, tmp_path):
    endpoint.plan.append((200, b"nonsense"))
    found = judged(endpoint, tmp_path, 2).metrics
    assert found == {"dialogue/f1": 0.5, "judge/judged": 0, "judge/failed": 2}


def test_no_more_clips_are_asked_than_were_allowed(endpoint, tmp_path):
    endpoint.plan.append((200, said(json.dumps(SCORES))))
    found = judged(endpoint, tmp_path, 5, clips=2)
    assert len(endpoint.asked) == 2
    assert ["judge" in each for each in found.watched] == [True, True, False, False, False]
    assert (found.metrics["judge/judged"], found.metrics["judge/failed"]) == (2, 0)


def test_when_the_time_is_over_only_what_is_kept_has_a_verdict(endpoint, tmp_path):
    endpoint.plan.append((200, said(json.dumps(SCORES))))
    judged(endpoint, tmp_path, 2)
    found = judged(endpoint, tmp_path, 4, budget=0)
    assert len(endpoint.asked) == 2
    assert (found.metrics["judge/judged"], found.metrics["judge/failed"]) == (2, 2)
    assert found.watched[3]["judge"]["failure"] == "not asked: judge.budget=0 s was over"


def test_a_refusal_asks_nobody_else(endpoint, tmp_path):
    endpoint.plan.append((401, KEY.encode()))
    with pytest.raises(UserError, match="OPENAI_API_KEY") as caught:
        judged(endpoint, tmp_path, 200, at_once=1)
    assert KEY not in str(caught.value)
    assert len(endpoint.asked) < 20


def test_a_knock_says_what_may_pass_and_ends_on_a_refusal(endpoint, caplog):
    endpoint.plan.append((503, KEY.encode()))
    judge = Judging(model="m").judge(environment(endpoint), watches=True)
    assert judge is not None
    knock(judge)
    assert "status 503, 1 try" in caplog.text
    assert KEY not in caplog.text
    endpoint.plan[0] = (404, b"")
    with pytest.raises(UserError, match="no model 'm'"):
        knock(judge)


def test_means_and_intervals_are_over_clips_that_were_judged():
    rng = np.random.default_rng(0)
    scores = [dict(zip(ASPECTS, map(int, rng.integers(1, 6, 4)), strict=True)) for _ in range(7)]
    found = summary([*map(Verdict, scores), Verdict(None, "no")])
    draws = drawn(7, 1000, 0)
    for aspect in ASPECTS:
        values = np.array([score[aspect] for score in scores])
        assert found[f"judge/{aspect}"] == pytest.approx(values.mean())
        ends = [found[f"judge/{aspect}_{end}"] for end in ("low", "high")]
        assert ends == pytest.approx(np.quantile(draws @ values / 7, [0.025, 0.975]))
    assert (found["judge/judged"], found["judge/failed"]) == (7, 1)
    assert summary([]) == {"judge/judged": 0, "judge/failed": 0}


def test_nobody_is_asked_without_a_model():
    assert Judging().judge({}, watches=True) is None


@pytest.mark.parametrize("how", [{"at_once": 0}, {"clips": -1}, {"budget": -1}, {"tries": 0}, {"timeout": 0}])
def test_settings_that_cannot_be(how):
    there = {"OPENAI_BASE_URL": "http://localhost/v1", "OPENAI_API_KEY": ""}
    with pytest.raises(UserError, match=next(iter(how))):
        Judging(model="m", **how).judge(there, watches=True)


def test_what_is_not_watched_cannot_be_judged():
    with pytest.raises(UserError, match=r"judge\.model=m: nothing is watched"):
        Judging(model="m").judge({}, watches=False)
