"""Runs with random orders of their epochs: the standard error that they state, and `semi_analytic` at finite time."""

import warnings

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UncertainLimit, UnstableRates
from fluctua.theory.law import Law
from fluctua.theory.reshuffling.following import follow_sampled
from fluctua.theory.reshuffling.limit import clearly_below
from fluctua.theory.reshuffling.measured import MeasuredEpochs
from fluctua.theory.reshuffling.orders import draw_orders, random_orders
from helpers.thinning import thinned

STEPS = [3, 7, 9]
RATES = [1.0, 0.3, 0.8, 0.5, 1.2, 0.1, 0.4, 0.9, 0.6, 0.7]
RECIPES = {
    "alike": {},
    "rates within the epoch": {"schedule": RATES},
    "momentum": {"schedule": RATES, "momentum": 0.5, "dampening": 0.2},
}


def setting(options, samples=8):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(samples, 3)), rng.normal(size=(samples, 2))
    return fl.LeastSquares(x, y), fl.SGD(0.1, 2, weight_decay=0.05, sampling="shuffle", **options)


def crowded():
    """40 samples in six modes."""
    rng = np.random.default_rng(1)
    return fl.LeastSquares(rng.normal(size=(40, 6)), rng.normal(size=40))


@pytest.mark.parametrize("sizes", [[8, 8, 8], [8, 8, 4], [8, 8, 1]])
def test_groups_of_orders_have_nothing_in_common(sizes):
    """Pairs stay together, and the samples that are left over are shared out in turn."""
    samples = sum(sizes)
    orders = draw_orders(np.array(sizes), np.full(samples, 1 / samples), 160, np.random.default_rng(0))
    groups = orders.groups()
    assert len(groups) == 16
    assert {row.tobytes() for row in orders.samples} == {row.tobytes() for one in groups for row in one.samples}
    assert sum(len(one.weights) for one in groups) == 160
    for one in groups:
        first, second = np.split(one.samples[:, : samples - sizes[-1] * (sizes[-1] < 8)], 2)
        assert np.array_equal(first, second[:, ::-1])
        assert one.weights.sum() == pytest.approx(1)


@thinned(2, ("recipe", RECIPES))
@pytest.mark.statistical(alpha=2e-5, miss=1e-5)
def test_the_error_that_a_run_states_is_its_own(recipe):
    """Against all 2,520 epochs, in 40 samples of 128 orders, each of them met in three epochs.

    Student's t with 15 degrees of freedom: the mean square of 40 is below 0.3 or above 3.6 with P < 1e-5 either way.
    """
    problem, sgd = setting(RECIPES[recipe])
    law, start = Law(problem, sgd, "exact"), np.full((2, 3), 0.4)
    half = 0.5 * law.minimum.curvatures
    expected = law.relaxation(start, 10, 1e-4).average(STEPS)[0]
    assert law.measured.orders.listed
    scores = []
    for seed in range(40):
        orders = random_orders(problem, sgd, 128, np.random.default_rng(seed))
        ways = law._course(law.minimum.curvatures, 10) if law.moves else None
        run = follow_sampled(MeasuredEpochs(problem, sgd, orders, law.shuffle.epoch), ways, start)
        off = half @ np.diag(run.average(STEPS)[0] - expected)
        scores.append(off / run.error(STEPS, half))
    assert 0.3 < np.mean(np.square(scores)) < 3.6
    assert np.mean(np.square(4 * np.array(scores))) > 3.6  # errors of a quarter


def test_nothing_errs_where_all_epochs_are_listed():
    problem, sgd = setting({"schedule": RATES})
    prediction = fl.predict(problem, sgd)
    assert prediction.excess_loss_error == prediction.at(2).excess_loss_error == 0
    after = prediction.after(STEPS, start="zero")
    found = fl.semi_analytic(problem, sgd, steps=STEPS, start="zero", rng=1)
    assert after.excess_loss_error == found.excess_loss_error == 0
    assert found.excess_loss == pytest.approx(after.excess_loss, rel=1e-12)
    assert np.allclose(found.mode_covariance, after.mode_covariance, rtol=1e-12)
    assert not found.mode_variance_errors.any()
    assert found.steps == tuple(STEPS)
    assert found.orders == 2520
    assert after.to_dict()["excess_loss_error"] == 0


