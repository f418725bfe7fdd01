"""Rows of the reproduction: what a cell is, and the cells of the studies, found from the studies themselves."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .._validate.plain import Keywords
from ..errors import ResultError
from ..storage.paths import kind_of
from ..storage.writing import writable_directory
from ..verification.conclusion import StatementVerdict
from ..verification.equal_time import Progress
from ..verification.formats import caught, shown
from . import find

__all__ = ["Keyed", "StudyCell", "run_study", "study_cells", "study_summary"]

_LEVEL = 0.01 / 16  # of a row: another 1 % for the rows of all studies, up to sixteen
_COLUMNS = ("study", "row", "steps", "replicas", "claims, z-rms", "mutants rejected", "catches", "verdict")


class Keyed(ABC):
    """What everything that fixes its numbers gives a name and a seed."""

    seed: int

    @property
    @abstractmethod
    def fixed(self) -> Keywords:
        """All that fixes the numbers, as plain JSON types."""

    @property
    @abstractmethod
    def stem(self) -> str:
        """What the name of the cell's directory begins with."""

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


@dataclass(frozen=True)
class StudyCell(Keyed):
    """One row of a study.

    Attributes
    ----------
    study, row : str
    options : dict
        Keywords of the study's `run`.
    seed : int
        Of the whole reproduction; every cell draws its own from it.
    """

    study: str
    row: str
    options: Keywords
    seed: int

    @property
    def fixed(self) -> Keywords:
        """All that fixes the numbers."""
        return {**asdict(self), "level": _LEVEL}

    @property
    def stem(self) -> str:
        """The study and its row."""
        return f"study-{self.study}-{self.row}"


def study_cells(studies: Sequence[str], *, quick: bool, seed: int) -> list[StudyCell]:
    """Return the rows of some studies."""
    every = {name: find(name) for name in studies}
    rows = {name: one.quick if quick else one.rows for name, one in every.items()}
    return [StudyCell(name, row, dict(options), seed) for name, held in rows.items() for row, options in held.items()]


def run_study(cell: StudyCell, directory: Path, progress: Progress) -> tuple[StatementVerdict, bool]:
    """Return the verdict of a row, and whether it was there already; otherwise it is made and kept in `directory`."""
    place = directory / cell.key
    if kind_of(place / "study.json", ResultError) == "file":  # the last file that is written
        return StatementVerdict.load(place), True
    verdict = find(cell.study).run(**cell.options, rng=cell.entropy, level=_LEVEL, progress=progress)
    verdict.save(writable_directory(place))
    return verdict, False


def study_summary(found: Sequence[tuple[StudyCell, StatementVerdict]]) -> str:
    """Return the table of the studies in Markdown; empty where there is none."""
    if not found:
        return ""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    lines += [f"| {' | '.join(_line(cell, verdict))} |" for cell, verdict in found]
    return "\n" + "\n".join(lines) + "\n"


def _line(cell: StudyCell, verdict: StatementVerdict) -> list[str]:
    wrong = verdict.mutants
    return [
        cell.study,
        cell.row,
        f"{verdict.run.steps:,}",
        f"{verdict.run.replicas:,}",
        ", ".join(shown(row.z_rms, ".2f") for row in verdict.claims),
        f"{sum(not row.consistent for row in wrong)} of {len(wrong)}",
        caught(verdict.detectable),
        "passed" if verdict.passed else "**failed**",
    ]
