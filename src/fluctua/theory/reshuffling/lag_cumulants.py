"""Third and fourth cumulants of a sample's noise and curvature at every lag of an epoch: what F48, F50 and F51 sum."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..._arrays import Array
from .cumulants import SampleCumulants
from .timetable import Epoch

__all__ = ["LagCumulants", "LaggedAverages"]

_KEPT = 0.1  # their share of the excess loss of MNIST is 0.2 %


@dataclass(frozen=True)
class LagCumulants:
    """Averages over a sample at the lags' nodes, (J, r, r) each.

    Attributes
    ----------
    third : ndarray
        F48: <E[D_i^T D_i] P_u B_i>, for the epoch's average state.
    third_between : ndarray
        F50: the same of D_i(V(t)) and D_i(V(t')), for what is left of that state after the lag.
    fourth : ndarray
        F51: <B_i P_u (E[D_i^T D_i] - G) P_u B_i>.
    """

    third: Array
    third_between: Array
    fourth: Array


class LaggedAverages:
    """The averages of F48, F50 and F51 for one recipe and any state; the last ones are kept.

    Cost: three passes over the samples per node. Memory: three (r, r) matrices per node.
    """

    def __init__(self, epoch: Epoch, samples: SampleCumulants) -> None:
        self.epoch, self.samples = epoch, samples
        self.estimated = samples.problem.samples < samples.problem.population
        self._still: LagCumulants | None = None
        self._of_state: tuple[float, LagCumulants] | None = None

    def of_trend(self, state: Array, mean: Array) -> LagCumulants:
        """F66: how the cumulants change with the state, (k r, k r), and the mean, (c, r), to which they are linear."""
        if self._still is None:
            self._still = self._averaged(np.zeros_like(state), np.zeros_like(mean))
        now, still = self._averaged(state, mean), self._still
        changes = {each.name: getattr(now, each.name) - getattr(still, each.name) for each in fields(LagCumulants)}
        return LagCumulants(**changes)

    def of_state(self, state: Array, mean: Array, *, similar: bool = False) -> LagCumulants:
        """Return the cumulants for an epoch's average state, (k r, k r), and mean, (c, r).

        If states are `similar`, those of a run, estimated ones are kept while tr(A S) moves by less than `_KEPT`: they
        are some per cent off anyway.
        """
        size = float(self.samples.a @ self.epoch.kernel.variances(state))
        kept = _KEPT * size if similar and self.estimated else 0.0
        if self._of_state is None or not abs(size - self._of_state[0]) < kept:
            self._of_state = size, self._averaged(state, mean)
        return self._of_state[1]

    def _averaged(self, state: Array, mean: Array) -> LagCumulants:
        now = self.samples.deviation(self.epoch.kernel.fold(state), mean)
        return LagCumulants(
            third=np.array([self.samples.third(j, now) for j in self._lags]),
            third_between=np.array([self._between(j, state, mean) for j in self._lags]),
            fourth=np.array([self.samples.fourth(j, now) for j in self._lags]),
        )

    def _between(self, j: int, state: Array, mean: Array) -> Array:
        epoch = self.epoch
        left = epoch.fold_rows(epoch.lag_carried(epoch.fold_columns(state), j))
        return self.samples.third(j, self.samples.deviation(left, mean, [j]))

    @property
    def _lags(self) -> range:
        return range(len(self.samples.responses))
