"""The general linear noising dx = F(t) x dt + G(t) dw, and the four that diffusion models use (F139)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import Brief
from ..._validate.plain import Keywords
from ..._validate.values import positive_int, real_array, real_number, shown
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

    @classmethod
    def vp(cls, features: int = 1, *, beta_start: float = 0.1, beta_end: float = 20.0, duration: float = 1.0) -> Self:
        """Return the variance-preserving noising, F = -beta/2 and G = sqrt(beta), beta rising linearly.

        Parameters
        ----------
        features : int
            d.
        beta_start, beta_end : float
            beta at time 0 and at `duration`.
        duration : float
            Time at which sampling begins.

        Returns
        -------
        LinearSDE
            Whose circulation vanishes.

        Raises
        ------
        InvalidInput
            For values out of range.
        """
        count, beta = positive_int("features", features), _linear(beta_start, beta_end, duration)
        one = np.eye(count)
        return cls(
            lambda t: -0.5 * beta(t) * one,
            lambda t: np.sqrt(beta(t)) * one,
            duration=duration,
            name="variance preserving",
        )

    @classmethod
    def ve(
        cls, features: int = 1, *, sigma_start: float = 0.01, sigma_end: float = 50.0, duration: float = 1.0
    ) -> Self:
        """Return the variance-exploding noising, F = 0, with noise of the standard deviation sigma growing as a power.

        Parameters
        ----------
        features : int
            d.
        sigma_start, sigma_end : float
            sigma at time 0 and at `duration`; the noise added by time t is sigma(t)^2 - sigma_start^2.
        duration : float
            Time at which sampling begins.

        Returns
        -------
        LinearSDE
            Whose circulation vanishes.

        Raises
        ------
        InvalidInput
            For values out of range.
        """
        count, length = positive_int("features", features), real_number("duration", duration, above=0.0)
        low = real_number("sigma_start", sigma_start, above=0.0)
        growth = np.log(real_number("sigma_end", sigma_end, above=low) / low) / length
        one = np.eye(count)
        return cls(
            np.zeros((count, count)),
            lambda t: low * np.exp(growth * t) * np.sqrt(2 * growth) * one,
            duration=length,
            name="variance exploding",
        )

    @classmethod
    def cld(
        cls,
        features: int = 1,
        *,
        beta: float = 4.0,
        mass: float = 0.25,
        friction: float | None = None,
        duration: float = 1.0,
    ) -> Self:
        """Return critically damped Langevin dynamics: positions and velocities, noise in the velocities alone.

        Parameters
        ----------
        features : int
            Number of positions; the process has twice as many coordinates, positions first.
        beta : float
            Speed of the noising.
        mass : float
            M, the variance of a velocity in equilibrium.
        friction : float, optional
            Gamma; by default critical, 2 sqrt(M).
        duration : float
            Time at which sampling begins.

        Returns
        -------
        LinearSDE
            F = beta [[0, 1/M], [-1, -Gamma/M]], G G^T = 2 Gamma beta in the velocities.

        Raises
        ------
        InvalidInput
            For values out of range.
        """
        count, speed = positive_int("features", features), real_number("beta", beta, above=0.0)
        inertia = real_number("mass", mass, above=0.0)
        drag = 2 * np.sqrt(inertia) if friction is None else real_number("friction", friction, above=0.0)
        one = np.eye(count)
        drift = np.kron(speed * np.array([[0.0, 1 / inertia], [-1.0, -drag / inertia]]), one)
        noise = np.kron(np.array([[0.0], [np.sqrt(2 * drag * speed)]]), one)
        return cls(drift, noise, duration=duration, name="critically damped" if friction is None else "Langevin")

    @classmethod
    def blurring(
        cls, side: int, *, blur: float = 2.0, beta_start: float = 0.1, beta_end: float = 20.0, duration: float = 1.0
    ) -> Self:
        """Return blurring diffusion on square images: heat flows between pixels while white noise comes in.

        Frequency k of the cosine transform keeps a exp(-(pi k/side)^2 blur^2 t/(2 duration)) of its amplitude, and
        every frequency has the noise sigma^2 = 1 - a^2, with a that of `vp`.

        Parameters
        ----------
        side : int
            Pixels of a side; d = side^2, row by row.
        blur : float
            Standard deviation of the blur at `duration`, in pixels; 0 is `vp`.
        beta_start, beta_end : float
            As for `vp`.
        duration : float
            Time at which sampling begins.

        Returns
        -------
        LinearSDE
            Whose circulation vanishes for data that do not correlate frequencies.

        Raises
        ------
        InvalidInput
            For values out of range.
        """
        pixels, width = positive_int("side", side), real_number("blur", blur, minimum=0.0)
        beta, grown = _linear(beta_start, beta_end, duration), _integral(beta_start, beta_end, duration)
        modes, heat = _cosines(pixels)
        heat = heat * width**2 / (2 * duration)

        def drift(t: float) -> Array:
            return np.asarray((modes * (-0.5 * beta(t) - heat)) @ modes.T)

        def noise(t: float) -> Array:
            return np.asarray(modes * np.sqrt(beta(t) - 2 * heat * np.expm1(-grown(t))))

        return cls(drift, noise, duration=duration, name="blurring")

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


def _linear(start: float, end: float, duration: float) -> Callable[[float], float]:
    """beta(t)."""
    low, high = real_number("beta_start", start, above=0.0), real_number("beta_end", end, above=0.0)
    length = real_number("duration", duration, above=0.0)
    return lambda t: low + (high - low) * t / length


def _integral(start: float, end: float, duration: float) -> Callable[[float], float]:
    """Integral of beta from 0 to t."""
    return lambda t: start * t + (end - start) * t**2 / (2 * duration)


def _cosines(side: int) -> tuple[Array, Array]:
    """Orthonormal cosines of square images in columns, (side^2, side^2), and the squares of their frequencies."""
    place, wave = np.arange(side) + 0.5, np.arange(side)
    line = np.cos(np.pi * np.multiply.outer(place, wave) / side) * np.sqrt(np.where(wave == 0, 1.0, 2.0) / side)
    square = (np.pi * wave / side) ** 2
    return np.kron(line, line), np.add.outer(square, square).ravel()
