"""The general linear noising dx = F(t) x dt + G(t) dw (F139)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import Brief
from ..._validate.plain import Keywords
from ..._validate.values import real_array, real_number, shown
from ...errors import InvalidInput

__all__ = ["LinearSDE"]

Coefficient = Array | Callable[[float], Array]


@dataclass(frozen=True, eq=False, repr=False)
class LinearSDE(Brief):
    r"""A linear noising process, from the data at time 0 to noise at `duration`.

    Parameters
    ----------
    drift : array_like, (d, d), or callable
        F, or a function of the time that returns F.
    noise : array_like, (d, k), or callable
        G, or a function of the time that returns G.
    duration : float
        Time at which sampling begins.
    name : str
        What it is called.

    Attributes
    ----------
    features : int
        d.
    constant : bool
        Whether F and G do not depend on the time.

    Raises
    ------
    InvalidInput
        For an F that is not square, a G of other height, numbers that are not finite, and functions that return
        something else.

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> langevin = diffusion.LinearSDE(drift=[[0.0, 4.0], [-1.0, -4.0]], noise=[[0.0], [2.0**0.5]])
    >>> langevin.equilibrium.round(6).tolist()
    [[1.0, -0.0], [-0.0, 0.25]]
    """

    drift: Coefficient
    noise: Coefficient
    duration: float = 1.0
    name: str = "given"

    def __init__(
        self,
        drift: ArrayLike | Callable[[float], ArrayLike],
        noise: ArrayLike | Callable[[float], ArrayLike],
        *,
        duration: float = 1.0,
        name: str = "given",
    ) -> None:
        held: Keywords = {"duration": real_number("duration", duration, above=0.0), "name": str(name)}
        for each, value in (("drift", drift), ("noise", noise)):
            held[each] = partial(_called, each, value) if callable(value) else _matrix(each, value)
        for each, value in held.items():
            object.__setattr__(self, each, value)
        for time in (0.0, self.duration):
            self._hold(time)

    def _hold(self, time: float) -> None:
        """Refuse an F that is not square, and a G that does not fit it."""
        drift, noise = self.drift_at(time), self.noise_at(time)
        if drift.shape[0] != drift.shape[1]:
            raise InvalidInput(
                f"drift must be square, F of dx = F x dt, and has the shape {drift.shape}. Give (d, d) numbers."
            )
        if len(noise) != len(drift):
            raise InvalidInput(
                f"noise must have a row for each of the {len(drift)} features of drift, and has the shape "
                f"{noise.shape}. Give (d, k) numbers, a column for each independent source of noise."
            )

    @property
    def features(self) -> int:
        """Number of coordinates, d."""
        return len(self.drift_at(0.0))

    @property
    def constant(self) -> bool:
        """Whether F and G do not depend on the time."""
        return not (callable(self.drift) or callable(self.noise))

    def drift_at(self, time: float) -> Array:
        """Return F, (d, d).

        Parameters
        ----------
        time : float
            Between 0 and `duration`.

        Returns
        -------
        ndarray
            F at this time.

        Raises
        ------
        InvalidInput
            For a function of the user that returns something else.
        """
        return self.drift(time) if callable(self.drift) else self.drift

    def noise_at(self, time: float) -> Array:
        """Return G, (d, k).

        Parameters
        ----------
        time : float
            Between 0 and `duration`.

        Returns
        -------
        ndarray
            G at this time.

        Raises
        ------
        InvalidInput
            For a function of the user that returns something else.
        """
        return self.noise(time) if callable(self.noise) else self.noise

    def source(self, time: float) -> Array:
        """Return G G^T, (d, d).

        Parameters
        ----------
        time : float
            Between 0 and `duration`.

        Returns
        -------
        ndarray
            The covariance that the noise adds in a unit of time.

        Raises
        ------
        InvalidInput
            For a function of the user that returns something else.
        """
        noise = self.noise_at(time)
        return np.asarray(noise @ noise.T)

    @property
    def equilibrium(self) -> Array:
        """The covariance that a constant SDE keeps, (d, d): F S + S F^T + G G^T = 0; refused where there is none."""
        from scipy.linalg import solve_continuous_lyapunov

        if not self.constant:
            raise InvalidInput(
                f"{self.name} changes in time and keeps no covariance. Ask fl.predict(sde, covariance).covariance(t)."
            )
        drift = self.drift_at(0.0)
        growth = float(np.linalg.eigvals(drift).real.max())
        if growth >= 0:
            raise InvalidInput(
                f"drift is unstable: its eigenvalues have real parts up to {growth:.4g}, where a process that comes to "
                f"rest has negative ones only. There is no equilibrium; fl.predict(sde, covariance) holds at any time."
            )
        return np.asarray(solve_continuous_lyapunov(drift, -self.source(0.0)))

    def _shown(self) -> Keywords:
        return {"name": self.name, "features": self.features, "duration": self.duration}


def _matrix(name: str, value: ArrayLike) -> Array:
    return np.asarray(real_array(name, value, ndim=2, shape="(features, ...)"), np.float64)


def _called(name: str, function: Callable[[float], Any], time: float) -> Array:
    try:
        answer = function(time)
    except Exception as error:
        raise InvalidInput(
            f"{name}({time:g}) raised {type(error).__name__}: {error}. It is given the time and returns a matrix."
        ) from error
    try:
        return _matrix(f"{name}({time:g})", answer)
    except InvalidInput as error:
        raise InvalidInput(f"{error} The function returned {shown(answer)}.") from error
