"""Results come in the order asked for, duplicates included."""

import numpy as np
import pytest

import fluctua as fl
from helpers.enumeration import Enumeration


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(2)
    inputs, targets = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    return inputs, targets, rng.normal(size=(4, 2)), rng.normal(size=(4, 1))


@pytest.mark.parametrize(
    "steps", [[50, 0], [0, 50], [7], [3, 3, 0, 3], (2, 1, 2, 0), np.array([4, 9, 1], np.uint8)], ids=str
)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.7}, {"schedule": np.linspace(1, 0.1, 60)}], ids=str)
@pytest.mark.parametrize("average", [None, fl.EMA(0.9)], ids=["weights", "average"])
def test_held_out_losses_come_in_the_order_of_the_steps(setting, steps, options, average):
    inputs, targets, x, y = setting
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.1, 2, **options)
    found = fl.held_out_curve(problem, sgd, steps, x, y, average=average, rtol=1e-9)
    alone = [fl.held_out_curve(problem, sgd, [int(t)], x, y, average=average, rtol=1e-9)[0] for t in steps]
    np.testing.assert_allclose(found, alone, rtol=1e-8)


def test_they_are_those_of_all_batches(setting):
    inputs, targets, x, y = setting
    truth = Enumeration(inputs, targets, 0.1, 2)
    found = fl.held_out_curve(fl.LeastSquares(inputs, targets), fl.SGD(0.1, 2), [3, 0, 1, 3], x, y, rtol=1e-12)
    moments = list(truth.moments(np.zeros((1, 2)), 3))
    residuals = x @ truth.optimum.T - y
    expected = [
        0.5
        * np.mean(
            np.sum(residuals**2, axis=1)
            + 2 * np.sum(residuals * (x @ truth.mean(m).T), axis=1)
            + np.einsum("ni,ij,nj->n", x, truth.covariance(m), x)
        )
        for m in moments
    ]
    np.testing.assert_allclose(found, np.array(expected)[[3, 0, 1, 3]], rtol=1e-11)


@pytest.mark.parametrize("sampling", ["with_replacement", "shuffle"])
def test_an_average_over_steps_has_no_order_and_counts_a_step_as_often_as_it_comes(setting, sampling):
    inputs, targets, *_ = setting
    prediction = fl.predict(fl.LeastSquares(inputs, targets), fl.SGD(0.05, 2, sampling=sampling))
    found = prediction.after([7, 0, 2, 2], start="zero")
    each = [prediction.after(t, start="zero") for t in (0, 2, 2, 7)]
    assert found.steps == (0, 2, 2, 7)
    assert found.excess_loss == pytest.approx(np.mean([one.excess_loss for one in each]), rel=1e-7)
    np.testing.assert_allclose(found.mean, np.mean([one.mean for one in each], axis=0), rtol=1e-7)
    np.testing.assert_allclose(found.covariance, np.mean([one.covariance for one in each], axis=0), rtol=1e-6)


def test_classes_become_outputs_in_the_order_named():
    forward, back = (fl.load("digits", classes=names) for names in ([3, 8], [8, 3]))
    np.testing.assert_array_equal(forward.targets, back.targets[:, ::-1])


# --- held-out data may be few ---


@pytest.mark.parametrize("samples", [1, 2])
def test_held_out_data_may_be_one_sample_or_equal_ones(setting, samples):
    inputs, targets, x, y = setting
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.1, 2)
    prediction = fl.predict(problem, sgd)
    x, y = np.repeat(x[:1], samples, axis=0), np.repeat(y[:1], samples, axis=0)
    found = fl.held_out_loss(prediction, x, y)
    residual = x[0] @ prediction.optimum[0] - y[0, 0]
    assert found.optimum == pytest.approx(0.5 * residual**2, rel=1e-12)
    assert found.excess == pytest.approx(0.5 * x[0] @ prediction.covariance @ x[0], rel=1e-12)
    curve = fl.held_out_curve(problem, sgd, [40, 0], x, y)
    assert curve[1] == pytest.approx(0.5 * y[0, 0] ** 2, rel=1e-12)
    plan = fl.plan(problem, 100, batch_size=2, momenta=[0.0], schedules=["constant"], held_out=(x, y))
    assert np.isfinite(plan.best.loss)


def test_held_out_data_of_unequal_length_are_refused(setting):
    inputs, targets, x, y = setting
    prediction = fl.predict(fl.LeastSquares(inputs, targets), fl.SGD(0.1, 2))
    with pytest.raises(fl.errors.InvalidInput, match="4 samples and held-out targets 3"):
        fl.held_out_loss(prediction, x, y[:3])
