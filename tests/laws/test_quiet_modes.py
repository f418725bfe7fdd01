"""Modes that no noise drives: their instability is told by the limit, and rounding is no variance."""

import numpy as np
import pytest

import fluctua as fl

FACTORS = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [1, 1], [1, 1]])
APART = np.array([[1.0, 0], [-1, 0], [2, 0], [0, 3], [0, -3], [0, 6]])
CASES = {
    "columns never together": (APART, np.r_[1.0, -1, 3, 3, -3, 6], 1),
    "more batches": (APART, np.r_[1.0, -1, 3, 3, -3, 6], 2),
    "two factors": (FACTORS, FACTORS[:, 0] + np.r_[0, 0.3, 0, 0, 0, 0] + np.r_[0, 0, 0.5, 0, 0, 0], 2),
}


def second_moments(inputs, size, lr, momentum, sampling):
    """Spectral radius of the dense second-moment map, all batches listed."""
    from helpers.enumeration import Enumeration

    truth = Enumeration(inputs, np.zeros((len(inputs), 1)), lr, size, sampling, momentum=momentum)
    return truth.growth()


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", CASES)
def test_unstable_modes_without_noise_are_refused(name, momentum, sampling):
    """The steep columns are fitted exactly: a floor of the others was given up to 1.5 times the limit and more."""
    inputs, targets, size = CASES[name]
    problem = fl.LeastSquares(inputs, targets)

    def recipe(lr):
        return fl.SGD(lr, size, momentum=momentum, sampling=sampling)

    limit = fl.max_stable_lr(problem, recipe(1.0))
    assert second_moments(inputs, size, 0.999 * limit, momentum, sampling) < 1
    assert second_moments(inputs, size, 1.001 * limit, momentum, sampling) > 1
    assert 0 < fl.predict(problem, recipe(0.99 * limit)).excess_loss < np.inf
    for share in (1.001, 1.01, 1.3):
        with pytest.raises(fl.UnstableSGD):
            fl.predict(problem, recipe(share * limit))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("decay", [1e-9, 0.05, 0.7])
@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_equal_gradients_leave_no_negative_floor(momentum, decay, dtype):
    """y = 1.7 x with x = -1 or 1: every sample's gradient is the same, and the floor was -2e-15, in float32 1e-7."""
    inputs = np.array([[1], [-1], [1], [1], [-1]], dtype)
    problem = fl.LeastSquares(inputs, (1.7 * inputs[:, 0]).astype(dtype))
    for lr in (0.1, 1.0):
        assert fl.predict(problem, fl.SGD(lr, 1, momentum=momentum, weight_decay=decay)).excess_loss == 0


@pytest.mark.parametrize("samples", [2, 6])
@pytest.mark.parametrize("momentum", [0.2, 0.9])
def test_coinciding_eigenvalues_in_single_precision_have_a_limit(samples, momentum):
    """Rounding split them, and the search ended after 300 rounds at a residual of 1e-16."""
    rng = np.random.default_rng(samples)
    for _ in range(8):
        inputs = rng.choice([-1.0, 1.0], size=(samples, 2)).astype(np.float32)
        inputs[:2] = [[1, 1], [1, -1]]
        problem, sgd = fl.LeastSquares(inputs, np.arange(samples, dtype=np.float32)), fl.SGD(1.0, 1, momentum=momentum)
        double = fl.LeastSquares(inputs.astype(float), np.arange(samples))
        assert fl.max_stable_lr(problem, sgd) == pytest.approx(fl.max_stable_lr(double, sgd), rel=1e-5)
