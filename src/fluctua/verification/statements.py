"""Statements with roles, each of one or more numbers predicted and measured: what the verdict of a study is made of.

Quantities of one statement share its level (Bonferroni), and the claims of a verdict share the verdict's. What is wrong
on purpose is held against the same numbers at the level of a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._results import Brief
from .._validate.arrays import plain_array
from .._validate.values import choice
from ..errors import InvalidInput
from .judgement import Role
from .significance import ROUNDING, normal_scores, p_values, shift_caught

__all__ = ["KNOWN", "Measured", "Quantity", "Statement", "scaled", "stated"]

KNOWN = 10**6
"""Degrees of freedom of an error bar that is as good as known: Student's t is then normal."""
ROLES = "claim", "mutant", "unresolved", "rung", "reference"
_SURELY = 2.0  # times the deviation that is caught with probability 0.95: it is then as good as always
_FLOOR = ROUNDING["float64"]


@dataclass(frozen=True, repr=False)
class Measured(Brief):
    """A number with its standard error, where there are no replicas to hand over.

    Attributes
    ----------
    mean, error : float
    freedom : int
        Degrees of freedom of the error: `KNOWN` if that is as good as known.
    """

    mean: float
    error: float
    freedom: int = KNOWN


@dataclass(frozen=True, repr=False)
class Quantity(Brief):
    """One number of a statement.

    Attributes
    ----------
    name : str
        Such as "E x".
    predicted, measured, error : float
        And the standard error of their difference.
    freedom : int
        Degrees of freedom of the error.
    p_value : float
        Of this quantity alone, two-sided.
    """

    name: str
    predicted: float
    measured: float
    error: float
    freedom: int
    p_value: float

    @property
    def z(self) -> float:
        """Measured less predicted in standard errors; 0 where both agree to the last digit."""
        off = self.measured - self.predicted
        return 0.0 if off == 0 else float(np.divide(off, self.error)) if self.error else float(np.sign(off) * np.inf)

    @property
    def score(self) -> float:
        """The same as a normal score, at most 37."""
        return float(normal_scores(np.array([np.clip(self.z, -1e300, 1e300)]), self.freedom)[0])

    def caught(self, level: float) -> float:
        """Return the smallest relative error of the prediction that is rejected with probability 0.95.

        Infinite for a prediction of nothing; rounding sets it for numbers that do not fluctuate.
        """
        if not self.predicted:
            return float("inf")
        return shift_caught(level, self.freedom)[1] * max(self.error / abs(self.predicted), _FLOOR)


@dataclass(frozen=True, repr=False)
class Statement(Brief):
    """What a theory, or a wrong one, says of some numbers, held against the measured ones.

    Attributes
    ----------
    name : str
    role : str
        "claim", "mutant", "unresolved", "rung" or "reference": see `judgement.Role`.
    quantities : tuple of Quantity
    level : float
        Below which it is rejected; `conclude` gives it its share of the verdict's.
    """

    name: str
    role: Role
    quantities: tuple[Quantity, ...]
    level: float = 0.01

    @property
    def worst(self) -> Quantity:
        """The quantity that deviates most."""
        return min(self.quantities, key=lambda each: (each.p_value, -abs(each.z)))

    @property
    def predicted(self) -> float:
        """Of the quantity that deviates most."""
        return self.worst.predicted

    @property
    def measured(self) -> float:
        """Of the quantity that deviates most."""
        return self.worst.measured

    @property
    def error(self) -> float:
        """Standard error of their difference."""
        return self.worst.error

    @property
    def z(self) -> float:
        """Their difference in standard errors."""
        return self.worst.z

    @property
    def z_rms(self) -> float:
        """Root mean square of the quantities' normal scores."""
        return float(np.sqrt(np.mean([each.score**2 for each in self.quantities])))

    @property
    def p_value(self) -> float:
        """Bonferroni over the quantities."""
        return float(min(1.0, len(self.quantities) * self.worst.p_value))

    @property
    def consistent(self) -> bool:
        """Not rejected."""
        return bool(self.p_value >= self.level)

    @property
    def detectable(self) -> float:
        """Smallest relative error of the predictions that these runs would have rejected with probability 0.95."""
        return min(each.caught(self.level / len(self.quantities)) for each in self.quantities)

    def if_told(self, claim: Statement, level: float) -> Statement:
        """Return the statement as a mutant if these runs can tell it from `claim`, else as unresolved.

        What the runs found does not enter, only their error bars: a prediction that lies twice as far from the claim's
        as is rejected with probability 0.95 at `level` has to be.
        """
        right, share = {each.name: each for each in claim.quantities}, level / len(self.quantities)
        told = any(
            abs(each.predicted - right[each.name].predicted)
            > _SURELY * shift_caught(share, each.freedom)[1] * each.error
            for each in self.quantities
            if each.name in right
        )
        return replace(self, role="mutant" if told else "unresolved")


