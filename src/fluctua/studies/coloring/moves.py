"""What is asked of the dynamics: acceptance on a random batch of the edges, or Metropolis at a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ..._results import Brief, ByValue
from ..._validate.values import choice, flag, real_number
from ...errors import InvalidInput, TooLarge

__all__ = ["BATCHES", "ORDERS", "Metropolis", "Move", "SGDLike"]

BATCHES = "visit", "sweep"
ORDERS = "random", "sequential"


class Move(Brief, ByValue):
    """A vertex is visited, one of the q - 1 other colours is proposed, and accepted with probability acc(n, m) (F121).

    n neighbours have the vertex' colour now, m have the proposed one. Vertices are drawn at random, or visited in the
    order of their numbers.
    """

    order: str

    @property
    def sequential(self) -> bool:
        """Whether vertices are visited in order."""
        return self.order == "sequential"

    @property
    def shared(self) -> bool:
        """Whether an edge's flag is the same for both ends, for a sweep."""
        return False

    @property
    def zero_temperature(self) -> float:
        """T0, which acc(0, m) = exp(-m/T0) has (F121)."""
        raise NotImplementedError

    def acceptance(self, conflicts: int) -> Array:
        """Return acc(n, m) for n, m from 0 to `conflicts`.

        Parameters
        ----------
        conflicts : int
            The largest number.

        Returns
        -------
        ndarray, (conflicts + 1, conflicts + 1)
            Row n, column m.
        """
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class SGDLike(Move):
    """SGD without gradients: a move is accepted if the energy of a random batch of the edges does not rise.

    Every edge is in the batch with probability B, so that acc(n, m) = P[Bin(m, B) <= Bin(n, B)] (F121).

    Parameters
    ----------
    batch : float
        B, above 0 and at most 1. With B = 1 it is descent at temperature 0.
    batches : str
        "visit": a batch of its own for every visit of a vertex, as in the published code. "sweep": one batch for N
        visits, so that both ends of an edge see the same flag.
    order : str
        Vertices "random", or "sequential" as in the published code; the energy of the stationary state is another.
    strict : bool
        Accept only if the energy of the batch falls: a mutant.

    Raises
    ------
    InvalidInput
        For a batch out of range.
    UnknownName
        For other batches and orders.

    References
    ----------
    Angelini, Cavaliere, Marino and Ricci-Tersenghi, Sci. Rep. 14, 11638 (2024), arXiv:2309.05337.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> move = coloring.SGDLike(batch=0.8)
    >>> print(f"{move.zero_temperature:.6f}", move.acceptance(2)[1, 2].round(6))
    0.621335 0.296
    """

    batch: float
    batches: str = "visit"
    order: str = "random"
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no such move."""
        real_number("batch", self.batch, above=0.0, maximum=1.0)
        choice("batches", self.batches, BATCHES)
        flag("strict", self.strict)
        choice("order", self.order, ORDERS)

    @property
    def shared(self) -> bool:
        """Whether an edge's flag is the same for both ends, for a sweep."""
        return self.batches == "sweep"

    @property
    def zero_temperature(self) -> float:
        """T0 = -1/ln(1 - B): 0 with the full batch."""
        return -1 / float(np.log1p(-self.batch)) if self.batch < 1 else 0.0

    def acceptance(self, conflicts: int) -> Array:
        """Return acc(n, m) = P[Bin(m, B) <= Bin(n, B)] for n, m from 0 to `conflicts`.

        Parameters
        ----------
        conflicts : int
            The largest number.

        Returns
        -------
        ndarray, (conflicts + 1, conflicts + 1)
            Row n, column m.

        Raises
        ------
        TooLarge
            For more conflicts than a table can have.
        """
        from scipy.stats import binom

        refuse_table(conflicts)
        count: Ints = np.arange(conflicts + 1)
        mass = binom.pmf(count, count[:, None], self.batch)
        below = binom.cdf(count - 1 if self.strict else count, count[:, None], self.batch)
        return np.minimum(mass @ np.transpose(below), 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class Metropolis(Move):
    """Metropolis' dynamics: acc(n, m) = min(1, exp(-(m - n)/T)), which keeps exp(-E/T).

    Parameters
    ----------
    temperature : float
        T, above 0.
    order : str
        Vertices "random" or "sequential": the stationary law is the same.

    Raises
    ------
    InvalidInput
        For a temperature that is not above 0.
    UnknownName
        For another order.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> coloring.Metropolis(0.85).acceptance(1).round(4)
    array([[1.    , 0.3084],
           [1.    , 1.    ]])
    """

    temperature: float
    order: str = "random"

    def __post_init__(self) -> None:
        """Refuse what is no temperature."""
        real_number("temperature", self.temperature, above=0.0)
        choice("order", self.order, ORDERS)

    @property
    def zero_temperature(self) -> float:
        """T."""
        return float(self.temperature)

    def acceptance(self, conflicts: int) -> Array:
        """Return acc(n, m) for n, m from 0 to `conflicts`.

        Parameters
        ----------
        conflicts : int
            The largest number.

        Returns
        -------
        ndarray, (conflicts + 1, conflicts + 1)
            Row n, column m.

        Raises
        ------
        TooLarge
            For more conflicts than a table can have.
        """
        refuse_table(conflicts)
        count = np.arange(conflicts + 1)
        return np.asarray(np.exp(-np.maximum(count[None, :] - count[:, None], 0) / self.temperature))


def refuse_table(conflicts: int) -> None:
    """Refuse a table of acceptances that nobody can hold or sum."""
    if conflicts > _LARGEST:
        raise TooLarge(
            f"a vertex with {conflicts:,} edges needs a table of as many conflicts squared, and {_LARGEST:,} are the "
            f"most: leave out vertices of so high a degree.",
            conflicts,
            _LARGEST,
        )


_LARGEST = 3000


def refuse_full_batch(move: Any) -> None:
    """Refuse laws of descent at temperature 0."""
    if move.zero_temperature == 0:
        raise InvalidInput(
            "batch = 1 accepts no move that raises the energy: T = 0, where exp(-E/T) is not defined and where the "
            "dynamics end depends on where they begin. There is no law to predict. fluctua.simulate runs it."
        )
