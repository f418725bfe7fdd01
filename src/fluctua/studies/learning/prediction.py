"""What theory says of the speed of learning before any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular
from ..._validate.values import real_number
from ...errors import InvalidInput
from .closure import Closed, closed
from .foretelling import ESTIMATORS, Estimator, response_by, speeds_by
from .network import RateNetwork, abscissa
from .refusals import LearnedTooFar
from .tasks import Tasks

__all__ = ["CLOSURES", "LearningPrediction", "Theory"]

Theory = Literal["regression", "equilibrium", "response", "variances", "linear", "frozen", "gaussian"]
CLOSURES = ("linear", "frozen", "gaussian")
_OWN = 0.6  # of what the moving gains change: how far the closure was off at most, in all networks that were measured
_BISECTIONS = 60


@dataclass(frozen=True, eq=False, repr=False)
class LearningPrediction(ByValue, Tabular):
    r"""How fast a network will learn each task, as numbers; made by `fluctua.predict` of a `RateNetwork`.

    Attributes
    ----------
    net : RateNetwork
    inputs, targets : ndarray, (t, n)
        The tasks.
    theory : str
        Which theory, from the table of `fluctua.studies.learning.speed`.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import learning
    >>> net = learning.RateNetwork([[0.0, 0.9], [0.3, 0.0]], gain=0.8, noise=0.05, dt=0.1)
    >>> prediction = fl.predict(net, [1.0, 0.0], [0.0, 1.0])
    >>> prediction.speeds.round(6), prediction.strengths(1.0).round(6)
    (array([0.935317]), array([0.522368]))
    """

    net: RateNetwork
    inputs: Array
    targets: Array
    theory: Theory

    @property
    def _tasks(self) -> Tasks:
        return Tasks(self.inputs, self.targets)

    @cached_property
    def spontaneous(self) -> Closed | None:
        """The closure without input, for tanh."""
        return None if self.net.linear else closed(self.net)

    @cached_property
    def gains(self) -> Array:
        """Mean slopes G of f in the spontaneous state, (n,): 1 for the linear network and for the theory "linear"."""
        known = self.spontaneous
        return np.ones(self.net.neurons) if known is None or self.theory == "linear" else known.gains

    @cached_property
    def response(self) -> Array:
        """chi, (n, n): mean activity per force, as the theory has it."""
        if self.theory in {"regression", *CLOSURES}:
            return self._true
        return response_by(self._estimator, self.covariance, self.lagged, self.net.noise, self.net.dt)

    @cached_property
    def covariance(self) -> Array:
        """S = E[x x^T] of the spontaneous activity, (n, n) (F114)."""
        return self.net.balanced(self.gains).solved(2 * self.net.noise * np.eye(self.net.neurons))

    @cached_property
    def lagged(self) -> Array:
        """C_1 = E[x(t+1) x(t)^T] = M S, (n, n)."""
        return np.asarray(self.net.balanced(self.gains).step @ self.covariance)

    @cached_property
    def speeds(self) -> Array:
        """d(xi . E x)/d eps at eps = 0 of each task, (t,): activity per strength of learning (F115)."""
        if self.theory == "gaussian":
            states = zip(self._states, self.inputs, self.targets, strict=True)
            return np.array([target @ state.moved(given, target) for state, given, target in states])
        along, true = (self._tasks.along(matrix, self.gains) for matrix in (self.response, self._true))
        return speeds_by(self._estimator, self._rate, along, true)

    @cached_property
    def starts(self) -> Array:
        """Overlap xi . E x of the response to each input with its target before learning, (t,)."""
        if self.theory == "gaussian":
            return np.array([target @ state.mean for state, target in zip(self._states, self.targets, strict=True)])
        return np.asarray(self.net.gain * self.net.input_gain * self._tasks.overlaps(self.response, self.gains))

    @property
    def own_error(self) -> float:
        """Relative error that the theory may have: 0 where it is exact, NaN where nothing is known of it.

        The Gaussian closure has been off by less than 0.6 of what the movement of the gains makes, in every network
        that was measured.
        """
        if self.net.linear:
            exact = self.theory == "regression" or (self.theory == "equilibrium" and self.net.symmetric)
            return 0.0 if exact else float("nan")
        if self.theory != "gaussian":
            return float("nan")
        frozen = replace(self, theory="frozen").speeds
        return float(_OWN * np.abs(frozen / self.speeds - 1).max())

    def overlaps(self, learned: float) -> Array:
        """Return xi . E x of each task after it has been learned by eps, (t,).

        Each by itself: W + eps xi u^T. A coupling of rank one is exact for a linear network (F118).

        Parameters
        ----------
        learned : float
            eps, 0 or more.

        Returns
        -------
        ndarray, (t,)
            Overlaps of the response to the input with the target.

        Raises
        ------
        InvalidInput
            At an eps at which the activity of a network that is linear diverges; the error carries the largest one.
        """
        strength = real_number("learned", learned, minimum=0.0)
        if self.theory == "gaussian":
            pairs = zip(self.inputs, self.targets, strict=True)
            return np.array([xi @ closed(self.net.learned(strength, u, xi), u).mean for u, xi in pairs])
        if self.net.linear:
            for number in range(len(self._tasks)):
                self._refuse_far(strength, number)
        if strength >= (least := self.largest_learned.min()):
            raise LearnedTooFar(strength, float(least))
        return np.asarray(self.starts + strength * self.speeds / (1 - strength * self._recurrent))

    def strengths(self, overlap: float) -> Array:
        """Return the eps at which the response to each input has this overlap with its target, (t,).

        Parameters
        ----------
        overlap : float
            xi . E x.

        Returns
        -------
        ndarray, (t,)
            Infinite where the overlap is never reached, and 0 where it is there before.

        Raises
        ------
        InvalidInput
            For the Gaussian closure, which has no closed form.
        """
        if self.theory == "gaussian":
            raise InvalidInput("the Gaussian closure gives overlaps(learned) and not their inverse: solve for it.")
        asked = np.maximum(real_number("overlap", overlap) - self.starts, 0.0)
        rate = self.speeds + asked * self._recurrent
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rate > 0, asked / rate, np.where(asked > 0, np.inf, 0.0))

    @cached_property
    def largest_learned(self) -> Array:
        """eps* = 1/(g u^T chi G xi), at which the response to the input diverges, (t,); infinite where it does not."""
        with np.errstate(divide="ignore"):
            return np.where(self._recurrent > 0, 1 / self._recurrent, np.inf)

    @cached_property
    def _recurrent(self) -> Array:
        """How the input hears what was learned, g u^T chi G xi, (t,)."""
        return np.asarray(self.net.gain * self._tasks.along(self.response, self.gains)[2])

    @cached_property
    def _true(self) -> Array:
        """H^-1 with the gains of the spontaneous state."""
        return np.asarray(np.linalg.inv(self.net.relaxation(self.gains)))

    @property
    def _rate(self) -> float:
        return self.net.gain**2 * self.net.input_gain

    @property
    def _estimator(self) -> Estimator:
        return self.theory if self.theory in ESTIMATORS else "regression"

    @cached_property
    def _states(self) -> list[Closed]:
        """The closure under each task's input."""
        rows, which = self._tasks.distinct()
        found = [closed(self.net, row) for row in rows]
        return [found[k] for k in which]

    def _refuse_far(self, strength: float, number: int) -> None:
        """Refuse a strength at which a mode that turns grows, though the response to the input is finite."""
        given, target = self.inputs[number], self.targets[number]
        if _stable(self.net, strength, given, target):
            return
        low, high = 0.0, strength
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if _stable(self.net, middle, given, target) else (low, middle)
        raise LearnedTooFar(strength, low)

    def _tables(self) -> Tables:
        return {"tasks": self._columns}

    def _columns(self) -> Mapping[str, Any]:
        return {"task": np.arange(len(self._tasks)), "speed": self.speeds, "overlap": self.starts}

    def __repr__(self) -> str:
        return f"LearningPrediction({self.theory}, {len(self._tasks)} tasks, {self.net.neurons} neurons)"


def _stable(net: RateNetwork, strength: float, given: Array, target: Array) -> bool:
    return net.gain * abscissa(net.coupling + strength * np.multiply.outer(target, given)) < 1
