"""The work of a sweep: cells are predicted, then measured, and each is kept as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from .._validate.plain import JsonObject
from ..recipe.sgd import Recipe
from ..simulation.batches import kept_seed
from ..simulation.executors import Fractions, Report, current
from ..simulation.identity import Size, content, fingerprint
from ..simulation.replicas import simulate
from ..storage.results import provenance
from ..storage.shelf import Shelf, damaged, digest
from ..storage.stored import reading
from ..theory.stable_limit import StableLimit
from .forecast import Forecast
from .grid import Grid
from .sweep_cells import Cell, Measured, Predicted

__all__ = ["Work", "seed_words"]

_STEP = 1e4  # operations that a step costs beside its arithmetic
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
    mine : sequence of int
        Numbers of the cells that are asked for: all, or those of a shard.
    """

    forecast: Forecast
    grid: Grid
    budget: Sequence[int | None]
    shelf: Shelf
    seed: np.random.SeedSequence | None
    progress: Callable[[str, float], None]
    mine: Sequence[int]

    @cached_property
    def start(self) -> str:
        """Where runs begin, in a word or a fingerprint."""
        start = self.forecast.start
        return start if isinstance(start, str) else f"weights {fingerprint(start)}"

    @cached_property
    def identity(self) -> JsonObject:
        """What tells the problem from others."""
        size = Size.of(self.forecast.problem, self.grid.base.weight_decay).to_list()
        return {"problem": size, "fingerprint": content(self.forecast.problem)}

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
        """Return the cells, predicted: each is kept as soon as it is finished."""
        known = {i: found for i in self.mine if (found := self._predicted_before(i)) is not None}
        missing = [i for i in self.mine if i not in known]
        recipes = [self.grid.recipes[i] for i in missing]
        limits = self.forecast.unknown_limits(recipes)
        told = Fractions([1.0] * (len(limits) + len(missing)), partial(self.progress, "theory"))
        for k, limit in current().cells(_limit, self.forecast, limits, told):
            self.forecast.know(limits[k], limit)
        asked = [(sgd, self.budget[i], self.forecast.limit(sgd)) for i, sgd in zip(missing, recipes, strict=True)]
        for k, predicted in current().cells(_predict, self.forecast, asked, told.after(len(limits))):
            known[missing[k]] = predicted
            self.shelf.put(self.keys[missing[k]], {"predicted": predicted.to_dict()})
        self.progress("theory", 1.0)
        return tuple(Cell(self.grid.recipes[i], self.budget[i], self.grid.values[i], known[i], None) for i in self.mine)

    def measured(self, replicas: int | None, threads: int | None) -> tuple[Cell, ...]:
        """Return the cells, predicted and, below the limit, measured with so many replicas or as many as needed."""
        cells = dict(zip(self.mine, self.predicted(), strict=True))
        self._keep_seed()
        runs = {i: count for i, cell in cells.items() if (count := _runs(cell, replicas))}
        found = {i: self._measured_before(i, count) for i, count in runs.items()}
        missing = [i for i in runs if found[i] is None]
        told = Fractions([self._cost(i) * runs[i] for i in missing], partial(self.progress, "runs"))
        asked = [_Run(self.grid.recipes[i], self.budget[i] or 0, runs[i], self._seed_of(i), threads) for i in missing]
        for k, measured in current().cells(_measure, self.forecast, asked, told):
            i = missing[k]
            found[i] = measured
            if measured is not None:
                self.shelf.put(self._key_of_runs(i, runs[i]), {"measured": measured.to_dict()})
        self.progress("runs", 1.0)
        return tuple(replace(cell, measured=found.get(i)) for i, cell in cells.items())

    def _keep_seed(self) -> None:
        """Keep the seed, for a next sweep that gives none, where it is not what is kept already."""
        content: JsonObject = {"seed": seed_words(self.root)}
        if self.shelf.get(_SEED) != content:
            self.shelf.put(_SEED, content)

    def _cost(self, i: int) -> float:
        problem = self.forecast.problem
        return float(self.budget[i] or 0) * (
            4.0 * (self.grid.recipes[i].batch_size or problem.rank) * problem.outputs * problem.features + _STEP
        )

    def _predicted_before(self, i: int) -> Predicted | None:
        """What is kept of a cell's prediction."""
        content = self.shelf.get(self.keys[i])
        if content is None:
            return None
        about = {"scheduled": self.grid.recipes[i].schedule is not None, "budget": self.budget[i] is not None}
        with reading(partial(damaged, self.shelf.place(self.keys[i])), ours=True):
            return Predicted.of(content["predicted"], **about, target=self.forecast.target is not None)

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

    def _seed_of(self, i: int) -> np.random.SeedSequence:
        """A cell's own seed: the same in every sweep that has the cell."""
        name = digest(self.keys[i])
        words = [int(name[_LETTERS * k : _LETTERS * (k + 1)], 16) for k in range(_WORDS)]
        return np.random.SeedSequence(self.root.entropy, spawn_key=(*self.root.spawn_key, *words))


@dataclass(frozen=True)
class _Run:
    """What fixes the real runs of a cell."""

    sgd: Recipe
    steps: int
    replicas: int
    seed: np.random.SeedSequence
    threads: int | None


def _limit(forecast: Forecast, sgd: Recipe, report: Report) -> StableLimit:
    """Find a limit of stability."""
    del report
    return forecast.limit(sgd)


def _predict(forecast: Forecast, asked: tuple[Recipe, int | None, StableLimit], report: Report) -> Predicted:
    """Predict a cell whose limit is known."""
    del report
    sgd, steps, limit = asked
    forecast.know(sgd, limit)
    return forecast.of(sgd, steps)


def _measure(forecast: Forecast, run: _Run, report: Report) -> Measured | None:
    """Train for real; nothing where a run overflows."""
    found = simulate(
        forecast.problem,
        run.sgd,
        steps=run.steps,
        replicas=run.replicas,
        rng=run.seed,
        start=forecast.start,
        records=1,
        average=forecast.average,
        threads=run.threads,
        progress=report,
    )
    losses = found.replica_losses[:, -1]
    if not np.isfinite(losses).all():
        return None
    return Measured(float(losses.mean()), float(losses.std(ddof=1) / np.sqrt(run.replicas)), run.replicas)


def seed_words(root: np.random.SeedSequence) -> JsonObject:
    """Return a seed as plain JSON types."""
    return {"entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}


def _runs(cell: Cell, replicas: int | None) -> int:
    """How many real runs a cell has: none beyond the limit, and where nothing was found of its end."""
    return replicas or cell.predicted.replicas or 0 if cell.stable and cell.excess_loss is not None else 0
