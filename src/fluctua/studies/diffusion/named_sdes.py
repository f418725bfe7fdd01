"""The noisings that diffusion models use: variance preserving and exploding, critically damped, blurring (F139)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._arrays import Array
from ..._validate.values import positive_int, real_number
from .sde import LinearSDE

__all__ = ["blurring", "critically_damped", "variance_exploding", "variance_preserving"]


def variance_preserving(
    features: int = 1, *, beta_start: float = 0.1, beta_end: float = 20.0, duration: float = 1.0
) -> LinearSDE:
    """Return the variance-preserving noising, F = -beta/2 and G = sqrt(beta), beta rising linearly.

    Parameters
    ----------
    features : int
        Number of coordinates, d.
    beta_start, beta_end : float
        Values of beta at time 0 and at `duration`.
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

    Notes
    -----
    Cost: none; beta is a function of the time, called where a noising is followed.

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> diffusion.variance_preserving().drift_at(1.0).tolist()
    [[-10.0]]
    """
    count, beta = positive_int("features", features), _linear(beta_start, beta_end, duration)
    one = np.eye(count)
    return LinearSDE(
        lambda t: -0.5 * beta(t) * one, lambda t: np.sqrt(beta(t)) * one, duration=duration, name="variance preserving"
    )


def variance_exploding(
    features: int = 1, *, sigma_start: float = 0.01, sigma_end: float = 50.0, duration: float = 1.0
) -> LinearSDE:
    """Return the variance-exploding noising, F = 0, with noise of the standard deviation sigma growing as a power.

    Parameters
    ----------
    features : int
        Number of coordinates, d.
    sigma_start, sigma_end : float
        Values of sigma at time 0 and at `duration`; the noise added by time t is sigma(t)^2 - sigma_start^2.
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

    Notes
    -----
    Cost: none; sigma is a function of the time, called where a noising is followed.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> noising = fl.predict(diffusion.variance_exploding(), [[1.0]])
    >>> print(f"{noising.covariance(1.0)[0, 0]:.3f}")
    2501.000
    """
    count, length = positive_int("features", features), real_number("duration", duration, above=0.0)
    low = real_number("sigma_start", sigma_start, above=0.0)
    growth = np.log(real_number("sigma_end", sigma_end, above=low) / low) / length
    one = np.eye(count)
    return LinearSDE(
        np.zeros((count, count)),
        lambda t: low * np.exp(growth * t) * np.sqrt(2 * growth) * one,
        duration=length,
        name="variance exploding",
    )


def critically_damped(
    features: int = 1, *, beta: float = 4.0, mass: float = 0.25, friction: float | None = None, duration: float = 1.0
) -> LinearSDE:
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

    Notes
    -----
    Cost: that of two matrices of (2 d, 2 d) numbers.

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> diffusion.critically_damped().equilibrium.round(6).tolist()
    [[1.0, -0.0], [-0.0, 0.25]]
    """
    count, speed = positive_int("features", features), real_number("beta", beta, above=0.0)
    inertia = real_number("mass", mass, above=0.0)
    drag = 2 * np.sqrt(inertia) if friction is None else real_number("friction", friction, above=0.0)
    one = np.eye(count)
    drift = np.kron(speed * np.array([[0.0, 1 / inertia], [-1.0, -drag / inertia]]), one)
    noise = np.kron(np.array([[0.0], [np.sqrt(2 * drag * speed)]]), one)
    return LinearSDE(drift, noise, duration=duration, name="critically damped" if friction is None else "Langevin")


def blurring(
    side: int, *, blur: float = 2.0, beta_start: float = 0.1, beta_end: float = 20.0, duration: float = 1.0
) -> LinearSDE:
    """Return blurring diffusion on square images: heat flows between pixels while white noise comes in.

    Frequency k of the cosine transform keeps a exp(-(pi k/side)^2 blur^2 t/(2 duration)) of its amplitude, and
    every frequency has the noise sigma^2 = 1 - a^2, with a that of `variance_preserving`.

    Parameters
    ----------
    side : int
        Pixels of a side; d = side^2, row by row.
    blur : float
        Standard deviation of the blur at `duration`, in pixels; 0 is `variance_preserving`.
    beta_start, beta_end : float
        As for `variance_preserving`.
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

    Notes
    -----
    Cost: d^2 numbers here, and d^3 flops for each time at which a noising is followed.

    Examples
    --------
    >>> from fluctua.studies import diffusion
    >>> diffusion.blurring(8).features
    64
    """
    pixels, width = positive_int("side", side), real_number("blur", blur, minimum=0.0)
    beta, grown = _linear(beta_start, beta_end, duration), _integral(beta_start, beta_end, duration)
    modes, heat = _cosines(pixels)
    heat = heat * width**2 / (2 * duration)

    def drift(t: float) -> Array:
        return np.asarray((modes * (-0.5 * beta(t) - heat)) @ modes.T)

    def noise(t: float) -> Array:
        return np.asarray(modes * np.sqrt(beta(t) - 2 * heat * np.expm1(-grown(t))))

    return LinearSDE(drift, noise, duration=duration, name="blurring")


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
