r"""What a linear noising makes of a covariance, and the samplers that undo it (F139 to F142).

With dS/dt = F S + S F^T + G G^T for the covariance of the data, all of

    dx = [F x - (1 + l^2)/2 G G^T grad log p] dt + l G dw,    backwards in time,

have the same marginals, whatever l. Let Psi solve dPsi/dt = (F + (1 + l^2)/2 G G^T S^-1) Psi. Then x at t, given x at
s > t, has the mean Psi(t, s) x and the covariance S_t - Psi S_s Psi^T: no integral is left (F140).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, even
from ..._results import Brief
from ..._validate.plain import Keywords
from ..._validate.values import flag, instance, real_number
from ...errors import InvalidInput, NotConverged
from ...theory.answers import predict
from .gaussian import GaussianData
from .sde import LinearSDE

__all__ = ["LinearNoising", "LinearStep", "predict_noising"]

_RELATIVE, _ABSOLUTE = 1e-12, 1e-14
_SINGULAR = 1e-13  # of the largest eigenvalue


@dataclass(frozen=True, eq=False, repr=False)
class LinearStep(Brief):
    """One step of a sampler, x' ~ N(matrix x, covariance), exact over any length of time.

    Attributes
    ----------
    matrix : ndarray, (d, d)
        Psi(t, s).
    covariance : ndarray, (d, d)
        P, zero without noise.
    """

    matrix: Array
    covariance: Array

    def _shown(self) -> Keywords:
        return {"features": len(self.matrix), "fresh": float(np.trace(self.covariance))}


@dataclass(frozen=True, eq=False, repr=False)
class LinearNoising(Brief):
    """A noising process of Gaussian data about their mean, in both directions; made by `predict`.

    Attributes
    ----------
    sde : LinearSDE
    start : ndarray, (d, d)
        Covariance of the data.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> noising = fl.predict(diffusion.LinearSDE.cld(), [[0.5, 0.0], [0.0, 0.01]])
    >>> for eta in (0.0, 1.0):
    ...     step = noising.step(1.0, 0.1, noise=eta)
    ...     print(f"{eta:.0f} {abs(step.covariance).max():.4f}")
    0 0.0000
    1 0.5784
    """

    sde: LinearSDE
    start: Array

    def covariance(self, time: float) -> Array:
        """Return the covariance S at a time, (d, d).

        Parameters
        ----------
        time : float
            Between 0 and the duration.

        Returns
        -------
        ndarray
            Symmetric.

        Raises
        ------
        InvalidInput
            For a time out of range.
        NotConverged
            Where the equations could not be followed.
        """
        return self._covariance(self._time("time", time))

    def circulation(self, time: float) -> Array:
        """Return J = (F S - S F^T)/2, the current of the noising beyond diffusion, (d, d) (F142).

        Parameters
        ----------
        time : float
            Between 0 and the duration.

        Returns
        -------
        ndarray
            Antisymmetric; 0 where the noising is reversible in this state.

        Raises
        ------
        InvalidInput
            For a time out of range.
        NotConverged
            Where the equations could not be followed.
        """
        turned = self.sde.drift_at(at := self._time("time", time)) @ self._covariance(at)
        return np.asarray(0.5 * (turned - turned.T))

    def step(self, start: float, to: float, *, noise: float = 0.0) -> LinearStep:
        """Return the step of a sampler from a time to an earlier one (F140).

        Parameters
        ----------
        start, to : float
            Times, to <= start.
        noise : float
            l: 0 is the probability flow, 1 the reverse of the noising itself.

        Returns
        -------
        LinearStep
            Exact for any distance of the two times.

        Raises
        ------
        InvalidInput
            For times or a noise out of range, and where a covariance is singular: its score does not exist.
        NotConverged
            Where the equations could not be followed.
        """
        begin, end = self._time("start", start), self._time("to", to)
        if end > begin:
            raise InvalidInput(
                f"to = {end:g} is later than start = {begin:g}: a sampler goes from noise back to data. Swap them."
            )
        share = real_number("noise", noise, minimum=0.0, maximum=1.0)
        matrix = self._flow(begin, end, share)
        spread = self._covariance(end) - matrix @ self._covariance(begin) @ matrix.T
        return LinearStep(matrix, even(spread) if share else np.zeros_like(spread))

    def root(self, time: float, *, principal: bool = False) -> Array:
        """Return V with V V^T = S, (d, d) (F141).

        Parameters
        ----------
        time : float
            Between 0 and the duration.
        principal : bool
            If True, the one along the eigenvectors of S, U diag(sqrt); if False, the one that the probability flow
            carries from the principal one at the duration: V(t) = Psi V(s). They agree where F, G G^T and S commute.

        Returns
        -------
        ndarray
            A square root.

        Raises
        ------
        InvalidInput
            For a time out of range, and where a covariance is singular.
        NotConverged
            Where the equations could not be followed.
        """
        at, last = self._time("time", time), self.sde.duration
        if flag("principal", principal):
            return _symmetric_root(self._covariance(at))
        return np.asarray(self._flow(last, at, 0.0) @ _symmetric_root(self._covariance(last)))

    def _time(self, name: str, value: float) -> float:
        return real_number(name, value, minimum=0.0, maximum=self.sde.duration)

    def _covariance(self, time: float) -> Array:
        return even(self._forward(time)[1])

    def _forward(self, time: float) -> tuple[Array, Array]:
        """Propagator of the noising from 0, and the covariance, at a time."""
        if self.sde.constant:
            return self._constant(time)
        both = self._followed.sol(time).reshape(2, self.sde.features, self.sde.features)
        return both[0], both[1]

    def _constant(self, time: float) -> tuple[Array, Array]:
        """By the exponential of a matrix of twice the size (Van Loan) over a short time, which is then doubled.

        Over a long time the exponential holds what decays beside what grows, and rounding would be all that is left.
        """
        from scipy.linalg import expm

        d, drift = self.sde.features, self.sde.drift_at(0.0)
        doublings = max(0, int(np.ceil(np.log2(np.linalg.norm(drift, 2) * self.sde.duration + 1e-300))) + 1)
        block = np.block([[-drift, self.sde.source(0.0)], [np.zeros((d, d)), drift.T]])
        grown = expm(block * (time / 2**doublings))
        moved = grown[d:, d:].T
        added = moved @ grown[:d, d:]
        for _ in range(doublings):
            moved, added = moved @ moved, added + moved @ added @ moved.T
        return moved, moved @ self.start @ moved.T + added

    @cached_property
    def _followed(self) -> Any:
        """Propagator and covariance from 0 to the duration, as a function of the time."""
        d, sde = self.sde.features, self.sde

        def slope(time: float, flat: Array) -> Array:
            moved, spread = flat.reshape(2, d, d)
            drift = sde.drift_at(time)
            turned = drift @ spread
            return np.concatenate([(drift @ moved).ravel(), (turned + turned.T + sde.source(time)).ravel()])

        return _solved(slope, 0.0, sde.duration, np.concatenate([np.eye(d).ravel(), self.start.ravel()]), dense=True)

    def _flow(self, start: float, to: float, noise: float) -> Array:
        """Psi(to, start); with l = 1 it is the regression of the earlier on the later x, S F^T S^-1."""
        self._hold_regular(start)
        if start == to:
            return np.eye(self.sde.features)
        if noise == 1:
            return self._regression(start, to)
        self._hold_regular(to)
        d, sde, half = self.sde.features, self.sde, 0.5 * (1 + noise**2)

        def slope(time: float, flat: Array) -> Array:
            pushed = np.linalg.solve(self._covariance(time), flat.reshape(d, d))
            return np.asarray(sde.drift_at(time) @ flat.reshape(d, d) + half * sde.source(time) @ pushed).ravel()

        end = _solved(slope, start, to, np.eye(d).ravel(), dense=False)
        return np.asarray(end.y[:, -1].reshape(d, d))

    def _regression(self, start: float, to: float) -> Array:
        late, early = self._forward(start), self._forward(to)
        moved = np.linalg.solve(early[0].T, late[0].T).T
        return np.asarray(np.linalg.solve(even(late[1]), moved @ even(early[1])).T)

    def _hold_regular(self, time: float) -> None:
        values = np.linalg.eigvalsh(self._covariance(time))
        if values[0] <= _SINGULAR * values[-1]:
            raise InvalidInput(
                f"the covariance at time {time:g} is singular, its eigenvalues reach from {values[0]:.3g} to "
                f"{values[-1]:.3g}: the score of a flat distribution does not exist. Use a later time, leave the "
                f"directions without data out, or noise=1, which needs no score at the earlier time."
            )

    def _shown(self) -> Keywords:
        return {"sde": self.sde.name, "features": self.sde.features}


@predict.register(LinearSDE)
def predict_noising(problem: LinearSDE, data: GaussianData | ArrayLike) -> LinearNoising:
    """Predict what a linear noising makes of Gaussian data, and the samplers that undo it.

    Parameters
    ----------
    problem : LinearSDE
        The noising.
    data : GaussianData or array_like, (d, d)
        The data, or their covariance; velocities of critically damped Langevin dynamics have one too.

    Returns
    -------
    LinearNoising
        Covariances, steps of any length, square roots and currents.

    Raises
    ------
    InvalidInput
        For a covariance that is none, or of other size than the drift, and where an unstable drift overflows.
    NotConverged
        Where the equations could not be followed.

    Notes
    -----
    Cost: an exponential of a (2 d, 2 d) matrix for each time of a constant SDE, and otherwise d^3 for each of some
    hundred steps of an integrator of order 8.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> noising = fl.predict(diffusion.LinearSDE.vp(2), [[0.5, 0.1], [0.1, 0.2]])
    >>> bool(abs(noising.circulation(0.3)).max() < 1e-15)
    True
    """
    instance("problem", problem, LinearSDE, "a fluctua.studies.diffusion.LinearSDE(drift, noise)")
    d = problem.features
    given = data if isinstance(data, GaussianData) else GaussianData(np.zeros(d), np.asarray(data))
    if given.features != d:
        raise InvalidInput(
            f"the data have {given.features} features and the drift has {d}. Give a covariance of shape {(d, d)}; "
            f"Langevin dynamics has positions and then velocities."
        )
    noising = LinearNoising(problem, given.covariance)
    with np.errstate(all="ignore"):
        end = noising._forward(problem.duration)
    if not np.isfinite(end).all():
        raise InvalidInput(
            f"the covariance grows beyond all numbers before duration = {problem.duration:g}: the drift is unstable. "
            f"Check its sign, dx = F x dt + G dw, or use a shorter duration."
        )
    return noising


def _symmetric_root(covariance: Array) -> Array:
    """U diag(sqrt) of a covariance U diag U^T."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _solved(slope: Any, start: float, to: float, first: Array, *, dense: bool) -> Any:
    from scipy.integrate import solve_ivp

    found = solve_ivp(slope, (start, to), first, method="DOP853", rtol=_RELATIVE, atol=_ABSOLUTE, dense_output=dense)
    if not found.success or not np.isfinite(found.y[:, -1]).all():
        raise NotConverged(f"the linear SDE from time {start:g} to {to:g}", found.nfev, float("inf"), _RELATIVE)
    return found
