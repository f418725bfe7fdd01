r"""The responses of an epoch's mean motion, and what earlier batches change in them: Xi(t) of F47."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ..._arrays import Array
from .timetable import Epoch

__all__ = ["Feedback", "Responses"]

Feedback = Callable[[Array], Array]


class Responses:
    """P_u at the lags' nodes, and all that follows from them and K.

    Memory: three (r, r) matrices per node, more with momentum.

    Parameters
    ----------
    epoch : Epoch
    feedback : callable
        S -> K[S], (r, r) to (r, r).
    eps : float
        F41.
    """

    def __init__(self, epoch: Epoch, feedback: Feedback, eps: float) -> None:
        self.epoch, self.feedback, self.eps = epoch, feedback, eps
        self._corrections: dict[int, Array] = {}
        self.at_lags = np.array([epoch.response(u) for u in epoch.lags.nodes])

    @cached_property
    def feedbacks(self) -> Array:
        """<B_i P_u B_i> = K[P_u] at the lags' nodes, (J, r, r)."""
        return np.array([self.feedback(np.diag(x)) for x in self.at_lags])

    @cached_property
    def _felt(self) -> Array:
        """Sum over w < v of K[P_(v-1-w)] Z(w) at the positions' nodes, (J, r, r)."""
        weights = [self.epoch.lag_sums(int(v)) for v in self.epoch.positions.nodes]
        return np.array([np.einsum("pj,jpq->qp", each, self.feedbacks) for each in weights])

    def correction(self, time: int) -> Array:
        """F47: Xi(t), (k r, r): what K[P], felt between two steps, adds to the sum of all responses, transposed."""
        if time not in self._corrections:
            rows = self.epoch.tile_rows(self._felt)
            carried = np.einsum("aj,jaq->aq", self.epoch.position_responses(time), rows)
            self._corrections[time] = np.asarray(-self.eps * carried)
        return self._corrections[time]

    def total(self, time: int) -> Array:
        """F52: Z(t) + Xi(t)^T, the sum of all responses before `time`, corrected, (r, r)."""
        corrected = self.epoch.fold_rows(self.correction(time)).T
        return np.asarray(np.diag(self.epoch.response_sum(time)) + corrected)