def test_what_is_not_sampled_states_no_error(small_problem):
    shuffled = fl.predict(small_problem, fl.SGD(0.01, 4, sampling="shuffle"))
    independent = fl.predict(small_problem, fl.SGD(0.01, 4))
    for each in (shuffled, independent, shuffled.after(20), independent.after(20)):
        assert each.excess_loss_error is None


@pytest.mark.statistical(alpha=1e-5)
def test_measured_epochs_state_their_error_in_predictions():
    """Near the limit; other orders are another sample: |t| with 15 degrees of freedom passes 6.9 with P = 5e-6."""
    problem = crowded()
    schedule = np.linspace(1.0, 0.2, 45)
    sgd = fl.SGD(0.8 * fl.max_stable_lr(problem, fl.SGD(1.0, 8)), 8, sampling="shuffle", schedule=schedule)
    prediction = fl.predict(problem, sgd, check_stability=False)
    assert prediction.law.measured is not None
    assert prediction.excess_loss_error == pytest.approx(prediction.law.measured.error * prediction.excess_loss)
    assert prediction.at(0).excess_loss_error is None
    after = prediction.after([20, 40], start="zero")
    found = fl.semi_analytic(problem, sgd, steps=[20, 40], start="zero", orders=512, rng=2)
    error = np.hypot(after.excess_loss_error, found.excess_loss_error)
    assert 0 < 6.9 * error < 0.5 * after.excess_loss
    assert abs(found.excess_loss - after.excess_loss) < 6.9 * error


def test_a_schedule_without_steps_says_what_to_write():
    problem, sgd = setting({"schedule": RATES})
    with pytest.raises(InvalidInput, match=r"semi_analytic\(problem, sgd, steps="):
        fl.semi_analytic(problem, sgd)


def test_rates_clearly_below_the_limit_do_not_ask_for_it(monkeypatch):
    problem = crowded()
    limit = fl.max_stable_lr(problem, fl.SGD(0.01, 8, sampling="shuffle"))
    low, high = (fl.SGD(lr, 8, sampling="shuffle", schedule=np.ones(5)) for lr in (0.3 * limit, 1.1 * limit))
    with pytest.warns(UnstableRates) as caught:
        fl.learning_curve(problem, high, 2)
    assert caught[0].message.max_stable_lr == pytest.approx(float(limit))
    monkeypatch.setattr("fluctua.theory.reshuffling.limit.epoch_limit", None)
    fl.learning_curve(problem, low, 2)


def test_where_the_limit_is_that_of_the_expansion_it_tells_rates_far_below(monkeypatch):
    problem = crowded()
    monkeypatch.setattr("fluctua.theory.reshuffling.limit.chosen_orders", lambda *_: None)
    sgd = fl.SGD(0.01, 8, momentum=0.9, sampling="shuffle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncertainLimit)
        limit = fl.max_stable_lr(problem, sgd)
    assert limit.method == "expansion"
    assert clearly_below(problem, sgd, 0.4 * limit)
    assert not clearly_below(problem, sgd, 0.6 * limit)
    assert not clearly_below(problem, sgd, 1.1 * limit)


def test_whether_epochs_are_measured_is_told_by_the_largest_rate_of_a_run():
    """However the rates are written: `lr` may be one that no step has, as with torch's OneCycleLR."""
    problem, factors = crowded(), np.linspace(1.0, 0.2, 15)
    largest = 0.8 * fl.max_stable_lr(problem, fl.SGD(1.0, 8))
    written = [(largest, factors), (1e-3 * largest, 1e3 * factors)]
    ends = [
        fl.predict(problem, fl.SGD(lr, 8, sampling="shuffle", schedule=schedule)).after(15, start="zero")
        for lr, schedule in written
    ]
    assert ends[0].excess_loss_error > 0
    assert ends[1].excess_loss == pytest.approx(ends[0].excess_loss, rel=1e-9)
