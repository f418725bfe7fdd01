r"""Entropy production of modes whose thermal noise has another colour than that of their gradients (F98).

At a frequency w the spectrum of mode p and q is R_p N_pq R_q^*, R the answer of a mode to noise, N the covariance of
gradient noise G and thermal noise, N(w) = G + tau(w) in units in which both enter alike. A Gaussian process diverges
from its reverse by the mean over frequencies of tr(S^-1 S^T - 1)/2, which is

    sigma = -1/pi int_0^pi sum_ij G_ij (N(w)^-1)_ij sin^2(phi_i - phi_j) dw,    phi the phase of R.

With a constant tau that is F27. Of BAOA thermal noise meets two steps with equal weights, tau = 0 at w = pi.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._arrays import AnyArray, Array
from ..errors import InvalidInput
from ..kernels.constant import Kernel
from ..recipe.step import Step

__all__ = ["Coloured"]

_NODES = 12  # of Gauss and Legendre on a panel: 1e-15, where no pole is nearer than the panel is long
_SINGULAR, _MOST = 1e-11, 200  # eigenvalue of the noise over the largest, below which it is none; weights at most


@dataclass(frozen=True)
class Coloured:
    """Modes that answer alike to gradient noise and thermal noise, which come in two colours.

    Attributes
    ----------
    rates : ndarray, (k, r)
        1 - m.
    gradient, thermal : ndarray, (2,)
        Weights of this step's and the last step's noise in V.
    """

    rates: AnyArray
    gradient: Array
    thermal: Array

    @classmethod
    def of(cls, kernel: Kernel, step: Step, lr: float, modes: int) -> Coloured:
        """Read them off a step with a momentum: w(t+1) = a w(t) - b w(t-1) + e_0 n(t) + (p e_1 - q e_0) n(t-1)."""
        motion, push = step.at(lr)
        rates = kernel.rate.reshape(kernel.components, kernel.modes)[:, :modes]
        colours = [np.array([v[0], motion[0, 1] * v[1] - motion[1, 1] * v[0]]) for v in (push, step.thermal(lr))]
        return cls(rates, *colours)

    def entropy(self, noise: Array) -> float:
        """Return the entropy production per step under gradient noise, (n r, n r) (F98)."""
        if len(noise) > _MOST:
            raise InvalidInput(
                f"entropy production of {len(noise)} weights whose thermal noise has another colour than that of their "
                f"gradients is a sum over frequencies, and {_MOST} weights are the most. Use "
                f"entropy_production_in(modes) with fewer modes, or fluctua.OBABO of the same lr and friction."
            )
        values, vectors = np.linalg.eigh(noise)
        if values[0] <= _SINGULAR * values[-1]:
            return float("inf") if values[-1] > 0 else 0.0
        total, tiles = 0.0, len(noise) // self.rates.shape[1]
        for begin, end in self._panels(float(values[0])):
            places, weights = np.polynomial.legendre.leggauss(_NODES)
            for place, weight in zip(0.5 * (begin + end + (end - begin) * places), weights, strict=True):
                inverse = (vectors / (values + self._heat(place))) @ vectors.T
                apart = np.tile(self._apart(place), (tiles, tiles))
                total -= 0.5 * (end - begin) * weight * float(np.sum(noise * inverse * apart))
        return total / np.pi

    def _heat(self, place: float) -> float:
        """Tau at a frequency."""
        turn = np.exp(-1j * place)
        return float(
            np.abs((self.thermal[0] + self.thermal[1] * turn) / (self.gradient[0] + self.gradient[1] * turn)) ** 2
        )

    def _apart(self, place: float) -> Array:
        """sin^2 of the difference of the phases of two modes, (r, r)."""
        left = 2j * np.sin(place / 2) * np.exp(-0.5j * place)  # 1 - z, to all its digits
        answer = np.prod(self.rates + (1 - self.rates) * left, axis=0)
        phase = answer / np.abs(answer)
        return np.asarray(np.multiply.outer(phase, phase.conj()).imag ** 2)

    def _panels(self, least: float) -> Iterator[tuple[float, float]]:
        """Yield stretches of frequency, each no longer than the way to the nearest pole of what is summed."""
        decay = 1 - self.rates.ravel()
        poles = 1j * np.log(decay[np.abs(decay) > 0] + 0j)
        poles = np.concatenate(
            [poles, -poles.conj(), [np.pi + 1j * np.arccosh(1 + 2 * least / max(self._heat(0.0), least))]]
        )
        waiting = [(0.0, np.pi)]
        while waiting:
            begin, end = waiting.pop()
            nearest = np.abs(poles - np.clip(poles.real, begin, end)).min()
            if end - begin <= nearest:
                yield begin, end
            else:
                middle = 0.5 * (begin + end)
                waiting += [(middle, end), (begin, middle)]
