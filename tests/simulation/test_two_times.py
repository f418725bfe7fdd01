"""Runs looked at twice, on every batch and at random; the dynamic verdict as a whole, and what it rejects."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from importlib.resources import files
from itertools import product

import jsonschema
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.signal import lfilter
from scipy.stats import binom, chi2

import fluctua as fl
from fluctua.errors import InvalidInput, ResultError
from fluctua.kernels.constant import gradient_step
from fluctua.simulation import steppers as dynamics
from fluctua.simulation import twins
from fluctua.simulation.agenda import Agenda, Forms, Found
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.twins import Twins, watch
from fluctua.theory.entropy import Chain, gaussian_entropy, inverse_on_range, path_entropy, sweeping_error
from fluctua.verification.in_time.verdict import FDT, NO_CURRENT
from helpers.enumeration import Enumeration, error, tiny
from helpers.kernels import momentum_step

SGD = fl.SGD(lr=0.05, batch_size=8)
MOMENTUM = fl.SGD(lr=0.01, batch_size=8, momentum=0.9)
RUN = {"steps": 400, "replicas": 128, "modes": 10, "rng": 20211104, "level": 1e-5}


@pytest.fixture(scope="module")
def verdict(digits_problem):
    return fl.verify_dynamic(digits_problem, SGD, **RUN)


@pytest.fixture(scope="module")
def with_momentum(digits_problem):
    return fl.verify_dynamic(digits_problem, MOMENTUM, **RUN)


# ------------------------------------------------------------------ the measurement, without chance


def listed(sequences):
    """Every sequence of batches once, one per replica, instead of random ones."""

    def batches(draws, steps):
        for _ in range(steps):
            draws.at = getattr(draws, "at", -1) + 1
            yield sequences[None, :, draws.at]

    return batches


@pytest.mark.any_seed
@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}, {"momentum": 0.6, "nesterov": True}])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_on_every_sequence_of_batches_the_averages_are_the_enumerated_ones(monkeypatch, options, decay):
    """Four steps of batches of one of four samples, 256 sequences: correlations and answers to 1e-12, no chance."""
    inputs, targets = tiny("duplicated feature")
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.05, 1, weight_decay=decay, **options)
    truth = Enumeration(inputs, targets, 0.05, 1, "with_replacement", decay, **options)
    sequences = np.array(list(product(truth.batches, repeat=4)))
    monkeypatch.setattr(Draws, "batches", listed(sequences))
    c, r = problem.minimum().mode_weights.shape
    rng = np.random.default_rng(0)
    direction, optimum = rng.normal(size=(2, c, r))
    skew = rng.normal(size=(c * r, c * r))
    weights = Forms(skew - skew.T, np.array([skew[k : k + r, k : k + r] for k in range(0, c * r, r)]))
    agenda = Agenda(4, 2, 1, (1, 2), r, np.array([0.3, 2.0]), direction, optimum, (0, 1))
    rngs = generators(seed_sequence(1), len(sequences))
    found = Found.gathered(watch(Twins(problem, sgd, agenda, weights), [rngs], 1))

    *_, before = truth.moments(truth.optimum, 2)
    mean, size = truth.maps.mean(axis=0), truth.optimum.size
    turn = np.kron(np.eye(c), problem.modes.T) @ np.eye(size, len(mean))

    def later(moment, lag):
        return turn @ moment @ np.linalg.matrix_power(mean, lag).T @ turn.T

    one = later(before, 1)
    assert agenda.origins.tolist() == [2]
    assert error(found.now[0, 0], np.einsum("kpkq->pq", later(before, 0).reshape(c, r, c, r))) <= 1
    for k, lag in enumerate(agenda.lags):
        assert error(found.lagged[0, k], np.einsum("kpkq->pq", later(before, lag).reshape(c, r, c, r))) <= 1
    joint = found.joint[0]
    assert error(joint[: c * r, c * r : 2 * c * r], one) <= 1
    assert error(found.areas[:, 0].mean(), np.sum((skew - skew.T) * one)) <= 10
    prediction = fl.predict(problem, sgd)
    for k, lag in enumerate(agenda.lags):
        after = (turn @ np.linalg.matrix_power(mean, lag) @ turn.T)[:r, :r]
        assert error(found.responses[0, 0, k], after) <= 10  # differences of numbers of order one
        assert error(found.kicked[0, k], direction * prediction.response(lag)) <= 10
        assert error(found.pushed[0, k], optimum * problem.curvatures * prediction.step_response(lag)) <= 10
    if options:  # a kick of the buffer: its own column of the mean map
        kicked = np.zeros((len(mean), r))
        kicked[size : size + problem.features] = problem.modes
        expected = (turn @ mean @ kicked)[:r].T
        assert error(found.responses[0, 1, 0], expected) <= 10


@pytest.mark.any_seed
def test_a_twin_s_push_is_new_targets():
    inputs, targets = tiny("general")
    problem, sgd = fl.LeastSquares(inputs, targets), fl.SGD(0.05, 2)
    push = np.random.default_rng(2).normal(size=targets.shape)
    plain, pushed = dynamics.pushed_in_modes(problem, sgd, push)
    other = fl.LeastSquares(inputs, targets + push)
    draws = [Draws(generators(seed_sequence(3), 2), 5, sgd) for _ in range(3)]
    v, w = np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))
    u = w + (problem.minimum().weights - other.minimum().weights) @ problem.modes
    for state, step, batches in ((v, plain, draws[0]), (w, pushed, draws[1])):
        step(state, batches, 20, 0)
    dynamics.minibatch_in_modes(other, sgd)(u, draws[2], 20, 0)
    shift = (other.minimum().weights - problem.minimum().weights) @ problem.modes
    np.testing.assert_allclose(w, u + shift, atol=1e-12)
    assert np.abs(v - w).max() > 1e-3


# ------------------------------------------------------------------ the verdict


@pytest.mark.statistical(alpha=1e-4, miss=1e-4)
def test_the_theorem_in_time_holds_on_digits(verdict, with_momentum):
    """Eight statements at 1e-5 each; and sharp: 5 % of what is lost between two times would not pass."""
    for found in (verdict, with_momentum):
        assert found.consistent, found.table
        assert found.sharp, found.table
        assert found.detectable < 0.05
        assert found.circulation.resolvable
        assert not found.row(NO_CURRENT).consistent


@pytest.mark.statistical(alpha=1e-4)
def test_the_circulation_is_seen_pair_by_pair(verdict, with_momentum):
    """Ratio to the predicted J within 5.5 error bars, 31 degrees of freedom; with momentum J is seen half as well."""
    for found, correlation in ((verdict, 0.99), (with_momentum, 0.95)):
        assert found.circulation.resolved >= 8
        assert found.circulation.correlation > correlation
        assert abs(found.circulation.ratio - 1) < 5.5 * found.circulation.ratio_error


def spread_bounds(freedom, alpha):
    """Between which a sample's standard deviation is, over the true one, but for alpha."""
    return np.sqrt(chi2.ppf([alpha / 2, 1 - alpha / 2], freedom) / freedom)


