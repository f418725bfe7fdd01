"""The numbers by which samples are held against a law, and what any law says of them.

Samples are independent and Gaussian, so that every error bar is known: sqrt(2/(R - 1)) for the ratio of a variance. A
sum of squares of many modes, chi-square with k degrees of freedom, enters as (chi^2/k)^(1/3), which is normal with mean
1 - 2/(9k) and variance 2/(9k) (Wilson and Hilferty).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, Bools
from ...verification.significance import bands
from ...verification.statements import Measured
from .gaussian import GaussianData
from .sampled import Moments, mode_variances

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


class Contrasts:
    """What samples show, in units of a law that is right."""

    def __init__(self, data: GaussianData, right: Law, moments: Moments, total: float) -> None:
        self.data, self.right, self.moments, self.total = data, right, moments, total
        self.found_variances = mode_variances(data, moments.covariance)
        self.found_means = data.modes.T @ moments.mean_error

    @cached_property
    def alive(self) -> Bools:
        """Modes that have a variance at the end."""
        return np.asarray(self.right.variances > _SAME * self.right.variances.max())

    @cached_property
    def bands(self) -> list[slice]:
        """Bands of these modes, steepest first."""
        return bands(int(self.alive.sum()))

    @cached_property
    def found(self) -> dict[str, Measured]:
        """The numbers, with their error bars under the right law."""
        n, ratios = self.moments.freedom, self._ratios(self.found_variances)
        rank = len(ratios)
        bar = np.sqrt(2 / n)
        kept = float(bar * np.linalg.norm(self.right.variances) / self.total)
        out = {"variance kept": Measured(float(self.found_variances.sum() / self.total), kept)}
        for name, band in self._named_bands():
            out[name] = Measured(float(ratios[band].mean()), float(bar / np.sqrt(len(ratios[band]))))
        means = self._over(self.found_means - self.right.means) ** 2 * self.moments.count
        out["modes"] = _root_of(float(np.sum((ratios - 1) ** 2) / bar**2), rank)
        out["means"] = _root_of(float(means.sum()), rank)
        return out | self._correlations(n) | self._fresh(n) | self._empty()

    def said(self, law: Law) -> dict[str, float]:
        """Return what a law says of the same numbers."""
        ratios = self._ratios(law.variances)
        rank, n = len(ratios), self.moments.freedom
        out = {"variance kept": float(law.variances.sum() / self.total)}
        out |= {name: float(ratios[band].mean()) for name, band in self._named_bands()}
        away = self._over(law.means - self.right.means) ** 2 * self.moments.count
        out["modes"] = _expected(rank, float(np.sum((ratios - 1) ** 2) * n / 2))
        out["means"] = _expected(rank, float(away.sum()))
        if rank > 1:
            out["correlations"] = _expected(_pairs(rank, n)[1], 0.0)
        if law.response is not None:
            out["fresh noise"] = float(np.mean(self._ratios(law.variances - law.response**2)))
        if not self.alive.all():
            out["empty modes"] = float(law.variances[~self.alive].sum() / self.total)
        return out

    def _named_bands(self) -> list[tuple[str, slice]]:
        return [(f"modes {1 + b.start}-{b.stop}" if b.stop - b.start > 1 else "mode 1", b) for b in self.bands]

    def _ratios(self, variances: Array) -> Array:
        return np.asarray(variances[self.alive] / self.right.variances[self.alive])

    def _over(self, means: Array) -> Array:
        return np.asarray(means[self.alive] / np.sqrt(self.right.variances[self.alive]))

    def _correlations(self, n: int) -> dict[str, Measured]:
        """All pairs of modes: the sum of the squares of their covariances in units of the law."""
        rank = int(self.alive.sum())
        if rank < 2:
            return {}
        modes = self.data.modes[:, self.alive] / np.sqrt(self.right.variances[self.alive])
        pairs = modes.T @ self.moments.covariance @ modes
        square = 0.5 * float(np.sum(pairs**2) - np.sum(np.diag(pairs) ** 2)) * n
        scale, freedom = _pairs(rank, n)
        return {"correlations": _root_of(square / scale, freedom)}

    def _fresh(self, n: int) -> dict[str, Measured]:
        """Share of the variance that the start does not explain, given the right response."""
        if self.right.response is None:
            return {}
        response, alive = self.right.response, self.alive
        along = [np.einsum("ip,ip->p", self.data.modes, c @ self.data.modes) for c in self._with_start]
        left = self._ratios(self.found_variances - 2 * response * along[0] + response**2 * along[1])
        share = self._ratios(self.right.variances - response**2)
        error = np.linalg.norm(share) * np.sqrt(2 / n) / alive.sum()
        return {"fresh noise": Measured(float(left.mean()), float(max(error, _SHARE)))}

    @property
    def _with_start(self) -> tuple[Array, Array]:
        return self.moments.cross_covariance, self.moments.start_covariance

    def _empty(self) -> dict[str, Measured]:
        """Variance, and squared error of the mean, where there has to be none."""
        if self.alive.all():
            return {}
        dead = ~self.alive
        off = self.found_variances[dead].sum() + np.sum((self.found_means - self.right.means)[dead] ** 2)
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
