"""Rows of the reproduction: what a cell is, and the cells of the studies, found from the studies themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from .._validate.plain import Keywords
from ..simulation.executors import Report
from ..simulation.kept import keeping
from ..storage.checkpoint import Checkpoint
from ..verification.conclusion import StatementVerdict
from ..verification.formats import caught, shown
from . import find
from .cells import Keyed, groups_beside, of_runs

__all__ = ["StudyCell", "study_cells", "study_summary"]

_LEVEL = 0.01 / 16  # of a row: another 1 % for the rows of all studies, up to sixteen
_COLUMNS = ("study", "row", "steps", "replicas", "claims, z-rms", "mutants rejected", "catches", "verdict")


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

    FINDS: ClassVar[type[StatementVerdict]] = StatementVerdict

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

    @property
    def label(self) -> tuple[str, str]:
        """The study and its row."""
        return self.study, self.row

    def made(self, shared: None, checkpoint: Checkpoint | None, report: Report) -> StatementVerdict:
        """Run the row; its finished groups of replicas are kept beside where a checkpoint would be."""
        del shared
        run, place = find(self.study).run, None if checkpoint is None else groups_beside(checkpoint)
        with keeping(place, always=True):
            return run(**self.options, rng=self.entropy, level=_LEVEL, progress=of_runs(report))


def study_cells(studies: Sequence[str], *, quick: bool, seed: int) -> list[StudyCell]:
    """Return the rows of some studies."""
    every = {name: find(name) for name in studies}
    rows = {name: one.quick if quick else one.rows for name, one in every.items()}
    return [StudyCell(name, row, dict(options), seed) for name, held in rows.items() for row, options in held.items()]


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
