"""Small graphs: runs that draw every flag, against the exact law and what must not be taken for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ...errors import InvalidInput, NotConverged
from ...verification.statements import Statement, stated
from .asked import predict_graph
from .closure import Closure, energy_per_edge
from .exact import ExactLaw, law_of
from .moves import Metropolis, SGDLike
from .proposals import Proposals
from .runs import ColoringRuns
from .shared import affordable, joint_size
from .states import Boltzmann, States
from .told import curves, facts_of, temperature_curve, temperatures_of
from .trial import Asked, Found

__all__ = ["small_trial"]

_CURRENTS = 4  # kinds of moves whose currents are looked at
_SEEN = 30  # moves of a kind in each run, which have an error bar
_ROUNDING = 1e-13  # share of a flow, below which a current is none
_BESIDE = 2**20  # numbers in the joint law of colours and flags, where it is a wrong one


@dataclass(frozen=True)
class _Numbers:
    """Which numbers are looked at, about the claimed energy."""

    law: ExactLaw
    kinds: tuple[tuple[int, int], ...]

    def of(self, other: ExactLaw) -> dict[str, float]:
        """What a law says of them."""
        moves = {_current(n, m): self._flow(other.proposals, n, m) for n, m in self.kinds}
        entropy = {"entropy": other.entropy_production} if self.kinds else {}
        return self.energies(other.energy, other.variance) | entropy | moves

    def equilibrium(self, boltzmann: Boltzmann, inverse: float) -> dict[str, float]:
        """What exp(-E/T) says of them."""
        moves = {_current(n, m): 0.0 for n, m in self.kinds}
        entropy = {"entropy": 0.0} if self.kinds else {}
        return self.energies(boltzmann.mean(inverse), boltzmann.variance(inverse)) | entropy | moves

    def found(self, runs: ColoringRuns) -> dict[str, Array]:
        """What the replicas found."""
        energy, square = runs.sums.T
        spread = square - 2 * self.law.energy * energy + self.law.energy**2
        moves = {_current(n, m): runs.by_replica.current(n, m) for n, m in self.kinds}
        entropy = {"entropy": runs.entropies} if self.kinds else {}
        return {"E": energy, "Var E": spread} | entropy | moves

    def energies(self, mean: float, variance: float) -> dict[str, float]:
        """Return a mean and a spread about the claimed mean."""
        return {"E": mean, "Var E": variance + (mean - self.law.energy) ** 2}

    @staticmethod
    def _flow(proposals: Proposals, n: int, m: int) -> float:
        found = float(proposals.current(n, m))
        return found if abs(found) > _ROUNDING * float(proposals.taken[n, m]) else 0.0


def small_trial(asked: Asked) -> Found:
    """Hold runs against the exact law of a move."""
    asked.report("laws", 0.0)
    prediction = predict_graph(asked.graph, asked.move, theory="exact")
    law = prediction.law
    _refuse_still(law, asked)
    numbers = _Numbers(law, _kinds(law, asked))
    start = _drawn(law, asked)
    runs = asked.run("simulation", 0, asked.move, start=start, burn_in=0, flags=True)
    found, right = numbers.found(runs), numbers.of(law)
    claim = stated("exact", "claim", right, found)
    rows = [claim]
    for name, wrong in _wrong(asked, numbers):
        rows.append(stated(name, "rung", wrong, found).if_told(claim, asked.level))
    rows += _tree(asked, found)
    arrays, tables = curves(law.states, asked.move, law.inverse_temperature)
    for more, names in (temperatures_of(runs, prediction), temperature_curve(asked, _matched(law, runs))):
        arrays |= more
        tables |= names
    return Found(rows, asked.sweeps, arrays, tables, facts_of(prediction, runs, _left_out(asked, rows)))


def _refuse_still(law: ExactLaw, asked: Asked) -> None:
    """Refuse runs in which the energy would change so rarely that their spread tells nothing."""
    moves = float(law.proposals.taken[law.proposals.changes != 0].sum()) * _visits(asked)
    if moves < _SEEN:
        raise InvalidInput(
            f"sweeps = {asked.sweeps:,} are too few: the energy would change {moves:.2g} times in each run, and "
            f"{_SEEN:g} times are needed for an error bar. Give {asked.sweeps * _SEEN / max(moves, 1e-300):.2g} "
            f"sweeps, or a smaller batch."
        )


def _visits(asked: Asked) -> float:
    """Of one run."""
    return float(asked.sweeps) * int(asked.graph.vertices)


def _kinds(law: ExactLaw, asked: Asked) -> tuple[tuple[int, int], ...]:
    """The most frequent kinds (n, m) of moves; none where flags are shared, of which acc(n, m) is not."""
    if asked.move.shared:
        return ()
    taken = np.triu(np.minimum(law.proposals.taken, law.proposals.taken.T), 1)
    order = np.argsort(taken, axis=None)[::-1][:_CURRENTS]
    pairs = [np.unravel_index(each, taken.shape) for each in order if taken.flat[each] * _visits(asked) >= _SEEN]
    return tuple((int(n), int(m)) for n, m in pairs)


def _current(n: int, m: int) -> str:
    return f"J({n},{m})"


def _drawn(law: ExactLaw, asked: Asked) -> Ints:
    """A colouring for every replica, from the law itself."""
    random = np.random.Generator(np.random.PCG64DXSM(asked.root))
    return law.states.colours[random.choice(len(law.stationary), asked.replicas, p=law.stationary)]


def _wrong(asked: Asked, numbers: _Numbers) -> Iterator[tuple[str, Mapping[str, float]]]:
    """What must not be taken for the law, with its numbers."""
    law, move = numbers.law, asked.move
    inverse = law.inverse_temperature
    for factor in (1 + asked.resolution, 1 - asked.resolution):
        yield f"T x {factor:.4g}", numbers.equilibrium(law.boltzmann, inverse / factor)
    if isinstance(move, Metropolis):
        return
    assert isinstance(move, SGDLike)
    yield "exp(-E/T_E)", numbers.equilibrium(law.boltzmann, inverse)
    yield "exp(-E/T0)", numbers.equilibrium(law.boltzmann, 1 / move.zero_temperature)
    if strict := _strict(asked, numbers):
        yield "accept if it falls", strict
    for name, other in _other_moves(move).items():
        if (beside := _law(asked, other)) is not None:
            yield name, numbers.of(beside) if not other.shared else numbers.energies(beside.energy, beside.variance)


def _other_moves(move: SGDLike) -> dict[str, SGDLike]:
    """The other order, and the other kind of batch."""
    kinds = {"one batch for a sweep": replace(move, batches="sweep", order="sequential")}
    if move.shared:
        return {"a batch for every visit": replace(move, batches="visit")}
    name = "vertices at random" if move.sequential else "vertices in order"
    return {name: replace(move, order="random" if move.sequential else "sequential"), **kinds}


def _law(asked: Asked, move: SGDLike) -> ExactLaw | None:
    """The law of another move, where it has one and is not much dearer."""
    states = States(asked.graph)
    if move.shared and (affordable(states, move) or joint_size(states) > _BESIDE):
        return None
    try:
        found = law_of(asked.graph, move)
        found.energy  # noqa: B018  (solved for here)
    except (InvalidInput, NotConverged):
        return None
    return found


def _strict(asked: Asked, numbers: _Numbers) -> dict[str, float]:
    """Where moves are accepted only if the energy falls, nothing moves any more once there is no conflict."""
    assert isinstance(asked.move, SGDLike)
    if numbers.law.states.energies.min() == 0:
        return numbers.energies(0.0, 0.0)
    other = _law(asked, replace(asked.move, strict=True))
    return numbers.energies(other.energy, other.variance) if other is not None else {}


def _tree(asked: Asked, found: Mapping[str, Any]) -> list[Statement]:
    """The energy of the tree closure, from which nothing follows on a graph that is no tree."""
    if asked.move.shared:
        return []
    inverse = Closure.of(asked.graph).inverse_temperature(asked.move)
    energy = len(asked.graph.edges) * energy_per_edge(inverse, asked.graph.colors)
    return [stated("tree closure", "rung", {"E": energy}, found)]


def _matched(law: ExactLaw, runs: ColoringRuns) -> float:
    """The temperature of the measured energy."""
    with np.errstate(divide="ignore"):
        return float(np.divide(1.0, law.boltzmann.inverse_temperature(runs.energy)))


def _left_out(asked: Asked, rows: list[Statement]) -> dict[str, str]:
    """What was not tried, and why."""
    said = {}
    if int(asked.graph.degrees.max()) <= 2 and not asked.move.shared and isinstance(asked.move, SGDLike):
        said["Equilibrium"] = "exact, with T0: no vertex has more than 2 edges, and there is nothing to reject here"
    names = {row.name for row in rows}
    if isinstance(asked.move, SGDLike) and not asked.move.shared and "one batch for a sweep" not in names:
        said["One batch for a sweep"] = "not listed: too many flags are open at a time"
    return said
