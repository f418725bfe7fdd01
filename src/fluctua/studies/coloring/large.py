"""Large graphs: SGD and Metropolis on the same graph, at a matched temperature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from ...verification.statements import Measured, Statement, stated
from .asked import predict_graph, usual_theory
from .closure import energy_per_edge, inverse_of_energy
from .moves import Metropolis, SGDLike
from .proposals import Proposals
from .runs import ColoringRuns
from .told import Evidence, curve_of, facts_of, temperature_curve, temperatures_of
from .trial import Asked, Found, measured

__all__ = ["large_trial"]

_CHANGES = (1, 2, 3)
_SEEN, _PLENTY = 30, 2000  # moves of a kind in each run, and accepted in all, for an error bar and a temperature
_NEAR, _PILOTS = 0.01, 4  # share of the energy by which a pilot run may miss; pilot runs at most
ENERGY, RATIO = "E/N", "T_1/T_3"


def large_trial(asked: Asked) -> Found:
    """Hold SGD against Metropolis, or Metropolis against itself."""
    return _metropolis(asked) if isinstance(asked.move, Metropolis) else _sgd(asked)


@dataclass(frozen=True)
class _Matching:
    """SGD's energy, and the temperature at which Metropolis has it."""

    asked: Asked
    sgd: ColoringRuns

    @cached_property
    def found(self) -> tuple[float, float]:
        """T_E, and the error of the energy there; by pilot runs of Metropolis on the same graph."""
        wanted, temperature = self.sgd.energy, self._guess(self.sgd.energy)
        for number in range(_PILOTS):
            pilot = self.asked.run("matching", 100 + number, Metropolis(temperature))
            missed = wanted - pilot.energy
            slope = self._energy(1.01 * temperature) - self._energy(temperature)
            moved = temperature * (1 + 0.01 * missed / slope)
            if abs(missed) <= _NEAR * wanted or number == _PILOTS - 1:
                return moved, pilot.energy_error
            temperature *= float(np.clip(moved / temperature, 0.5, 2.0))
        raise AssertionError

    def _guess(self, energy: float) -> float:
        graph = self.asked.graph
        inverse = inverse_of_energy(energy / len(graph.edges), graph.colors)
        if not 0 < inverse < np.inf:
            raise InvalidInput(
                f"the measured energy, {energy:.6g} of {len(graph.edges):,} edges, is that of no finite temperature, "
                f"and none can be matched. Give a larger batch if it is too high, a smaller one if no conflict is left."
            )
        return 1 / inverse

    def _energy(self, temperature: float) -> float:
        return len(self.asked.graph.edges) * energy_per_edge(1 / temperature, self.asked.graph.colors)

    def at(self, factor: float) -> float:
        """Return the energy per vertex at a temperature off by a factor, by the slope of independent edges."""
        temperature, _ = self.found
        off = self._energy(factor * temperature) - self._energy(temperature)
        return (self.sgd.energy + off) / int(self.asked.graph.vertices)


def _sgd(asked: Asked) -> Found:
    move = asked.move
    assert isinstance(move, SGDLike)
    sgd = asked.run("simulation", 0, move, flags=True)
    matching = _Matching(asked, sgd)
    temperature, error = matching.found
    others = {"matched": Metropolis(temperature), "zero": Metropolis(move.zero_temperature)}
    runs = {"sgd": sgd, **{name: asked.run(name, 1 + k, each) for k, (name, each) in enumerate(others.items())}}
    rows = [*_energies(asked, matching, runs, error), *_acceptances(asked, sgd)]
    prediction = predict_graph(asked.graph, move, theory=usual_theory(asked.graph, move))
    rows.append(stated(prediction.theory, "rung", {ENERGY: prediction.energy_per_vertex}, _energy_of(sgd)))
    evidence = [curve_of(asked.graph, runs), temperatures_of(sgd, prediction), temperature_curve(asked, temperature)]
    more = {"Matched temperature": f"{temperature:.6g}, at which Metropolis has this energy on this graph"}
    arrays, tables = _together(evidence)
    return Found(rows, asked.sweeps, arrays, tables, facts_of(prediction, sgd, more))


def _together(evidence: list[Evidence]) -> Evidence:
    arrays: dict[str, Any] = {}
    tables: dict[str, list[str]] = {}
    for each, names in evidence:
        arrays |= each
        tables |= names
    return arrays, tables


def _energies(asked: Asked, matching: _Matching, runs: Mapping[str, ColoringRuns], error: float) -> Iterator[Statement]:
    """The claim that one temperature has SGD's energy, and energies that must not be taken for it."""
    sgd, count = runs["sgd"], int(asked.graph.vertices)
    at_matched = _energy_of(runs["matched"])
    right = Measured(sgd.energy_per_vertex, error / count, asked.replicas - 1)
    claim = stated("Metropolis at the matched T", "claim", {ENERGY: right}, at_matched)
    yield claim
    for factor in (1 + asked.resolution, 1 - asked.resolution):
        wrong = Measured(matching.at(factor), error / count, asked.replicas - 1)
        yield stated(f"T x {factor:.4g}", "rung", {ENERGY: wrong}, at_matched).if_told(claim, asked.level)
    cold = {"Metropolis at T0": runs["zero"]}
    for name, other in {**cold, **_others(asked)}.items():
        found = measured(other)
        beside = Measured(found.mean / count, found.error / count, found.freedom)
        yield stated(name, "rung", {ENERGY: beside}, _energy_of(sgd)).if_told(claim, asked.level)