@pytest.mark.statistical(alpha=1e-4, miss=1e-3)
def test_both_estimators_find_the_predicted_entropy_production(verdict, with_momentum):
    """F28: within 5 error bars and 5 %; what 10 % less would be is rejected by the areas."""
    for found in (verdict, with_momentum):
        areas = next(each for each in found.entropy if each.of == "all outputs" and each.estimator == "areas")
        assert areas.resolves
        assert abs(areas.measured - areas.predicted) < 5 * areas.error
        assert abs(0.9 * areas.predicted - areas.measured) > 5 * areas.error
        low, high = spread_bounds(31, 1e-5)  # of the spread between 32 groups
        assert low < areas.error / areas.resolution < high
    plug_in = [each for each in verdict.entropy if each.estimator == "plug-in" and each.of != "all outputs"]
    for each in plug_in:
        assert each.resolves
        assert abs(each.measured - each.predicted) < 5.5 * each.error


@pytest.mark.statistical(alpha=5e-5, miss=1e-3)
def test_yaida_s_relations_hold_along_the_run(verdict, with_momentum):
    """Traces within 5.5 error bars, 31 degrees of freedom, eight of them; 5 % of the work would not pass."""
    for found in (verdict, with_momentum):
        for each in found.relations:
            assert abs(each.work - each.steps) < 5.5 * each.error
        fdr1 = found.relations[0]
        assert abs(1.05 * fdr1.work - fdr1.steps) > 5.5 * fdr1.error


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-4)
def test_false_alarms_and_error_bars_are_as_stated(small_problem):
    """60 seeds: each statement's alarms at 5 % within their binomial law, and every error bar the one that comes."""
    runs = [
        fl.verify_dynamic(small_problem, fl.SGD(0.02, 4), steps=80, replicas=128, modes=6, rng=seed)
        for seed in range(60)
    ]
    for rows in zip(*(run.claims for run in runs), strict=True):
        assert sum(row.p_value < 0.05 for row in rows) <= binom.isf(1e-5, 60, 0.05), rows[0].name
        assert np.mean([row.z_rms for row in rows]) == pytest.approx(1, abs=0.1), rows[0].name
    for estimates in zip(*(run.entropy for run in runs), strict=True):
        if estimates[0].estimator == "plug-in":  # as many pairs of weights as steps: it says that it resolves nothing
            assert not any(each.resolves for each in estimates)
            continue
        scores = np.array([(each.measured - each.predicted) / each.error for each in estimates])
        low, high = spread_bounds(59, 1e-5)
        assert low < scores.std(ddof=1) < high
        assert abs(scores.mean()) < 4.9 / np.sqrt(60)


