"""Our rule on real runs: false alarms at each boundary by itself, mutants, and when the rule fires.

A boundary is a look at which delta is what separates the two answers: "true", the gain itself (what the next doubling
of training lowers the mean loss by, in mean floors), or "own", the mean over runs of the rule's own estimate. The first
tests the estimate against the truth, the second tests the error bar alone. Boundaries share runs and are not pooled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, takewhile
from math import ceil
from typing import Any

import numpy as np
from scipy.stats import binom
from scipy.stats import t as student

import fluctua as fl
from fluctua.verification.equilibrium import looks, work
from fluctua.verification.equilibrium.work import Reading

from .descents import BLOCKS, EVERY, Case, digits, run

ALPHA, DELTA = 0.01, 0.1


@dataclass(frozen=True)
class Looks:
    """What a monitor keeps of all runs at every look, and the truth."""

    case: Case
    lengths: list[int]
    products: np.ndarray  # of blocks, (runs, looks, 16, 16)
    floors: np.ndarray  # the sample of each unit, (runs, units)
    losses: np.ndarray  # of all samples at the end of each epoch, (runs, epochs), or exact means, (1, epochs)

    @property
    def epochs(self) -> list[float]:
        return [2 * BLOCKS * length * EVERY / self.case.steps_per_epoch for length in self.lengths]

    @cached_property
    def readings(self) -> list[Reading]:
        return [self._reading(k) for k in range(len(self.lengths))]

    def _reading(self, look: int) -> Reading:
        length = self.lengths[look]
        blocks = _bins(self.floors, length, length)
        short = _bins(self.floors, length, looks.bin_width(length, shortest(self.case)))
        return work.reading(self.products[:, look], blocks, samples=short if short.shape[1] > BLOCKS else None)

    @cached_property
    def gains(self) -> list[np.ndarray]:
        """In mean floors, of each curve."""
        pairs = zip(self.epochs, self.readings, strict=True)
        return [gain(self.losses, t) / np.mean(reading.floor) for t, reading in pairs]

    def estimate(self, look: int) -> np.ndarray:
        return np.asarray(self.readings[look].gain / self.readings[look].floor)


def _bins(floors: np.ndarray, length: int, width: int) -> np.ndarray:
    """Return means over the bins that lie in the windows of a look, (runs, n)."""
    first, last = -(-BLOCKS * length // width), 2 * BLOCKS * length // width
    return floors[:, first * width : last * width].reshape(len(floors), last - first, width).mean(-1)


def shortest(case: Case) -> int:
    """Return the units in blocks that are four memories of the momentum long."""
    return ceil(4 / (1 - case.momentum) / EVERY) if case.momentum else 1


def lengths_to(case: Case, epochs: float) -> list[int]:
    longest = epochs * case.steps_per_epoch / (2 * BLOCKS * EVERY)
    return list(takewhile(lambda length: length <= longest + 0.5, islice(looks.look_lengths(shortest(case)), 200)))


def watch(case: Case, runs: int, epochs: float, seed: int) -> Looks:
    """Train `runs` models with seeds of their own; in a softmax case twice as long as the last look, for the truth."""
    lengths = lengths_to(case, epochs)
    last = 2 * BLOCKS * lengths[-1] * EVERY
    steps, every = (2 * last, case.steps_per_epoch) if case.softmax else (last, 0)
    products, floors, losses = [], [], []
    for seed_of_run in np.random.SeedSequence(seed).generate_state(runs):
        weights, gradients, floor, _, loss = run(case, lengths, steps, int(seed_of_run), every)
        products.append(work.pairings(weights, gradients).astype(np.float32))
        floors.append(floor)
        losses.append(loss)
    units = last // EVERY
    return Looks(case, lengths, np.array(products), np.array(floors)[:, :units], np.array(losses))


def exact(case: Case, epochs: int) -> np.ndarray:
    """Return the exact mean excess loss within each epoch, (1, epochs)."""
    inputs, targets = digits()
    problem = fl.LeastSquares(inputs.astype(np.float64), targets.astype(np.float64))
    curve = fl.learning_curve(problem, case.sgd(), epochs * case.steps_per_epoch)[1:]
    return np.asarray(curve.reshape(1, epochs, -1).mean(-1))


def gain(curves: np.ndarray, t: float) -> np.ndarray:
    """Return the mean loss in (t/2, t] less that in (t, 2t] from the means of epochs, (curves,); t in epochs."""
    ends = np.arange(curves.shape[1] + 1)
    twice = min(2 * t, ends[-1])  # the last epoch of a run may be cut short
    sums = np.array([np.interp([t / 2, t, twice], ends, np.append(0, np.cumsum(curve))) for curve in curves])
    return np.asarray(2 * (sums[:, 1] - sums[:, 0]) / t - (sums[:, 2] - sums[:, 1]) / (twice - t))


def fires(reading: Reading, delta: float, level: float) -> np.ndarray:
    """Return which runs are called equilibrated, (runs,): what `looks.decided` says, for arrays over runs."""
    error, freedom = reading.error(delta)
    return reading.gain - delta * reading.floor + student.isf(level, freedom) * error < 0


Rule = Callable[[Looks, int, float], np.ndarray]
"""Looks, which of them, and delta, to which runs are called equilibrated."""


def _rule(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(found.readings[look], delta, looks.level(ALPHA, look))


def _no_factor(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(_changed(found.readings[look], work_by=1 / work.DOUBLING), delta, looks.level(ALPHA, look))


def _factor_of_two(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(_changed(found.readings[look], work_by=2 / work.DOUBLING), delta, looks.level(ALPHA, look))


def _doubled_floor(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(_changed(found.readings[look], floor_by=2.0), delta, looks.level(ALPHA, look))


def _no_floor_error(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(_changed(found.readings[look], floor_error_by=0.0), delta, looks.level(ALPHA, look))


def _no_spending(found: Looks, look: int, delta: float) -> np.ndarray:
    return fires(found.readings[look], delta, ALPHA)


def _independent_blocks(found: Looks, look: int, delta: float) -> np.ndarray:
    """Call the spread of blocks noise, their trend included."""
    halves = np.split(work._influences(found.products[:, look]), 2, axis=-1)
    part = np.sqrt(sum(half.var(-1, ddof=1) / (BLOCKS // 2) for half in halves))
    return fires(replace(found.readings[look], parts=(part, 0.0)), delta, looks.level(ALPHA, look))


def _changed(old: Reading, *, work_by: float = 1.0, floor_by: float = 1.0, floor_error_by: float = 1.0) -> Reading:
    parts = tuple(work_by * part for part in old.parts)
    return Reading(old.work * work_by, old.floor * floor_by, parts, old.floor_error * floor_error_by, old.degrees)


RULE: Rule = _rule
MUTANTS: dict[str, Rule] = {
    "W without its factor": _no_factor,
    "the factor 2": _factor_of_two,
    "F doubled": _doubled_floor,
    "no se_F": _no_floor_error,
    "no alpha spending": _no_spending,
    "i.i.d. blocks": _independent_blocks,
}


def allowed(runs: int, level: float) -> int:
    """Return the most false alarms that a rule of this size makes in 99 % of such experiments."""
    return int(binom.ppf(0.99, runs, level))


def boundaries(found: Looks, rule: Rule) -> list[dict[str, Any]]:
    """Return the false alarms at every boundary: a row for each look."""
    return [_boundary(found, rule, look) for look in range(len(found.lengths))]


def _boundary(found: Looks, rule: Rule, look: int) -> dict[str, Any]:
    runs, reading, level = len(found.floors), found.readings[look], looks.level(ALPHA, look)
    estimate, truth = found.estimate(look), found.gains[look]
    own, true = float(estimate.mean()), float(truth.mean())
    return {
        "epoch": found.epochs[look],
        "level": level,
        "allowed": allowed(runs, level),
        "gain": true,
        "gain_error": float(truth.std(ddof=1) / np.sqrt(runs)) if len(truth) > 1 else 0.0,
        "estimate": own,
        "estimate_sd": float(estimate.std(ddof=1)),
        "error_bar": float(np.median(reading.error(own)[0] / reading.floor)),
        "false_at_gain": int(rule(found, look, true).sum()) if true > 0 else 0,
        "false_at_estimate": int(rule(found, look, own).sum()),
    }


def firing(found: Looks, rule: Rule, delta: float = DELTA) -> np.ndarray:
    """Return the look at which each run is first called equilibrated; -1 where never."""
    each = np.array([rule(found, look, delta) for look in range(len(found.lengths))])
    return np.where(each.any(0), each.argmax(0), -1)
