"""The spread of the loss between runs: its algebra exactly, and its Gaussian closure against real runs."""

from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from helpers.enumeration import Enumeration, away_from, tiny

pytestmark = pytest.mark.filterwarnings("ignore::fluctua.errors.UncertainSpread")
"""Here the Gaussian closure is compared with itself, near the limit too."""

RECIPES = [{}, {"weight_decay": 0.2}, {"momentum": 0.6}, {"momentum": 0.5, "nesterov": True, "weight_decay": 0.2}]
TINY = ["general", "six samples", "dead feature", "one loud sample", "fewer samples than features", "one feature"]


def gaussian_std(truth, moment):
    """Standard deviation of L(W) for Gaussian vec V with the enumerated mean and covariance: by cubature.

    (L - E L)^2 is a polynomial of degree 4 in V, for which three Gauss-Hermite nodes per direction are exact. L is
    taken from its definition, sample by sample.
    """
    size = truth.optimum.size
    mean = moment[:size, -1]
    scales, axes = np.linalg.eigh(moment[:size, :size] - np.outer(mean, mean))
    kept = scales > 1e-13 * scales[-1]
    root = axes[:, kept] * np.sqrt(scales[kept])
    one, share = np.polynomial.hermite_e.hermegauss(3)
    nodes, shares = (np.array(list(product(each, repeat=root.shape[1]))) for each in (one, share / share.sum()))
    weights = truth.optimum + (mean + nodes @ root.T).reshape(-1, *truth.optimum.shape)
    errors = np.einsum("nd,mcd->mnc", truth.inputs, weights) - truth.targets
    losses = 0.5 * np.sum(errors**2, axis=2).mean(axis=1) + 0.5 * truth.weight_decay * np.sum(weights**2, axis=(1, 2))
    chances = shares.prod(axis=1)
    return np.sqrt(chances @ (losses - chances @ losses) ** 2)


@pytest.mark.parametrize("options", RECIPES, ids=str)
@pytest.mark.parametrize("name", TINY)
def test_it_is_the_spread_of_a_gaussian_with_the_enumerated_mean_and_covariance(name, options):
    inputs, targets = tiny(name)
    truth, problem = Enumeration(inputs, targets, 0.02, 2, **options), fl.LeastSquares(inputs, targets)
    prediction = fl.predict(problem, fl.SGD(0.02, 2, **options))
    found = fl.loss_spread(prediction, rtol=1e-13)
    assert found.std == pytest.approx(gaussian_std(truth, truth.stationary()), rel=1e-10)
    for start in (truth.optimum, away_from(truth)):
        for t, moment in enumerate(truth.moments(start, 3)):
            found = fl.loss_spread(prediction.after(t, start=start, rtol=1e-13), rtol=1e-13)
            assert found.mean == pytest.approx(truth.excess_loss(moment), rel=1e-10, abs=1e-14)
            expected = gaussian_std(truth, moment) if t else 0.0
            assert found.std == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_an_average_or_a_schedule_that_changes_nothing_changes_nothing(small_problem, decay):
    def spread(average=None, **options):
        sgd = fl.SGD(0.02, 4, weight_decay=decay, **options)
        prediction = fl.predict(small_problem, sgd, average=average, check_stability=False)
        return fl.loss_spread(prediction.after(20, start="zero", rtol=1e-10), rtol=1e-10).std

    plain = spread()
    for other in (spread(fl.EMA(0.0)), spread(fl.RunningAverage(19)), spread(schedule=[1.0] * 20)):
        assert other == pytest.approx(plain, rel=1e-8)
    assert spread(fl.EMA(0.9)) != pytest.approx(plain, rel=1e-2)


@pytest.mark.parametrize(
    ("theory", "average"),
    [("exact", None), ("discrete", None), ("langevin", None), ("exact", fl.EMA(0.9)), ("discrete", fl.EMA(0.9))],
)
def test_the_stationary_spread_is_the_limit_of_long_runs(small_problem, theory, average):
    prediction = fl.predict(small_problem, fl.SGD(0.1, 4, weight_decay=0.3), theory=theory, average=average)
    late = fl.loss_spread(prediction.after(350, start="zero", rtol=1e-8), rtol=1e-9)
    assert fl.loss_spread(prediction, rtol=1e-9).std == pytest.approx(late.std, rel=1e-7)


