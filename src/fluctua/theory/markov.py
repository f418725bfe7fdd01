r"""Finite Markov chains: the stationary vector, currents, entropy production, and temperatures of the acceptances.

A chain is one transition matrix, rows summing to one, or several that are taken in turn. With pi the vector before a
step of matrix P and pi' the one after it, the flow of the step is J_ij = pi_i P_ij, and the flow of the same step in
the run backwards is J'_ij = pi'_j P_ji. The entropy production is the Kullback-Leibler divergence of the two,

    sigma = sum_ij J_ij ln(J_ij/J'_ij)  per step (F124),

averaged over the steps of a turn, whose order is reversed in the run backwards. For a single matrix it is
(1/2) sum (J_ij - J_ji) ln(J_ij/J_ji), and zero if and only if detailed balance holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arrays import Array, Bools, Ints
from .._results import Brief, ByValue
from .._validate.sizes import refuse_bytes
from .._validate.values import real_array
from ..errors import InvalidInput, NotConverged

__all__ = ["MarkovChain", "divergence", "log_ratio_temperature", "stationary_of"]

_ELIMINATED = 1024  # states up to which the vector is found by elimination, without cancellation
_SUMMED = 1e-9  # what a row may lack of one
_LEFT = 1e-9  # estimated error of the vector, in its sum of absolute values, at most
_ROUNDS = 3000  # restarts of the iteration
_POLISH = 60  # products with the matrix that remove what an eigensolver leaves in the smallest entries
_STILL = 1e-14  # relative change of every entry, below which there is nothing left to remove
_BALANCED = 1e-11  # relative: currents below it are rounding


@dataclass(frozen=True, eq=False, repr=False)
class MarkovChain(Brief, ByValue):
    """A finite chain: one transition matrix, or matrices that are taken in turn.

    Attributes
    ----------
    matrices : tuple of sparse arrays, (n, n)
        Entry (i, j) is the probability of going from i to j.
    """

    matrices: tuple[Any, ...]

    def _compared(self) -> Mapping[str, Any]:
        return {"matrices": [(each.data, each.indices, each.indptr) for each in self.matrices]}

    def _shown(self) -> Mapping[str, Any]:
        return {"states": self.states, "matrices": len(self.matrices)}

    @classmethod
    def of(cls, *matrices: Any) -> MarkovChain:
        """Return the chain of matrices, dense or sparse; raises `InvalidInput` for what is no transition matrix."""
        if not matrices:
            raise InvalidInput("a Markov chain needs at least one transition matrix.")
        kept = tuple(map(_transition, matrices))
        if len(sizes := {each.shape[0] for each in kept}) > 1:
            raise InvalidInput(f"matrices that are taken in turn must have as many states, got {sorted(sizes)}.")
        return cls(kept)

    @property
    def states(self) -> int:
        """How many there are."""
        return int(self.matrices[0].shape[0])

    @cached_property
    def stationary(self) -> Array:
        """The vector before the first matrix of a turn, (n,), converged; raises `NotConverged` where it is not found.

        Several vectors are refused: `InvalidInput`.
        """
        if self.states <= _ELIMINATED:
            return _eliminated(self._turn)
        _kept(sum(self.matrices[1:], self.matrices[0]) > 0)
        return stationary_of(self.turned, self.states)

    @cached_property
    def vectors(self) -> tuple[Array, ...]:
        """The vector before each matrix of a turn, and last the one after it."""
        found = [self.stationary]
        for each in self.matrices:
            found.append(found[-1] @ each)
        return tuple(found)

    @property
    def residual(self) -> float:
        """What a turn changes in the stationary vector, in the sum of absolute values."""
        return float(np.abs(self.vectors[-1] - self.stationary).sum())

    @cached_property
    def flows(self) -> tuple[tuple[Array, Array], ...]:
        """Of each matrix: J_ij over its entries where it is above zero, and J'_ij beside it."""
        pairs = zip(self.matrices, self.vectors, self.vectors[1:], strict=False)
        return tuple(_flow(matrix, before, after) for matrix, before, after in pairs)

    @property
    def currents(self) -> tuple[Array, ...]:
        """J_ij - J'_ij of each matrix, over the same entries."""
        return tuple(there - back for there, back in self.flows)

    @cached_property
    def entropy_production(self) -> float:
        """Sigma, in nats per step (F124); infinite where a step cannot be taken back."""
        return float(np.mean([divergence(there, back) for there, back in self.flows]))

    @property
    def reversible(self) -> bool:
        """Whether every current is zero, to rounding."""
        return all(
            np.abs(there - back).max(initial=0) <= _BALANCED * there.max(initial=0) for there, back in self.flows
        )

    def acceptances(self, energies: Array, proposals: Any) -> tuple[Array, Array]:
        """Return changes k of the energy, and the share a(k) of the proposals of k that are accepted.

        `proposals`, (n, n), dense or sparse, has the probabilities of being proposed, the same in every step.
        """
        from scipy.sparse import csr_array

        asked = csr_array(proposals).tocoo()
        change = np.round(energies[asked.col] - energies[asked.row], 9)
        kinds, which = np.unique(change, return_inverse=True)
        made, taken = np.zeros(len(kinds)), np.zeros(len(kinds))
        for matrix, before in zip(self.matrices, self.vectors, strict=False):
            weight = before[asked.row]
            made += np.bincount(which, weight * asked.data, len(kinds))
            taken += np.bincount(which, weight * np.asarray(matrix[asked.row, asked.col]).ravel(), len(kinds))
        with np.errstate(invalid="ignore", divide="ignore"):
            return kinds, taken / made

    def temperatures(self, energies: Array, proposals: Any) -> dict[float, float]:
        """Return T_k of every change k > 0 of the energy that is accepted both ways (F125)."""
        share = dict(zip(*(each.tolist() for each in self.acceptances(energies, proposals)), strict=True))
        both = [k for k in share if k > 0 and share[k] > 0 and share.get(-k, 0.0) > 0]
        return {k: log_ratio_temperature(k, share[-k], share[k]) for k in both}

    @cached_property
    def _turn(self) -> Array:
        """The product of the matrices, dense."""
        whole = self.matrices[0].toarray()
        for each in self.matrices[1:]:
            whole = whole @ each
        return np.asarray(whole)

    def turned(self, vector: Array) -> Array:
        """Return what a turn makes of a vector."""
        for each in self.matrices:
            vector = vector @ each
        return vector


