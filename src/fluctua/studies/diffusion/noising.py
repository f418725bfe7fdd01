r"""What a linear noising makes of a covariance, and the samplers that undo it (F139 to F142).

With dS/dt = F S + S F^T + G G^T for the covariance of the data, all of

    dx = [F x - (1 + l^2)/2 G G^T grad log p] dt + l G dw,    backwards in time,

have the same marginals, whatever l. Let Psi solve dPsi/dt = (F + (1 + l^2)/2 G G^T S^-1) Psi. Then x at t, given x at
s > t, has the mean Psi(t, s) x and the covariance S_t - Psi S_s Psi^T: no integral is left (F140).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, even
from ..._results import Brief
from ..._validate.plain import Keywords
from ..._validate.values import flag, instance, real_number
from ...errors import InvalidInput
from ...theory.answers import predict
from .gaussian import GaussianData
from .linear_flow import LinearFlow
from .sde import LinearSDE

__all__ = ["LinearNoising", "LinearStep", "predict_noising"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearStep(Brief):
    """One step of a sampler, x' ~ N(matrix x, covariance), exact over any length of time; made by `LinearNoising.step`.

    Attributes
    ----------
    matrix : ndarray, (d, d)
        Psi(t, s).
    covariance : ndarray, (d, d)
        P, zero without noise.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> step = fl.predict(diffusion.variance_preserving(), [[1.0]]).step(1.0, 0.0)
    >>> step.matrix.round(9).tolist(), step.covariance.tolist()
    ([[1.0]], [[0.0]])
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
        The process.
    start : ndarray, (d, d)
        Covariance of the data.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> noising = fl.predict(diffusion.critically_damped(), [[0.5, 0.0], [0.0, 0.01]])
    >>> for eta in (0.0, 1.0):
    ...     step = noising.step(1.0, 0.1, noise=eta)
    ...     print(f"{eta:.0f} {abs(step.covariance).max():.4f}")
    0 0.0000
    1 0.5489
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
        return self._flows.covariance(self._time("time", time))

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
        turned = self.sde.drift_at(at := self._time("time", time)) @ self._flows.covariance(at)
        return np.asarray(0.5 * (turned - turned.T))

    def step(self, start: float, to: float, *, noise: float = 0.0) -> LinearStep:
        """Return the step of a sampler from a time to an earlier one (F140).

        Parameters
        ----------
        start, to : float
            Times, to <= start.
        noise : float
            The l of the family: 0 is the probability flow, 1 the reverse of the noising itself.

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
        matrix = self._flows.backward(begin, end, share)
        spread = self._flows.covariance(end) - matrix @ self._flows.covariance(begin) @ matrix.T
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
            return _symmetric_root(self._flows.covariance(at))
        return np.asarray(self._flows.backward(last, at, 0.0) @ _symmetric_root(self._flows.covariance(last)))

    def _time(self, name: str, value: float) -> float:
        return real_number(name, value, minimum=0.0, maximum=self.sde.duration)

    @cached_property
    def _flows(self) -> LinearFlow:
        return LinearFlow(self.sde, self.start)

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
    >>> noising = fl.predict(diffusion.variance_preserving(2), [[0.5, 0.1], [0.1, 0.2]])
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
        end = noising._flows.forward(problem.duration)
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