def test_outputs_turned_into_one_another_leave_it_unchanged(small_problem):
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turned = fl.LeastSquares(small_problem.inputs, small_problem.targets @ turn)
    found = [
        fl.loss_spread(
            fl.predict(problem, fl.SGD(0.05, 4, weight_decay=0.3)).after(9, start="zero", rtol=1e-10), rtol=1e-10
        )
        for problem in (small_problem, turned)
    ]
    assert found[0].std == pytest.approx(found[1].std, rel=1e-8)


def test_without_a_stationary_state_it_is_infinite_and_a_full_batch_has_none(small_problem):
    beyond = fl.predict(small_problem, fl.SGD(5.0, 4), check_stability=False)
    assert fl.loss_spread(beyond).std == np.inf
    whole = fl.predict(small_problem, fl.SGD(0.05, 60, sampling="without_replacement"))
    assert fl.loss_spread(whole).std == 0
    assert np.isnan(fl.loss_spread(whole).relative)


@pytest.mark.parametrize("theory", ["hessian", "equilibrium"])
def test_levels_that_know_the_sum_over_outputs_only_are_refused(small_problem, theory):
    with pytest.raises(InvalidInput, match="sum over outputs"):
        fl.loss_spread(fl.predict(small_problem, fl.SGD(0.05, 4), theory=theory))


def test_an_average_over_steps_is_refused(small_problem):
    with pytest.raises(InvalidInput, match="averaged over 3"):
        fl.loss_spread(fl.predict(small_problem, fl.SGD(0.05, 4)).after([1, 2, 3]))


def independent_outputs(prediction):
    """The naive closure: c independent outputs of equal covariance S/c."""
    h, outputs = prediction.curvatures, prediction.law.problem.outputs
    return np.sqrt(0.5 / outputs * h @ prediction.mode_covariance**2 @ h)


RUNS = [
    pytest.param(fl.SGD(0.05, 8), 200, "optimum", id="b 8"),
    pytest.param(fl.SGD(0.05, 8), 100, "zero", id="b 8, from zero"),
    pytest.param(fl.SGD(0.005, 1), 300, "optimum", id="b 1, small lr"),
]


@pytest.mark.slow
@pytest.mark.statistical(alpha=2e-4)
@pytest.mark.parametrize(("sgd", "steps", "start"), RUNS)
def test_real_runs_on_digits_differ_as_predicted(digits_problem, sgd, steps, start):
    """8,192 runs tell their standard deviation to 1.5 % (their losses have a kurtosis of 6 to 9).

    The closure was found 1 to 4 % low here with other seeds, so 0.90 to 1.06 of the measured value is more than four
    standard errors wide on either side. The same runs reject a spread 15 % wrong, and independent outputs.
    """
    prediction = fl.predict(digits_problem, sgd).after(steps, start=start)
    run = fl.simulate(digits_problem, sgd, steps=steps, replicas=8192, records=1, rng=21, start=start)
    measured, predicted = run.replica_losses[:, -1].std(ddof=1), fl.loss_spread(prediction, rtol=1e-3).std
    assert 0.90 < predicted / measured < 1.06
    for mutant in (1.15 * predicted, predicted / 1.15, independent_outputs(prediction)):
        assert not 0.90 < mutant / measured < 1.06


@pytest.mark.slow
@pytest.mark.statistical(alpha=2e-4)
def test_at_batches_of_one_and_half_the_limit_the_closure_is_a_fifth_low(digits_problem):
    """What the closure misses, kept in sight: 0.810(11) in docs/spread.md, and the bounds are five of that error away.

    They do not hold 1: here an exact closure would fail.
    """
    sgd = fl.SGD(0.5 * fl.max_stable_lr(digits_problem, fl.SGD(1.0, 1)), 1)
    found = fl.loss_spread(fl.predict(digits_problem, sgd).after(300, rtol=1e-3), rtol=1e-3)
    run = fl.simulate(digits_problem, sgd, steps=300, replicas=8192, records=1, rng=22)
    assert 0.75 < found.std / run.replica_losses[:, -1].std(ddof=1) < 0.87
