"""How the mean answers a kick or a force, and which predictions have a law between two times at all."""

from __future__ import annotations

from abc import abstractmethod

from .._arrays import Array
from .._validate.values import positive_int
from ..errors import InvalidInput
from ..kernels.constant import Kernel
from ..problem.start import Start
from .law import Law

__all__ = ["Responses"]


class Responses:
    """What the mean answers; a base of `Prediction`.

    For independent batches at a constant rate, and for the weights themselves: shuffled epochs remember their batches,
    a schedule makes every step another one, and the current of an average is not that of the weights. These are
    refused, with the reason.
    """

    law: Law
    steps: tuple[int, ...] | None
    start: Start | None

    @property
    @abstractmethod
    def _unbounded(self) -> bool:
        """Whether no stationary state exists."""

    def response(self, lag: int) -> Array:
        """Return the shift of E V in each mode, `lag` steps after a unit kick of V along it (F20).

        It is the response matrix's diagonal, m^lag for plain SGD: the same for every output, from any state and at any
        time. With momentum the kick spares the velocity. It costs r operations.

        Parameters
        ----------
        lag : int
            In steps, 0 or more.

        Returns
        -------
        ndarray, (r,)
            In units of the kick.

        Raises
        ------
        InvalidInput
            For epochs, schedules, averages and where there is no stationary state.
        """
        return self._kernel("a response").response(positive_int("lag", lag, minimum=0))

    def step_response(self, lag: int) -> Array:
        """Return the shift of E V in each mode after `lag` steps under a unit force along it.

        A force is a constant change of the gradient, with a minus sign: new targets y_i + p_i exert <p x^T>. The shift
        is the sum of impulse responses (F22), (1 - m^lag)/h for plain SGD and 1/h in the end. It costs r operations.

        Parameters
        ----------
        lag : int
            In steps, 0 or more.

        Returns
        -------
        ndarray, (r,)
            In units of the weights per force.

        Raises
        ------
        InvalidInput
            For epochs, schedules, averages and where there is no stationary state.
        """
        return self._kernel("a response").step_response(positive_int("lag", lag, minimum=0))

    def _kernel(self, what: str) -> Kernel:
        """The law's kernel, if it is that of one motion at all times."""
        law = self.law
        law.sgd.refuse_epochs(f"{what} comes from a motion without memory")
        if law.sgd.schedule is not None:
            raise InvalidInput(
                f"{what} needs a constant learning rate: under a schedule every step is another motion. "
                f"Leave the schedule out."
            )
        if law.average is not None:
            raise InvalidInput(f"{what} is of the weights themselves, not of an average; predict without `average`.")
        law.refuse_between(what)
        if self._unbounded:
            raise InvalidInput(f"{what} is asked of a recipe that has no stationary state. Use .after(steps).")
        return law.kernel

    def _refuse_transient(self, what: str) -> None:
        if self.steps is not None:
            raise InvalidInput(
                f"{what} is of the stationary state, and this prediction is of some steps. Leave .after(...) out."
            )
