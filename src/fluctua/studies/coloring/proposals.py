"""Proposals by their conflicts before and after, and what follows from which of them are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, Ints
from ...theory.markov import log_ratio_temperature

__all__ = ["Proposals"]


@dataclass(frozen=True)
class Proposals:
    """Shares of the proposals, by n conflicts now and m proposed.

    Attributes
    ----------
    made : ndarray, (..., k, k)
        How many, or which share, of each kind are made.
    taken : ndarray, (..., k, k)
        And accepted.
    """

    made: Array
    taken: Array

    @classmethod
    def by(cls, made: Array, acceptance: Array) -> Proposals:
        """Return those of which the share acc(n, m) is accepted."""
        return cls(made, made * acceptance)

    @cached_property
    def changes(self) -> Ints:
        """The change m - n of each kind, (k, k)."""
        count = np.arange(self.made.shape[-1])
        return np.asarray(count[None, :] - count[:, None])

    def acceptance(self, change: int) -> Array:
        """Return a(k), the share of the proposals of dE = k that is accepted; NaN where none is made."""
        mask = self.changes == change
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.taken[..., mask].sum(axis=-1) / self.made[..., mask].sum(axis=-1))

    def temperature(self, change: int) -> float:
        """Return T_k = k/ln(a(-k)/a(k)) (F125)."""
        return log_ratio_temperature(change, float(self.acceptance(-change)), float(self.acceptance(change)))

    @cached_property
    def temperatures(self) -> dict[int, float]:
        """T_k for every k > 0 of which proposals are made and accepted both ways."""
        most = self.made.shape[-1] - 1
        found = {k: self.temperature(k) for k in range(1, most + 1) if self._both(k)}
        return {k: value for k, value in found.items() if np.isfinite(value)}

    def _both(self, change: int) -> bool:
        return all(self.taken[self.changes == k].sum() > 0 for k in (change, -change))

    def entropy(self, acceptance: Array) -> Array:
        """Return the sum of ln(acc(n, m)/acc(m, n)) over accepted moves, per proposal: the entropy production (F124).

        The move back from (n, m) is one of (m, n), proposed as often.
        """
        possible = (acceptance > 0) & (acceptance.T > 0)
        force = np.zeros_like(acceptance)
        force[possible] = np.log(acceptance[possible]) - np.log(acceptance.T[possible])
        return np.asarray((self.taken * force).sum(axis=(-2, -1)) / self.made.sum(axis=(-2, -1)))

    def current(self, n: int, m: int) -> Array:
        """Return the accepted moves of (n, m) less those of (m, n), per proposal."""
        return np.asarray((self.taken[..., n, m] - self.taken[..., m, n]) / self.made.sum(axis=(-2, -1)))
