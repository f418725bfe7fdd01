"""The semi-analytic solution of shuffled epochs: exact where every order is given, and against real runs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from test_shuffle_real import DECAY

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.verification.epoch_run import EpochRun
from helpers.enumeration import EpochEnumeration, tiny
from helpers.tables import problem_of
from helpers.thinning import thinned

OPTIMISERS = {"plain": {}, "momentum": {"momentum": 0.5}, "nesterov": {"momentum": 0.5, "nesterov": True}}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("name", "size"), [("six samples", 1), ("six samples", 4), ("general", 2)])
def test_with_every_order_it_is_the_enumeration(name, size, drop_last, optimiser):
    """At 0.3 of the limit, where the law of `predict` is off by up to 7 %."""
    inputs, targets = tiny(name)
    problem, options = fl.LeastSquares(inputs, targets), OPTIMISERS[optimiser] | {"weight_decay": 0.2}
    lr = 0.3 * fl.max_stable_lr(problem, fl.SGD(1.0, size, sampling="without_replacement", **options))
    truth = EpochEnumeration(inputs, targets, lr, size, drop_last=drop_last, **options)
    moments = truth.within(truth.stationary())[:-1]
    epoch = EpochRun(problem, fl.SGD(lr, size, sampling="shuffle", drop_last=drop_last, **options), rtol=1e-11)
    orders = np.array(list(permutations(range(len(inputs)))))
    found = epoch.settled(orders, epoch.settled_mean(orders))
    expected = np.mean([problem.modes.T @ truth.covariance(one) @ problem.modes for one in moments], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    loss = np.mean([truth.excess_loss(one) for one in moments])
    assert 0.5 * np.diag(found) @ epoch.minimum.curvatures == pytest.approx(loss, rel=1e-9)


def test_without_the_mean_it_is_not():
    """The mutant: an epoch begun at W* instead of at E V."""
    inputs, targets = tiny("six samples")
    problem, orders = fl.LeastSquares(inputs, targets), np.array(list(permutations(range(6))))
    epoch = EpochRun(problem, fl.SGD(0.05, 1, 0.2, "shuffle"), rtol=1e-11)
    mean = epoch.settled_mean(orders)
    right, wrong = (np.trace(epoch.settled(orders, start)) for start in (mean, np.zeros_like(mean)))
    assert abs(wrong / right - 1) > 1e-3


@thinned(2, ("optimiser", ["plain", "momentum"]))
@pytest.mark.statistical(alpha=1e-4)
def test_the_law_is_within_its_errors_where_the_law_is_exact(small_problem, optimiser):
    """At 1 % of the limit; |Student's t| with 15 degrees of freedom passes 6.1 with P = 2e-5."""
    sgd = fl.SGD(0.002, 4, 0.03, "shuffle", **OPTIMISERS[optimiser])
    law, found = fl.predict(small_problem, sgd), fl.semi_analytic(small_problem, sgd, orders=8192, rng=4)
    assert abs(found.excess_loss - law.excess_loss) < 6.1 * found.excess_loss_error
    assert 6.1 * found.excess_loss_error < 0.05 * law.excess_loss
    np.testing.assert_allclose(found.mode_variances, law.mode_variances, rtol=0.2)


def measured(run):
    """Excess loss of replicas begun at W*, over all steps from the given epoch on: mean and standard error."""
    problem, sgd, epochs, settled, replicas = run
    steps = len(sgd.batch_sizes(problem.samples)) * epochs
    found = fl.simulate(problem, sgd, steps=steps, replicas=replicas, records=steps - 1, rng=8)
    losses = found.replica_losses[:, found.watched > steps * settled // epochs].mean(axis=1)
    return losses.mean(), losses.std(ddof=1) / np.sqrt(replicas)


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize(("name", "lr", "wrong"), [("wine", 0.25, 0.03), ("breast_cancer", 0.03, 0.12)])
def test_on_small_tables_runs_fluctuate_as_it_says(name, lr, wrong):
    """Where the law of `predict` is off by 1 to 2 %; wrong by `wrong` it would be rejected."""
    problem, sgd = problem_of(name), fl.SGD(lr, 8, DECAY, "shuffle")
    mean, error = measured((problem, sgd, 60, 30, 1024))
    found = fl.semi_analytic(problem, sgd, orders=16_384 if name == "wine" else 4096, rng=6)
    far = 6.1 * np.hypot(error, found.excess_loss_error)
    assert abs(found.excess_loss - mean) < far
    assert far < wrong * mean


@pytest.mark.any_seed
def test_threads_change_nothing(small_problem):
    sgd = fl.SGD(0.02, 4, 0.03, "shuffle")
    one, two = (fl.semi_analytic(small_problem, sgd, orders=64, rng=4, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.mode_covariance, two.mode_covariance)
    assert one.entropy == "4"


@pytest.mark.parametrize(
    ("sgd", "options", "message"),
    [
        (fl.SGD(0.02, 4), {}, "for sampling='shuffle', got 'with_replacement'"),
        (fl.SGD(0.02, 4, sampling="sequential"), {}, "for sampling='shuffle', got 'sequential'"),
        (fl.SGD(0.02, 4, sampling="shuffle"), {"orders": 40}, "multiple of 32"),
        (fl.SGD(0.02, 4, sampling="shuffle"), {"orders": 32 * 10**9}, "more than 1e[+]15"),
        (fl.SGD(0.02, 4, sampling="shuffle"), {"orders": 16}, "at least 32"),
        (fl.SGD(0.02, 4, sampling="shuffle", momentum=0.5, dampening=0.1), {}, "dampening epochs are not all alike"),
    ],
)
def test_what_it_is_not_for_is_refused_before_any_epoch(small_problem, sgd, options, message):
    with pytest.raises(InvalidInput, match=message):
        fl.semi_analytic(small_problem, sgd, **options)


@pytest.mark.any_seed
def test_an_unstable_recipe_is_refused(small_problem):
    with pytest.raises(fl.UnstableSGD):
        fl.semi_analytic(small_problem, fl.SGD(5.0, 4, sampling="shuffle"))
