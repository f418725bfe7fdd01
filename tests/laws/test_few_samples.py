"""Shuffled epochs of 7 to 12 samples: too many orders to list one by one, exact by summing over what is left."""

from itertools import combinations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import UncertainFloor
from helpers import all_orders
from helpers.thinning import thinned


def affine(inputs, residuals, lr, momentum):
    """One step on the column (w - W*, buffer, 1), from the definition."""
    n, d = inputs.shape
    force = np.column_stack([inputs.T @ inputs, np.zeros((d, d)), inputs.T @ residuals]) / n
    buffer = force.copy()
    buffer[:, d : 2 * d] += momentum * np.eye(d)
    out = np.eye(2 * d + 1)
    out[d:-1] = buffer
    out[:d] -= lr * buffer
    return out


def positions(problem, size, lr, momentum, drop_last=False):
    """Second-moment maps to every position of an epoch: orders of the same samples so far are averaged at once."""
    x, y, samples = problem.inputs, problem.targets[:, 0], range(problem.samples)
    residuals = x @ np.linalg.lstsq(x, y, rcond=None)[0] - y
    length = 2 * x.shape[1] + 1
    found, maps = {frozenset(): np.eye(length**2)}, [np.eye(length**2)]
    for count in all_orders.sizes_of(problem.samples, size, drop_last):
        batches = {b: affine(x[list(b)], residuals[list(b)], lr, momentum) for b in combinations(samples, count)}
        steps = {batch: np.kron(step, step) for batch, step in batches.items()}
        sums: dict = {}
        for seen, before in found.items():
            for batch in combinations([i for i in samples if i not in seen], count):
                sums.setdefault(seen | set(batch), []).append(steps[batch] @ before)
        found = {seen: np.mean(each, axis=0) for seen, each in sums.items()}
        maps.append(np.mean(list(found.values()), axis=0))
    return maps, length


def homogeneous(maps, length):
    inner = [i for i in range(length**2) if i // length < length - 1 and i % length < length - 1]
    return maps[-1][np.ix_(inner, inner)]


def radius(problem, size, lr, momentum, drop_last=False):
    return np.abs(np.linalg.eigvals(homogeneous(*positions(problem, size, lr, momentum, drop_last)))).max()


def floor(problem, size, lr, momentum, drop_last=False):
    """Stationary excess loss, averaged over the positions."""
    maps, length = positions(problem, size, lr, momentum, drop_last)
    balance, one = maps[-1] - np.eye(length**2), np.eye(length**2)[-1]
    balance[-1] = one
    begin, d = np.linalg.solve(balance, one), problem.features
    gram = problem.inputs.T @ problem.inputs / problem.samples
    return 0.5 * np.mean([np.sum(gram * (each @ begin).reshape(length, length)[:d, :d]) for each in maps[:-1]])


def loud(samples, features, seed, degrees=2):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(samples, features)) * rng.standard_t(degrees, size=(samples, 1))
    return fl.LeastSquares(inputs, rng.normal(size=samples))


def shuffled(size, lr, **options):
    return fl.SGD(lr, size, sampling="shuffle", **options)


@pytest.mark.statistical(alpha=1e-5)
@thinned(2, ("case", [(9, 1, 0.9, 0), (10, 2, 0.9, 0), (9, 1, 0.0, 2)]), ("share", [0.5, 0.3]))
def test_the_floor_of_few_samples_is_that_of_all_orders(case, share):
    """The expansion is 28 to 51 per cent off at half the limit, and nothing said so."""
    samples, size, momentum, seed = case
    problem = loud(samples, 2, seed)
    lr = share * float(fl.max_stable_lr(problem, shuffled(size, 1.0, momentum=momentum)))
    prediction = fl.predict(problem, shuffled(size, lr, momentum=momentum))
    error = prediction.law.epochs.error
    assert error < 0.05
    expected = floor(problem, size, lr, momentum)
    assert prediction.excess_loss == pytest.approx(expected, rel=7 * error)


def test_few_loud_samples_among_many_count_as_few():
    """60 samples, two of which have most of the leverage: the expansion was 99 per cent too high, unseen."""
    problem = loud(60, 3, 61, degrees=3)
    lr = 0.3 * float(fl.max_stable_lr(problem, fl.SGD(1.0, 2, sampling="without_replacement", momentum=0.9)))
    law = fl.predict(problem, shuffled(2, lr, momentum=0.9)).law
    assert law.measured is not None
    even = fl.LeastSquares(np.random.default_rng(0).normal(size=(60, 3)), np.arange(60.0))
    assert fl.predict(even, shuffled(2, 0.01)).law.epochs is None


@pytest.mark.statistical(alpha=1e-5)
@pytest.mark.parametrize("samples", [pytest.param(9, marks=pytest.mark.slow), 10, 12])
def test_next_to_the_limit_a_floor_is_right_or_doubted(samples):
    """A measurement good to 58 per cent once covered an expansion that said 0.035 for 8,326."""
    problem = loud(samples, 1, 3)
    limit = float(fl.max_stable_lr(problem, shuffled(2, 1.0)))
    for share in (0.9, 0.99):
        try:
            found = fl.predict(problem, shuffled(2, share * limit)).excess_loss
        except UncertainFloor:  # warnings are errors here
            continue
        assert found == pytest.approx(floor(problem, 2, share * limit, 0.0), rel=0.5)


@pytest.mark.parametrize(("samples", "size", "seed"), [(6, 3, 0), (6, 3, 1), (8, 4, 2)])
def test_stable_above_two_over_h(samples, size, seed):
    """An epoch may contract at rates at which its mean batch does not: up to the limit there is a floor."""
    inputs = np.random.default_rng(seed).normal(size=(3, 1))[np.arange(samples) % 3] + 0.01
    problem = fl.LeastSquares(inputs, np.arange(samples) % 4 - 1.0)
    limit = fl.max_stable_lr(problem, shuffled(size, 1.0))
    for share in (0.9, 0.99, 0.999):
        found = fl.predict(problem, shuffled(size, share * limit)).excess_loss
        assert found == pytest.approx(floor(problem, size, share * limit, 0.0), rel=1e-6)
    with pytest.raises(fl.UnstableSGD):
        fl.predict(problem, shuffled(size, 1.01 * limit))


@pytest.mark.parametrize("samples", [10, 12])
def test_the_error_of_a_limit_covers_how_finely_it_is_sought(samples):
    """In every order the epoch is (1 - lr)^N: random ones agree, and an error of 0 was stated for 1e-4."""
    problem = fl.LeastSquares(np.resize([1.0, -1, -1], (samples, 1)), np.arange(samples))
    found = fl.max_stable_lr(problem, shuffled(1, 1.0))
    assert found.method == "random epochs"
    assert abs(found - 2) <= 2 * found.error


def test_the_scale_of_the_inputs_is_none_of_the_accuracy():
    """The tolerance was relative to log lr too: 15 times as wide for raw data."""
    problem = loud(10, 2, 1)
    limits = [
        fl.max_stable_lr(fl.LeastSquares(scale * problem.inputs, problem.targets), shuffled(2, 1.0)) * scale**2
        for scale in (1e-12, 1.0, 1e12)
    ]
    assert limits == pytest.approx([limits[1]] * 3, rel=4e-4)
