"""The exact rung between Python's solutions: limit and noise floor are within the errors that the page states."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine

import fluctua as fl
from fluctua.report.explorer.balance import _only_zero
from fluctua.report.explorer.epochs import epoch_factors
from fluctua.report.explorer.reduction import reduced_balance

DECAYS = (0.0, 0.001, 0.03, 0.1)  # of the largest curvature


def problem_of(load):
    data = load()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    targets = np.eye(3)[data.target] if len(set(data.target)) == 3 else data.target / 100
    return fl.LeastSquares(np.c_[x, np.ones(len(x))], targets)


@pytest.fixture(scope="module", params=[load_wine, load_iris, load_diabetes], ids=["wine", "iris", "diabetes"])
def solved(request):
    problem = problem_of(request.param)
    decays = problem.curvatures[0] * np.array(DECAYS)
    return problem, reduced_balance(problem, decays, fl.SGD(0.01, 8))


def some_recipes(rng, samples, decays, count):
    """As the explorer's sliders allow them, and steps that are no heavy ball."""
    for _ in range(count):
        size = int(np.exp(rng.uniform(0, np.log(0.8 * samples))))
        momentum = rng.choice([0.0, 0.9, rng.uniform(0, 0.97)])
        options = {"momentum": float(momentum), "weight_decay": float(rng.choice(decays))}
        kind = rng.choice(3) if momentum else 0
        made = fl.QHM(1.0, size, nu=0.7, **options) if kind == 1 else fl.SGD(1.0, size, nesterov=kind == 2, **options)
        yield rng.uniform(0.02, 0.95), made


def errors(problem, balance, sgd, share):
    """Relative errors of limit and floor at a share of the true limit, by Python's own laws on all samples."""
    place, kappa = balance.place_of(sgd.weight_decay), sgd.sampling_factor(problem.samples)
    true = fl.max_stable_lr(problem, sgd)
    there = replace(sgd, lr=share * true)
    exact, discrete = (fl.predict(problem, there, theory=rung).excess_loss for rung in ("exact", "discrete"))
    found = discrete * (1 + balance.feedback(sgd.step, there.lr, kappa, sgd.weight_decay, place))
    return abs(balance.limit(sgd.step, kappa, sgd.weight_decay, place) / true - 1), abs(found / exact - 1)


def test_random_settings_are_within_the_stated_errors(solved):
    problem, balance = solved
    for share, sgd in some_recipes(np.random.default_rng(0), problem.samples, balance.weight_decays, 60):
        limit, floor = errors(problem, balance, sgd, share)
        assert limit < balance.limit_error, sgd
        assert floor < balance.error_at(share), sgd


def test_the_stated_errors_are_small(solved):
    _, balance = solved
    assert 5e-4 <= balance.limit_error < 5e-3
    assert balance.error_at(0.5) < 1e-2


def test_a_limit_two_stated_errors_off_is_not_within_them(solved):
    problem, balance = solved
    wrong = replace(balance, images=balance.images * (1 + 10 * balance.limit_error))
    recipes = some_recipes(np.random.default_rng(1), problem.samples, balance.weight_decays, 10)
    assert max(errors(problem, wrong, sgd, 0.4)[0] for _, sgd in recipes) > balance.limit_error


def test_no_setting_below_the_limit_has_a_pole_of_its_own(solved):
    """The feedback over lr/(limit - lr) is smooth up to the limit, although K is not definite."""
    problem, balance = solved
    shares = np.linspace(0.002, 0.998, 1000)
    for _, sgd in some_recipes(np.random.default_rng(2), problem.samples, balance.weight_decays, 12):
        place, kappa = balance.place_of(sgd.weight_decay), sgd.sampling_factor(problem.samples)
        limit = balance.limit(sgd.step, kappa, sgd.weight_decay, place)
        fed = [balance.feedback(sgd.step, share * limit, kappa, sgd.weight_decay, place) for share in shares]
        steady = np.array(fed) * (1 - shares) / shares
        assert steady.min() > 0
        assert np.abs(np.diff(np.log(steady))).max() < 0.1, sgd


@pytest.mark.parametrize("left", [lambda _: -1.0, lambda _: np.nan], ids=["unstable", "broken"])
def test_a_limit_that_is_not_found_is_said_so(left):
    with pytest.raises(fl.errors.NotConverged, match="limit of stability between the explorer's settings"):
        _only_zero(left, 1.0)


def test_the_own_recipe_is_among_the_solutions(solved):
    problem, balance = solved
    sgd = fl.SGD(0.01, 8)
    found = balance.feedback(sgd.step, sgd.lr, 1 / 8, 0.0, balance.place_of(0.0))
    exact, discrete = (fl.predict(problem, sgd, theory=rung).excess_loss for rung in ("exact", "discrete"))
    assert discrete * (1 + found) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("samples", [3, 5, 12])
def test_few_samples_have_a_balance(samples):
    rng = np.random.default_rng(samples)
    problem = fl.LeastSquares(rng.normal(size=(samples, 2)), rng.normal(size=samples))
    balance = reduced_balance(problem, np.array([0.0, 0.1 * problem.curvatures[0]]), fl.SGD(1e-3, 1))
    for share, size in ((0.3, 1), (0.8, 2)):
        limit, floor = errors(problem, balance, fl.SGD(1.0, size), share)
        assert limit < balance.limit_error
        assert floor < balance.error_at(share)


def test_of_a_large_problem_it_is_an_estimate_from_a_part(monkeypatch, digits_problem):
    from fluctua.report.explorer import reduction

    monkeypatch.setattr(reduction, "_MODES", 20)
    monkeypatch.setattr(reduction, "_FEWEST", 600)
    monkeypatch.setattr(reduction, "_WORK", 1.0)
    balance = reduced_balance(digits_problem, np.array([0.0, 1.0]), fl.SGD(0.05, 8))
    assert (balance.modes, balance.samples) == (20, 600)
    limit, floor = errors(digits_problem, balance, fl.SGD(1.0, 8), 0.3)
    assert limit < 0.02
    assert floor < 0.02


def test_shuffled_epochs_between_the_nodes_are_within_the_stated_error():
    problem = problem_of(load_diabetes)
    run = fl.SGD(0.02, 17, sampling="shuffle")
    balance = reduced_balance(problem, np.array([0.0]), replace(run, sampling="without_replacement"))
    floor = fl.predict(problem, run).excess_loss
    factors = epoch_factors(problem, run, balance, floor)
    assert factors.error < 0.02
    for lr, size in ((0.02, 17), (0.03, 17), (0.025, 13)):
        sgd = replace(run, lr=lr, batch_size=size)
        share = lr / balance.limit(sgd.step, 1 / size, 0.0, 0)
        discrete = fl.predict(problem, sgd, theory="discrete").excess_loss
        found = 1 + factors.factor(share, size) * balance.feedback(sgd.step, lr, 1 / size, 0.0, 0)
        tolerance = 1e-9 if sgd == run else factors.error + 0.01  # the last batch differs
        assert discrete * found == pytest.approx(fl.predict(problem, sgd).excess_loss, rel=tolerance)
    assert np.isnan(factors.factor(0.2, 100))
