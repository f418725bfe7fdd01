"""Real runs of a chain, replica by replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import Header
from ..._validate.values import function, instance, positive_int, real_number
from ...errors import InvalidInput
from ...simulation.batches import Rng, generators, seed_sequence
from ...simulation.groups import in_groups
from ...simulation.interrupts import deferred
from ...simulation.kept import Pack
from ...simulation.replicas import simulate
from ...simulation.workers import Clock
from .chain import Langevin, moves
from .grid import grid_of
from .law import ChainLaw
from .many import march_together
from .splines import spline_table

__all__ = ["ChainRuns", "counted", "drawn", "silent", "simulate_chain", "table_of"]

LEAST = 8  # replicas that make an error bar
BINS = 512
_POWERS = {"E x": 1, "E x^2": 2, "E q": 1, "E q^2": 2}
_GROUP = 8  # runs that are kept together
_MARGIN = 0.25  # of the domain, on each side: what the splines cover more


@dataclass(frozen=True, eq=False, repr=False)
class ChainRuns(ByValue, Tabular):
    """Averages over the steps of independent runs; made by `fluctua.simulate`.

    Attributes
    ----------
    identity : dict
        What fixes the numbers.
    replica_means : dict of str to ndarray, (R,)
        Average over the steps of each quantity, such as "E x", "E x^2", "E g" and, not yet divided by E g, "E g x".
        NaN in a run that escaped.
    final : ndarray, (R,) or (R, d)
        The last places.
    edges, counts : ndarray, (k + 1,) and (R, k)
        How often each run was found where, in one dimension; otherwise empty.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies.adaptive import Langevin
    >>> chain = Langevin("spring", lr=0.3, temperature=0.1)
    >>> runs = fl.simulate(chain, steps=1000, replicas=16, rng=1)
    >>> runs.escaped, list(runs.replica_means)[:3], runs.final.shape
    (0, ['E x', 'E x^2', 'E g'], (16,))
    """

    identity: Header
    replica_means: Mapping[str, Array]
    final: Array
    edges: Array = field(default_factory=lambda: np.empty(0))
    counts: Ints = field(default_factory=lambda: np.empty((0, 0), np.int64))

    @property
    def escaped(self) -> int:
        """Runs that left every place where the density is more than nothing."""
        return int(np.isnan(self.final).reshape(len(self.final), -1).any(axis=1).sum())

    @property
    def moments(self) -> Array:
        """Means of all quantities over the runs that did not escape, in the order of `replica_means`."""
        kept = map(self._kept, self.replica_means.values())
        return np.array([each.mean() if len(each) else np.nan for each in kept])

    @property
    def errors(self) -> Array:
        """Their standard errors, from the spread between runs."""
        return np.array([self._error(self._kept(each)) for each in self.replica_means.values()])

    def weighted(self, name: str) -> tuple[float, float]:
        """Return the average of x or x^2 weighted by g, as the naive chain needs it, with its standard error.

        Parameters
        ----------
        name : str
            "x" or "x^2", or "q" and "q^2" of an underdamped chain.

        Returns
        -------
        (float, float)
            The ratio of means, and its error to first order.
        """
        top, below = (self._kept(self.replica_means[each]) for each in (f"E g {name}", "E g"))
        ratio = float(top.mean() / below.mean())
        return ratio, self._error((top - ratio * below) / below.mean())

    def against(self, other: ChainLaw | ChainRuns) -> Columns:
        """Return the means of x and x^2, or of all quantities, beside those of a law, or of other runs.

        Parameters
        ----------
        other : ChainLaw or ChainRuns
            Such as the target, or the runs of another splitting.

        Returns
        -------
        mapping of str to list
            Columns: quantity, measured, other, error of the difference, z.

        Raises
        ------
        InvalidInput
            For what is neither.
        """
        instance("other", other, (ChainLaw, ChainRuns), "a ChainLaw or ChainRuns")
        names = list(self.replica_means)
        if isinstance(other, ChainLaw):
            names = [name for name in names if name in _POWERS]
            means = [float(other.moments[_POWERS[name] - 1]) for name in names]
            errors = [0.0] * len(names)
        else:
            names = [name for name in names if name in other.replica_means]
            means, errors = (
                [float(dict(zip(other.replica_means, each, strict=True))[name]) for name in names]
                for each in (other.moments, other.errors)
            )
        own = {name: (m, e) for name, m, e in zip(self.replica_means, self.moments, self.errors, strict=True)}
        measured, spread = ([float(own[name][k]) for name in names] for k in (0, 1))
        both = [float(np.hypot(one, two)) for one, two in zip(spread, errors, strict=True)]
        z = [(one - two) / bar for one, two, bar in zip(measured, means, both, strict=True)]
        return {"quantity": names, "measured": measured, "other": means, "error": both, "z": z}

    @cached_property
    def density(self) -> tuple[Array, Array, Array]:
        """Middles of the bins, the density there, and its standard error."""
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1) / np.diff(self.edges)
        middles = 0.5 * (self.edges[1:] + self.edges[:-1])
        return middles, shares.mean(axis=0), shares.std(axis=0, ddof=1) / np.sqrt(len(shares))

    def _kept(self, values: Array) -> Array:
        return values[np.isfinite(values)]

    def _error(self, values: Array) -> float:
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")

    def _tables(self) -> Tables:
        names = list(self.replica_means)
        return {
            "means": lambda: {"quantity": names, "mean": self.moments, "error": self.errors},
            "replicas": lambda: {"replica": np.arange(len(self.final)), **self.replica_means},
        }

    @property
    def _attributes(self) -> dict[str, Any]:
        return {"escaped": self.escaped}

    def __repr__(self) -> str:
        pairs = zip(self.replica_means, self.moments, self.errors, strict=True)
        words = ", ".join(f"{name} = {mean:.6g} +- {error:.1g}" for name, mean, error in list(pairs)[:2])
        left = f", {self.escaped} escaped" if self.escaped else ""
        return clipped(f"ChainRuns({len(self.final)} runs of {self.identity['steps']:,} steps: {words}{left})")


@simulate.register(Langevin)
def simulate_chain(
    chain: Langevin,
    *,
    steps: int,
    replicas: int,
    rng: Rng = None,
    start: Any = None,
    burn_in: int = 0,
    progress: Callable[[float], None] | None = None,
) -> ChainRuns:
    """Run independent chains and average over their steps.

    Parameters
    ----------
    chain : Langevin
        In any dimension.
    steps, replicas : int
        Length and number of the runs, at least 8 of them.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way.
    start : float or array_like, (d,), optional
        Where all begin. By default each begins at a place drawn from the chain's own law, in one dimension, and at 0 in
        more.
    burn_in : int
        Steps that are not averaged over.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    ChainRuns
        Averages of x, x^2, g, g x and g x^2 over the steps, run by run. Means are over the places at which steps begin.

    Raises
    ------
    InvalidInput
        For arguments out of range, fewer than 8 replicas, and where the law is asked to give places to begin with and
        there is none.

    Notes
    -----
    Cost: some 50 ns a step in one dimension, compiled, on one thread; functions of the user's are read from splines
    that are the functions to 1e-10. In more dimensions all runs step together in NumPy.
    """
    count, runs = counted(steps, replicas)
    unseen = positive_int("burn_in", burn_in, minimum=0)
    function("progress", progress, ("fraction",))
    root = seed_sequence(rng)
    run = _in_a_line if chain.dimension == 1 else march_together
    identity = {"steps": count, "replicas": runs, "burn_in": unseen, "entropy": str(root.entropy), "chain": repr(chain)}
    return ChainRuns(identity, *run(chain, count, unseen, root, runs, start, progress or silent))


def counted(steps: int, replicas: int) -> tuple[int, int]:
    """Return both as whole numbers; raises `InvalidInput` for fewer than 8 replicas."""
    count, runs = positive_int("steps", steps), positive_int("replicas", replicas)
    if runs < LEAST:
        raise InvalidInput(f"replicas must be at least {LEAST}, got {runs}: fewer have no error bar to speak of.")
    return count, runs


def silent(_: float) -> None:
    """Do nothing with the fraction done."""


def _in_a_line(
    chain: Langevin,
    steps: int,
    unseen: int,
    root: np.random.SeedSequence,
    runs: int,
    start: Any,
    progress: Callable[[float], None],
) -> tuple[dict[str, Array], Array, Array, Ints]:
    """One dimension, compiled: means, last places, edges and counts."""
    rngs = generators(root, runs)
    grid = grid_of(chain, None, None) if start is None else None
    low, high = chain.domain if grid is None else grid.x[[0, -1]]
    places: Array = (
        drawn(grid.x, grid.stationary, rngs) if grid is not None else np.full(runs, real_number("start", start))
    )
    table, span = table_of(partial(moves, chain), min(low, places.min()), max(high, places.max()))
    groups = [(places[first : first + _GROUP], rngs[first : first + _GROUP]) for first in range(0, runs, _GROUP)]
    clock = Clock(len(groups) * _GROUP, progress)
    with deferred(clock.stop), closing(in_groups(_marched, (table, span, steps, unseen), groups, 1, clock)) as parts:
        places, sums, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
    sums[np.isnan(places)] = np.nan
    means = (sums / steps).T
    g = 1 / (2 * chain.temperature * chain.lr)
    found = {"E x": means[0], "E x^2": means[1], "E g": g * means[2], "E g x": g * means[3], "E g x^2": g * means[4]}
    return found, places, np.linspace(*span, BINS + 1), counts


def _marched(
    shared: tuple[Array, tuple[float, float], int, int], group: tuple[Array, list[np.random.Generator]], clock: Clock
) -> Pack:
    """Last places, sums and counts of some runs."""
    from .compiled import march  # noqa: PLC0415  (numba is slow to load)

    (table, span, steps, unseen), (begin, rngs) = shared, group
    places, sums, counts = begin.copy(), np.zeros((len(begin), 5)), np.zeros((len(begin), BINS), np.int64)
    for k, (place, one) in enumerate(zip(begin, rngs, strict=True)):
        if unseen:
            place = march(place, one, unseen, table, span, np.zeros(5), np.zeros(BINS, np.int64))  # noqa: PLW2901
        places[k] = march(place, one, steps, table, span, sums[k], counts[k])
        clock.tick()
    return places, sums, counts


def table_of(functions: Any, low: float, high: float) -> tuple[Array, tuple[float, float]]:
    """Return splines of functions on a domain and a margin, and where they begin and end."""
    margin = _MARGIN * (high - low)
    span = float(low - margin), float(high + margin)
    return spline_table(functions, *span), span


def drawn(x: Array, density: Array, rngs: list[np.random.Generator]) -> Array:
    """Return a place for every run, from a density on an even grid."""
    mass = np.maximum(density, 0)
    below = np.concatenate([[0.0], np.cumsum(0.5 * (mass[1:] + mass[:-1]))])
    return np.interp([one.random() for one in rngs], below / below[-1], x)
