"""The cells of a reproduction: each named by all that fixes its numbers, made once, and kept."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._validate.plain import Keywords
from ..errors import ResultError
from ..simulation.executors import Fractions, Report, current
from ..simulation.kept import GROUPS
from ..storage.checkpoint import Checkpoint
from ..storage.locking import only_run_in
from ..storage.paths import kind_of
from ..storage.writing import clear_leftovers, writable_directory
from ..verification.conclusion import StatementVerdict
from ..verification.equal_time import Progress
from ..verification.verdict import Verdict

__all__ = ["Done", "Keyed", "finished", "groups_beside", "of_runs"]

_CHECKPOINT = "checkpoint.npz"
AnyVerdict = Verdict | StatementVerdict


class Keyed(ABC):
    """What everything that fixes its numbers gives a name and a seed."""

    seed: int
    FINDS: ClassVar[type[Verdict] | type[StatementVerdict]]

    @property
    @abstractmethod
    def fixed(self) -> Keywords:
        """All that fixes the numbers, as plain JSON types."""

    @property
    @abstractmethod
    def stem(self) -> str:
        """What the name of the cell's directory begins with."""

    @property
    @abstractmethod
    def label(self) -> tuple[str, str]:
        """Of what it is a part, and what sets it apart there."""

    @abstractmethod
    def made(self, shared: Any, checkpoint: Checkpoint | None, report: Report) -> Any:
        """Return the verdict; what is begun is kept in `checkpoint`."""

    @property
    def key(self) -> str:
        """Name of the cell's directory: the same recipe has the same, and any other another."""
        return f"{self.stem.replace(' ', '-')}-{self._hash[:10]}"

    @property
    def entropy(self) -> int:
        """Seed of the cell's randomness."""
        return int(np.random.SeedSequence([self.seed, int(self._hash[:16], 16)]).generate_state(1, np.uint64)[0])

    @property
    def _hash(self) -> str:
        return hashlib.sha256(json.dumps(self.fixed, sort_keys=True).encode()).hexdigest()

    def kept(self, place: Path) -> Any:
        """Return the verdict that stands in a directory; None where there is none."""
        last = place / f"{self.FINDS.STEM}.json"  # of the files that are written
        return self.FINDS.load(place) if kind_of(last, ResultError) == "file" else None


@dataclass(frozen=True)
class Done:
    """A cell that is finished.

    Attributes
    ----------
    number : int
        Of the cell, in the order in which they were given.
    verdict : Verdict or StatementVerdict
    seconds : float or None
        How long it took; None if it was there already.
    """

    number: int
    verdict: Any
    seconds: float | None


def finished(cells: Sequence[Keyed], directory: Path, pose: Callable[[Keyed], Any], report: Report) -> Iterator[Done]:
    """Yield the cells as they are finished: those in `directory` first, then the others, which are kept there.

    `pose` gives what the missing ones share. A cell that was begun goes on with the replicas that are missing.
    """
    missing = []
    for number, cell in enumerate(cells):
        if (verdict := cell.kept(directory / cell.key)) is None:
            missing.append(number)
        else:
            yield Done(number, verdict, None)
    if not missing:
        return
    executor = current()
    asked = [(cells[n], directory / cells[n].key if executor.same_files else None) for n in missing]
    shared, told = pose(cells[missing[0]]), Fractions([1.0] * len(missing), report)
    for k, (verdict, seconds) in executor.cells(_made, shared, asked, told):
        place = writable_directory(directory / cells[missing[k]].key)
        verdict.save(place)
        for begun in (Checkpoint(place / _CHECKPOINT), groups_beside(Checkpoint(place / _CHECKPOINT))):
            begun.remove()
        yield Done(missing[k], verdict, seconds)


def groups_beside(checkpoint: Checkpoint) -> Checkpoint:
    """Return where a cell keeps its groups of replicas one by one."""
    return Checkpoint(checkpoint.path.with_name(GROUPS))


def of_runs(report: Report) -> Progress:
    """Return a report of stages that tells of the runs alone, which take the time."""

    def within(stage: str, fraction: float) -> None:
        if stage == "simulation":
            report(fraction)

    return within


def _made(shared: Any, asked: tuple[Keyed, Path | None], report: Report) -> tuple[AnyVerdict, float]:
    """Make a cell, alone in its directory where the worker has that."""
    (cell, place), began = asked, time.monotonic()
    if place is None:
        return cell.made(shared, None, report), time.monotonic() - began
    with only_run_in(writable_directory(place)):
        clear_leftovers(place)
        return cell.made(shared, Checkpoint(place / _CHECKPOINT), report), time.monotonic() - began
