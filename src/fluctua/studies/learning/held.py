"""The statements of the study: what fluctuation foretells against what is learned, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..._arrays import Array, odd, standard_error
from ...verification.judgement import Role
from ...verification.significance import ROUNDING, bands
from ...verification.statements import Measured, Statement, stated
from .activity import Activity
from .foretelling import ESTIMATORS, Estimator
from .network import EDGE
from .prediction import LearningPrediction, Theory
from .tasks import Tasks

__all__ = ["NAMES", "Held"]

NAMES: Mapping[Estimator, str] = {
    "regression": "regression",
    "equilibrium": "equilibrium",
    "response": "variance x response",
    "variances": "product of variances",
}
BACKWARDS = "C_1 transposed"
_FACTORS = {"response": 1, "variances": 2}
"""How often an estimator takes S/D for a response, each time with an error of the time step."""


@dataclass(frozen=True)
class Held:
    """One network: what theory says of its tasks, its spontaneous activity, and its tasks as they were learned.

    Attributes
    ----------
    prediction : LearningPrediction
        Of the theory under test.
    activity : Activity
    learned : ndarray, (g, t)
        Measured speeds, group by group.
    strengths : tuple of float
        To which the first task was learned.
    overlaps : ndarray, (g, k)
        What that changed in its overlap.
    level, resolution : float
        Of one statement; the relative error that has to be rejected.
    """

    prediction: LearningPrediction
    activity: Activity
    learned: Array
    strengths: tuple[float, ...]
    overlaps: Array
    level: float
    resolution: float

    @property
    def tasks(self) -> Tasks:
        """Inputs and targets."""
        return Tasks(self.prediction.inputs, self.prediction.targets)

    @cached_property
    def speeds(self) -> Array:
        """Measured by learning, (t,)."""
        return np.asarray(self.learned.mean(axis=0))

    @cached_property
    def foretold(self) -> dict[Estimator, Array]:
        """Foretold by the fluctuation, over the measured speed: for each group and task, (g, t)."""
        return {each: self._over_learned(self.activity.foretold(self.tasks, each)) for each in ESTIMATORS}

    def z_rms(self, estimator: Estimator) -> float:
        """Root mean square over tasks of foretold less measured in standard errors."""
        found = self.foretold[estimator]
        return float(np.sqrt(np.mean(((found.mean(axis=0) - 1) / standard_error(found)) ** 2)))

    @cached_property
    def claims(self) -> list[Statement]:
        """What should hold."""
        if not self.prediction.net.linear:
            return [self._closure("gaussian closure", "claim", 1.0)]
        learned = {name: _still(found) for name, found in self._of_learning.items()}
        return [
            _one("regression", "claim", self._in_bands(self.foretold["regression"])),
            *([] if self.prediction.net.symmetric else [_one("rotation", "claim", self._rotation())]),
            stated("learning", "claim", dict.fromkeys(learned, 1.0), learned),
            _one("balance", "claim", self._balance),
        ]

    def rows(self) -> list[Statement]:
        """The claims, the same made wrong, and the rungs below, which have to be rejected where they can be."""
        factors = (1 + self.resolution, 1 - self.resolution)
        if not self.prediction.net.linear:
            mutants = [self._closure(f"gaussian closure x {f:.4g}", "mutant", f) for f in factors]
            lower = [self._rung("frozen", "frozen"), self._rung("linear", "linear")]
            return [*self.claims, *mutants, *(row for row in lower if row), *map(self.by, ESTIMATORS)]
        found = self._in_bands(self.foretold["regression"])
        mutants = [_one(f"regression x {f:.4g}", "mutant", found, f) for f in factors]
        return [*self.claims, *mutants, self.backwards(), *map(self.by, ESTIMATORS[1:])]

    def by(self, estimator: Estimator, name: str = "", role: Role | None = None) -> Statement:
        """Return the statement that an estimator foretells the speed, within what the time step does to it."""
        known = replace(self.prediction, theory=estimator).speeds / self.speeds
        values, expected = self._in_bands(self.foretold[estimator]), self._in_bands(known[None])
        return self._told(name or NAMES[estimator], values, expected, self._of_dt(estimator), role)

    def backwards(self, name: str = BACKWARDS, role: Role | None = None) -> Statement:
        """Return the statement that the regression may as well run backwards in time: true in equilibrium alone."""
        state = self.prediction
        turned = state.covariance @ state.response.T @ np.linalg.inv(state.covariance)
        along = self.tasks.along(turned, state.gains)
        known = state.net.gain**2 * state.net.input_gain * along[0] * along[1] / self.speeds
        found = self._over_learned(self.activity.foretold(self.tasks, "regression", transposed=True))
        rotation = self._rotation(transposed=True)
        values = {**self._in_bands(found), **rotation}
        expected = {**self._in_bands(known[None]), **{each: np.array([self._turned(turned)]) for each in rotation}}
        return self._told(name, values, expected, 0.0, role)

    @cached_property
    def _odd(self) -> Array:
        """The antisymmetric part of the response, which a symmetric coupling has not, (n, n)."""
        return odd(self.prediction.response)

    def _turned(self, response: Array) -> float:
        """A response along the antisymmetric part, over that of the network."""
        return float(np.sum(self._odd * response) / np.sum(self._odd * self.prediction.response))

    def _rotation(self, *, transposed: bool = False) -> dict[str, Array]:
        """The antisymmetric part that the regression finds: tasks look at the symmetric one alone."""
        if self.prediction.net.symmetric:
            return {}
        size = float(np.sum(self._odd * self.prediction.response))
        return {"rotation": self.activity.turning(self._odd / size, transposed=transposed)}

    def _told(
        self, name: str, values: Mapping[str, Array], known: Mapping[str, Array], allowed: float, role: Role | None
    ) -> Statement:
        """A statement that may be wrong: a mutant where these runs can tell it, by its error bars and what is known."""
        if role is None:
            expected = {
                each: 1 + float(np.sign(off) * max(abs(off) - allowed, 0.0))
                for each, off in ((each, float(one[0]) - 1) for each, one in known.items())
            }
            role = stated(name, "rung", expected, values).if_told(_one(name, "rung", values), self.level).role
        return _one(name, role, values, allowed=allowed)

    def _of_dt(self, estimator: Estimator) -> float:
        """How far a finite time step may put an estimator off where the coupling is symmetric."""
        net = self.prediction.net
        fastest = float(np.linalg.norm(net.relaxation(self.prediction.gains), 2))
        return float((1 - 0.5 * net.dt * fastest) ** -_FACTORS.get(estimator, 0) - 1)

    @property
    def _grown(self) -> Array:
        """Measured over predicted changes of the overlap, (g, k)."""
        state = replace(self.prediction, inputs=self.tasks.inputs[:1], targets=self.tasks.targets[:1])
        known = [state.overlaps(each)[0] - state.starts[0] for each in self.strengths]
        return np.asarray(self.overlaps / np.array(known))

    @property
    def _balance(self) -> dict[str, Array]:
        """Fluctuation over what learning is made of, along bands of the modes of spontaneous activity."""
        modes = np.linalg.eigh(self.prediction.covariance)[1][:, ::-1]
        sides = self.activity.balanced(modes)
        return {f"modes {_span(band)}": sides[:, band].mean(axis=1) for band in bands(sides.shape[1])}

    def _closure(self, name: str, role: Role, factor: float) -> Statement:
        """Measured over the closure's, which may be off by what it states of itself."""
        return _one(name, role, self._of_learning, factor, factor * self.prediction.own_error)

    @property
    def _of_learning(self) -> dict[str, Array]:
        """Measured over predicted: speeds in bands of tasks, and what the first task was learned to."""
        grown = {f"eps {each:.3g}": self._grown[:, k] for k, each in enumerate(self.strengths)}
        return {**self._in_bands(self.learned / self.prediction.speeds), **grown}

    def _rung(self, theory: Theory, name: str) -> Statement | None:
        """A theory below the closure, where the network has a state for it."""
        if theory == "linear" and self.prediction.net.gain >= (1 - EDGE) * self.prediction.net.largest_gain:
            return None
        known = replace(self.prediction, theory=theory).speeds
        return _one(name, "rung", self._in_bands(self.learned / known))

    def _over_learned(self, foretold: Array) -> Array:
        """Foretold over measured, (g, t); where learning fluctuates its groups, independent of these, count too."""
        found = foretold / self.speeds
        if len(self.learned) == len(foretold):
            found = found - (self.learned / self.speeds - 1)
        return np.asarray(found)

    def _in_bands(self, ratios: Array) -> dict[str, Array]:
        """Means over bands of tasks, fastest first, of (g, t): (g,) for each band."""
        order = np.argsort(-np.abs(self.prediction.speeds), kind="stable")
        return {f"tasks {_span(band)}": ratios[:, order[band]].mean(axis=1) for band in bands(len(order))}


def _span(band: slice) -> str:
    return f"{band.start + 1}" if band.stop - band.start == 1 else f"{band.start + 1}-{band.stop}"


def _one(name: str, role: Role, found: Mapping[str, Array], predicted: float = 1.0, allowed: float = 0.0) -> Statement:
    """A statement that each of these is what was predicted, or as near to it as is allowed."""
    near = {each: predicted + float(np.clip(one.mean() - predicted, -allowed, allowed)) for each, one in found.items()}
    return stated(name, role, near, found)


def _still(found: Array) -> Measured:
    """The mean of what does not fluctuate but for rounding."""
    return Measured(float(found.mean()), max(float(standard_error(found)), ROUNDING["float64"]))
