"""What a verdict says beside its statements: the points and lines of its figures, and facts in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..._arrays import AnyArray, standard_error
from .closure import Closure
from .exact import relaxation
from .graph import Graph
from .moves import Metropolis, Move, SGDLike
from .prediction import ColoringPrediction
from .proposals import Proposals
from .runs import ColoringRuns
from .states import States
from .trial import Asked

__all__ = ["Evidence", "curve_of", "curves", "facts_of", "temperature_curve", "temperatures_of"]

Evidence = tuple[dict[str, AnyArray], dict[str, list[str]]]
"""Arrays, and the tables that they make."""
_CURVE = 30  # sweeps of the curves of small graphs
_ORDERS = {
    "sequential": "vertices in order, as in the published code",
    "random": "vertices at random; the published code visits them in order, whose energy is another",
}
_BATCHES = np.linspace(0.05, 0.95, 37)
_DEAREST = 5e4  # numbers in the tables of one temperature, where a curve of them is drawn
_SEEN = 100  # accepted moves of a kind, below which its temperature is not shown


def curves(states: States, move: Move, inverse: float) -> Evidence:
    """Return the exact energy in time on a small graph, from random colours, of SGD and of Metropolis at T_E and T0."""
    moves: dict[str, Move] = {"sgd": move}
    if isinstance(move, SGDLike):
        moves |= {"matched": Metropolis(1 / inverse), "zero": Metropolis(move.zero_temperature)}
    arrays: dict[str, AnyArray] = {"sweep": np.arange(1, _CURVE + 1)}
    for name, each in moves.items():
        arrays[f"energy_{name}"] = relaxation(states, each, _CURVE) / states.graph.vertices
        arrays[f"error_{name}"] = np.zeros(_CURVE)
    return arrays, {"energy": list(arrays)}


def curve_of(graph: Graph, runs: Mapping[str, ColoringRuns]) -> Evidence:
    """Return the energy per vertex in time of several runs."""
    arrays: dict[str, AnyArray] = {}
    for name, each in runs.items():
        arrays.setdefault("sweep", each.times)
        arrays[f"energy_{name}"] = each.curve.mean(axis=0) / graph.vertices
        arrays[f"error_{name}"] = standard_error(each.curve) / graph.vertices
    return arrays, {"energy": list(arrays)}


def temperatures_of(runs: ColoringRuns, prediction: ColoringPrediction) -> Evidence:
    """Return T_k measured and predicted, and the one temperature of the energy."""
    seen, taken = runs.proposals, runs.proposals.taken
    changes = [k for k in runs.temperatures if min(taken[seen.changes == each].sum() for each in (k, -k)) >= _SEEN]
    own = runs.by_replica
    predicted = prediction.temperatures
    arrays: dict[str, AnyArray] = {
        "change": np.array(changes, float),
        "temperature": np.array([runs.temperatures[k] for k in changes]),
        "temperature_error": np.array([_spread(own, k) for k in changes]),
        "temperature_predicted": np.array([predicted.get(k, np.nan) for k in changes]),
    }
    return arrays, {"temperatures": list(arrays)}


def _spread(own: Proposals, change: int) -> float:
    """Standard error of T_k from the spread between the replicas."""
    with np.errstate(all="ignore"):
        each = change / np.log(own.acceptance(-change) / own.acceptance(change))
    good = each[np.isfinite(each)]
    return float(standard_error(good)) if len(good) > 1 else float("nan")


def temperature_curve(asked: Asked, matched: float) -> Evidence:
    """Return T(B) of the closure, T0, and the temperature whose energy was measured; nothing where that takes long."""
    if not isinstance(asked.move, SGDLike):
        return {}, {}
    closure = Closure.of(asked.graph)
    if closure.poisson is None and len(closure.degrees) * float(closure.conflicts) ** 2 > _DEAREST:
        return {}, {}
    moves = [SGDLike(float(batch)) for batch in _BATCHES]
    curve: dict[str, AnyArray] = {
        "batch": _BATCHES,
        "temperature_tree": np.array([1 / closure.inverse_temperature(move) for move in moves]),
        "temperature_zero": np.array([move.zero_temperature for move in moves]),
    }
    point = {"batch_measured": np.array([asked.move.batch]), "temperature_matched": np.array([matched])}
    return curve | point, {"temperature against the batch": list(curve), "measured temperature": list(point)}


def facts_of(prediction: ColoringPrediction, runs: ColoringRuns, more: Mapping[str, str]) -> dict[str, str]:
    """Return what is said of the graph, the temperatures and the currents."""
    graph = prediction.graph
    said = {
        "Graph": f"{graph.vertices:,} vertices, {len(graph.edges):,} edges"
        + (f", {graph.repeated:,} of them repeated" if graph.repeated else ""),
        "Energy": f"{runs.energy:.6g} +- {runs.energy_error:.2g}, "
        f"predicted {prediction.energy:.6g} ({prediction.theory})",
        "Temperature": f"{prediction.temperature:.6g} predicted, T0 is {prediction.zero_temperature:.6g}",
    }
    if prediction.theory != "exact" and isinstance(runs.move, SGDLike):
        said["Order"] = _ORDERS[runs.move.order]
    said |= more
    found = [f"T_{k} {value:.4g}" for k, value in list(runs.temperatures.items())[:4]]
    if found:
        said["By change of energy"] = ", ".join(found) + ": an equilibrium has one for all"
    if not runs.move.shared:
        said["Entropy production"] = (
            f"{runs.entropy_production:.4g} measured, {prediction.entropy_production:.4g} predicted, nats per proposal"
        )
    if graph.groups is not None:
        said["Overlap with the planted colouring"] = f"{runs.overlaps.mean():.3f} at the end"
    return said
