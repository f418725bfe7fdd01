"""The solver of F1 against a dense linear solve."""

import numpy as np
import pytest

from fluctua.theory.fixed_points import NoStationaryState, solve
from fluctua.theory.triangle import Triangle, positive


def problem(rank, strength=0.5, seed=0):
    """A symmetric positive phi, a feedback that is positive and self-adjoint, <(z' S z) z z'>, and its data.

    `strength` is the share of the stability limit: the spectral radius of phi o K.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(4 * rank, rank)) * np.geomspace(1, 1e-3, rank)
    h = np.square(z).mean(axis=0)
    phi = 1 / np.add.outer(h, h)

    def feedback(s, scale=1.0):
        return scale * (z * np.einsum("ni,ij,nj->n", z, s, z)[:, None]).T @ z / len(z)

    radius = np.abs(np.linalg.eigvals(matrix(lambda s: phi * feedback(s), rank))).max()
    return phi * strength / radius, feedback, z


def matrix(operator, rank):
    """A linear operator on (rank, rank) matrices as a dense (rank^2, rank^2) matrix."""
    units = np.eye(rank**2).reshape(-1, rank, rank)
    return np.stack([operator(unit).ravel() for unit in units], axis=1)


def dense(phi, source, feedback):
    """S of S/phi - K[S] = source, from the dense matrix of the fixed-point map."""
    rank = len(phi)
    step = matrix(lambda s: phi * feedback(s), rank)
    return np.linalg.solve(np.eye(rank**2) - step, (phi * source).ravel()).reshape(rank, rank)


def sources(rank):
    """A covariance, an observable, a block between two outputs (no sign), and a source in one mode only."""
    draw = np.random.default_rng(1).normal(size=(rank, rank))
    single = np.zeros((rank, rank))
    single[0, 0] = 1.0
    return {"covariance": draw @ draw.T, "observable": np.diag(draw[0] ** 2), "cross": draw + draw.T, "single": single}


@pytest.mark.parametrize("kind", ["covariance", "observable", "cross", "single"])
@pytest.mark.parametrize("strength", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_solution_is_that_of_a_dense_solve(rank, strength, kind):
    phi, feedback, _ = problem(rank, strength)
    source = sources(rank)[kind]
    found, expected = solve(phi, source, feedback, rtol=1e-13), dense(phi, source, feedback)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_array_equal(found, found.T)


def test_flat_modes_are_as_accurate_as_steep_ones():
    phi, feedback, _ = problem(5, 0.9)
    source = sources(5)["covariance"] / phi  # variances of one order over six decades of curvature
    np.testing.assert_allclose(
        np.diag(solve(phi, source, feedback, rtol=1e-12)), np.diag(dense(phi, source, feedback)), rtol=1e-11
    )


def test_a_looser_tolerance_gives_a_looser_solution():
    """The mutant: the comparison above would notice a solver that stopped early."""
    phi, feedback, _ = problem(5, 0.99)
    source = sources(5)["covariance"]
    loose, tight = (solve(phi, source, feedback, rtol=rtol) for rtol in (1e-2, 1e-13))
    assert np.abs(loose / tight - 1).max() > 1e-8


def test_the_adjoint_solution_gives_the_same_trace():
    """tr(M S) with S from C equals tr(B C) with B from M: K is self-adjoint under the trace."""
    phi, feedback, _ = problem(4, 0.8)
    noise, observable = sources(4)["covariance"], sources(4)["observable"]
    direct = np.trace(observable @ solve(phi, noise, feedback, rtol=1e-13))
    adjoint = np.trace(solve(phi, observable, feedback, rtol=1e-13) @ noise)
    assert adjoint == pytest.approx(direct, rel=1e-12)


def test_without_a_source_nothing_fluctuates():
    phi, feedback, _ = problem(3)
    assert not solve(phi, np.zeros((3, 3)), feedback, rtol=1e-12).any()


def test_without_feedback_the_solution_is_phi_times_the_source():
    phi, _, _ = problem(3)
    source = sources(3)["covariance"]
    np.testing.assert_allclose(solve(phi, source, np.zeros_like, rtol=1e-12), phi * source, rtol=1e-14)


@pytest.mark.parametrize("strength", [1.001, 1.5, 20.0])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_beyond_the_limit_there_is_no_stationary_state(rank, strength):
    phi, feedback, _ = problem(rank, strength)
    with pytest.raises(NoStationaryState):
        solve(phi, sources(rank)["covariance"], feedback, rtol=1e-12)


@pytest.mark.parametrize("strength", [0.9, 0.999])
def test_few_applications_of_the_feedback_are_enough(strength):
    phi, feedback, _ = problem(8, strength)
    calls = []
    solve(phi, sources(8)["covariance"], lambda s: (calls.append(1), feedback(s))[1], rtol=1e-12)
    assert len(calls) <= 40


@pytest.mark.parametrize("kind", ["covariance", "cross", "single"])
@pytest.mark.parametrize("rank", [1, 2, 6])
def test_with_modes_in_antiphase_the_solution_is_that_of_a_dense_solve(rank, kind):
    phi, feedback, _ = problem(rank, 0.3)
    phi = phi * np.where(np.add.outer(np.arange(rank), np.arange(rank)) % 3 == 1, -1.0, 1.0)
    source = sources(rank)[kind]
    found, expected = solve(phi, source, feedback, rtol=1e-13), dense(phi, source, feedback)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13 * np.abs(expected).max())


def test_the_last_substitution_applies_the_feedback_no_more():
    """One mode is one equation: conjugate gradients have it after one application."""
    phi, feedback, _ = problem(1, 0.5)
    calls = []
    solve(phi, np.ones((1, 1)), lambda s: (calls.append(1), feedback(s))[1], rtol=1e-12)
    assert len(calls) == 1


@pytest.mark.parametrize("rank", [1, 2, 17, 40])
def test_vectors_of_symmetric_matrices_have_their_products(rank):
    rng, triangle = np.random.default_rng(3), Triangle(rank)
    one, other, phi = (root + root.T for root in rng.standard_normal((3, rank, rank)))
    assert triangle.size <= rank * (rank + rank / 8 + 2) / 2 or rank < 16
    np.testing.assert_allclose(triangle.matrix(triangle.vector(one)), one, rtol=1e-15)
    assert triangle.vector(one) @ triangle.vector(other) == pytest.approx(np.vdot(one, other), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(triangle.factors(phi) * triangle.vector(one), triangle.vector(phi * one), rtol=1e-14)
    loose = rng.standard_normal((rank, rank))
    np.testing.assert_allclose(triangle.vector(loose), triangle.vector(0.5 * (loose + loose.T)), rtol=1e-14)


@pytest.mark.parametrize(("lowest", "expected"), [(1e-3, True), (0.0, True), (-0.9e-4, True), (-1.1e-4, False)])
def test_a_matrix_is_positive_up_to_a_share_of_its_largest_eigenvalue(lowest, expected):
    """With all on the diagonal 0.2 of the largest eigenvalue, Cholesky's factors alone would refuse one of these."""
    basis = np.linalg.qr(np.column_stack([np.ones(5), np.random.default_rng(2).standard_normal((5, 4))]))[0]
    assert positive((basis * [1.0, lowest, 1e-3, 1e-3, 1e-3]) @ basis.T, 1e-4) is expected