@pytest.mark.statistical(alpha=1e-5, miss=1e-4)
def test_a_motion_with_another_rate_is_rejected(digits_problem, monkeypatch):
    """The responses of a theory whose rates are 2 % off: the statement about kicks alone notices."""
    right = fl.Prediction.response
    monkeypatch.setattr(fl.Prediction, "response", lambda p, lag: 1 - 1.02 * (1 - right(p, lag)))
    found = fl.verify_dynamic(digits_problem, SGD, **RUN, entropy=False)
    assert not found.row("response").consistent
    assert found.row(FDT).consistent  # both its sides are measured
    assert not found.passed


@pytest.mark.statistical(alpha=1e-6, miss=1e-4)
def test_a_circulation_of_the_wrong_sign_is_rejected(digits_problem, monkeypatch):
    right = fl.Prediction.lagged_covariance
    monkeypatch.setattr(fl.Prediction, "lagged_covariance", lambda p, lag: right(p, lag).T)
    found = fl.verify_dynamic(digits_problem, SGD, **RUN, entropy=False)
    assert not found.row("circulation").consistent
    assert not found.row("correlation").consistent


@pytest.mark.statistical(alpha=1e-4)
def test_where_a_current_cannot_be_seen_the_equilibrium_theorem_is_not_called_wrong(small_problem):
    found = fl.verify_dynamic(small_problem, fl.SGD(0.001, 4), steps=40, replicas=8, rng=1)
    assert not found.circulation.resolvable
    assert "not told apart" in found.words
    assert found.row(NO_CURRENT) not in found.mutants


@pytest.mark.any_seed
def test_one_mode_has_no_current_and_no_entropy_production(digits_problem):
    found = fl.verify_dynamic(digits_problem, SGD, steps=40, replicas=8, modes=1, rng=1)
    assert found.entropy == ()
    assert found.circulation.elements == 0
    assert not found.circulation.resolvable
    assert json.loads(found.to_json())["circulation"]["correlation"] is None


@pytest.mark.any_seed
@pytest.mark.parametrize("sgd", [SGD, MOMENTUM])
def test_few_short_runs_resolve_little_and_say_so(digits_problem, sgd):
    found = fl.verify_dynamic(digits_problem, sgd, steps=40, replicas=2, modes=10, rng=1)
    whole = next(each for each in found.entropy if each.estimator == "plug-in")
    assert not whole.resolves
    assert np.isnan(whole.measured)
    assert not found.sharp
    assert "unresolved" in found.entropy_table


@pytest.mark.any_seed
def test_with_nesterov_s_step_the_theorem_holds_and_no_entropy_production_is_claimed(small_problem):
    sgd = fl.SGD(0.01, 4, momentum=0.8, nesterov=True)
    found = fl.verify_dynamic(small_problem, sgd, steps=80, replicas=16, rng=1)
    assert found.entropy == found.relations == ()
    assert "places" not in found.arrays


