"""A problem whose noise source is averaged over some of the samples only: for searches, never for a printed number."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .problem import LeastSquares, Minimum

__all__ = ["Thinned"]

Array = NDArray[np.float64]


class Thinned(LeastSquares):
    """`whole` with the same optimum, curvatures and noise at the optimum; what the fluctuation adds is estimated.

    Parameters
    ----------
    whole : LeastSquares
    samples : int
        How many to average over, chosen at random and always the same; a pass costs that share of a whole one.

    Notes
    -----
    Everything but `scatter` is shared with `whole`, not copied, and the chosen rows are. K and X are then off by about
    1/sqrt(samples), C not at all.
    """

    def __init__(self, whole: LeastSquares, samples: int) -> None:
        self.whole, self._minima = whole, {}
        self.inputs, self.targets = whole.inputs, whole.targets
        chosen = np.random.default_rng(0).permutation(whole.samples)[:samples]
        self._rows = np.sort(chosen)
        self._chosen = LeastSquares.__new__(LeastSquares)
        self._chosen.inputs, self._chosen.targets = whole.inputs[self._rows], whole.targets[self._rows]
        self._chosen.__dict__.update(_spectrum=whole._spectrum, projections=whole.projections[self._rows])

    @property
    def _spectrum(self) -> tuple[Array, Array]:  # type: ignore[override]
        return self.whole._spectrum

    @property
    def projections(self) -> NDArray[Any]:  # type: ignore[override]
        """Inputs in the modes, of all samples."""
        return self.whole.projections

    def minimum(self, weight_decay: float = 0.0) -> Minimum:
        """Return the minimum of `whole`, whose source is estimated here."""
        if weight_decay not in self._minima:
            found = self.whole.minimum(weight_decay)
            _ = found.noise  # of all samples, found once
            self._minima[weight_decay] = copy(found)
            self._minima[weight_decay].problem = self
        return self._minima[weight_decay]

    def scatter(self, weights: Array | None = None, quadratic: Array | None = None) -> Array:
        """Return <q_i z_i z_i^T> over the chosen samples, (r, r)."""
        return self._chosen.scatter(None if weights is None else weights[self._rows], quadratic)
