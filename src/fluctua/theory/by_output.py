"""What a prediction says of single outputs: how they fluctuate together, and one pair of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._arrays import Array
from .._validate.values import positive_int
from ..errors import InvalidInput
from .correlations import TimeDomain
from .readings import contracted

__all__ = ["ByOutput"]


class ByOutput(TimeDomain):
    """What is beyond the sum over outputs; a base of `Prediction`."""

    @cached_property
    def output_covariance(self) -> Array:
        """Covariance of the outputs' fluctuation over the data, <V x x^T V^T>_kl = tr(A S_kl), (c, c).

        One adjoint solve serves all elements (F6), at finite time too, because the map of F0 is its
        own adjoint under the trace. Its trace is tr(A S). Stationary or from W* only, in units of the squared targets.
        It costs as much as `predict` or `after`.
        """
        self._refuse_start("output_covariance")
        if self.steps is not None and self.law.sgd.schedule is not None:
            raise InvalidInput(
                "output_covariance at finite time needs a constant learning rate: the balance under a "
                "schedule is not its own adjoint. Use output_block(k, l)."
            )
        if self._unbounded:
            return np.full((self.law.problem.outputs,) * 2, np.inf)
        self.law.sgd.refuse_epochs("output_covariance comes from an adjoint solution")
        law, a = self.law, self.law.problem.curvatures
        if law.rung == "equilibrium":
            return float(a @ np.diag(self.mode_covariance)) / law.problem.outputs * np.eye(law.problem.outputs)
        heat = float(a @ np.diag(law.heat(self.steps, self._rtol))) / law.problem.outputs
        return contracted(law, law.solve(np.diag(a), self.steps, self.rtol)) + heat * np.eye(law.problem.outputs)

    def output_block(self, k: int, l: int) -> Array:  # noqa: E741  (output indices, F6)
        """Return S_kl = E[v_k v_l^T] of two rows of V, symmetrised over the two, in the modes (F6).

        It is stationary or from W* only, and not defined on the rungs "hessian" and "equilibrium", which know only the
        sum over outputs.

        Parameters
        ----------
        k, l : int
            Outputs, counted from 0.

        Returns
        -------
        ndarray, (r, r)
            In units of the squared weights; infinite where no stationary state exists.

        Raises
        ------
        InvalidInput
            For an output that is not there, for epochs, for an average, for a start other than W*, and on the rungs
            that know only the sum.
        NotConverged
            If the balance was not solved to the accuracy stated.

        Notes
        -----
        Cost: one solution of the balance with C_kl in the place of C, as long as `predict` or `after`.
        """
        self._refuse_start("output_block")
        self.law.sgd.refuse_epochs("output_block needs a source for one pair of outputs")
        if self.law.rung in ("hessian", "equilibrium"):
            raise InvalidInput(f"theory={self.law.rung!r} models the sum over outputs only; use 'exact' or 'discrete'.")
        for index in (k, l):
            if positive_int("an output index", index, minimum=0) >= self.law.problem.outputs:
                raise InvalidInput(f"an output index must be below {self.law.problem.outputs}, got {index}.")
        if self._unbounded:
            return np.full_like(self.mode_covariance, np.inf)
        law = self.law
        return law.solve(law.source.even(k, l), self.steps, self.rtol) + law.heat_of(k, l, self.steps, self._rtol)

    @property
    def _rtol(self) -> float:
        """Accuracy of what thermal noise makes: that of the balance where it is stationary."""
        return 0.0 if self.steps is None else self.rtol

    def _refuse_start(self, what: str) -> None:
        self.law.refuse_between(what)
        if self.law.average is not None:
            raise InvalidInput(f"{what} is of the weights themselves, not of an average; predict without `average`.")
        if self.start is not None:
            raise InvalidInput(
                f"{what} is the fluctuation of a run at or from W*; this one starts elsewhere. "
                f"Use .after(steps) with start='optimum', or .covariance, the sum over outputs."
            )
