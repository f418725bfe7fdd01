"""The exact rung between Python's solutions: limit and noise floor are within the errors that the page states."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine

import fluctua as fl
from fluctua.report.explorer.grid import exact_grid
from fluctua.theory.stability import mean_stable_lr


def problem_of(load):
    data = load()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return fl.LeastSquares(np.c_[x, np.ones(len(x))], np.eye(3)[data.target])


@pytest.fixture(
    scope="module",
    params=[pytest.param(load_wine, id="wine"), pytest.param(load_iris, id="iris", marks=pytest.mark.slow)],
)
def solved(request):
    problem = problem_of(request.param)
    return problem, exact_grid(problem, 0.1 * problem.curvatures[0])


def ratio(problem, sgd):
    return fl.predict(problem, sgd).excess_loss / fl.predict(problem, sgd, theory="discrete").excess_loss


def errors(problem, grid, sgd, share):
    """Relative errors of limit and floor at a share of the true limit."""
    at = sgd.sampling_factor(problem.samples), sgd.momentum, sgd.weight_decay
    true, found = fl.max_stable_lr(problem, sgd), grid.limit(mean_stable_lr(problem, sgd), *at)
    floor = grid.ratio(share * true / found, *at) / ratio(problem, replace(sgd, lr=share * true))
    return abs(found / true - 1), abs(floor - 1)


def some_settings(rng, samples, top, count):
    """As the explorer's sliders allow them: batch sizes evenly in the logarithm, often no momentum or 0.9."""
    for _ in range(count):
        size, momentum = (
            int(np.exp(rng.uniform(0, np.log(0.8 * samples)))),
            rng.choice([0.0, 0.9, rng.uniform(0, 0.95)]),
        )
        decay = rng.choice([0.0, top, top * 10 ** rng.uniform(-4, 0)])
        yield rng.uniform(0.02, 0.89), fl.SGD(1.0, size, momentum=momentum, weight_decay=decay)


def test_random_settings_are_within_the_stated_errors(solved):
    problem, grid = solved
    for share, sgd in some_settings(np.random.default_rng(0), problem.samples, grid.weight_decays[-1], 60):
        limit, floor = errors(problem, grid, sgd, share)
        assert limit < grid.limit_error, sgd
        assert floor < grid.error_at(share), sgd


def test_the_stated_errors_are_small_enough_to_be_of_use(solved):
    _, grid = solved
    assert 0 < grid.limit_error < 0.03
    assert grid.error_at(0.5) < 0.05
    assert grid.error_at(0.75) < 0.1


@pytest.mark.slow
def test_where_an_interpolation_over_few_nodes_was_a_fifth_off():
    problem = problem_of(load_wine)
    grid = exact_grid(problem, 0.2)
    limit, floor = errors(problem, grid, fl.SGD(1.0, 2, momentum=0.27, weight_decay=0.1), 0.83)
    assert limit < 0.01
    assert floor < 0.05 < grid.error_at(0.83)


def test_a_limit_one_and_a_half_stated_errors_off_is_not_within_them(solved):
    problem, grid = solved
    wrong = replace(grid, narrowing=grid.narrowing + 3 * grid.limit_error)
    found = [
        errors(problem, wrong, sgd, 0.4)[0]
        for _, sgd in some_settings(np.random.default_rng(1), problem.samples, grid.weight_decays[-1], 10)
    ]
    assert max(found) > grid.limit_error


def test_nothing_is_said_beyond_the_nodes(solved):
    problem, grid = solved
    for sgd in (
        fl.SGD(1.0, 4, momentum=0.96),
        fl.SGD(1.0, 4, weight_decay=2 * grid.weight_decays[-1]),
        fl.SGD(1.0, 4, momentum=0.5, nesterov=True),
        fl.SGD(1.0, problem.samples + 1),
    ):
        assert not grid.covers(sgd, sgd.sampling_factor(problem.samples))


@pytest.mark.parametrize("samples", [3, pytest.param(5, marks=pytest.mark.slow), 12])
def test_few_samples_have_few_nodes(samples):
    rng = np.random.default_rng(samples)
    problem = fl.LeastSquares(rng.normal(size=(samples, 2)), rng.normal(size=samples))
    grid = exact_grid(problem, 0.1 * problem.curvatures[0])
    assert grid.batch_sizes[-1] == samples
    assert np.isfinite(grid.limit_error)