@pytest.mark.any_seed
def test_without_the_entropy_production_the_rest_is_the_same(small_problem):
    full, less = (
        fl.verify_dynamic(small_problem, fl.SGD(0.02, 4), steps=40, replicas=8, rng=5, entropy=asked)
        for asked in (None, False)
    )
    assert less.entropy == ()
    assert set(full.arrays) - set(less.arrays) == {
        "places",
        "density",
        "current",
        "measured_density",
        "measured_current",
        "current_error",
    }
    assert less.table == full.table
    assert less.relations == full.relations


def test_more_weights_than_fit_are_refused_and_so_is_a_mode_that_rests(digits_problem):
    many = fl.LeastSquares(digits_problem.inputs, np.eye(60)[np.arange(1797) % 60])
    with pytest.raises(InvalidInput, match=r"1020 weights.*Use at most 16 modes"):
        fl.verify_dynamic(many, SGD, steps=40, replicas=4, modes=17)
    inputs = np.array([[1.0, 0], [-1, 0], [0, 1], [0, 1]])
    fitted = fl.LeastSquares(inputs, np.array([1.0, 0.5, 1, 1]))  # the second input is fitted by both its samples
    with pytest.raises(InvalidInput, match=r"mode \d does not fluctuate"):
        fl.verify_dynamic(fitted, fl.SGD(0.1, 1), steps=40, replicas=4)


@pytest.mark.any_seed
def test_a_run_is_repeated_by_its_seed_whatever_the_threads(small_problem):
    runs = [fl.verify_dynamic(small_problem, fl.SGD(0.02, 4), steps=40, replicas=8, rng=5, threads=n) for n in (1, 3)]
    assert runs[0].to_json() == runs[1].to_json()
    assert all(np.array_equal(a, b) for a, b in zip(runs[0].arrays.values(), runs[1].arrays.values(), strict=True))


@pytest.mark.any_seed
def test_threads_share_one_copy_of_the_data(small_problem, monkeypatch):
    """It is there before they begin: a property that all of them ask for at once is made by each."""
    makers = []

    def pushed(*given):
        makers.append(threading.current_thread())
        return dynamics.pushed_in_modes(*given)

    monkeypatch.setattr(twins, "pushed_in_modes", pushed)
    fl.verify_dynamic(small_problem, SGD, steps=16, replicas=4, modes=2, rng=1, level=1e-6, threads=2)
    assert makers == [threading.main_thread()]


@pytest.mark.any_seed
def test_a_verdict_survives_its_file_and_follows_its_schema(verdict, tmp_path):
    verdict.save(tmp_path)
    again = fl.DynamicVerdict.load(tmp_path)
    assert again.to_json() == verdict.to_json() == (tmp_path / "dynamic.json").read_text().rstrip("\n")
    schema = json.loads((files("fluctua") / "schemas" / "dynamic.json").read_text())
    jsonschema.validate(json.loads(verdict.to_json()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**verdict.to_dict(), "rows": []}, schema)
    with pytest.raises(KeyError, match="circulation"):
        verdict.row("circulatoin")
    (tmp_path / "dynamic.npz").write_bytes(b"")
    with pytest.raises(ResultError):
        fl.DynamicVerdict.load(tmp_path)


@pytest.mark.statistical(alpha=1e-5)
def test_the_words_say_all_three_parts(verdict):
    assert "consistent: no deviation" in verdict.words
    assert "sharp: would have caught" in verdict.words
    assert "without a current, is rejected" in verdict.words
    assert "NOT sharp" in replace(verdict, resolution=1e-4).words


@pytest.mark.parametrize(
    ("sgd", "options", "message"),
    [
        (fl.SGD(0.01, 4, sampling="shuffle"), {}, "a motion without memory"),
        (fl.SGD(0.01, 4, schedule=[1.0] * 40), {}, "constant learning rate"),
        (fl.SGD(0.01, 60, sampling="without_replacement"), {}, "does not fluctuate"),
        (fl.SGD(0.01, 4), {"lags": [1, 30]}, "do not fit a window of 20 steps"),
        (fl.SGD(0.01, 4), {"lags": [0]}, "lags must be at least 1"),
        (fl.SGD(0.01, 4), {"modes": 13}, "must be at most"),
        (fl.SGD(0.01, 4), {"replicas": 1}, "replicas must be at least 2"),
        (fl.SGD(0.01, 4), {"level": 0.0}, "level must be greater"),
    ],
)
def test_bad_input_is_refused_before_any_run(small_problem, sgd, options, message):
    def fail(stage, _fraction):
        assert stage == "theory", "the simulation started"

    with pytest.raises(InvalidInput, match=message):
        fl.verify_dynamic(small_problem, sgd, **{"steps": 40, "replicas": 8, "progress": fail, **options})
    with pytest.raises(fl.UnstableSGD):
        fl.verify_dynamic(small_problem, fl.SGD(9.0, 4), steps=40, replicas=8, progress=fail)


