"""A reward of the user's own, `FILE.py:FUNCTION`: called as TRL calls it, and what it gives is looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from prospect.errors import UserError
from prospect.own import Own, check_call, line_of, own

KEY = "trainer.rewards.weights"
GIVEN = (  # by TRL, and of every sample
    *("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"),
    *("images", "sample_id"),
)

LARGEST = 3.4e38  # TRL keeps rewards in float32

Function = Callable[..., list[float | None]]


@dataclass(frozen=True)
class Written:
    """`spelt` is how the configuration names it, `name` what its figures are logged under."""

    spelt: str
    own: Own

    @property
    def name(self) -> str:
        return f"{Path(self.spelt.rpartition(':')[0]).stem}.{self.own.name}"

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuses a function that asks for a column which the data do not have, or takes fewer than they have."""
        told = f"{self._called} and the data's columns {', '.join(columns)}, by name"
        check_call(self.own.function, told, **dict.fromkeys((*GIVEN, *columns)))

    def check_call(self) -> None:
        """As far as can be told before the data are read: another required parameter may be one of their columns."""
        parameters = inspect.signature(self.own.function).parameters.values()
        perhaps = [
            p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        told = f"{self._called} and every column of the data, by name"
        check_call(self.own.function, told, **dict.fromkeys((*GIVEN, *perhaps)))

    @property
    def _called(self) -> str:
        return (
            f"{KEY}: {self.spelt} is to be written def {self.own.name}(prompts, completions, **columns); "
            f"it is called with {', '.join(GIVEN)}"
        )

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], completion_ids: Any = None, **columns: Any
    ) -> list[float | None]:
        """Its own lists go in, so that nothing of the batch can be changed; whatever is no number comes not out."""
        own_columns = {name: list(each) if isinstance(each, list) else each for name, each in columns.items()}
        try:
            given = self.own.function(
                prompts=list(prompts), completions=list(completions), completion_ids=completion_ids, **own_columns
            )
        except (Exception, SystemExit) as error:
            what = f"{type(error).__name__}: {error} (line {line_of(error)})"
            raise UserError(f"{KEY}: {self.spelt} failed: {what}") from error
        return self._numbers(given, completions)

    def _numbers(self, given: Any, completions: Sequence[str]) -> list[float | None]:
        if not isinstance(given, list | tuple):
            raise UserError(f"{KEY}: {self.spelt} gave a {type(given).__name__}, not a list of numbers")
        if len(given) != len(completions):
            raise UserError(f"{KEY}: {self.spelt} gave {len(given)} numbers for {len(completions)} completions")
        for value, text in zip(given, completions, strict=True):
            if not (value is None or _fits(value)):
                raise UserError(f"{KEY}: {self.spelt} gave {_shown(value)}, no finite number, for {_shown(text)}")
        return [None if value is None else float(value) for value in given]


def written(spelt: str) -> Written:
    """Found and checked before anything is read."""
    found = Written(spelt, own(spelt, KEY))
    if inspect.iscoroutinefunction(found.own.function):
        raise UserError(f"{KEY}: {spelt} is async; write def {found.own.name}(prompts, completions, **columns)")
    found.check_call()
    return found


def _fits(value: Any) -> bool:
    is_number = isinstance(value, Real)  # numpy's too
    return is_number and abs(value) <= LARGEST


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
