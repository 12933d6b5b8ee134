"""A split of free answers: an oracle gets everything, garbage nothing, and every question of a conversation counts."""

from __future__ import annotations

import pytest

from prospect.conversation.sample import Sample, Turn
from prospect.data.users.demo import users_demo
from prospect.evaluation import answered
from prospect.evaluation.answered import progress, questions, score
from prospect.models.tiny import tiny
from prospect.training.audit import encoded_split
from prospect.training.collate import collator
from prospect.training.losses import lm
from prospect.training.teacher_forced import teacher_forced


@pytest.fixture(scope="module")
def vlm():
    return tiny()


@pytest.fixture(scope="module")
def data():
    return users_demo(samples=4, train_users=11, val_users=74, test_users="1-3")


def answering(monkeypatch, say):
    monkeypatch.setattr(answered, "answers", lambda vlm, asked, *more: [say(part) for part in asked])


def test_an_oracle(monkeypatch, vlm, data):
    answering(monkeypatch, lambda part: part.turns[-1].text)
    scored = score(vlm, data, "test")
    assert scored.headline == ("exact", "normalised", "click/accuracy")
    for name in ("exact", "normalised", "click/accuracy", "exact_low", "user/3/exact", "kind/shared/exact"):
        assert scored.metrics[name] == 1
    assert (scored.metrics["samples"], scored.metrics["users"], scored.metrics["user/2/samples"]) == (24, 3, 8)
    assert scored.metrics["click/mean_distance"] == scored.metrics["click/unparsable"] == 0
    assert all(row["correct"] and row["image"].startswith("data:image/") for row in scored.predictions)


def test_one_user_of_three(monkeypatch, vlm, data):
    answering(monkeypatch, lambda part: part.turns[-1].text if part.meta["user"] == 2 else "somewhere")
    scored = score(vlm, data, "test")
    assert scored.metrics["exact"] == scored.metrics["exact_macro"] == pytest.approx(1 / 3)
    assert [scored.metrics[f"user/{user}/exact"] for user in (1, 2, 3)] == [0, 1, 0]
    assert scored.metrics["click/unparsable"] == pytest.approx(2 / 3)
    assert scored.metrics["click/mean_distance"] == 0  # of those that could be read
    assert "user/1/click/mean_distance" not in scored.metrics
    row = scored.predictions[0]
    assert (row["user"], row["point"], row["distance"], row["correct"]) == (1, None, None, False)
    for name in scored.headline:
        upper, lower = (sum(row["shares"][name][n] for row in scored.predictions) for n in (0, 1))
        assert scored.metrics[name] == upper / lower


def test_a_near_miss_is_a_click_and_not_exact(monkeypatch, vlm, data):
    def beside(part):
        x, y = (int(number) for number in part.turns[-1].text.strip("()").split(","))
        return f"[{x + 60}, {y - 80}]"  # 100 away, the radius

    answering(monkeypatch, beside)
    scored = score(vlm, data, "test")
    assert (scored.metrics["exact"], scored.metrics["click/accuracy"]) == (0, 1)
    assert scored.metrics["click/median_distance"] == 100


def test_every_answer_is_asked_for_with_the_truth_before_it(data):
    (sample,) = data.splits["test"][:1]
    first, second = questions(sample)
    assert (first.id, second.id) == (f"{sample.id}#1", f"{sample.id}#2")
    assert (first.turns, second.turns) == (sample.turns[:3], sample.turns)
    alone = Sample("a", (Turn("user", ("x",)), Turn("assistant", ("y",))))
    assert questions(alone) == [alone]


def test_exact_while_training_is_exact_when_generating(vlm, data):
    """Greedy decoding writes the truth just where every token of it ranks first: also for a half-trained model."""
    import torch

    model = tiny(seed=1)
    items = encoded_split(model, data.splits["test"], "test")
    collate, objective = collator(model), lm({"answer": 1.0})
    optimizer = torch.optim.AdamW(model.model.parameters(), lr=3e-3)
    for _ in range(45):
        outputs = model.model(**{k: v for k, v in collate(items).items() if k in INPUTS}, use_cache=False)
        sums = objective(outputs, collate(items)).values()
        sum(sum_ / count for sum_, count in sums).backward()
        optimizer.step()
        optimizer.zero_grad()
    seen = teacher_forced(model.model, collate, objective, items, 5)
    exact = score(model, data, "test").metrics["exact"]
    assert progress(seen) == {"exact": exact}
    assert 0 < exact < 1


INPUTS = ("input_ids", "attention_mask", "pixel_values", "pixel_attention_mask", "logits_to_keep", "position_ids")
