"""The held-out loss: against all batches of tiny problems, and against runs on digits."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.steppers import stepper
from helpers.enumeration import Enumeration, tiny

RECIPES = [{}, {"weight_decay": 0.2}, {"momentum": 0.7, "nesterov": True}]


def enumerated(truth, moment, inputs, targets):
    """E 1/2 <|W x - y|^2> from the second moment of the state, sample by sample."""
    mean, second = truth.mean(moment), truth.covariance(moment)
    residuals = inputs @ truth.optimum.T - targets
    return 0.5 * np.mean(
        np.sum(residuals**2, axis=1)
        + 2 * np.sum(residuals * (inputs @ mean.T), axis=1)
        + np.einsum("ni,ij,nj->n", inputs, second, inputs)
    )


@pytest.mark.parametrize("options", RECIPES, ids=str)
@pytest.mark.parametrize("name", ["general", "dead feature", "fewer samples than features"])
def test_it_is_the_loss_averaged_over_all_batches(name, options):
    (inputs, targets), rng = tiny(name), np.random.default_rng(8)
    sgd = fl.SGD(0.05, 2, **options)
    truth = Enumeration(inputs, targets, 0.05, 2, **options)
    prediction = fl.predict(fl.LeastSquares(inputs, targets), sgd)
    others = rng.normal(size=(7, inputs.shape[1])), rng.normal(size=(7, targets.shape[1]))  # see every direction
    start = truth.optimum + rng.normal(size=truth.optimum.shape)
    for t, moment in enumerate(truth.moments(start, 4)):
        found = fl.held_out_loss(prediction.after(t, start=start, rtol=1e-15), *others)
        assert found.expected == pytest.approx(enumerated(truth, moment, *others), rel=1e-12)
    stationary = fl.held_out_loss(prediction, *others)
    assert stationary.expected == pytest.approx(enumerated(truth, truth.stationary(), *others), rel=1e-11)
    assert stationary.excess >= 0


def test_on_the_training_data_it_is_the_training_loss(digits, digits_problem):
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8))
    for now in (prediction, prediction.after(30, start="zero")):
        found = fl.held_out_loss(now, digits.inputs, digits.targets)
        assert found.optimum == pytest.approx(prediction.optimum_loss, rel=1e-12)
        assert found.excess == pytest.approx(now.excess_loss, rel=1e-9)


@pytest.mark.statistical(alpha=1e-4)
def test_real_runs_have_the_predicted_loss_on_digits_held_out(digits):
    """2,000 runs of 30 steps; an excess predicted two per cent wrong is rejected by the same runs."""
    train, rest = slice(0, 1200), slice(1200, None)
    problem, sgd = fl.LeastSquares(digits.inputs[train], digits.targets[train]), fl.SGD(0.05, 8, momentum=0.5)
    state = np.zeros((2, 2000, 10, 64))
    state[0] = -problem.minimum().weights
    stepper(problem, sgd, "sgd", np.dtype(float))(state, Draws(generators(seed_sequence(5), 2000), 1200, sgd), 30, 0)
    x, y = digits.inputs[rest], digits.targets[rest]
    weights = problem.minimum().weights + state[0]
    losses = np.array([0.5 * np.sum((w @ x.T - y.T) ** 2) / len(x) for w in weights])
    found = fl.held_out_loss(fl.predict(problem, sgd).after(30, start="zero"), x, y)
    error = losses.std(ddof=1) / np.sqrt(len(losses))
    assert abs(losses.mean() - found.expected) < 4 * error
    assert abs(losses.mean() - found.optimum - 1.02 * found.excess) > 4 * error


def test_data_that_do_not_fit_are_refused(digits, digits_problem):
    prediction = fl.predict(digits_problem, fl.SGD(0.05, 8))
    with pytest.raises(InvalidInput, match="64 inputs and 3 outputs, the training data 64 and 10"):
        fl.held_out_loss(prediction, digits.inputs, digits.targets[:, :3])


@pytest.mark.parametrize("average", [None, fl.EMA(0.9)], ids=["weights", "average"])
@pytest.mark.parametrize("start", ["optimum", "zero", "elsewhere"])
@pytest.mark.parametrize(
    "sgd",
    [fl.SGD(0.05, 4), fl.SGD(0.02, 4, momentum=0.8, weight_decay=0.1), fl.SGD(0.05, 4, schedule=np.linspace(1, 0, 30))],
    ids=["plain", "momentum", "linear"],
)
def test_the_curve_is_the_loss_at_every_step(sgd, start, average):
    """Training data with a dead feature, which the held-out data do not have dead."""
    rng = np.random.default_rng(5)
    inputs, other = rng.normal(size=(60, 4)), rng.normal(size=(30, 4))
    inputs[:, 3] = 0
    problem = fl.LeastSquares(inputs, inputs[:, :2] + rng.normal(size=(60, 2)))
    held_out = other, other[:, 1:3]
    begin = rng.normal(size=(2, 4)) if start == "elsewhere" else start
    steps = [0, 1, 2, 7, 30]
    found = fl.held_out_curve(problem, sgd, steps, *held_out, start=begin, average=average, rtol=1e-9)
    prediction = fl.predict(problem, sgd, average=average)
    each = [fl.held_out_loss(prediction.after(t, start=begin, rtol=1e-9), *held_out).expected for t in steps]
    np.testing.assert_allclose(found, each, rtol=1e-8)
