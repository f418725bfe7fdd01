"""What the modes look like to an optimiser: several components each, of which the weight V is a sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array

__all__ = ["Components"]


class Components(ABC):
    """Moments of `components` parts of each of `modes` modes.

    A state is the matrix of the parts' second moments, (k r, k r): all modes at the first part, then all at the second.
    """

    @property
    @abstractmethod
    def components(self) -> int:
        """Number of parts, k."""

    @property
    @abstractmethod
    def modes(self) -> int:
        """Number of modes, r."""

    @abstractmethod
    def _readout(self, observed: bool) -> AnyArray:
        """V, or what is observed, in terms of the parts: the factors of their sum, (k, r)."""

    def _parted(self, values: AnyArray) -> AnyArray:
        """Values of all components, (k r,) to (k, r)."""
        return values.reshape(self.components, self.modes)

    def fold(self, state: Array, *, observed: bool = False) -> Array:
        """S of a state, (r, r), or the second moment of what is observed."""
        if self.components == 1:
            return state
        readout, blocks = self._readout(observed), state.reshape((self.components, self.modes) * 2)
        return np.asarray(np.einsum("ip,ipjq,jq->pq", readout, blocks, readout, optimize=True).real)

    def variances(self, state: Array, *, observed: bool = False) -> Array:
        """Diagonal of `fold`, (r,)."""
        return self.gathered(self.within(state), observed=observed)

    def gathered(self, moments: Array, *, observed: bool = False) -> Array:
        """Variances, (r,), from the moments inside each mode, (k, k, r)."""
        readout = self._readout(observed)
        return np.asarray(np.einsum("ip,ijp,jp->p", readout, moments, readout).real)

    def within(self, state: Array) -> Array:
        """Second moments of the parts inside each mode, (k, k, r)."""
        return np.asarray(np.einsum("ipjp->ijp", state.reshape((self.components, self.modes) * 2)))

    def _across(self, rows: Any, columns: slice) -> Any:
        """Columns of rows of the source, the same for every part."""
        return rows if np.ndim(rows) == 0 else np.tile(rows, (1, self.components))[:, columns]
