"""The spread of the loss in shuffled epochs: every order of tiny data exactly, and what stands for the rest."""

from dataclasses import replace

import numpy as np
import pytest
from test_spread import gaussian_std

import fluctua as fl
from fluctua.errors import InvalidInput
from helpers.enumeration import EpochEnumeration, away_from, followed_in_epochs, tiny

pytestmark = pytest.mark.filterwarnings("ignore::fluctua.errors.UncertainSpread")
"""Here the Gaussian closure is compared with itself, near the limit too."""

RECIPES = [{}, {"momentum": 0.6, "weight_decay": 0.2}]


def setting(name, lr=0.04, **options):
    inputs, targets = tiny(name)
    sgd = fl.SGD(lr, 2, sampling="shuffle", **options)
    return fl.LeastSquares(inputs, targets), sgd, EpochEnumeration(inputs, targets, lr, 2, **options)


@pytest.mark.parametrize("options", RECIPES, ids=str)
@pytest.mark.parametrize("name", ["general", "six samples", "fewer samples than features"])
def test_it_is_that_of_a_gaussian_with_the_moments_of_all_orders(name, options):
    problem, sgd, truth = setting(name, **options)
    prediction = fl.predict(problem, sgd)
    settled = truth.within(truth.stationary())[:-1]
    expected = [gaussian_std(truth, moment) for moment in settled]
    for place, std in enumerate(expected):
        assert fl.loss_spread(prediction.at(place)).std == pytest.approx(std, rel=1e-8)
    over_all = np.sqrt(np.mean(np.square(expected)))
    assert fl.loss_spread(prediction).std == pytest.approx(over_all, rel=1e-8)
    for start in (truth.optimum, away_from(truth)):
        for t, moment in enumerate(truth.moments(start, 5)):
            found = fl.loss_spread(prediction.after(t, start=start))
            expected = gaussian_std(truth, moment) if t else 0.0  # from the small difference of second moments
            assert found.std == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("average", [fl.EMA(0.7, 2), fl.RunningAverage(1, "epoch")], ids=str)
def test_an_average_and_a_schedule_are_followed(average):
    factors = [1.0, 0.3, 0.8, 0.5, 1.2, 0.1, 0.4]
    problem, sgd, truth = setting("general")
    sgd = fl.SGD(0.04, 2, sampling="shuffle", schedule=factors)
    shares, size = average.in_steps(sgd, 5).weights(range(7)), truth.optimum.size
    moments = list(followed_in_epochs(truth, factors, shares))
    prediction = fl.predict(problem, sgd, average=average)
    for t in (4, 7):
        moment = moments[t - 1][np.ix_(kept := np.r_[:size, len(moments[0]) - 1], kept)]
        found = fl.loss_spread(prediction.after(t, start=away_from(truth)))
        assert found.std == pytest.approx(gaussian_std(truth, moment), rel=1e-9)


def expanded(prediction):
    """The same prediction by the expansion, as if the epochs were too many to be listed."""
    prediction.law.__dict__["measured"] = None
    return prediction


def nine_samples(outputs, **options):
    """Data of which all 1,680 epochs can be listed, and a recipe."""
    rng = np.random.default_rng(6)
    problem = fl.LeastSquares(rng.normal(size=(9, 2)), rng.normal(size=(9, outputs)))
    return problem, fl.SGD(**{"lr": 0.1, "batch_size": 3, "sampling": "shuffle", **options})


LOOKS = {
    "stationary": lambda p: p,
    "at a position": lambda p: p.at(1),
    "from W*": lambda p: p.after(8),
    "in the first epoch": lambda p: p.after(2, start="zero"),
    "later": lambda p: p.after(7, start="zero"),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "lr": 0.05, "weight_decay": 0.1}], ids=str)
def test_the_scaled_spread_of_independent_batches_stands_for_it(options, look):
    """With 0.2 modes to a sample: off by 1 to 15 %, where independent batches are off by 40 % and more."""
    problem, sgd = nine_samples(2, **options)
    exact, found = (LOOKS[look](each) for each in (fl.predict(problem, sgd), expanded(fl.predict(problem, sgd))))
    expected, other = fl.loss_spread(exact).std, replace(sgd, sampling="without_replacement")
    assert fl.loss_spread(found).std == pytest.approx(expected, rel=0.16 if look == "later" else 0.08)
    independent = LOOKS[look](fl.predict(problem, other)) if look != "at a position" else fl.predict(problem, other)
    assert fl.loss_spread(independent).std > 1.3 * expected


def test_a_single_output_needs_no_pairs():
    prediction = expanded(fl.predict(*nine_samples(1))).after(8)
    h, mean = prediction.curvatures, prediction.mode_mean
    covariance, pull = prediction.mode_covariance - mean.T @ mean, h * mean[0]
    expected = np.sqrt(0.5 * h @ covariance**2 @ h + pull @ covariance @ pull)
    assert fl.loss_spread(prediction).std == pytest.approx(expected, rel=1e-12)


def test_an_average_in_epochs_that_are_not_listed():
    problem, sgd = nine_samples(2)
    average = fl.EMA(0.5, "epoch")
    exact, found = (fl.predict(problem, sgd, average=average) for _ in range(2))
    expected = fl.loss_spread(exact.after(30)).std
    for settled in (exact, expanded(found)):
        assert fl.loss_spread(settled).std == pytest.approx(expected, rel=0.08)
    assert fl.loss_spread(expanded(found).after(30)).std == pytest.approx(expected, rel=0.08)
    assert fl.loss_spread(fl.predict(problem, sgd, average=fl.RunningAverage())).std == 0


def test_what_is_scaled_must_exist():
    problem, sgd = nine_samples(2)
    limit = float(fl.max_stable_lr(problem, replace(sgd, sampling="without_replacement")))
    beyond = expanded(fl.predict(problem, sgd))
    object.__setattr__(beyond.law, "sgd", replace(sgd, lr=1.01 * limit))
    with pytest.raises(InvalidInput, match=f"is above the largest stable one, {limit:.6g}"):
        fl.loss_spread(beyond)


@pytest.mark.slow
@pytest.mark.statistical(alpha=2e-4)
@pytest.mark.parametrize(("steps", "start"), [(395, "optimum"), (310, "zero")])
def test_real_runs_on_digits_differ_as_predicted(digits_problem, steps, start):
    """8,192 runs tell their standard deviation to 1 %; 1.00 to 1.02 of it was found here with other seeds.

    They reject independent batches, whose spread is 1.2 and 1.5 times theirs.
    """
    sgd = fl.SGD(0.0095, 16, weight_decay=1e-3, sampling="shuffle")
    run = fl.simulate(digits_problem, sgd, steps=steps, replicas=8192, records=1, rng=31, start=start)
    measured = run.replica_losses[:, -1].std(ddof=1)
    independent = replace(sgd, sampling="without_replacement")
    found, other = (
        fl.loss_spread(fl.predict(digits_problem, each).after(steps, start=start, rtol=1e-3), rtol=1e-3).std
        for each in (sgd, independent)
    )
    assert 0.95 < found / measured < 1.07
    assert other > 1.1 * measured
