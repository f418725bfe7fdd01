"""The draws against the law and against the theories below it: statements, and what these draws would have caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..._arrays import Array
from ...theory.answers import Prediction
from ...verification.judgement import Role
from ...verification.significance import p_values, shift_caught
from ...verification.statements import Quantity, Statement
from .contrasts import CROSS, MEAN, Contrasts, Told

__all__ = ["VARIANCES", "statements", "temperature_caught", "tempered_by"]

VARIANCES = "variances"
_CLAIMS = 3


@dataclass(frozen=True)
class Asked:
    """What the draws are held against.

    Attributes
    ----------
    theories : mapping of str to Told
        Rungs of the ladder, the one under test among them.
    tested : str
        Its name.
    warmer, colder : Told or None
        The law under test at a temperature off by the resolution; None without a temperature.
    level, resolution : float
    """

    theories: Mapping[str, Told]
    tested: str
    warmer: Told | None
    colder: Told | None
    level: float
    resolution: float


def statements(contrasts: Contrasts, asked: Asked) -> list[Statement]:
    """Return every statement: the claims, the law made wrong, and the rungs below it."""
    found, right, off = contrasts.variances, contrasts.ratios(contrasts.tested), asked.resolution
    claim = _stated(VARIANCES, "claim", right, found, relative=True)
    crossed = dict.fromkeys(contrasts.cross_terms, 0.0), contrasts.cross_terms
    means = dict.fromkeys(contrasts.means, 0.0), contrasts.means
    rows = [claim, _stated(CROSS, "claim", *crossed), _stated(MEAN, "claim", *means)]
    for factor in (1 + off, 1 - off):
        scaled = {name: factor * value for name, value in right.items()}
        rows.append(_stated(f"{VARIANCES} x {factor:.4g}", "mutant", scaled, found, relative=True))
    for told, factor in ((asked.warmer, 1 + off), (asked.colder, 1 - off)):
        if told is not None:
            wrong = _stated(f"temperature x {factor:.4g}", "mutant", contrasts.ratios(told), found, relative=True)
            rows.append(wrong.if_told(claim, asked.level / _CLAIMS))
    for name, told in asked.theories.items():
        if name != asked.tested:
            rows.append(_stated(name, "rung", contrasts.ratios(told), found, relative=True))
    return [row for row in rows if row.quantities]


def _stated(
    name: str, role: Role, predicted: Mapping[str, float], found: Mapping[str, Array], relative: bool = False
) -> Statement:
    return Statement(name, role, tuple(_quantity(each, predicted[each], found[each], relative) for each in predicted))


def _quantity(name: str, predicted: float, values: Array, relative: bool) -> Quantity:
    """A ratio whose spread goes with its mean, or a number whose mean is zero."""
    unit = predicted if relative and predicted else 1.0
    p = float(p_values((values - predicted)[:, None] / unit, relative=relative)[0])
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Quantity(name, float(predicted), float(values.mean()), error, len(values) - 1, p)


def tempered_by(
    law: Prediction, factor: float, told: Callable[[Prediction], Told], solve: Callable[..., Prediction]
) -> Told | None:
    """Return what the law says at another temperature; None where it has none."""
    sgd = law.law.sgd
    if not sgd.tempered or not sgd.temperature:  # type: ignore[attr-defined]
        return None
    return told(solve(replace(sgd, temperature=factor * sgd.temperature)))  # type: ignore[attr-defined]


def temperature_caught(claim: Statement, warmer: Mapping[str, float], share: float) -> float:
    """Return the smallest relative error of the temperature that is rejected with probability 0.95.

    `warmer` is what the law predicts at a temperature higher by `share`: the contrasts are affine in it.
    """
    level = claim.level / len(claim.quantities)
    slopes = {each.name: abs(warmer[each.name] - each.predicted) / share for each in claim.quantities}
    bars = {each.name: shift_caught(level, each.freedom)[1] * each.error for each in claim.quantities}
    return min(bar / max(slopes[name], 1e-300) for name, bar in bars.items())
