"""How a sampler's draws compare with the posterior that they are meant to be from."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .._arrays import Array
from ..errors import InvalidInput
from .law import Law

__all__ = ["Posterior"]


class Posterior:
    """A sampler's target and how far its draws are from it; a base of `Prediction`."""

    law: Law

    @property
    @abstractmethod
    def mode_variances(self) -> Array:
        """S_pp, summed over outputs, (r,)."""

    @property
    def target(self) -> Array:
        """The posterior's variances c T/h_p in the modes, summed over outputs, (r,) (F90).

        Of a sampler alone: SGD has no temperature, and so no target.
        """
        sgd = self.law.sgd
        if not sgd.tempered:
            raise InvalidInput(
                f"{sgd.OPTIMISER} has no temperature, and so no posterior to sample. Use a sampler, as fluctua.SGLD."
            )
        return np.asarray(self.law.problem.outputs * sgd.step.temperature / self.law.minimum.curvatures)

    @property
    def inflation(self) -> Array:
        """S_pp over the target's, (r,): how many times too wide the draws are in each mode; infinite at T = 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.mode_variances / self.target)
