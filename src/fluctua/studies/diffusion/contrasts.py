"""The numbers by which samples are held against a law, and what any law says of them.

Samples are independent and Gaussian, so that every error bar is known: sqrt(2/(R - 1)) for the ratio of a variance. A
sum of squares of many modes, chi-square with k degrees of freedom, enters as (chi^2/k)^(1/3), which is normal with mean
1 - 2/(9k) and variance 2/(9k) (Wilson and Hilferty), F137.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, Bools
from ...verification.significance import bands
from ...verification.statements import Measured
from .sampled import InModes

__all__ = ["Contrasts", "Law"]

_EMPTY = 1e-10  # of the mean variance of a mode: what rounding leaves of one that has none
_SHARE = 1e-6  # of a mode's variance: noise that single precision adds where there is none
_SAME = 1e-20  # of the largest variance: a mode below it has none


@dataclass(frozen=True)
class Law:
    """What a theory, right or wrong, says of the end of a sampler, mode by mode.

    Attributes
    ----------
    variances, means : ndarray, (d,)
        Variances, and errors of the mean.
    response : ndarray, (d,), or None
        What becomes of a start that is larger by one; None where it is not known.
    """

    variances: Array
    means: Array
    response: Array | None


@dataclass(frozen=True)
class Contrasts:
    """What samples show, in units of a law, and with the error bars that it implies.

    Attributes
    ----------
    shown : InModes
        The samples.
    law : Law
    total : float
        Variance that the data have at the end.
    """

    shown: InModes
    law: Law
    total: float

    @cached_property
    def alive(self) -> Bools:
        """Modes that have a variance at the end."""
        return np.asarray(self.law.variances > _SAME * np.abs(self.law.variances).max())

    @cached_property
    def bands(self) -> dict[str, slice]:
        """Bands of these modes, steepest first."""
        parts = bands(int(self.alive.sum()))
        return {f"modes {b.start + 1}-{b.stop}" if b.stop - b.start > 1 else "mode 1": b for b in parts}

    @property
    def statement(self) -> tuple[dict[str, float], dict[str, Measured]]:
        """What the law says, and what was found."""
        return self.said(self.law), self.found

    @cached_property
    def found(self) -> dict[str, Measured]:
        """The numbers, with their error bars under the law."""
        ratios = self._ratios(self.shown.variances)
        kept = float(self._bar * np.linalg.norm(self.law.variances) / self.total)
        out = {"variance kept": Measured(float(self.shown.variances.sum() / self.total), kept)}
        for name, band in self.bands.items():
            out[name] = Measured(float(ratios[band].mean()), float(self._bar / np.sqrt(len(ratios[band]))))
        out["modes"] = _root_of(float(np.sum(((ratios - 1) / self._bar) ** 2)), len(ratios))
        out["means"] = _root_of(self._away(self.shown.means), len(ratios))
        return out | self._correlations() | self._fresh() | self._empty()

    def said(self, law: Law) -> dict[str, float]:
        """Return what another law says of the same numbers."""
        ratios = self._ratios(law.variances)
        rank = len(ratios)
        out = {"variance kept": float(law.variances.sum() / self.total)}
        out |= {name: float(ratios[band].mean()) for name, band in self.bands.items()}
        out["modes"] = _expected(rank, float(np.sum(((ratios - 1) / self._bar) ** 2)))
        out["means"] = _expected(rank, self._away(law.means))
        if rank > 1:
            out["correlations"] = _expected(_pairs(rank, self.shown.freedom)[1], 0.0)
        if law.response is not None and self.law.response is not None:
            out["fresh noise"] = float(np.mean(self._ratios(law.variances - law.response**2)))
        if not self.alive.all():
            out["empty modes"] = float(law.variances[~self.alive].sum() / self.total)
        return out

    @property
    def _bar(self) -> float:
        """Standard error of a variance over what the law says of it."""
        return float(np.sqrt(2 / self.shown.freedom))

    def _ratios(self, variances: Array) -> Array:
        return np.asarray(variances[self.alive] / self.law.variances[self.alive])

    def _away(self, means: Array) -> float:
        """Sum of the squares of the deviations of means in standard errors."""
        return self.shown.count * float(np.sum(self._ratios((means - self.law.means) ** 2)))

    def _correlations(self) -> dict[str, Measured]:
        """All pairs of modes: the sum of the squares of their covariances in units of the law."""
        rank, n = int(self.alive.sum()), self.shown.freedom
        if rank < 2:
            return {}
        unit = np.sqrt(self.law.variances[self.alive])
        pairs = self.shown.covariance[np.ix_(self.alive, self.alive)] / np.outer(unit, unit)
        scale, freedom = _pairs(rank, n)
        square = 0.5 * n * float(np.sum(pairs**2) - np.sum(np.diag(pairs) ** 2))
        return {"correlations": _root_of(square / scale, freedom)}

    def _fresh(self) -> dict[str, Measured]:
        """Share of the variance that the start does not explain."""
        if self.law.response is None:
            return {}
        share = self._ratios(self.law.variances - self.law.response**2)
        error = float(np.linalg.norm(share) * self._bar / len(share))
        return {"fresh noise": Measured(float(np.mean(self._ratios(self.shown.unexplained))), max(error, _SHARE))}

    def _empty(self) -> dict[str, Measured]:
        """Variance, and squared error of the mean, where there has to be none."""
        if self.alive.all():
            return {}
        dead = ~self.alive
        off = self.shown.variances[dead].sum() + np.sum((self.shown.means - self.law.means)[dead] ** 2)
        return {"empty modes": Measured(float(off / self.total), _EMPTY)}


def _pairs(rank: int, n: int) -> tuple[float, float]:
    """Scale and degrees of freedom of the sum over pairs of n r^2: mean K, variance 2K + 6K/n + 2 r (r-1)(r-2)/n."""
    count = rank * (rank - 1) / 2
    variance = 2 * count + 6 * count / n + 2 * rank * (rank - 1) * (rank - 2) / n
    return variance / (2 * count), 2 * count**2 / variance


def _root_of(square: float, freedom: float) -> Measured:
    """The cube root of a chi-square over its degrees of freedom, with its error bar."""
    return Measured(float(np.cbrt(square / freedom)), float(np.sqrt(2 / (9 * freedom))))


def _expected(freedom: float, away: float) -> float:
    """Its mean, where the law that is right lies `away` in squared error bars."""
    return float(np.cbrt(1 + away / freedom) - 2 / (9 * freedom))
