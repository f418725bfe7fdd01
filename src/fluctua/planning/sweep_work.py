"""The work of a sweep: cells are predicted, then measured, and each is kept as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256

import numpy as np

from .._validate.plain import JsonObject, Keywords
from ..problem.least_squares import LeastSquares
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
    def kept(self) -> list[Keywords | None]:
        """What was finished before of each cell."""
        return [self.shelf.get(key) for key in self.keys]

    @cached_property
    def root(self) -> np.random.SeedSequence:
        """The seed: as given, or that of real runs that are kept, or a fresh one."""
        if self.seed is not None:
            return self.seed
        for key, content in zip(self.keys, self.kept, strict=True):
            if content is not None and content.get("measured"):
                with reading(partial(damaged, self.shelf.place(key))):
                    return kept_seed(content["seed"]["entropy"], content["seed"]["spawn_key"])
        return np.random.SeedSequence()

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
        counts = [replicas or cell.predicted.replicas for cell in cells]
        wanted = [i for i, cell in enumerate(cells) if cell.stable and cell.excess_loss is not None and counts[i]]
        known = {i: found for i in wanted if (found := self._measured_before(i, counts[i])) is not None}
        costs = [0.0 if i in known else self._cost(i) * (counts[i] or 0) for i in wanted]
        done, total = np.cumsum([0.0, *costs]), max(sum(costs), 1.0)
        for at, i in enumerate(wanted):
            share = partial(self._report, done[at] / total, costs[at] / total)
            found = known[i] if i in known else self._run(i, counts[i] or 0, threads, share)
            cells[i] = _with(cells[i], found)
        self.progress("runs", 1.0)
        return tuple(cells)

    def _report(self, done: float, share: float, fraction: float) -> None:
        self.progress("runs", done + share * fraction)

    def _cost(self, i: int) -> float:
        problem = self.forecast.problem
        return float(self.budget[i] or 0) * (
            4.0 * self.grid.recipes[i].batch_size * problem.outputs * problem.features + _STEP
        )

    def _cell(self, i: int) -> Cell:
        sgd, steps, content = self.grid.recipes[i], self.budget[i], self.kept[i]
        if content is None:
            predicted = self.forecast.of(sgd, steps)
            self.shelf.put(self.keys[i], {"predicted": predicted.to_dict(), "seed": None, "measured": None})
        else:
            target = self.forecast.target is not None
            with reading(partial(damaged, self.shelf.place(self.keys[i])), ours=True):
                predicted = Predicted.of(
                    content["predicted"], scheduled=sgd.schedule is not None, budget=steps is not None, target=target
                )
        return Cell(sgd, steps, self.grid.values[i], predicted, None)

    def _measured_before(self, i: int, replicas: int | None) -> Measured | None:
        """What is kept of as many real runs from the same seed."""
        content = self.kept[i]
        if content is None or content.get("measured") is None or content.get("seed") != seed_words(self.root):
            return None
        with reading(partial(damaged, self.shelf.place(self.keys[i])), ours=True):
            found = Measured.of(content["measured"])
        return found if found.replicas == replicas else None

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
        content: JsonObject = {
            "predicted": self._found[i].predicted.to_dict(),
            "seed": seed_words(self.root),
            "measured": found.to_dict(),
        }
        self.shelf.put(self.keys[i], content)
        return found

    def _seed_of(self, i: int) -> np.random.SeedSequence:
        """A cell's own seed: the same in every sweep that has the cell."""
        name = digest(self.keys[i])
        words = [int(name[_LETTERS * k : _LETTERS * (k + 1)], 16) for k in range(_WORDS)]
        return np.random.SeedSequence(self.root.entropy, spawn_key=(*self.root.spawn_key, *words))


def seed_words(root: np.random.SeedSequence) -> JsonObject:
    """Return a seed as plain JSON types."""
    return {"entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}


def _with(cell: Cell, measured: Measured | None) -> Cell:
    return Cell(cell.sgd, cell.steps, cell.values, cell.predicted, measured)


def _fingerprint(problem: LeastSquares) -> str:
    """Tell problems apart: the inputs, the targets and the weights of the samples, in 32 letters."""
    found = sha256()
    for array in (problem.inputs, problem.targets, problem.sample_weight):
        if array is not None:
            found.update(f"{array.dtype}{array.shape}".encode())
            for begin in range(0, len(array), _ROWS):
                found.update(np.ascontiguousarray(array[begin : begin + _ROWS]).tobytes())
    return found.hexdigest()[:32]
