r"""The tree closure: a vertex in a paramagnet, whose neighbours are coloured independently of each other.

A neighbour has the vertex' own colour with probability x/(x + q - 1), and each other colour with 1/(x + q - 1), where
x = exp(-1/T). The temperature is the one at which the move changes the mean energy by nothing (F123). Degrees are those
of the graph, or Poisson's in the planted ensemble, whose sums end where the rest is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import Array, Ints
from ..._validate.values import positive_int, real_number
from ...errors import InvalidInput, NotConverged
from .graph import Graph
from .moves import Move, SGDLike, refuse_table
from .proposals import Proposals

__all__ = ["Closure", "best_batch", "critical_temperature", "energy_per_edge", "inverse_of_energy"]

_TAIL = 1e-17  # of Poisson's law, beyond which its sums end
_CLOSE = 1e-14
_FINEST = 1e-12  # batches, below and above which best_batch does not look


def energy_per_edge(inverse: float, colors: int) -> float:
    """Return x/(x + q - 1), the share of edges whose ends agree in a paramagnet at 1/T (F123)."""
    return float(1 / (1 + (colors - 1) * np.exp(inverse)))


def inverse_of_energy(share: float, colors: int) -> float:
    """Return 1/T at which so large a share of the edges has ends of one colour; infinite for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log((1 - share) / (share * (colors - 1)))) if share < 1 else float(-np.inf)


@dataclass(frozen=True)
class Closure:
    """Degrees, (k,), with their shares; or the mean of Poisson's law."""

    colors: int
    degrees: Ints
    shares: Array
    poisson: float | None = None

    @classmethod
    def of(cls, graph: Graph) -> Closure:
        """Return the closure on a graph."""
        if graph.ensemble_degree is not None:
            return cls.random(graph.colors, graph.ensemble_degree)
        degrees, counts = np.unique(graph.degrees, return_counts=True)
        refuse_table(int(degrees[-1]))
        return cls(graph.colors, degrees, counts / counts.sum())

    @classmethod
    def random(cls, colors: int, degree: float) -> Closure:
        """Return the closure for random graphs of a mean degree."""
        from scipy.stats import poisson

        listed = np.arange(int(degree + 12 * np.sqrt(degree)) + 40)
        refuse_table(len(listed))
        most = int(np.argmax(poisson.sf(listed, degree) < _TAIL)) or len(listed)
        count: Ints = np.arange(most + 1)
        return cls(colors, count, poisson.pmf(count, degree), degree)

    @property
    def conflicts(self) -> int:
        """The most that are listed."""
        return int(self.degrees[-1])

    @property
    def left_out(self) -> float:
        """Bound of what the sums leave out: edges at vertices of higher degree, over all edges."""
        from scipy.stats import poisson

        return 0.0 if self.poisson is None else float(poisson.sf(self.conflicts - 1, self.poisson))

    def table(self, move: Move) -> Array:
        """Return the acceptances of all listed conflicts."""
        return move.acceptance(self.conflicts)

    def made(self, inverse: float) -> Array:
        """Return P(n, m) at 1/T: n conflicts now and m with the proposed colour, (k, k)."""
        from scipy.stats import binom, poisson

        count, share = np.arange(self.conflicts + 1), energy_per_edge(inverse, self.colors)
        other = (1 - share) / (self.colors - 1)
        if self.poisson is not None:
            return np.multiply.outer(*(poisson.pmf(count, self.poisson * each) for each in (share, other)))
        found = np.zeros((len(count),) * 2)
        for degree, weight in zip(self.degrees, self.shares, strict=True):
            now = binom.pmf(count, degree, share)[:, None]
            found += weight * now * binom.pmf(count, np.maximum(degree - count, 0)[:, None], 1 / (self.colors - 1))
        return found

    def drift(self, inverse: float, table: Array) -> float:
        """Return what a proposal adds to the energy on average, pairs of (n, m) and (m, n) together."""
        made = np.triu(self.made(inverse), 1)
        count = np.arange(len(made))
        change = count[None, :] - count[:, None]
        return float(np.sum(change * made * (table - np.exp(-inverse * np.maximum(change, 0)) * table.T)))

    def inverse_temperature(self, move: Move) -> float:
        """Return 1/T of the closure (F123); raises `NotConverged`."""
        from scipy.optimize import brentq

        least, table = 1 / move.zero_temperature, self.table(move)
        if abs(self.drift(least, table)) <= _CLOSE * self.made(least).sum() * max(least, 1e-300):
            return least
        high = least
        while self.drift(high, table) < 0:
            high *= 2
            if high > 1e6 * least:
                raise NotConverged("the temperature of the tree closure", 20, self.drift(high, table), _CLOSE)
        return float(brentq(self.drift, 0.0, high, args=(table,), xtol=1e-16 * least, rtol=_CLOSE))

    def proposals(self, inverse: float, move: Move) -> Proposals:
        """Return proposals and acceptances at 1/T."""
        return Proposals.by(self.made(inverse), self.table(move))


def critical_temperature(colors: int, degree: float) -> float:
    """Return the temperature at which the paramagnet of a planted graph becomes unstable (F126).

    Parameters
    ----------
    colors : int
        Colours q, at least 2.
    degree : float
        Mean degree c, above (q - 1)^2.

    Returns
    -------
    float
        T with c (1 - x)/((q - 1)(q - 1 + x)) = 1 at x = exp(-1/T), by linear response.

    Raises
    ------
    InvalidInput
        For numbers out of range, and for a degree at which the paramagnet is stable at every temperature.

    Notes
    -----
    Cost: none to speak of.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> print(f"{coloring.critical_temperature(colors=5, degree=25):.6f}")
    0.854649
    """
    q, c = positive_int("colors", colors, minimum=2), real_number("degree", degree, above=0.0)
    x = (c - (q - 1) ** 2) / (c + q - 1)
    if x <= 0:
        raise InvalidInput(
            f"degree = {c:g} is not above (colors - 1)^2 = {(q - 1) ** 2}: there the state that knows nothing of the "
            f"planted colouring stays stable down to temperature 0, and no batch makes it lose."
        )
    return float(-1 / np.log(x))


def best_batch(colors: int, degree: float) -> float:
    """Return the batch fraction B at which the closure's T(B) is the temperature where the paramagnet gives way (F126).

    A smaller batch is hotter and stays in the paramagnet; with a larger one the dynamics are colder, and slower.

    Parameters
    ----------
    colors : int
        Colours q, at least 2.
    degree : float
        Mean degree c of a planted graph, above (q - 1)^2.

    Returns
    -------
    float
        B, between 0 and 1.

    Raises
    ------
    InvalidInput
        For numbers out of range, and for a degree at which the paramagnet is stable at every temperature.

    Notes
    -----
    Cost: some 50 tables of acceptances, 10 ms at degree 25.

    Examples
    --------
    >>> from fluctua.studies import coloring
    >>> print(f"{coloring.best_batch(colors=5, degree=25):.4f}")
    0.8285
    """
    from scipy.optimize import brentq

    inverse = 1 / critical_temperature(colors, degree)
    closure = Closure.random(colors, float(degree))

    def drift(batch: float) -> float:
        return closure.drift(inverse, closure.table(SGDLike(batch)))

    return float(brentq(drift, _FINEST, 1 - _FINEST, xtol=1e-15))
