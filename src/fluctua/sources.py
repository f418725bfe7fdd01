"""The fluctuation source of a large problem, many times over, with few passes over all its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .problem import Minimum

__all__ = ["Sources"]

Array = NDArray[np.float64]
_REFRESHED = 0.05  # change of the source's trace after which all samples are asked again


class Sources:
    """C + K[S] + X(E V) at some places, each remembered as last found on all samples.

    Since then it changed by what some of the samples say, which is off by about 1/sqrt(their number) of the change.

    Parameters
    ----------
    whole : Minimum
    some : Minimum
        Of a `part` of the same problem, or `whole` itself: then nothing is estimated.
    """

    def __init__(self, whole: Minimum, some: Minimum) -> None:
        self.whole, self.some = whole, some
        self.found: dict[int, tuple[Array, Array]] = {}  # place: on all samples, and on some

    @property
    def exact(self) -> bool:
        """Whether nothing is estimated."""
        return self.whole is self.some

    def rough(self, covariance: Array, mean: Array) -> Array:
        """The source with K and X from some of the samples, (r, r): linear in `covariance`."""
        if self.exact:
            return self.whole.source(covariance, mean)
        return self.whole.noise + self.some.source(covariance, mean) - self._quiet(mean)

    def close(self, place: int, covariance: Array, mean: Array) -> Array:
        """The source at a place, (r, r)."""
        if self.exact:
            return self.whole.source(covariance, mean)
        now = self.some.source(covariance, mean)
        if place in self.found:
            full, then = self.found[place]
            if abs(np.trace(now - then)) < _REFRESHED * np.trace(full):
                return np.asarray(full + now - then)
        full = self.whole.source(covariance, mean)
        self.found[place] = full, now
        return full

    def _quiet(self, mean: Array) -> Array:
        """C from some of the samples."""
        if not hasattr(self, "_noise"):
            self._noise: Array = self.some.source(np.zeros_like(self.whole.noise), np.zeros_like(mean))
        return self._noise