# ------------------------------------------------------------------ what the estimators resolve


def gaussian_paths(coefficients, noise, steps, rng):
    """w(t) = a w(t - 1) - b w(t - 2) + noise, in each coordinate."""
    kicks = rng.standard_normal((steps, len(noise))) @ np.linalg.cholesky(noise).T
    each = zip(*coefficients, kicks.T, strict=True)
    return np.column_stack([lfilter([1.0], [1.0, -a, b], kick) for a, b, kick in each])


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_the_plug_in_of_exact_moments_is_the_theory(momentum):
    h, noise = np.array([2.0, 0.8, 0.3]), np.array([[1.0, 0.6, 0.1], [0.6, 1.0, -0.4], [0.1, -0.4, 1.0]])
    kernel = momentum_step(h, 0.3, momentum, 0.0, False) if momentum else gradient_step(h, 0.3)
    chain, order = Chain.of(kernel), 2 if momentum else 1
    overlaps = [noise * overlap for _, overlap in zip(range(order + 1), chain.overlaps(3), strict=False)]
    moments = np.block(
        [[overlaps[j - i] if j >= i else overlaps[i - j].T for j in range(order + 1)] for i in range(order + 1)]
    )
    expected = gaussian_entropy(noise, chain.irreversibility)
    assert path_entropy(moments, 3) == pytest.approx(expected, rel=1e-11)
    if not momentum:
        m = np.diag(1 - 0.3 * h)
        np.testing.assert_allclose(overlaps[0], solve_discrete_lyapunov(m, noise), rtol=1e-12)


@pytest.mark.parametrize("gap", [1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.statistical(alpha=1e-5)
def test_the_error_bar_foreseen_is_the_one_that_comes(momentum, gap):
    """Over 2,000 stretches of one long Gaussian path: a spread is known to 1.6 %, allowed are 4.4 of them and 1 %."""
    h, noise = np.array([2.0, 0.8, 0.3]), np.array([[1.0, 0.6, 0.1], [0.6, 1.0, -0.4], [0.1, -0.4, 1.0]])
    kernel = momentum_step(h, 0.3, momentum, 0.0, False) if momentum else gradient_step(h, 0.3)
    chain, looks, stretches = Chain.of(kernel), 60, 2000
    weights = inverse_on_range(noise)[0] * chain.forces[0]
    x = gaussian_paths(
        (2 - chain.total, 1 - chain.total + chain.product),
        noise,
        looks * gap * stretches + 101,
        np.random.default_rng(7),
    )[100:]
    areas = np.einsum("ti,ij,tj->t", x[:-1], weights, x[1:])
    found = areas.reshape(stretches, looks * gap)[:, ::gap].mean(axis=1)
    foreseen = sweeping_error(chain, noise, weights, looks, gap)
    assert found.std(ddof=1) == pytest.approx(foreseen, rel=0.08)
    entropy = gaussian_entropy(noise, chain.irreversibility)
    assert abs(found.mean() - entropy) < 5 * foreseen / np.sqrt(stretches)
    assert abs(found.mean() - 1.1 * entropy) > 5 * foreseen / np.sqrt(stretches)


def test_the_bias_that_is_foreseen_is_that_of_the_plug_in():
    """White noise has no entropy production; d weights and N steps feign d (d - 1)/N, and a tenth more at this N."""
    rng, d, steps = np.random.default_rng(11), 12, 400
    found = []
    for _ in range(60):
        x = rng.standard_normal((steps + 1, d))
        both = np.hstack([x[:-1], x[1:]])
        found.append(path_entropy(both.T @ both / steps, d))
    assert np.mean(found) == pytest.approx(d * (d - 1) / steps, rel=0.15)
