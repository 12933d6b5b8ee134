"""A signal asks for a stop; what arrives within a second is the same signal, passed on by a launcher."""

from __future__ import annotations

import signal

import pytest

from prospect.training import recorder


def test_signals_within_a_second_are_one(monkeypatch):
    clock = iter([5.0, 5.4, 6.1])
    monkeypatch.setattr(recorder.time, "monotonic", lambda: next(clock))
    stop = recorder.StopOnSignal()
    stop._ask(signal.SIGTERM, None)
    stop._ask(signal.SIGTERM, None)
    assert stop.asked
    with pytest.raises(KeyboardInterrupt):
        stop._ask(signal.SIGINT, None)