def stated(
    name: str, role: Role, predicted: Mapping[str, float | Measured], found: Mapping[str, ArrayLike | Measured]
) -> Statement:
    """Return a statement that holds predictions against what was found, quantity by quantity.

    Parameters
    ----------
    name : str
        What it is called.
    role : str
        "claim", "mutant" or "rung"; see `judgement.Role`.
    predicted : mapping of str to float or Measured
        What it says of each quantity; with an error of its own where the prediction was estimated.
    found : mapping of str to array_like, (R,), or Measured
        A value for each of at least two independent replicas, or a mean with its standard error. What is not predicted
        is left out.

    Raises
    ------
    InvalidInput
        For a quantity that was not found, for values that are no row of finite numbers, and for a negative error.
    """
    choice("role", role, ROLES)
    if not predicted:
        raise InvalidInput(f"statement {name!r} predicts nothing: give it at least one quantity.")
    for each in predicted:
        choice("quantity", each, found)
    return Statement(name, role, tuple(_quantity(each, value, found[each]) for each, value in predicted.items()))


def scaled(
    name: str, factor: float, predicted: Mapping[str, float | Measured], found: Mapping[str, ArrayLike | Measured]
) -> Statement:
    """Return `stated` of every prediction multiplied by `factor`, as a mutant of that name."""
    wrong = {
        each: factor * value
        if not isinstance(value, Measured)
        else replace(value, mean=factor * value.mean, error=factor * value.error)
        for each, value in predicted.items()
    }
    return stated(f"{name} x {factor:.4g}", "mutant", wrong, found)


def _quantity(name: str, predicted: float | Measured, found: ArrayLike | Measured) -> Quantity:
    own = predicted if isinstance(predicted, Measured) else Measured(float(predicted), 0.0)
    if isinstance(found, Measured):
        both = np.copysign(np.hypot(found.error, own.error), found.error)  # a negative one is refused
        return _by_error(name, own.mean, replace(found, error=float(both)))
    values = np.asarray(plain_array(name, found), dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise InvalidInput(
            f"{name} must be a row of finite numbers, one for each of at least two replicas; its shape is "
            f"{values.shape}. Give a Measured for a mean with its error."
        )
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if own.error:
        return _by_error(name, own.mean, Measured(mean, float(np.hypot(error, own.error)), len(values) - 1))
    return Quantity(name, own.mean, mean, error, len(values) - 1, _p_value(values, own.mean))


def _p_value(values: Array, predicted: float) -> float:
    """Two-sided, with the skewness taken out of t; in units in which the numbers are of order one."""
    unit = max(abs(predicted), float(values.std()), 1e-300)
    return float(p_values(((values - predicted) / unit)[:, None], _FLOOR)[0])


def _by_error(name: str, predicted: float, found: Measured) -> Quantity:
    from scipy.stats import t

    if not (np.isfinite([predicted, found.mean]).all() and found.error >= 0 and found.freedom >= 1):
        raise InvalidInput(
            f"{name} needs a finite prediction, a finite mean, a standard error of at least 0 and at least one degree "
            f"of freedom; got {predicted:g}, {found.mean:g}, {found.error:g} and {found.freedom}."
        )
    bar = max(found.error, _FLOOR * abs(predicted))
    off = abs(found.mean - predicted)
    p = 1.0 if off == 0 else float(2 * t.sf(off / bar, found.freedom)) if bar else 0.0
    return Quantity(name, float(predicted), float(found.mean), float(found.error), int(found.freedom), p)
