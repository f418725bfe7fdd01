"""A theory without current, or with another than the measured, has to fail although it does not say where to look."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import fluctua as fl
from fluctua.verification.crossed import crossed_p_values, crossed_score
from fluctua.verification.in_time import verify as dynamic
from fluctua.verification.in_time.contrasts import odd
from fluctua.verification.in_time.findings import CURRENT, NO_CURRENT, NONE, TURNED
from helpers.thinning import thinned

RUN = {"steps": 400, "replicas": 256, "rng": 1, "entropy": False, "level": 1e-5}
right = fl.Prediction.lagged_covariance


def table(seed: int, outputs: int) -> fl.LeastSquares:
    """12 samples, 3 features: noise far from isotropic, so that the weights circulate visibly."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(12, 3)) * [2, 1, 0.4]
    return fl.LeastSquares(inputs, inputs @ np.ones((3, outputs)) + rng.normal(size=(12, outputs)))


@pytest.fixture(
    scope="module",
    params=[pytest.param({}, id="plain"), pytest.param({"momentum": 0.6}, id="momentum", marks=pytest.mark.slow)],
)
def setting(request):
    """A problem, a recipe, and one run of it that every theory is held against."""
    problem = table(0, 2)
    sgd = fl.SGD(1.0, 2, **request.param)
    sgd = fl.SGD(0.3 * fl.max_stable_lr(problem, sgd), 2, **request.param)
    runs: list = []
    watch = dynamic.watch

    def once(given, *arguments):
        if given.problem is not problem:
            return watch(given, *arguments)
        if not runs:
            runs.append(watch(given, *arguments))
        return runs[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic, "watch", once)
        yield problem, sgd, fl.verify_dynamic(problem, sgd, **RUN)


def none(prediction, lag):
    lagged = right(prediction, lag)
    return 0.5 * (lagged + lagged.T)


def doubled(prediction, lag):
    return right(prediction, lag) + odd(right(prediction, lag))


def turned(prediction, lag):
    """(J + Q)/2, Q at a right angle to J in units of sqrt(S_pp S_qq) and as large: the ratio contrast is one."""
    lagged = right(prediction, lag)
    if lag == 0:
        return lagged
    current, upper = odd(lagged), np.triu_indices(len(lagged), 1)
    scale = np.sqrt(np.multiply.outer(*2 * (prediction.mode_variances,)))
    j = (current / scale)[upper]
    q = np.cross(j, [0.0, 0.0, 1.0])  # three pairs of three modes
    half = np.zeros_like(current)
    half[upper] = 0.5 * (j + q * np.linalg.norm(j) / np.linalg.norm(q)) * scale[upper]
    return lagged - current + half - half.T


@pytest.mark.statistical(alpha=2e-5, miss=1e-4)
def test_the_truth_passes_and_all_mutants_of_the_current_fail(setting):
    *_, found = setting
    assert found.consistent, found.table
    assert found.circulation.tells_none
    assert found.circulation.tells_turned
    assert {NO_CURRENT, NONE, TURNED} < {row.name for row in found.mutants}
    assert not any(found.row(name).consistent for name in (NO_CURRENT, NONE, TURNED)), found.table


@pytest.mark.statistical(alpha=1e-9, miss=1e-4)
@pytest.mark.parametrize("theory", [none, doubled, turned])
def test_a_theory_with_another_current_is_rejected(setting, monkeypatch, theory):
    problem, sgd, _ = setting
    monkeypatch.setattr(fl.Prediction, "lagged_covariance", theory)
    found = fl.verify_dynamic(problem, sgd, **RUN)
    assert not found.row(CURRENT).consistent, found.table
    assert not found.passed
    if theory is none:
        assert found.circulation.predicted == 0
        assert "theory predicts none" in found.words
        assert "below what is seen" not in found.words


@pytest.mark.statistical(alpha=1e-9, miss=1e-3)
def test_correlations_between_modes_are_looked_at_too(setting, monkeypatch):
    """The mutant: S without the correlations of different modes, whose variances are all right."""
    problem, sgd, _ = setting
    monkeypatch.setattr(fl.Prediction, "lagged_covariance", lambda p, lag: np.diag(np.diag(right(p, lag))))
    assert fl.verify_dynamic(problem, sgd, **RUN).row("correlation").p_value < 0.01 / 4  # of the default level


@pytest.mark.any_seed
def test_where_theory_has_no_current_the_words_say_so():
    """One mode has none; few short runs do not see one that is there."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 1))
    alone = fl.LeastSquares(x, 2 * x + np.random.default_rng(1).normal(size=(40, 1)))
    found = fl.verify_dynamic(alone, fl.SGD(0.1, 4), steps=40, replicas=8, rng=1, level=1e-6)
    assert "not told apart: theory predicts none" in found.words
    found = fl.verify_dynamic(table(0, 1), fl.SGD(1e-3, 2), steps=40, replicas=8, rng=1, level=1e-6)
    assert found.circulation.predicted > 0
    assert "not told apart: the current is below what is seen" in found.words


def draws(rng, groups, elements, correlated):
    """Groups of elements of mean zero, as skewed and as correlated as products of weights are."""
    weights = rng.normal(size=(groups, 8, elements + 1))
    return np.mean(weights[..., 1:] * weights[..., :-1] + correlated * (weights[..., :1] ** 2 - 1), axis=1)


@pytest.mark.statistical(alpha=1e-4)
@thinned(2, ("groups", [4, 8, 32]), ("correlated", [0.0, 1.0]))
def test_without_deviations_the_crossed_test_keeps_its_level(groups, correlated):
    """1,000 draws at 1 %, by both halves together; fewer alarms are no fault."""
    rng = np.random.default_rng(20)
    p = [2 * crossed_p_values(draws(rng, groups, 6, correlated), np.zeros(6)).min() for _ in range(1000)]
    assert sum(one < 0.01 for one in p) <= binom.isf(1e-5, 1000, 0.01)


@pytest.mark.statistical(alpha=1e-4, miss=1e-4)
def test_the_crossed_test_sees_what_its_score_says_and_a_mean_that_nobody_named():
    """Score above one: caught in 95 % of 300 draws at least, but for their own error; score 0.3: in less than half."""
    rng = np.random.default_rng(21)
    shift = rng.normal(size=6)
    shift /= np.linalg.norm(shift)
    caught, scores = {}, {}
    for size in (0.2, 0.6):
        samples = [draws(rng, 32, 6, 0.0) for _ in range(300)]
        scores[size] = np.median([crossed_score(each, size * shift, 0.005) for each in samples])
        caught[size] = sum(2 * crossed_p_values(each + size * shift, np.zeros(6)).min() < 0.01 for each in samples)
    assert scores[0.2] < 0.6
    assert caught[0.2] < 200
    assert scores[0.6] > 1
    assert caught[0.6] >= binom.ppf(1e-5, 300, 0.95)


@pytest.mark.any_seed
def test_fewer_than_four_groups_are_not_crossed():
    assert crossed_p_values(np.ones((3, 5)), np.zeros(5)).size == 0
    assert crossed_p_values(np.ones((8, 0)), np.zeros(0)).size == 0
    assert crossed_score(np.ones((8, 2)), np.ones(2), 0.01) == 0
