"""Averages over one sample's noise and curvature, F40 and F55, against sums over the samples, one by one.

Expectations over V are exact: V and V' have finitely many values, so E[D^T D'] is a mean over them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from sklearn.datasets import load_wine

import fluctua as fl
from fluctua.theory.reshuffling.cumulants import SampleCumulants
from helpers.agreement import close

RTOL = 1e-12
_VALUES = 30  # of (V, V') together


@dataclass(frozen=True)
class Setting:
    """A problem, what is tested, and every sample's g and B written out, (N, c, r) and (N, r, r)."""

    gamma: float
    outputs: int

    @cached_property
    def problem(self):
        """Six measurements of wines, and a constant."""
        wine = load_wine()
        x = (wine.data[:, :6] - wine.data[:, :6].mean(axis=0)) / wine.data[:, :6].std(axis=0)
        targets = np.eye(3)[wine.target][:, : self.outputs]
        return fl.LeastSquares(np.column_stack([x, np.ones(len(x))]), targets)

    @cached_property
    def tested(self):
        return self.with_responses(np.ones((1, self.problem.rank)))

    def with_responses(self, responses):
        return SampleCumulants(self.problem, self.problem.minimum(self.gamma), responses)

    @cached_property
    def curvature(self):
        z = self.problem.projections
        return z[:, :, None] * z[:, None, :] - np.diag(self.problem.curvatures)

    @cached_property
    def noise(self):
        residuals = self.problem.minimum(self.gamma).residuals
        gradients = residuals[:, :, None] * self.problem.projections[:, None, :]
        return gradients - gradients.mean(axis=0)

    def deviations(self, values):
        """D_i(V) = g_i + V B_i for every value of V, (n, N, c, r)."""
        return self.noise + np.einsum("nci,aij->nacj", values, self.curvature)

    def products(self, first, second):
        """E[D_i^T D'_i], (N, r, r)."""
        return np.einsum("naci,nacj->aij", self.deviations(first), self.deviations(second)) / len(first)


@pytest.fixture(params=[(0.0, 3), (0.3, 3), (0.3, 1)], ids=["plain", "decay", "decay, one output"], scope="module")
def setting(request):
    return Setting(*request.param)


def two_times(setting):
    """Values of V and V', (n, c, r), correlated and with one mean, as those of a run at two times."""
    rng, shape = np.random.default_rng(0), (_VALUES, setting.problem.outputs, setting.problem.rank)
    first = 0.3 + rng.normal(size=shape)
    second = 0.5 * first + 0.3 * rng.normal(size=shape)
    return first, second - second.mean(axis=0) + first.mean(axis=0)


def moments(first, second):
    """E[V^T V'], and E V."""
    return np.einsum("nci,ncj->ij", first, second) / len(first), first.mean(axis=0)


def responses(setting, *shape):
    return np.random.default_rng(1).normal(size=(*shape, setting.problem.rank))  # momentum makes some negative


def test_the_deviation_is_every_sample_s(setting):
    first, second = two_times(setting)
    found, z = setting.tested.deviation(*moments(first, second)), setting.problem.projections
    residuals = setting.problem.minimum(setting.gamma).residuals
    shift = residuals @ found.shift.T
    left, right = z @ found.left.T + shift, z @ found.right.T + shift
    whole = found.squares[:, None, None] * z[:, :, None] * z[:, None, :] + found.mean_square
    whole = whole - z[:, :, None] * right[:, None, :] - left[:, :, None] * z[:, None, :]
    assert close(whole, setting.products(first, second), rtol=RTOL)
    assert close(found.crossed[0], np.einsum("ap,ap->a", right, z), rtol=RTOL)  # X = 1


def test_a_third_cumulant_has_a_sample_s_noise_and_its_curvature(setting):
    first, second = two_times(setting)
    covariance, mean = moments(first, second)
    assert np.abs(covariance - covariance.T).max() > 0.01 * np.abs(covariance).max()
    x = responses(setting, 2)
    tested = setting.with_responses(x)
    expected = (setting.products(first, second) * x[1] @ setting.curvature).mean(axis=0)
    assert close(tested.third(1, tested.deviation(covariance, mean)), expected, rtol=RTOL)


def test_a_third_cumulant_of_the_noise_at_the_minimum(setting):
    x, nowhere = responses(setting, 1), np.zeros((1, setting.problem.outputs, setting.problem.rank))
    tested = setting.with_responses(x)
    expected = (setting.products(nowhere, nowhere) * x[0] @ setting.curvature).mean(axis=0)
    assert close(tested.third(0, tested.deviation(*moments(nowhere, nowhere))), expected, rtol=RTOL)


def test_a_fourth_cumulant_has_a_sample_s_noise_between_its_curvatures(setting):
    first, _ = two_times(setting)
    x, noise = responses(setting, 2), setting.products(first, first)
    tested, seen = setting.with_responses(x), setting.curvature * x[1]  # B X
    expected = (seen @ (noise - noise.mean(axis=0)) @ seen.swapaxes(1, 2)).mean(axis=0)
    assert close(tested.fourth(1, tested.deviation(*moments(first, first))), expected, rtol=RTOL)


def test_a_sample_s_noise_meets_its_own_curvature(setting):
    x = responses(setting, setting.problem.rank)
    expected = (setting.noise @ x @ setting.curvature).mean(axis=0)
    assert close(setting.tested.noise_curvature(x), expected, rtol=RTOL)


def test_its_curvature_twice_is_the_feedback(setting):
    x = responses(setting)
    expected = (setting.curvature * x @ setting.curvature).mean(axis=0)
    assert close(setting.problem.feedback(np.diag(x)), expected, rtol=RTOL)


def test_a_form_is_every_sample_s(setting):
    z, matrix = setting.problem.projections, responses(setting, setting.problem.rank)
    assert close(setting.tested.form(matrix), np.einsum("ai,ij,aj->a", z, matrix, z), rtol=RTOL)
    assert close(setting.with_responses(matrix).forms, matrix @ np.square(z).T, rtol=RTOL)


def test_sums_over_residuals(setting):
    z, residuals = setting.problem.projections, setting.problem.minimum(setting.gamma).residuals
    weights = np.random.default_rng(3).normal(size=len(z))
    assert close(setting.tested.residual_scatter(weights), (residuals * weights[:, None]).T @ z / len(z), rtol=RTOL)
