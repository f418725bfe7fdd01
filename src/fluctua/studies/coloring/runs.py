"""Real runs: replicas of the dynamics on one graph, each with a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array, Ints, standard_error
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import Header
from ..._validate.sizes import refuse_bytes, refuse_work
from ..._validate.values import flag, function, positive_int
from ...errors import InvalidInput
from ...simulation.batches import Rng, generators, seed_sequence
from ...simulation.groups import in_groups
from ...simulation.workers import Clock, workers_for
from .asked import hold_move
from .graph import Graph
from .moves import Move, refuse_table
from .proposals import Proposals
from .replica import Replica, run_replica

__all__ = ["ColoringRuns", "simulate_graph"]

_POINTS = 400  # of a curve


@dataclass(frozen=True, eq=False, repr=False)
class ColoringRuns(ByValue, Tabular):
    """Energies and acceptances of independent runs on one graph; made by `fluctua.simulate`.

    Attributes
    ----------
    graph : Graph
        What is coloured.
    move : SGDLike or Metropolis
        The dynamics.
    identity : dict
        What fixes the numbers.
    sums : ndarray, (R, 2)
        Mean of E and of E^2 at the ends of the sweeps after `burn_in`.
    times, curve : ndarray, (t,) and (R, t)
        Sweeps, the burn-in counted, and the energies at their ends.
    made, taken : ndarray of int, (R, k, k)
        Proposals by conflicts now and with the proposed colour, after `burn_in`, and how many were accepted.
    final : ndarray, (R, N)
        The last colourings.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import coloring
    >>> runs = fl.simulate(coloring.named("K222"), coloring.SGDLike(batch=0.8), sweeps=1000, replicas=8, rng=1)
    >>> runs.sums.shape, runs.final.shape
    ((8, 2), (8, 6))
    """

    graph: Graph
    move: Move
    identity: Header
    sums: Array
    times: Ints
    curve: Array
    made: Ints
    taken: Ints
    final: Ints

    @property
    def energy(self) -> float:
        """<E> over sweeps and replicas."""
        return float(self.sums[:, 0].mean())

    @property
    def energy_error(self) -> float:
        """Its standard error, from the spread between replicas."""
        return float(standard_error(self.sums[:, 0]))

    @property
    def energy_per_vertex(self) -> float:
        """<E>/N."""
        return self.energy / int(self.graph.vertices)

    @cached_property
    def proposals(self) -> Proposals:
        """Proposals of all replicas together."""
        return Proposals(self.made.sum(axis=0).astype(float), self.taken.sum(axis=0).astype(float))

    @cached_property
    def by_replica(self) -> Proposals:
        """Proposals of each replica."""
        return Proposals(self.made.astype(float), self.taken.astype(float))

    @property
    def temperatures(self) -> dict[int, float]:
        """T_k = k/ln(a(-k)/a(k)), measured (F125)."""
        return self.proposals.temperatures

    @property
    def entropy_production(self) -> float:
        """In nats per proposal, from the accepted moves (F124); infinite where a batch is kept for a sweep."""
        return float("inf") if self.move.shared else float(self.entropies.mean())

    @cached_property
    def entropies(self) -> Array:
        """Entropy production of each replica, (R,)."""
        return self.by_replica.entropy(self.move.acceptance(self.made.shape[-1] - 1))

    @cached_property
    def overlaps(self) -> Array:
        """Overlap of each last colouring with the planted one, (R,)."""
        return np.array([self.graph.overlap(each) for each in self.final])

    def _tables(self) -> Tables:
        return {"replicas": self._replicas, "curve": self._curve, "temperatures": self._temperatures}

    def _replicas(self) -> Columns:
        return {"replica": np.arange(len(self.sums)), "E": self.sums[:, 0], "E^2": self.sums[:, 1]}

    def _curve(self) -> Columns:
        return {"sweep": self.times, "E": self.curve.mean(axis=0), "error": standard_error(self.curve)}

    def _temperatures(self) -> Columns:
        return {"change": list(self.temperatures), "temperature": list(self.temperatures.values())}

    @property
    def _attributes(self) -> Mapping[str, float]:
        return {"energy": self.energy, "energy_error": self.energy_error}

    def __repr__(self) -> str:
        said = f"{len(self.sums)} replicas, {self.identity['sweeps']:,} sweeps"
        return clipped(f"ColoringRuns({said}: energy {self.energy:.6g} +- {self.energy_error:.1g})")


def simulate_graph(
    graph: Graph,
    move: Move,
    *,
    sweeps: int,
    replicas: int = 8,
    burn_in: int | None = None,
    start: Any = "random",
    rng: Rng = None,
    flags: bool = False,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> ColoringRuns:
    """Run a move on a graph; `fluctua.simulate` of a `Graph`.

    Parameters
    ----------
    graph : Graph
        What is coloured.
    move : SGDLike or Metropolis
        The dynamics; a full batch may be simulated, though it has no law.
    sweeps : int
        Sweeps of N visits that are averaged over, in each replica.
    replicas : int
        Independent runs, at least 2.
    burn_in : int, optional
        Sweeps before them; by default a fifth as many.
    start : str or array_like, (N,) or (R, N)
        "random", "planted", or colourings.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way. A replica's numbers depend on the entropy and on its
        number alone.
    flags : bool
        Draw the flag of every edge, as the published code does, where acc(n, m) could be read from its table. One
        batch for a sweep is always drawn.
    threads : int, optional
        Worker threads; by default the cores this process may use.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    ColoringRuns
        Energies and acceptances.

    Raises
    ------
    InvalidInput
        For arguments out of range, and for a start that is no colouring.
    TooLarge
        For runs that would not end, or whose records do not fit into memory.

    Notes
    -----
    Cost: 40 to 70 ns a visit at degree 19 by the table, 130 to 180 ns by flags, on each thread.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import coloring
    >>> graph, move = coloring.planted(100, colors=5, degree=8, rng=1), coloring.SGDLike(batch=0.8)
    >>> fl.simulate(graph, move, sweeps=10, replicas=4, rng=1).curve.shape
    (4, 12)
    """
    hold_move(move)
    count, runs = positive_int("sweeps", sweeps), positive_int("replicas", replicas, minimum=2)
    unseen = count // 5 if burn_in is None else positive_int("burn_in", burn_in, minimum=0)
    flag("flags", flags)
    function("progress", progress, ("fraction",))
    workers, most = workers_for(threads), int(graph.degrees.max()) + 1
    refuse_table(most - 1)
    steps = float(count + unseen) * runs * graph.vertices * (4 + graph.degree)
    refuse_work(f"sweeps = {count:,} of {runs} replicas", steps, "Use fewer.")
    kept = float(runs) * (16 * most**2 + 8 * graph.vertices + 8 * _POINTS) + 8.0 * (count + unseen) * workers
    refuse_bytes(f"replicas = {runs} of {count:,} sweeps", kept, "Use fewer.")
    root, begin = seed_sequence(rng), _starts(graph, start, runs)
    times = np.unique(np.round(np.linspace(1, count + unseen, min(_POINTS, count + unseen)))).astype(np.int64)
    clock = Clock(runs * (count + unseen), progress)
    one, each = Replica(graph, move, bool(flags), unseen, count, times, begin), list(enumerate(generators(root, runs)))
    found = list(in_groups(run_replica, one, each, workers, clock))
    identity = {
        "sweeps": count,
        "replicas": runs,
        "burn_in": unseen,
        "entropy": str(root.entropy),
        "spawn_key": list(root.spawn_key),
        "move": repr(move),
    }
    sums, curve, made, taken, final = (np.stack(each) for each in zip(*found, strict=True))
    return ColoringRuns(graph, move, identity, sums, times, curve, made, taken, final)


def _starts(graph: Graph, given: Any, runs: int) -> Ints | None:
    """A colouring for every replica, (R, N); None for random ones."""
    if isinstance(given, str) and given == "random":
        return None
    if isinstance(given, str) and given == "planted":
        if graph.groups is None:
            raise InvalidInput(
                "start='planted' needs planted groups: draw the graph by coloring.planted, or give groups."
            )
        return np.tile(graph.groups, (runs, 1))
    if isinstance(given, str):
        raise InvalidInput(f"start must be 'random', 'planted' or colourings, got {given!r}.")
    rows = np.asarray(given)
    if rows.ndim == 2 and len(rows) != runs:
        raise InvalidInput(f"start must have one colouring for each of {runs} replicas, got shape {rows.shape}.")
    return np.stack([graph.coloring(row, "start") for row in (rows if rows.ndim == 2 else [given] * runs)])
