"""How a sampler's draws compare with the posterior that they are meant to be from."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .._arrays import Array
from ..errors import InvalidInput
from ..recipe.kinetic import Kinetic
from .law import Law

__all__ = ["Posterior"]


class Posterior:
    """A sampler's target and how far its draws are from it; a base of `Prediction`."""

    law: Law
    steps: tuple[int, ...] | None

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

    @property
    def kinetic_temperatures(self) -> Array:
        """E p_p^2/c, (r,): what the momentum says that the temperature is, in each mode (F94, F95).

        It is read where the scheme ends its step: of BAOAB after the last half kick, of OBABO after the last half of
        the friction. With full batches BAOA's and OBABO's is T, BAOAB's T (1 - lr^2 h/4) and ABOBA's
        T/(1 - lr^2 h/4). Stationary only, and of samplers with a momentum.

        Raises
        ------
        InvalidInput
            For a sampler without a momentum, for SGD, at finite time, and on the rungs in continuous time.
        """
        law = self.law
        if self.steps is not None:
            raise InvalidInput("a kinetic temperature is of the stationary state. Leave .after(...) out.")
        if not isinstance(law.sgd, Kinetic) or law.thermal.continuous:
            known = f"theory={law.rung!r}" if isinstance(law.sgd, Kinetic) else law.sgd.OPTIMISER
            raise InvalidInput(f"{known} has no momentum. Use a sampler that has one, as fluctua.BAOAB.")
        return law.momenta / law.problem.outputs
