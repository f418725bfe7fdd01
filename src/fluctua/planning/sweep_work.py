"""The work of a sweep: cells are predicted, then measured, and each is kept as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256

import numpy as np

from .._validate.plain import JsonObject
from ..problem.least_squares import LeastSquares
from ..problem.softmax.base import Head
from ..simulation.batches import kept_seed
from ..simulation.identity import Size, fingerprint
from ..simulation.replicas import simulate
from ..storage.results import provenance
from ..storage.shelf import Shelf, damaged, digest
from ..storage.stored import reading
from .forecast import Forecast
from .grid import Grid
from .sweep_cells import Cell, Measured, Predicted

__all__ = ["Work", "seed_words"]

_STEP = 1e4  # operations that a step costs beside its arithmetic
_ROWS = 4096  # of the inputs that are hashed at once
_SEED = {"last": "seed"}  # the key that the seed of the last sweep is kept under
_WORDS, _LETTERS = 4, 8  # of a cell's name, which its seed is made of


@dataclass
class Work:
    """The cells of a grid on their way.

    Attributes
    ----------
    forecast : Forecast
    grid : Grid
    budget : sequence of int or None
        Steps of each cell.
    shelf : Shelf
        What is finished.
    seed : SeedSequence or None
    progress : callable
        Told the stage and the fraction.
    """

    forecast: Forecast
    grid: Grid
    budget: Sequence[int | None]
    shelf: Shelf
    seed: np.random.SeedSequence | None
    progress: Callable[[str, float], None]
    _found: list[Cell] = field(default_factory=list)

    @cached_property
    def start(self) -> str:
        """Where runs begin, in a word or a fingerprint."""
        start = self.forecast.start
        return start if isinstance(start, str) else f"weights {fingerprint(start)}"

    @cached_property
    def identity(self) -> JsonObject:
        """What tells the problem from others."""
        size = Size.of(self.forecast.problem, self.grid.base.weight_decay).to_list()
        return {"problem": size, "fingerprint": _fingerprint(self.forecast.problem)}

    @cached_property
    def keys(self) -> list[JsonObject]:
        """What fixes the numbers of each cell, but for the number and the seed of its real runs."""
        forecast = self.forecast
        shared: JsonObject = {
            "fluctua": provenance().get("fluctua"),
            "fingerprint": self.identity["fingerprint"],
            "start": self.start,
            "average": None if forecast.average is None else forecast.average.to_dict(),
            "target": forecast.target,
            "longest": forecast.longest if forecast.target is not None else None,
        }
        every = zip(self.grid.recipes, self.budget, strict=True)
        return [{**shared, "recipe": recipe.to_dict(), "steps": steps} for recipe, steps in every]

    @cached_property
    def root(self) -> np.random.SeedSequence:
        """The seed: as given, or that of the last sweep which was kept, or a fresh one."""
        if self.seed is not None:
            return self.seed
        kept = self.shelf.get(_SEED)
        if kept is None:
            return np.random.SeedSequence()
        with reading(partial(damaged, self.shelf.place(_SEED)), ours=True):
            return kept_seed(kept["seed"]["entropy"], kept["seed"]["spawn_key"])

    def predicted(self) -> tuple[Cell, ...]:
        """Return the cells, predicted."""
        if not self._found:
            count = len(self.keys)
            for i in range(count):
                self.progress("theory", i / count)
                self._found.append(self._cell(i))
            self.progress("theory", 1.0)
        return tuple(self._found)

    def measured(self, replicas: int | None, threads: int | None) -> tuple[Cell, ...]:
        """Return the cells, predicted and, below the limit, measured with so many replicas or as many as needed."""
        cells = list(self.predicted())
        self.shelf.put(_SEED, {"seed": seed_words(self.root)})
        runs = {i: count for i, cell in enumerate(cells) if (count := _runs(cell, replicas))}
        known = {i: self._measured_before(i, count) for i, count in runs.items()}
        costs = [0.0 if known[i] else self._cost(i) * count for i, count in runs.items()]
        done, total = np.cumsum([0.0, *costs]), max(sum(costs), 1.0)
        for at, (i, count) in enumerate(runs.items()):
            share = partial(self._report, done[at] / total, costs[at] / total)
            cells[i] = replace(cells[i], measured=known[i] or self._run(i, count, threads, share))
        self.progress("runs", 1.0)
        return tuple(cells)

    def _report(self, done: float, share: float, fraction: float) -> None:
        self.progress("runs", done + share * fraction)

    def _cost(self, i: int) -> float:
        problem = self.forecast.problem
        return float(self.budget[i] or 0) * (
            4.0 * (self.grid.recipes[i].batch_size or problem.rank) * problem.outputs * problem.features + _STEP
        )

    def _cell(self, i: int) -> Cell:
        sgd, steps, key = self.grid.recipes[i], self.budget[i], self.keys[i]
        content = self.shelf.get(key)
        if content is None:
            predicted = self.forecast.of(sgd, steps)
            self.shelf.put(key, {"predicted": predicted.to_dict()})
            return Cell(sgd, steps, self.grid.values[i], predicted, None)
        about = {"scheduled": sgd.schedule is not None, "budget": steps is not None}
        with reading(partial(damaged, self.shelf.place(key)), ours=True):
            predicted = Predicted.of(content["predicted"], **about, target=self.forecast.target is not None)
        return Cell(sgd, steps, self.grid.values[i], predicted, None)

    def _key_of_runs(self, i: int, replicas: int) -> JsonObject:
        return {**self.keys[i], "replicas": replicas, "seed": seed_words(self.root)}

    def _measured_before(self, i: int, replicas: int) -> Measured | None:
        """What is kept of as many real runs from the same seed."""
        key = self._key_of_runs(i, replicas)
        content = self.shelf.get(key)
        if content is None:
            return None
        with reading(partial(damaged, self.shelf.place(key)), ours=True):
            return Measured.of(content["measured"])

    def _run(self, i: int, replicas: int, threads: int | None, progress: Callable[[float], None]) -> Measured | None:
        """Train for real; nothing where a run overflows."""
        forecast, sgd, steps = self.forecast, self.grid.recipes[i], self.budget[i]
        assert steps is not None
        run = simulate(
            forecast.problem,
            sgd,
            steps=steps,
            replicas=replicas,
            rng=self._seed_of(i),
            start=forecast.start,
            records=1,
            average=forecast.average,
            threads=threads,
            progress=progress,
        )
        losses = run.replica_losses[:, -1]
        if not np.isfinite(losses).all():
            return None
        found = Measured(float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(replicas)), replicas)
        self.shelf.put(self._key_of_runs(i, replicas), {"measured": found.to_dict()})
        return found

    def _seed_of(self, i: int) -> np.random.SeedSequence:
        """A cell's own seed: the same in every sweep that has the cell."""
        name = digest(self.keys[i])
        words = [int(name[_LETTERS * k : _LETTERS * (k + 1)], 16) for k in range(_WORDS)]
        return np.random.SeedSequence(self.root.entropy, spawn_key=(*self.root.spawn_key, *words))


def seed_words(root: np.random.SeedSequence) -> JsonObject:
    """Return a seed as plain JSON types."""
    return {"entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}


def _runs(cell: Cell, replicas: int | None) -> int:
    """How many real runs a cell has: none beyond the limit, and where nothing was found of its end."""
    return replicas or cell.predicted.replicas or 0 if cell.stable and cell.excess_loss is not None else 0


def _fingerprint(problem: LeastSquares | Head) -> str:
    """Tell problems apart: the inputs, the targets and the weights of the samples, in 32 letters."""
    found = sha256(b"" if isinstance(problem, LeastSquares) else type(problem).__name__.encode())
    for array in (problem.inputs, problem.targets, problem.sample_weight, getattr(problem, "factors", None)):
        if array is not None:
            found.update(f"{array.dtype}{array.shape}".encode())
            for begin in range(0, len(array), _ROWS):
                found.update(np.ascontiguousarray(array[begin : begin + _ROWS]).tobytes())
    return found.hexdigest()[:32]
