"""Groups of replicas wherever they are made: in threads here, by an executor that was handed in, or before."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from .._validate.plain import JsonObject
from .executors import Report, elsewhere
from .kept import Pack, Packs, current_keep, numbered
from .workers import Clock, in_order, one_blas_thread

__all__ = ["GroupWork", "in_groups"]

GroupWork = Callable[[Any, Any, Clock], Pack]
"""A function of a module, so that other processes find it: of what all groups share, one group, and a clock."""


def in_groups(
    work: GroupWork,
    shared: Any,
    items: Sequence[Any],
    threads: int,
    clock: Clock,
    key: JsonObject | None = None,
    kept: bool = True,
) -> Packs:
    """Yield what groups found, in their order; those that are kept are not made again.

    Parameters
    ----------
    work : callable
        What makes a group; its arrays are what is yielded.
    shared : object
        What all groups have in common.
    items : sequence
        What each group has of its own.
    threads : int
        Where this process does the work.
    clock : Clock
        Of all groups; a group ticks as often as any other.
    key : mapping, optional
        What fixes the numbers of the run; by default the hash of what it is made of.
    kept : bool
        Whether they are kept where the run keeps its groups; not what takes longer to write than to make.
    """
    keep = current_keep() if kept else None
    keys = None if keep is None else _keys(work, shared, items, key)
    each, mine = clock.steps // max(len(items), 1), len(items)
    if keep is not None and keep.part is not None:
        mine = len(keep.part.of(items))

    def make(numbers: list[int]) -> Packs:
        clock.steps, clock.done = each * mine, each * (mine - len(numbers))
        return _made(work, shared, [items[number] for number in numbers], threads, clock)

    return make(list(range(mine))) if keep is None or keys is None else keep.through(keys, make)


def _made(work: GroupWork, shared: Any, items: list[Any], threads: int, clock: Clock) -> Packs:
    if (executor := elsewhere()) is None:
        return in_order(lambda item: work(shared, item, clock), items, threads, clock.stop, clock.look)
    return _counted(executor.in_order(_afar, (work, shared), items, partial(_look, clock)), len(items), clock)


def _afar(told: tuple[GroupWork, Any], item: Any, _: Report) -> Pack:
    """Make a group in another process."""
    work, shared = told
    with one_blas_thread():
        return work(shared, item, Clock(1, None))


def _look(clock: Clock) -> None:
    clock.look()
    if clock.stop.is_set():
        raise KeyboardInterrupt


def _counted(found: Generator[Pack], groups: int, clock: Clock) -> Packs:
    """Count a group when it has come back."""
    each = (clock.steps - clock.done) // max(groups, 1)
    with closing(found):
        for pack in found:
            clock.done += each
            yield pack


def _keys(work: GroupWork, shared: Any, items: Sequence[Any], key: JsonObject | None) -> list[JsonObject] | None:
    """What fixes the numbers of each group; nothing where functions of the user's do, which have no content."""
    if key is not None:
        return numbered(key, len(items))
    from joblib import hash as hashed

    try:
        of = f"{work.__module__}.{work.__qualname__}", hashed(shared)
        return [{"work": of[0], "shared": of[1], "group": hashed(item)} for item in items]
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
