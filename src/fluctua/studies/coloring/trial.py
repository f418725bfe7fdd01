"""What a trial of either kind is asked, what it finds, and how it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..._arrays import Arrays, standard_error
from ...verification.equal_time import Progress
from ...verification.statements import Measured, Statement
from .graph import Graph
from .moves import Move
from .runs import ColoringRuns, simulate_graph

__all__ = ["Asked", "Found", "measured"]

_VISITS, _LEAST, _UNSEEN = 3e7, 150, 100  # of all replicas together; sweeps at least, and before them


@dataclass(frozen=True)
class Asked:
    """A graph, a move, and how long and how strictly it is tried."""

    graph: Graph
    move: Move
    asked_sweeps: int | None
    replicas: int
    root: np.random.SeedSequence
    level: float
    resolution: float
    threads: int | None
    report: Progress

    @property
    def sweeps(self) -> int:
        """Sweeps that are averaged over."""
        if self.asked_sweeps is not None:
            return self.asked_sweeps
        return max(_LEAST, round(0.8 * _VISITS / (self.replicas * int(self.graph.vertices))))

    @property
    def unseen(self) -> int:
        """Sweeps before, where a run does not begin in its own law."""
        return max(_UNSEEN, self.sweeps // 4)

    def run(self, stage: str, number: int, move: Move, **options: Any) -> ColoringRuns:
        """Run a move on the graph, with a seed of its own."""
        seed = np.random.SeedSequence(self.root.entropy, spawn_key=(*self.root.spawn_key, number))
        usual: dict[str, Any] = {"sweeps": self.sweeps, "replicas": self.replicas, "burn_in": self.unseen}
        return simulate_graph(
            self.graph,
            move,
            **{**usual, **options},
            rng=seed,
            threads=self.threads,
            progress=partial(self.report, stage),
        )


@dataclass(frozen=True)
class Found:
    """What a trial found."""

    rows: Sequence[Statement]
    sweeps: int
    arrays: Arrays
    tables: dict[str, list[str]]
    facts: dict[str, str] = field(default_factory=dict)


def measured(runs: ColoringRuns) -> Measured:
    """Return the energy of runs with its error."""
    return Measured(runs.energy, float(standard_error(runs.sums[:, 0])), len(runs.sums) - 1)
