"""The built-in users: the same everywhere, in need of the picture, with words that only one user knows."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import pytest

from prospect.data.users.demo import ACTIONS, WORDS, speech, users_demo
from prospect.data.users.screens import BUTTONS, WINDOWS, point
from prospect.errors import UserError
from prospect.models.words import small_tokenizer

SMALL = {"samples": 6, "train_users": "11-14", "val_users": 74, "test_users": "1-2"}


def turns(data, split: str = "train"):
    """(user, kind, question, answer, window) of every question."""
    for sample in data.splits[split]:
        for question, answer in zip(sample.turns[1::2], sample.turns[2::2], strict=True):
            x, y = eval(answer.text)
            window = WINDOWS.index((x // 500 * 500, y // 500 * 500))
            yield sample.meta["user"], answer.kind, question.text, (x, y), window


def test_it_is_users_data_of_the_sizes_asked_for():
    data = users_demo(**SMALL)
    assert data.name == "users_demo"
    assert {name: len(samples) for name, samples in data.splits.items()} == {"train": 24, "val": 6, "test": 12}
    assert data.findings == []


def test_every_machine_draws_the_same(tmp_path):
    """A changed figure means a changed generator: raise GENERATOR, or old caches would be taken for new data."""
    data = users_demo(**SMALL)
    assert data.fingerprint == users_demo(folder=str(tmp_path / "again"), **SMALL).fingerprint
    pixels = b"".join(picture.open().tobytes() for sample in data.splits["train"] for picture in sample.pictures)
    assert hashlib.sha256(pixels).hexdigest()[:16] == "3742950c02775433"
    assert data.fingerprint[:16] == "6b82fb8d940f1d78"


def test_shared_words_mean_the_same_to_everybody_and_own_words_do_not():
    data = users_demo(samples=60, train_users="11-20", val_users=74, test_users=1)
    shared, own = defaultdict(set), defaultdict(set)
    for user, kind, word, at, window in turns(data):
        button = next(n for n in range(len(BUTTONS)) if point(window, n) == at)
        (shared[word] if kind == "shared" else own[user, word]).add(button)
    assert {word: list(buttons) for word, buttons in shared.items()} == {
        word: [place] for place, word in enumerate(ACTIONS)
    }
    assert all(len(buttons) == 1 for buttons in own.values())
    for word in WORDS:
        assert len({min(own[user, word]) for user in range(11, 21)}) >= 3


def test_own_words_are_those_of_the_user():
    data = users_demo(**SMALL)
    for user, kind, word, at, window in turns(data):
        if kind == "own":
            assert at == point(window, speech(user, 0).index(word))


def test_words_alone_leave_a_quarter():
    """The best blind guess knows the button and not the window, nor do earlier answers tell it."""
    data = users_demo(samples=100, train_users="11-20", val_users=74, test_users=1)
    points = defaultdict(Counter)
    for _, kind, word, at, _ in turns(data):
        if kind == "shared":
            points[word][at] += 1
    windows = [window for *_, window in turns(data)]
    assert 0.2 < sum(one == other for one, other in zip(windows[::2], windows[1::2], strict=True)) / 1000 < 0.3
    hits = sum(counts.most_common(1)[0][1] for counts in points.values())
    assert 0.2 < hits / sum(counts.total() for counts in points.values()) < 0.32


def test_the_tiny_models_have_every_word_as_one_token():
    tokenizer = small_tokenizer()
    for word in (*ACTIONS, *WORDS):
        assert {len(tokenizer.encode(form, add_special_tokens=False)) for form in (word, f" {word}")} == {1}


def test_a_user_is_adapted_to_by_folds():
    data = users_demo(**SMALL | {"person": 1, "folds": 3})
    assert {sample.meta["user"] for samples in data.splits.values() for sample in samples} == {1}
    assert [len(samples) for samples in data.splits.values()] == [2, 2, 2]


@pytest.mark.parametrize("change", [{"seed": 1}, {"size": 48}, {"own": 0.9}, {"blank_images": True}])
def test_other_settings_give_other_data(change):
    assert users_demo(**SMALL | change).fingerprint != users_demo(**SMALL).fingerprint


@pytest.mark.parametrize(("key", "value"), [("samples", 0), ("size", 4), ("own", 1.5)])
def test_settings_that_cannot_be_drawn(key, value):
    with pytest.raises(UserError, match=f"data.{key}={value}"):
        users_demo(**SMALL | {key: value})
