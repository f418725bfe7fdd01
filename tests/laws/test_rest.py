"""Weights at rest: a full batch, or an exact fit, leaves nothing that fluctuates, turns or tells past from future."""

import numpy as np
import pytest

import fluctua as fl


def draw(outputs=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 3)), rng.normal(size=(6, outputs))


RESTING = {
    "full batch": (fl.LeastSquares(*draw()), {"batch_size": 6, "sampling": "without_replacement"}),
    "exact fit": (fl.LeastSquares(draw()[0], draw()[0] @ np.ones((3, 2))), {"batch_size": 2}),
    "zero targets": (fl.LeastSquares(draw()[0], np.zeros((6, 2))), {"batch_size": 2}),
}


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}, {"momentum": 0.5, "nesterov": True}])
@pytest.mark.parametrize("name", RESTING)
def test_at_rest_everything_is_zero_and_nothing_is_nan(name, options):
    problem, given = RESTING[name]
    prediction = fl.predict(problem, fl.SGD(0.1, **given, **options))
    production = prediction.entropy_production
    assert production.total == 0.0
    assert not np.signbit(production.total)
    np.testing.assert_array_equal(production.outputs, [0.0, 0.0])
    assert prediction.entropy_production_in(2).total == 0.0
    assert prediction.detailed_balance_violation == 0.0
    for each in (
        prediction.circulation,
        prediction.mode_covariance,
        prediction.temperatures,
        prediction.bath_temperatures,
        prediction.effective_temperatures(3),
        prediction.lagged_covariance(2),
        prediction.output_covariance,
        prediction.output_block(0, 1),
    ):
        np.testing.assert_array_equal(each, np.zeros_like(each))
    assert fl.loss_spread(prediction).std == 0.0
    assert prediction.equilibrated().excess_loss == 0.0


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}])
def test_an_output_that_is_fitted_exactly_adds_nothing(options):
    """Its noise is rounding, which has no direction in time: the whole is the other output's alone."""
    x, y = draw(1)
    both = fl.LeastSquares(x, np.column_stack([x @ [1.0, -2.0, 0.5], y]))
    sgd = fl.SGD(0.1, 1, **options)
    alone = fl.predict(fl.LeastSquares(x, y), sgd).entropy_production
    found = fl.predict(both, sgd).entropy_production
    assert found.outputs[0] == 0.0
    assert found.outputs[1] == pytest.approx(alone.total, rel=1e-9)
    assert found.total == pytest.approx(alone.total, rel=1e-9)


def test_one_batch_short_of_all_samples_is_not_at_rest():
    """The mutant: with 5 of 6 samples a batch both currents and entropy production are there."""
    prediction = fl.predict(fl.LeastSquares(*draw()), fl.SGD(0.1, 5, sampling="without_replacement"))
    assert prediction.entropy_production.total > 1e-3
    assert prediction.detailed_balance_violation > 1e-3
    assert np.abs(prediction.circulation).max() > 0