def stationary_of(turned: Callable[[Array], Array], states: int) -> Array:
    """Return the vector that `turned` keeps, (n,), by Arnoldi iteration and then by rounds, which keep it positive.

    `turned` is a turn of a chain of more than three states. Raises `NotConverged` where the error may be more than
    1e-9 in the sum of absolute values, which the second largest eigenvalue tells.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    operator = LinearOperator((states, states), matvec=lambda vector: turned(np.ravel(vector)), dtype=float)
    try:
        start = np.full(states, 1 / states)
        values, vectors = eigs(operator, k=2, which="LM", v0=start, tol=1e-14, maxiter=_ROUNDS)
    except ArpackNoConvergence as problem:
        raise NotConverged("the stationary vector of the chain", _ROUNDS, np.nan, _LEFT, _SLOW) from problem
    first = int(np.argmin(np.abs(values - 1)))
    found, gap = np.abs(vectors[:, first].real), 1 - float(np.abs(values[1 - first]))
    for _ in range(_POLISH):
        last = found / found.sum()
        found = turned(last)
        if np.all(np.abs(found - last) <= _STILL * found):
            break
    left = float(np.abs(found - last).sum())
    if not left <= _LEFT * gap:
        raise NotConverged("the stationary vector of the chain", _POLISH, left / max(gap, 1e-300), _LEFT, _SLOW)
    return np.asarray(found / found.sum())


_SLOW = "The chain relaxes too slowly, or has more than one stationary vector."


def log_ratio_temperature(change: float, falls: float, rises: float) -> float:
    """Return T_k = k/ln(a(-k)/a(k)), which a chain in equilibrium has for every k (F125); infinite for a(-k) = a(k)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(change, np.log(np.divide(falls, rises))))


def _transition(given: Any) -> Any:
    """A sparse array of probabilities."""
    from scipy.sparse import csr_array, issparse

    whole: Any = given if issparse(given) else real_array("matrix", given, ndim=2, shape="(states, states)")
    matrix: Any = csr_array(whole, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise InvalidInput(f"a transition matrix must be square, got shape {matrix.shape}.")
    if not (np.isfinite(matrix.data).all() and (matrix.data >= 0).all()):
        raise InvalidInput("a transition matrix must hold probabilities: some entry is negative or no number.")
    off = np.abs(np.asarray(matrix.sum(axis=1)).ravel() - 1)
    if off.max() > _SUMMED:
        raise InvalidInput(
            f"row {int(off.argmax())} of a transition matrix must sum to 1, and is off by {off.max():.2g}."
        )
    matrix.sum_duplicates()
    return matrix


def _flow(matrix: Any, before: Array, after: Array) -> tuple[Array, Array]:
    entries = matrix.tocoo()
    kept: Bools = before[entries.row] * entries.data > 0
    i, j = entries.row[kept], entries.col[kept]
    back = matrix.T.tocsr()[i, j]
    return before[i] * entries.data[kept], after[j] * np.asarray(back).ravel()


def divergence(there: Array, back: Array) -> float:
    """Return the sum of J ln(J/J') where both sum to the same: every term is positive, quadratic in a small current."""
    there, back = there[there > 0], back[there > 0]
    with np.errstate(divide="ignore"):
        off = back / there - 1
        return float(np.sum(there * (off - np.log1p(off))))


def _kept(possible: Any) -> Ints:
    """Return the states of the one set that the chain never leaves; raises `InvalidInput` where there are several."""
    from scipy.sparse.csgraph import connected_components

    kinds, label = connected_components(possible, directed=True, connection="strong")
    rows, columns = possible.nonzero()
    leaves = np.unique(label[rows[label[rows] != label[columns]]])
    if kinds - len(leaves) > 1:
        raise InvalidInput(
            f"the chain has {kinds - len(leaves)} sets of states that it never leaves: where it ends depends on where "
            f"it begins, and no one stationary vector says it."
        )
    return np.flatnonzero(~np.isin(label, leaves))


def _eliminated(matrix: Array) -> Array:
    """The stationary vector by eliminating states (Grassmann, Taksar and Heyman), which subtracts nothing."""
    count = len(matrix)
    refuse_bytes(f"a chain of {count:,} states", 16.0 * count**2, "Use fewer states.")
    inside = _kept(matrix > 0)
    rest, found = matrix[np.ix_(inside, inside)].copy(), np.zeros(count)
    for k in range(len(inside) - 1, 0, -1):
        rest[:k, k] /= rest[k, :k].sum()
        rest[:k, :k] += np.multiply.outer(rest[:k, k], rest[k, :k])
    vector = np.ones(len(inside))
    for k in range(1, len(inside)):
        vector[k] = vector[:k] @ rest[:k, k]
    found[inside] = vector / vector.sum()
    return found
