"""The spread of the loss from the sum over outputs alone, beside `loss_spread`, which has every pair of outputs."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

import fluctua as fl
from fluctua.theory.outputs_alike import rough_spread
from helpers.thinning import thinned

STEPS = 200
RECIPES = {
    "plain": {},
    "momentum": {"momentum": 0.8},
    "decay": {"weight_decay": 0.2},
    "cosine": {"schedule": fl.schedules.CosineAnnealingLR(STEPS)},
    "shuffle": {"sampling": "shuffle"},
}
INDEPENDENT = [name for name in RECIPES if name != "shuffle"]  # there `loss_spread` is of the closure alone
AVERAGES = {"weights": None, "EMA": fl.EMA(0.8)}


def end(problem, start="zero", average=None, lr=0.01, **options):
    sgd = fl.SGD(lr, 6, **options)
    return fl.predict(problem, sgd, average=average, check_stability=False).after(STEPS, start=start, rtol=1e-8)


@thinned(2, ("recipe", INDEPENDENT), ("average", AVERAGES), ("start", ["zero", "optimum"]))
def test_of_one_output_it_is_that_of_all_pairs(small_problem, recipe, average, start):
    problem = fl.LeastSquares(small_problem.inputs, small_problem.targets[:, 0])
    prediction = end(problem, start, AVERAGES[average], **RECIPES[recipe])
    assert rough_spread(prediction) == pytest.approx(fl.loss_spread(prediction, rtol=1e-8).std, rel=1e-6)


@pytest.mark.parametrize("recipe", INDEPENDENT)
def test_of_outputs_that_are_multiples_of_one_it_is_that_of_all_pairs(small_problem, recipe):
    targets = small_problem.targets[:, :1] * [1.0, -2.0, 0.5]
    prediction = end(fl.LeastSquares(small_problem.inputs, targets), **RECIPES[recipe])
    assert rough_spread(prediction) == pytest.approx(fl.loss_spread(prediction, rtol=1e-8).std, rel=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_residuals_the_fit_says_how_outputs_go_together(small_problem, recipe):
    """Twice the same output, fitted without a rest: half of the covariance is each one's."""
    targets = small_problem.inputs @ np.arange(12.0)[:, None] * [1.0, 1.0]
    problem, one = (fl.LeastSquares(small_problem.inputs, each) for each in (targets, targets[:, :1]))
    found, alone = (rough_spread(end(each, **RECIPES[recipe])) for each in (problem, one))
    assert found == pytest.approx(2 * alone, rel=1e-6)


@pytest.mark.parametrize("recipe", RECIPES)
def test_on_wine_it_is_within_a_fourth(recipe):
    wine = load_wine()
    inputs = (wine.data - wine.data.mean(axis=0)) / wine.data.std(axis=0)
    prediction = end(fl.LeastSquares(np.c_[inputs, np.ones(len(inputs))], wine.target), lr=0.03, **RECIPES[recipe])
    assert prediction.excess_loss < prediction.optimum_loss
    assert rough_spread(prediction) == pytest.approx(fl.loss_spread(prediction, rtol=1e-3).std, rel=0.25)
