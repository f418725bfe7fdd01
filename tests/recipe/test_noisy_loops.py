"""docs/howto/loops.md: loops in torch with noisy batches, many at once, have the moments of their recipes."""

import numpy as np
import pytest
from scipy.stats import norm

import fluctua as fl

torch = pytest.importorskip("torch")
SAMPLES, MICRO, COUNT, RUNS, STEPS = 48, 3, 4, 4000, 60
ALPHA = MISS = 1e-5
RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(SAMPLES, 3)) + 0.5, RNG.normal(size=(SAMPLES, 2)) + 1
WITH_ONES = np.c_[X, np.ones(SAMPLES)]


def trained(inputs, targets, groups, size=MICRO, count=1, **options):
    """Weights and biases of RUNS models after STEPS of torch.optim.SGD from zero, each with batches of its own.

    `groups` makes the parameter groups. Each step adds up the gradients of `count` batches' mean losses, undivided.
    """
    weight = torch.zeros(RUNS, 2, inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(RUNS, 2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD(groups(weight, bias), **options)
    x, y, generator = torch.tensor(inputs), torch.tensor(targets), torch.Generator().manual_seed(4)
    for _ in range(STEPS):
        optimiser.zero_grad()
        for _ in range(count):
            rows = torch.randint(SAMPLES, (RUNS, size), generator=generator)
            out = torch.einsum("rbd,rcd->rbc", x[rows], weight) + bias[:, None]
            (0.5 * (out - y[rows]) ** 2).sum(2).mean(1).sum().backward()  # the runs have no parameter in common
        optimiser.step()
    return weight.detach().numpy(), bias.detach().numpy()


def moments(weights, optimum):
    """What is compared: of each run, the weights' distance from W* and its square, (RUNS, c d + 1)."""
    apart = (weights - optimum).reshape(RUNS, -1)
    return np.c_[apart, (apart**2).sum(axis=1)]


def scores(weights, prediction):
    """Standard errors that the means over runs are from a prediction."""
    found = moments(weights, prediction.optimum)
    expected = np.append(prediction.mean.ravel(), np.trace(prediction.covariance))
    return np.abs(found.mean(axis=0) - expected) / found.std(axis=0, ddof=1) * np.sqrt(RUNS)


def check(weights, right, *mutants):
    """The prediction of `right` holds, and of each mutant a moment is so far off that it is missed MISS of the time."""
    rejected = norm.isf(ALPHA / 2 / (weights[0].size + 1))
    assert scores(weights, right).max() < rejected
    for mutant in mutants:
        found, apart = moments(weights, right.optimum), (right.optimum + right.mean).ravel()
        errors = found.std(axis=0, ddof=1) / np.sqrt(RUNS)
        shift = np.abs((mutant.optimum + mutant.mean).ravel() - apart) / errors[:-1]
        spread = abs(np.trace(mutant.covariance) - np.trace(right.covariance)) / errors[-1]
        assert max(shift.max(), spread) > rejected + norm.isf(MISS)
        assert scores(weights, mutant).max() > rejected


def predicted(inputs, targets, *arguments, **options):
    problem = fl.LeastSquares(inputs, targets)
    return fl.predict(problem, fl.SGD(*arguments, **options), check_stability=False).after(STEPS, start="zero")


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.statistical(alpha=ALPHA, miss=3 * MISS)
def test_undivided_accumulation_is_a_larger_rate_and_a_smaller_decay():
    lr, decay, momentum = 0.01, 0.4, 0.5
    weights, _ = trained(X, Y, lambda weight, _: [weight], count=COUNT, lr=lr, weight_decay=decay, momentum=momentum)
    right = predicted(X, Y, lr * COUNT, MICRO * COUNT, decay / COUNT, momentum=momentum)
    small = predicted(X, Y, lr * COUNT, MICRO, decay / COUNT, momentum=momentum)
    strong = predicted(X, Y, lr * COUNT, MICRO * COUNT, decay, momentum=momentum)
    slow = predicted(X, Y, lr, MICRO * COUNT, decay / COUNT, momentum=momentum)
    check(weights, right, small, strong, slow)


@pytest.mark.torch
@pytest.mark.statistical(alpha=ALPHA, miss=2 * MISS)
def test_a_decayed_bias_is_the_weight_of_a_constant_column():
    weight, bias = trained(X, Y, lambda weight, bias: [weight, bias], lr=0.1, weight_decay=0.4)
    right = predicted(WITH_ONES, Y, 0.1, MICRO, 0.4)
    undecayed, quiet = predicted(WITH_ONES, Y, 0.1, MICRO), predicted(WITH_ONES, Y, 0.1, 4 * MICRO, 0.4)
    check(np.concatenate([weight, bias[:, :, None]], axis=2), right, undecayed, quiet)


@pytest.mark.torch
@pytest.mark.statistical(alpha=ALPHA, miss=MISS)
def test_without_a_bias_it_is_the_centred_data():
    x, y = X - X.mean(0), Y - Y.mean(0)
    weights, _ = trained(x, y, lambda weight, _: [weight], lr=0.1, weight_decay=0.4)
    check(weights, predicted(x, y, 0.1, MICRO, 0.4), predicted(X, Y, 0.1, MICRO, 0.4))


@pytest.mark.torch
@pytest.mark.statistical(alpha=2 * ALPHA, miss=2 * MISS)
def test_a_bias_without_decay_ends_at_the_optimum_of_centred_data_with_other_noise():
    """W* is that of the centred data; the variance is not theirs, and no recipe covers it."""
    lr, decay = 0.3, 0.4

    def groups(weight, bias):
        return [{"params": weight}, {"params": bias, "weight_decay": 0.0}]

    weight, _ = trained(X, Y, groups, lr=lr, weight_decay=decay)
    centred = fl.predict(fl.LeastSquares(X - X.mean(0), Y - Y.mean(0)), fl.SGD(lr, MICRO, decay))
    decayed = fl.LeastSquares(WITH_ONES, Y).minimum(decay).weights[:, :3]
    errors, rejected = weight.std(axis=0, ddof=1) / np.sqrt(RUNS), norm.isf(ALPHA / 2 / weight[0].size)
    left = np.linalg.norm(np.eye(4) - lr * (WITH_ONES.T @ WITH_ONES / SAMPLES + decay * np.diag([1, 1, 1, 0])), 2)
    assert left**STEPS < 0.01 * errors.min()  # what the start, one apart, still weighs
    assert (np.abs(weight.mean(axis=0) - centred.optimum) / errors).max() < rejected
    assert (np.abs(decayed - centred.optimum) / errors).max() > 2 * rejected  # and MISS is less than ALPHA / 6
    assert (np.abs(weight.mean(axis=0) - decayed) / errors).max() > rejected
    assert scores(weight, centred)[-1] > rejected
