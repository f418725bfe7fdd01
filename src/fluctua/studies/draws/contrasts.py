"""What of the draws is tested: one number of each chain, or of each stretch of it, per contrast.

Variances: the excess loss, bands of modes, and a mean over modes in which each counts as the temperature moves it and
as many draws are independent, which is the contrast that a wrong temperature moves most. Cross terms and means have
too many elements to test one by one: on one half of the chains the direction is found in which they are off, and on
the other half that one number is tested; then the other way about. Under the law both are means of zero, whatever
direction was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import AnyArray, Array
from ...theory.answers import Prediction
from ...theory.readings import outside as loss_outside
from ...verification.significance import bands

__all__ = ["CROSS", "MEAN", "Contrasts", "Sample", "Told"]

CROSS, MEAN, OUTSIDE = "cross terms", "mean", "outside the data"
_HALVES = ("along the second half", "along the first half")


@dataclass(frozen=True)
class Sample:
    """The used draws in the modes about W*, (units, steps, c, r), and those of one half of the chains."""

    modes: list[Array]
    """Of each unit, (steps, c, r)."""
    half: AnyArray
    """Whether a unit is of the second half of the chains, (units,)."""
    outside: Array
    """Mean square of each unit in the directions that no data point has, (units,)."""
    curvatures: Array
    weight_decay: float

    @cached_property
    def variances(self) -> Array:
        """Mean squares, summed over outputs, of each unit, (units, r)."""
        return np.array([np.einsum("tcp,tcp->p", v, v) / len(v) for v in self.modes])

    @cached_property
    def losses(self) -> Array:
        """Excess losses, (units,)."""
        return np.asarray(0.5 * (self.variances @ self.curvatures + self.weight_decay * self.outside))

    @cached_property
    def means(self) -> Array:
        """Of each unit, (units, c, r)."""
        return np.array([v.mean(axis=0) for v in self.modes])

    def covariance(self, units: AnyArray) -> Array:
        """Second moment over some units, summed over outputs, (r, r)."""
        flat = ((v.reshape(-1, v.shape[-1]), len(v)) for v, there in zip(self.modes, units, strict=True) if there)
        found = [v.T @ v / steps for v, steps in flat]
        return np.asarray(sum(found) / len(found))

    def along(self, form: Array, units: AnyArray) -> Array:
        """Mean of sum_pq form_pq v_p v_q, of each of some units."""
        return np.array(
            [np.einsum("tcp,tcp->", v @ form, v) / len(v) for v, there in zip(self.modes, units, strict=True) if there]
        )


@dataclass(frozen=True)
class Told:
    """What a theory says of the draws.

    Attributes
    ----------
    covariance : ndarray, (r, r)
        S, averaged over the steps of the draws.
    mean : ndarray, (c, r)
        E V; zero in a stationary state.
    excess_loss : float
    outside : float
        Mean square in the directions that no data point has; 0 where there are none, or nothing moves the weights.
    """

    covariance: Array
    mean: Array
    excess_loss: float
    outside: float

    @classmethod
    def by(cls, prediction: Prediction, mean: Array) -> Told:
        """Return what a prediction says."""
        return cls(prediction.mode_covariance, mean, prediction.excess_loss, _outside(prediction))


def _outside(prediction: Prediction) -> float:
    """Mean square in the directions that no data point has, of thermal noise and of what is left of the start."""
    law = prediction.law
    if not (law.outside and law.sgd.step.temperature):
        return 0.0
    if prediction.steps is None:
        return law.outside * float(law.variance_outside(None)[0])
    losses = loss_outside(law, prediction.start, np.array(prediction.steps))
    return float(losses.mean()) / (0.5 * law.sgd.weight_decay)


@dataclass(frozen=True)
class Contrasts:
    """The contrasts of a sample; what they are made of is the law under test, fixed before the draws are looked at.

    Attributes
    ----------
    sample : Sample
    tested : Told
    weights : ndarray, (r,)
        Of each mode in the mean over modes, of sum 1.
    worth : ndarray, (r,)
        Independent draws that one is worth, for the variance of a mode.
    """

    sample: Sample
    tested: Told
    weights: Array
    worth: Array

    @cached_property
    def variances(self) -> dict[str, Array]:
        """By name, one number of each unit: ratios to the law under test."""
        s = np.diag(self.tested.covariance)
        ratios = self.sample.variances / s
        found = {"excess loss": self.sample.losses / self.tested.excess_loss, "all modes": ratios @ self.weights}
        if self.tested.outside:
            found[OUTSIDE] = self.sample.outside / self.tested.outside
        return found | {name: ratios[:, band].mean(axis=1) for name, band in self._bands.items()}

    def ratios(self, theory: Told) -> dict[str, float]:
        """What a theory says of them."""
        ratios = np.diag(theory.covariance) / np.diag(self.tested.covariance)
        found = {"excess loss": theory.excess_loss / self.tested.excess_loss, "all modes": float(ratios @ self.weights)}
        if self.tested.outside:
            found[OUTSIDE] = theory.outside / self.tested.outside
        return found | {name: float(ratios[band].mean()) for name, band in self._bands.items()}

    @property
    def _bands(self) -> dict[str, slice]:
        found = bands(len(self.weights))
        return {f"modes {b.start + 1} to {b.stop}" if b.stop > b.start + 1 else f"mode {b.stop}": b for b in found}

    @cached_property
    def cross_terms(self) -> dict[str, Array]:
        """By half, one number of each of its units: zero in the mean."""
        scale = np.sqrt(np.diag(self.tested.covariance))
        pairs = 1 / (1 / self.worth[:, None] + 1 / self.worth)  # independent draws of a product, but for a factor

        def form(units: AnyArray) -> Array:
            off = (self.sample.covariance(units) - self.tested.covariance) / np.multiply.outer(scale, scale)
            return np.asarray(off * pairs * (1 - np.eye(len(scale))) / np.multiply.outer(scale, scale))

        return self._crossed(CROSS, form, self._off)

    def _off(self, form: Array, units: AnyArray) -> Array:
        return self.sample.along(form, units) - float(np.sum(form * self.tested.covariance))

    @cached_property
    def means(self) -> dict[str, Array]:
        """By half, one number of each of its units: zero in the mean."""
        weights = self.worth / np.diag(self.tested.covariance)
        off = self.sample.means - self.tested.mean

        def form(units: AnyArray) -> Array:
            return np.asarray(off[units].mean(axis=0) * weights)

        return self._crossed(MEAN, form, lambda f, units: np.einsum("ucp,cp->u", off[units], f))

    def _crossed(self, name: str, form: object, values: object) -> dict[str, Array]:
        """A form found on one half, and its values on the other, in units of their spread; then the other way about."""
        out = {}
        for which, there in zip(_HALVES, (~self.sample.half, self.sample.half), strict=True):
            found = values(form(~there), there)  # type: ignore[operator]
            spread = float(found.std(ddof=1))
            out[f"{name} {which}"] = found / spread if spread else found
        return out
