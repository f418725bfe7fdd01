"""Finite Markov chains against closed forms and eigenvectors (F124, F125)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, eye_array

from fluctua.errors import InvalidInput, NotConverged
from fluctua.theory import markov
from fluctua.theory.markov import MarkovChain


def ring(right, left, states=3):
    """A walk on a ring: its stationary vector is even, and its entropy production (r - l) ln(r/l)."""
    shift = np.roll(np.eye(states), 1, axis=1)
    return right * shift + left * shift.T + (1 - right - left) * np.eye(states)


def random_chain(states, seed=0):
    matrix = np.random.default_rng(seed).random((states, states)) ** 4
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.any_seed
@pytest.mark.parametrize("make", [np.asarray, csr_array])
def test_a_walk_on_a_ring_has_its_closed_forms(make):
    chain = MarkovChain.of(make(ring(0.5, 0.2)))
    assert chain.stationary == pytest.approx(np.full(3, 1 / 3), abs=1e-15)
    assert chain.entropy_production == pytest.approx(0.3 * np.log(2.5), rel=1e-13)
    assert not chain.reversible
    assert np.abs(chain.currents[0]).max() == pytest.approx(0.1)
    assert chain.residual < 1e-15
    still = MarkovChain.of(make(ring(0.3, 0.3)))
    assert still.reversible
    assert still.entropy_production < 1e-30


@pytest.mark.any_seed
def test_the_vector_by_elimination_is_that_by_iteration_and_that_of_eigenvalues(monkeypatch):
    matrix = random_chain(40)
    values, vectors = np.linalg.eig(matrix.T)
    first = vectors[:, np.argmax(values.real)].real
    one = MarkovChain.of(matrix).stationary
    assert one == pytest.approx(first / first.sum(), abs=1e-13)
    monkeypatch.setattr(markov, "_ELIMINATED", 1)
    assert MarkovChain.of(matrix).stationary == pytest.approx(one, abs=1e-13)


def test_small_entries_of_the_vector_have_all_their_digits():
    """A birth and death chain with weights down to 1e-90."""
    up, down, states = 1e-5, 0.4, 19
    matrix = np.diag(np.full(states - 1, up), 1) + np.diag(np.full(states - 1, down), -1)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    chain = MarkovChain.of(matrix)
    weights = (up / down) ** np.arange(states)
    assert chain.stationary == pytest.approx(weights / weights.sum(), rel=1e-12)
    assert chain.entropy_production < 1e-20


@pytest.mark.any_seed
def test_matrices_in_turn_are_held_against_the_reversed_order():
    """sum_v E ln P_v(i, j)/P_v(j, i), since what the vectors say cancels over a turn."""
    first, second = random_chain(5, 1), random_chain(5, 2)
    chain = MarkovChain.of(first, second)
    before, between = chain.vectors[:2]
    assert chain.stationary == pytest.approx(MarkovChain.of(first @ second).stationary, abs=1e-14)
    told = [float(np.sum(p[:, None] * m * np.log(m / m.T))) for p, m in ((before, first), (between, second))]
    assert chain.entropy_production == pytest.approx(sum(told) / 2, rel=1e-12)
    energies = np.array([0.0, 1.0, 3.0])
    kept = [metropolis(energies, pairs) for pairs in ([(0, 1)], [(1, 2)], [(0, 2)])]
    assert MarkovChain.of(*kept).entropy_production < 1e-30
    assert MarkovChain.of(*kept).reversible


def metropolis(energies, pairs, temperature=0.7):
    """Proposals between pairs of states, half of the time."""
    matrix = np.zeros((len(energies),) * 2)
    for i, j in pairs:
        for a, b in ((i, j), (j, i)):
            matrix[a, b] = 0.5 * min(1, np.exp(-(energies[b] - energies[a]) / temperature))
    return matrix + np.diag(1 - matrix.sum(axis=1))


def test_temperatures_of_acceptances_are_those_of_the_chain():
    energies = np.array([0.0, 1.0, 3.0])
    pairs = [(0, 1), (1, 2), (0, 2)]
    proposals = 0.25 * (np.ones((3, 3)) - np.eye(3))
    chain = MarkovChain.of(sum(metropolis(energies, [each]) for each in pairs) / 2 - np.eye(3) / 2)
    assert chain.temperatures(energies, proposals) == pytest.approx({1.0: 0.7, 2.0: 0.7, 3.0: 0.7}, rel=1e-12)
    weights = np.exp(-energies / 0.7)
    assert chain.stationary == pytest.approx(weights / weights.sum(), rel=1e-13)


def test_a_step_that_cannot_be_taken_back_produces_without_bound():
    assert MarkovChain.of(ring(1.0, 0.0)).entropy_production == np.inf


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ([[0.5, 0.4], [0.5, 0.5]], r"row 0 of a transition matrix must sum to 1"),
        ([[1.5, -0.5], [0.5, 0.5]], "must hold probabilities"),
        ([[0.5, 0.5]], r"must be square, got shape \(1, 2\)"),
        ([[np.nan, 1], [0.5, 0.5]], "nan"),
        (np.eye(2), "has 2 sets of states that it never leaves"),
    ],
)
def test_what_is_no_chain_or_has_no_one_vector_is_refused(given, match):
    with pytest.raises(InvalidInput, match=match):
        MarkovChain.of(given).stationary  # noqa: B018


def test_chains_of_other_sizes_and_none_are_refused():
    with pytest.raises(InvalidInput, match="at least one"):
        MarkovChain.of()
    with pytest.raises(InvalidInput, match=r"as many states, got \[2, 3\]"):
        MarkovChain.of(ring(0.5, 0.2), np.full((2, 2), 0.5))


@pytest.mark.any_seed
def test_states_that_are_left_have_no_weight_and_a_slow_chain_says_so():
    chain = MarkovChain.of([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [0.0, 0.6, 0.4]])
    assert chain.stationary == pytest.approx([0, 3 / 7, 4 / 7], rel=1e-14)
    with pytest.raises(InvalidInput, match="has 2000 sets"):
        MarkovChain.of(eye_array(2000)).stationary  # noqa: B018
    rare = np.kron(np.eye(2), random_chain(600)) * (1 - 1e-13) + 1e-13 / 1200
    with pytest.raises(NotConverged, match="relaxes too slowly"):
        MarkovChain.of(rare).stationary  # noqa: B018


def test_a_chain_is_a_line_and_equal_by_value():
    chain = MarkovChain.of(ring(0.5, 0.2))
    assert repr(chain) == "MarkovChain(states=3, matrices=1)"
    assert chain == MarkovChain.of(csr_array(ring(0.5, 0.2)))
    assert chain != MarkovChain.of(ring(0.5, 0.3))
