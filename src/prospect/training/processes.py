"""The few words between ranks: sums, shares, waiting. All of them do nothing in a single process."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    return dist.get_rank() if several() else 0


def leave_at_exit() -> None:
    """Gloo's threads must end before the interpreter does: now and then they would abort a rank that was done."""
    if several():
        atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def summed(values: Tensor) -> Tensor:
    """The sum over all ranks, everywhere."""
    if several():
        values = values.clone()
        dist.all_reduce(values)
    return values


def share(items: Sequence[T]) -> Sequence[T]:
    """This rank's part: every item on exactly one rank, none repeated to even them out."""
    return items[dist.get_rank() :: dist.get_world_size()] if several() else items


def rounds(items: Sequence[T], mine: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], bool]]:
    """Batches of this rank's share of the items, and whether each counts: every rank goes through as many.

    A model that is spread over the ranks runs on all of them or hangs, so a rank that is done repeats the first item.
    """
    longest = -(-len(items) // dist.get_world_size()) if several() else len(mine)
    for start in range(0, longest, size):
        batch = mine[start : start + size]
        yield (batch, True) if batch else (items[:1], False)


def gathered(part: list[Any]) -> list[Any]:
    """The parts of all ranks in the order that `share` took them from."""
    if not several():
        return part
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    longest = max(len(each) for each in parts)
    return [each[index] for index in range(longest) for each in parts if index < len(each)]


def wait_for_all() -> None:
    if several():
        dist.barrier()