def _others(asked: Asked) -> dict[str, ColoringRuns]:
    """Runs in the other order, and with the other kind of batch."""
    move = asked.move
    assert isinstance(move, SGDLike)
    order = "random" if move.sequential else "sequential"
    names = {"random": "vertices at random", "sequential": "vertices in order"}
    kind = ("a batch for every visit", "visit") if move.shared else ("one batch for a sweep", "sweep")
    moves = {names[order]: replace(move, order=order), kind[0]: replace(move, batches=kind[1])}
    return {name: asked.run(name, 20 + k, each) for k, (name, each) in enumerate(moves.items())}


def _energy_of(runs: ColoringRuns) -> dict[str, Array]:
    return {ENERGY: runs.sums[:, 0] / int(runs.graph.vertices)}


def _acceptances(asked: Asked, runs: ColoringRuns) -> Iterator[Statement]:
    """The claim that flags accept as acc(n, m) says, and the mutant of one temperature for all changes."""
    right, found = ({}, {}) if asked.move.shared else _accepted(asked, runs)
    if not right:
        return
    claim = stated("acceptance of flags", "claim", right, found)
    yield claim
    if RATIO in right:
        yield stated("T_1 = T_2 = T_3", "rung", {RATIO: 1.0}, found).if_told(claim, asked.level)


def _accepted(asked: Asked, runs: ColoringRuns) -> tuple[dict[str, float], dict[str, Array]]:
    """a(k) and T_1/T_3: by the table from the proposals that were made, and as accepted, about the former."""
    own = runs.by_replica
    told = own.by(own.made, asked.move.acceptance(own.made.shape[-1] - 1))
    right, found = {}, {}
    for k in [sign * each for each in _CHANGES for sign in (1, -1) if _often(told, sign * each)]:
        right[f"a({k:+d})"] = float(told.acceptance(k).mean())
        found[f"a({k:+d})"] = own.acceptance(k) - told.acceptance(k) + right[f"a({k:+d})"]
    both = [k for k in _CHANGES if min(told.taken[:, told.changes == sign * k].sum() for sign in (1, -1)) >= _PLENTY]
    if len(both) > 1:
        by_table, by_flags = (_ratio(each, both[0], both[-1]) for each in (told, own))
        right[RATIO] = float(by_table.mean())
        found[RATIO] = by_flags - by_table + right[RATIO]
    return right, found


def _often(told: Proposals, change: int) -> bool:
    """Whether in every run moves of a change are both accepted and refused often enough for an error bar."""
    mask = told.changes == change
    made, taken = (each[:, mask].sum(axis=1) for each in (told.made, told.taken))
    return bool(np.minimum(taken, made - taken).min() >= _SEEN)


def _ratio(own: Any, first: int, last: int) -> Array:
    """Return T_first/T_last of each replica."""
    low, high = (np.log(own.acceptance(-k) / own.acceptance(k)) / k for k in (first, last))
    return np.asarray(high / low)


def _metropolis(asked: Asked) -> Found:
    """Metropolis' acceptances are those of its temperature, and the order of the vertices does not matter."""
    move = asked.move
    assert isinstance(move, Metropolis)
    runs = asked.run("simulation", 0, move)
    other = replace(move, order="random" if move.sequential else "sequential")
    beside = asked.run("the other order", 1, other)
    own = runs.by_replica
    changes = [k for k in _CHANGES if _often(own, k)]
    found = {f"a({k:+d})": own.acceptance(k) for k in changes}
    right = {f"a({k:+d})": float(np.exp(-k / move.temperature)) for k in changes}
    rows = [stated("acceptance", "claim", right, found)] if right else []
    for factor in (1 + asked.resolution, 1 - asked.resolution) if rows else ():
        off = {name: value ** (1 / factor) for name, value in right.items()}
        rows.append(stated(f"T x {factor:.4g}", "rung", off, found).if_told(rows[0], asked.level))
    count, energy = int(asked.graph.vertices), measured(beside)
    per_vertex = Measured(energy.mean / count, energy.error / count, energy.freedom)
    order = stated("the order does not matter", "claim", {ENERGY: per_vertex}, _energy_of(runs))
    prediction = predict_graph(asked.graph, move, theory="tree")
    tree = stated("tree", "rung", {ENERGY: prediction.energy_per_vertex}, _energy_of(runs))
    arrays, tables = _together([curve_of(asked.graph, {"sgd": runs}), temperatures_of(runs, prediction)])
    return Found([*rows, order, tree], asked.sweeps, arrays, tables, facts_of(prediction, runs, {}))
