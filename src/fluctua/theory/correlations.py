r"""The other half of the theorem, in time: correlations, responses, currents, and what they say of irreversibility.

At equilibrium the response to a push is a correlation of the unpushed system. For SGD that survives, exactly and with
multiplicative noise, as E[V(t)^T V(t+k)] = S R(k), where R(k) is the mean answer to a kick; for plain SGD R(k) = M^k,
M = I - eta H (F20). What does not survive is that correlations look the same backwards: their
antisymmetric part is a current.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .._arrays import Array
from .._validate.values import positive_int
from ..errors import InvalidInput
from .entropy import EntropyProduction, entropy_production
from .responses import Responses
from .transient import Relaxation

__all__ = ["TimeDomain"]

_MOST = 3000  # weights whose joint noise is inverted: 0.1 GB a matrix, half a minute


class TimeDomain(Responses):
    """What a prediction says about two times: correlations, currents, irreversibility; a base of `Prediction`."""

    rtol: float

    @property
    @abstractmethod
    def mode_covariance(self) -> Array:
        """U^T S U, (r, r)."""

    def lagged_covariance(self, lag: int) -> Array:
        r"""Return E[V(t)^T V(t + lag)], summed over outputs, in the modes: Onsager's regression.

        S M^lag for plain SGD; with momentum each component of the motion decays at its own rate. Exact at any
        learning rate and with multiplicative noise, because E[V(t + 1) | past] is linear (F20).
        For a prediction `after` some steps, t is those steps; S then includes the square of the mean.

        Parameters
        ----------
        lag : int
            In steps, 0 or more.

        Returns
        -------
        ndarray, (r, r)
            Row p, column q: mode p now, mode q `lag` steps later, in units of the squared weights.

        Raises
        ------
        InvalidInput
            For epochs, schedules, averages and where there is no stationary state.

        Notes
        -----
        Cost: r^2 flops for plain SGD. With momentum the first call adds one pass over the samples, at finite time
        the whole march of `after`.
        """
        steps = positive_int("lag", lag, minimum=0)
        found = self._kernel("a lagged covariance").lagged(self._state, steps)
        if self._warmth is not None:
            kept = self._warmth[0, 0] - self.law.thermal.lost(self._warmth, steps)
            found = found + np.diag(kept)
        return found if not self._begun else found + self._begun_share(steps)

    @cached_property
    def circulation(self) -> Array:
        r"""Mean area J that the weights sweep per step, in the planes of two modes: antisymmetric, in units of S.

        J_pq = 1/2 E[x_p(t) x_q(t+1) - x_q(t) x_p(t+1)], summed over outputs; positive where the weights turn from mode
        p towards mode q. Plain SGD: x = V, and J = (eta/2)(H S - S H), (r, r), zero exactly where C + K[S] commutes
        with H, which is detailed balance (F23).

        With momentum x = (V, U), U = V(t) - V(t-1) the velocity, and J is (2 r, 2 r): a single mode has a current, from
        V to U. That one is no irreversibility, because a velocity changes its sign with time; J_VV is,
        and for heavy-ball momentum it is (eta'/2)(H S - S H), eta' = eta (1 - dampening)/(1 - momentum) (F33). Of the
        stationary state only; at finite time the antisymmetric part of `lagged_covariance(1)` is J_VV.
        """
        kernel = self._kernel("a circulation")
        if kernel.components > 1:
            self._refuse_transient("the circulation of weights and velocities")
        one = kernel.circulation(self._state, 1)
        if kernel.components == 1:
            return one
        crossed = one - 0.5 * self._lost(2).T  # of V and U; a folded state is symmetric
        return np.block([[one, crossed], [0.0 - crossed.T, 2 * one - kernel.circulation(self._state, 2)]])

    @property
    def detailed_balance_violation(self) -> float:
        """Ratio |H G - G H| / |H G + G H| of Frobenius norms (F24), G = C + K[S]: zero in detailed balance, at most 1.

        Zero where nothing fluctuates, as with a full batch: at rest there is no current.
        """
        self._kernel("detailed balance")
        h, g = self.law.minimum.curvatures, self._bath
        both = np.linalg.norm(np.add.outer(h, h) * g)
        return float(np.linalg.norm(np.subtract.outer(h, h) * g) / both) if both else 0.0

    @property
    def bath_temperatures(self) -> Array:
        """Temperatures T_bath = eta' kappa G_pp/(2 c), (r,), of the noise alone in continuous time (F30), G = C + K[S].

        With momentum eta' = eta (1 - dampening)/(1 - momentum), as in `circulation`; with `QHM` eta' = eta.
        """
        self._kernel("a temperature")
        law, rate = self.law, self.law.sgd.step.effective_lr(self.law.sgd.lr)
        return np.asarray(0.5 * rate * np.diag(self._bath) / law.problem.outputs)

    def effective_temperatures(self, lag: int) -> Array:
        r"""Return E|V(t + lag) - V(t)|^2/(2 c chi), chi the step response: what equilibrium would make a temperature.

        For plain SGD in its stationary state the same at every lag, h_p S_pp/c = T_bath/(1 - eta h_p/2): exact, one
        mode at a time, whatever the data (F30, F31). With momentum it depends on the lag, and reaches
        T_bath/(1 - eta' h_p/2), eta' = eta (1 - dampening)/(1 + momentum), at large ones (F35; not Nesterov's step,
        and of `QHM` only nu = 1, with dampening = momentum).

        Parameters
        ----------
        lag : int
            In steps, 1 or more.

        Returns
        -------
        ndarray, (r,)
            In units of the loss.

        Raises
        ------
        InvalidInput
            At finite time, and as `lagged_covariance`.

        Notes
        -----
        Cost: with momentum one pass over the samples, 4 N r^2 flops, at the first call; otherwise r operations.
        """
        self._refuse_transient("an effective temperature")
        steps = positive_int("lag", lag)
        self._kernel("a temperature")
        moved = 2 * np.diag(self._lost(steps))
        return np.asarray(moved / (2 * self.law.problem.outputs * self.step_response(steps)))

    @cached_property
    def entropy_production(self) -> EntropyProduction:
        """Entropy production per step of the stationary state, in all modes; see `entropy_production_in`."""
        return self.entropy_production_in(self.law.problem.rank)

    def entropy_production_in(self, modes: int) -> EntropyProduction:
        r"""Entropy production per step as seen in the steepest `modes`: per output, and of all outputs together.

        Of the Gaussian process with SGD's exact second moments; a minibatch's noise is not Gaussian. Zero in detailed
        balance, and where the weights rest without noise, as with a full batch. It is tr[(kappa (C + K[S]))^-1
        (H S H - H^2 S)] for plain SGD and heavy-ball momentum, over c r weights for the total (F26;
        `entropy`). The state of momentum is the last two weights: V and its velocity have noise in one of them
        only.

        Parameters
        ----------
        modes : int
            At least 1; c times it at most 3,000.

        Returns
        -------
        EntropyProduction
            In nats per step.

        Raises
        ------
        InvalidInput
            At finite time, on the rungs "hessian" and "equilibrium", where too many weights are asked for, and as
            `lagged_covariance`.
        NotConverged
            If a balance was not solved to the accuracy stated.

        Notes
        -----
        Cost: c (c + 1)/2 solutions of F1, each as long as `predict`, and one eigendecomposition of a (c modes)^2
        matrix.
        """
        self._refuse_transient("entropy production")
        self._kernel("entropy production")
        law, kept = self.law, positive_int("modes", modes, maximum=self.law.problem.rank)
        if law.rung in ("hessian", "equilibrium"):
            raise InvalidInput(
                f"theory={law.rung!r} models the sum over outputs only, and entropy production needs "
                f"the noise of each. Use 'exact' or 'discrete'."
            )
        size = law.problem.outputs * kept
        if size > _MOST:
            pairs = law.problem.outputs * (law.problem.outputs + 1) // 2
            raise InvalidInput(
                f"entropy production in {kept} modes of {law.problem.outputs} outputs inverts the joint noise of "
                f"{size} weights, and {_MOST} are the most. Use entropy_production_in(modes) with at most "
                f"{_MOST // law.problem.outputs}: a lower bound, exact for what those modes do alone. It takes "
                f"{pairs} solutions of the balance, each as long as predict."
            )
        return entropy_production(law, kept)

    @cached_property
    def _source(self) -> Array:
        """The source, kappa (C + K[S]), in the stationary state, (r, r)."""
        self._refuse_transient("the noise")
        return self.law.source_at(self.mode_covariance)

    @property
    def _bath(self) -> Array:
        """The noise of both kinds, (r, r): thermal noise is that of a source 2 c T/eta' in every mode (F98)."""
        law = self.law
        rate, heat = law.sgd.step.effective_lr(law.sgd.lr), law.problem.outputs * law.sgd.step.temperature
        return self._source + 2 * heat / rate * np.eye(law.problem.rank)

    @cached_property
    def _warmth(self) -> Array | None:
        """Moments of what thermal noise makes beside `_state`, (2, 2, r); None where S has it already."""
        thermal = self.law.thermal
        if thermal.silent or self.law.kernel.components == 1:
            return None
        return thermal.at_rest if self.steps is None else thermal.mean(self.steps)

    def _lost(self, lag: int) -> Array:
        """E[V(t)^T (V(t) - V(t + lag))], (r, r)."""
        found = self.law.kernel.lost(self._state, lag)
        return found if self._warmth is None else found + np.diag(self.law.thermal.lost(self._warmth, lag))

    @cached_property
    def _state(self) -> Array:
        """Second moments of the motion's components, (k r, k r), stationary or averaged over `steps`.

        With a momentum without what thermal noise makes of them, which is `_warmth`.
        """
        law, kernel = self.law, self.law.kernel
        if kernel.components == 1:
            return self.mode_covariance
        if law.rung == "equilibrium":
            raise InvalidInput("theory='equilibrium' has weights and no velocity. Use another theory with momentum.")
        if self.steps is None:
            return kernel.settled(self._source)
        return self._marched(self.steps)

    def _marched(self, steps: Sequence[int]) -> Array:
        """The state averaged over `steps`, without what a start at step 0 adds: it has no velocity."""
        law, later = self.law, [t for t in steps if t]
        if not later:
            return np.zeros((len(law.kernel.rate),) * 2)
        relaxation = law.relaxation(None if self.start is None else self.start.modes, max(later), self.rtol)
        assert isinstance(relaxation, Relaxation)
        return relaxation.total(sorted(later), lambda _, state: state) / len(steps)

    @property
    def _begun(self) -> bool:
        """Whether step 0 is among the steps, from a start other than W*, of a motion with a velocity."""
        return self.start is not None and self.steps is not None and 0 in self.steps and self.law.kernel.components > 1

    def _begun_share(self, lag: int) -> Array:
        """What step 0 adds to the average of E[V(t)^T V(t + lag)]: the optimiser's first step may be its own."""
        assert self.start is not None
        assert self.steps is not None
        share = self.steps.count(0) / len(self.steps)
        return np.asarray(share * self.start.modes.T @ (self.start.modes * self.law.kernel.drift(lag)))
