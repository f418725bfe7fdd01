"""Error control of a march: whether an interval holds, how long the next may be, and into how many pieces it is cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, log, log1p, sqrt

import numpy as np

from .._arrays import Array
from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .interval import Interval, Nodes

__all__ = ["Controller", "largest_change", "loss_rtol"]

_CUBIC_BELOW = 1 / 30  # share of K in the source: cubic extrapolation multiplies noise by 15, and K must not return it
_CUBIC = 324.0  # 4! 3^4/3!
_BENT, _MOVED = 1 / 3, 2.5  # weights of the two errors; measured, see Relaxation.rtol
_FINE, _LOSS = 1e-4, 1e-6  # asked of modes, from which on the loss is held to more
_LARGEST_GAIN = 100.0  # beyond it the control would ask for more than float32 data can tell


@dataclass(frozen=True)
class Controller:
    """Accepts an interval where, in every mode, two errors of the source are within what `rtol` allows.

    One is the distance of the cubic from the parabola at the interval's middle, the other what the last correction of
    the covariance at its end moves of the source. An error of the source comes back through K, amplified by the gain
    G/C: what is allowed is `rtol` over it.

    Attributes
    ----------
    kernel : Kernel or Course
    rtol : float
        Relative accuracy wanted of each mode's variance.
    quiet : float
        Trace of kappa C, the part of the source that nothing comes back through.
    curvatures : ndarray, (r,), or None
        What weighs the modes in the loss, which is then held to `loss_rtol`.
    margin : float
        How many times what intervals tell errors are taken to be.
    told : slice
        Modes whose source tells the gain: not those that stand for a bound, which may be fed any times as much.
    """

    kernel: Kernel | Course
    rtol: float
    quiet: float
    curvatures: Array | None = None
    margin: float = 1.0
    told: slice = field(default_factory=lambda: slice(None))

    def trusted(self, nodes: Nodes) -> Nodes:
        """Return the nodes to extrapolate from: all, or the last two where K would return the noise of a cubic."""
        return nodes if self._share(np.diag(nodes[-1][1])) < _CUBIC_BELOW else nodes[-2:]

    def pieces(self, guess: Interval) -> int:
        """Return enough for the interpolant's distance from cubics in t.

        On a piece from t to (1 + L) t they miss log t by L^4/324, and the source by that times its change per log t.
        """
        before, after = np.diag(guess.nodes[-1][1]), guess.foreseen(guess.end)
        change = min(self._worst(before, after, 1.0), 10.0)
        if not np.isfinite(change):
            return 1
        whole = log((1 + guess.end - guess.origin) / (1 + guess.start - guess.origin))
        length = (_CUBIC * whole * self.rtol / max(2 * change * self.margin * self._gain(before), 1e-300)) ** 0.25
        return min(max(1, ceil(whole / log1p(length))), guess.end - guess.start)

    def errors(self, interval: Interval, predicted: Array, arrived: Array) -> tuple[float, float]:
        """Return the errors of the interpolant and of its last node, in units of what is allowed."""
        found, nodes = np.diag(interval.nodes[-1][1]), interval.nodes
        begin, end = (1 + step - interval.origin for step in (interval.start, interval.end))
        middle = sqrt(begin * end) - 1 + interval.origin
        lower = replace(interval, nodes=nodes[1:] if len(nodes) > 2 else nodes[:1])
        bent = self._worst(lower.foreseen(middle), interval.foreseen(middle), 1.0)
        variances = self.kernel.variances(predicted), self.kernel.variances(arrived)
        moved = self._share(found) * self._worst(*variances, self.curvatures)  # K[dS] <= K[S] max dS/S
        allowed = self.rtol / (self.margin * self._gain(found))
        return _BENT * bent / allowed, _MOVED * moved / allowed

    @staticmethod
    def next_width(length: int, error: float) -> float:
        """Return the length of the next interval, given the error of one of this length."""
        if not np.isfinite(error):
            return 1.0
        return max(1.0, length * float(np.clip(0.9 * max(error, 1e-9) ** (-1 / 3), 0.25, 4.0)))

    def _worst(self, before: Array, after: Array, weights: Array | float | None) -> float:
        """The largest relative change, or that of the weighted sum if it is more, in units of what the loss may have.

        Where S is stationary h_p S_pp is the source of a mode but for a factor: the loss feels the sum of the sources.
        """
        largest = largest_change(before, after)
        if self.curvatures is None or weights is None:
            return largest
        whole = np.array([np.sum(weights * before), np.sum(weights * after)])
        return max(largest, self.rtol / loss_rtol(self.rtol) * largest_change(whole[:1], whole[1:]))

    def _share(self, found: Array) -> float:
        """Share of K in the source, at most."""
        return 1 - 1 / self._gain(found)

    def _gain(self, found: Array) -> float:
        """How much of an error of the source comes back through K, from the diagonal of G found and that of C."""
        quiet = max(self.quiet, np.finfo(float).tiny)
        return max(1.0, min(float(np.abs(found[self.told]).sum()), _LARGEST_GAIN * quiet) / quiet)


def loss_rtol(rtol: float) -> float:
    """Relative accuracy of the loss where `rtol` is asked of every mode: 1e-6 from 1e-4 on."""
    return min(rtol, _LOSS) if rtol <= _FINE else rtol


def largest_change(before: Array, after: Array) -> float:
    """Return the largest relative change."""
    return float(np.max(np.abs(after - before) / np.maximum(np.abs(after), np.finfo(float).tiny)))
