"""The statistics of a verdict: scores, bands, the family's false alarms, and the power that is stated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import fluctua as fl
from fluctua.verification.significance import (
    bands,
    compare,
    detectable_error,
    family_p_value,
    normal_scores,
    unit_scores,
)

SEEDS = 200  # fixed before anything was measured
LEVEL = 0.05  # of the calibration runs: 10 false alarms expected, enough to see a wrong rate
SGD = fl.SGD(lr=0.05, batch_size=4)


@pytest.mark.parametrize("modes", [1, 2, 3, 7, 12, 61, 712])
def test_bands_cover_every_mode_once_and_start_with_the_steepest_alone(modes):
    covered = np.concatenate([np.arange(modes)[band] for band in bands(modes)])
    assert covered.tolist() == list(range(modes))
    assert bands(modes)[0] == slice(0, 1) or modes < 2


def test_normal_scores_bring_student_t_to_unit_scale():
    from scipy.stats import norm, t

    q = np.array([0.001, 0.2, 0.5, 0.9, 0.9999])
    np.testing.assert_allclose(normal_scores(t.ppf(q, 5), 5), norm.ppf(q), atol=1e-9)


def test_scores_of_identical_replicas_that_agree_are_zero():
    assert unit_scores(np.zeros((4, 3))).tolist() == [0, 0, 0]


def test_the_family_p_value_pays_for_every_contrast():
    rng = np.random.default_rng(1)
    one = rng.normal(size=(20, 1)) + 0.5
    padded = np.hstack([one, np.tile(rng.normal(size=(20, 1)) * 1e-3, (1, 9))])
    assert family_p_value(padded) == pytest.approx(min(1, 10 * min(family_p_value(padded[:, [i]]) for i in range(10))))


def test_a_sharper_run_detects_a_smaller_error():
    rng = np.random.default_rng(2)
    family = 1 + 0.1 * rng.normal(size=(64, 5))
    assert detectable_error(np.vstack([family] * 4), 0.01) < 0.55 * detectable_error(family, 0.01)


@pytest.fixture(scope="module")
def calibration(small_problem):
    """200 verdict-like comparisons of the exact theory: (p-values, stated sharpness, measurements)."""
    runs = [fl.simulate(small_problem, SGD, steps=300, replicas=32, rng=seed) for seed in range(SEEDS)]
    theory = fl.predict(small_problem, SGD).after(runs[0].recorded)
    return theory, runs, [compare(run, theory.excess_loss, theory.mode_covariance, LEVEL) for run in runs]


@pytest.mark.slow
@pytest.mark.statistical(alpha=5e-4)
def test_the_false_alarm_rate_is_not_above_the_stated_one(calibration):
    """One-sided: Bonferroni may be conservative, never the other way. 200 draws, so P(X > 21) < 5e-4 at 5 %."""
    alarms = sum(comparison.p_value < LEVEL for comparison in calibration[2])
    assert binom.sf(alarms - 1, SEEDS, LEVEL) > 5e-4


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-3)
def test_the_false_alarms_do_occur(calibration):
    """A test that never rejects would pass the one above: at least one alarm in 200 unless P < 1e-3 (rate 3.4 %)."""
    assert any(comparison.p_value < LEVEL for comparison in calibration[2])


@pytest.mark.slow
@pytest.mark.statistical(alpha=5e-4)
def test_a_theory_wrong_by_the_stated_sharpness_is_caught_as_often_as_stated(calibration):
    """Each run's own stated error, in both directions: 95 % of 200, minus what 200 draws may miss (P < 2.5e-4 each)."""
    theory, runs, comparisons = calibration
    for sign in (1, -1):
        caught = 0
        for run, comparison in zip(runs, comparisons, strict=True):
            factor = 1 + sign * comparison.detectable
            wrong = compare(run, theory.excess_loss * factor, theory.mode_covariance * factor, LEVEL)
            caught += wrong.p_value < LEVEL
        assert binom.cdf(caught, SEEDS, 0.95) > 2.5e-4


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-3)
def test_single_mode_scores_have_unit_spread(calibration):
    """z-rms over 12 modes and 200 runs; modes of one run are correlated, so the spread between runs sets the error."""
    squares = np.array([comparison.z_rms**2 for comparison in calibration[2]])
    assert abs(squares.mean() - 1) < 3.3 * squares.std() / np.sqrt(SEEDS) + 0.03  # 0.03: skewness of 32 replicas
    wrong = np.array([comparison.z_rms for comparison in calibration[2]]) * 1.15
    assert (wrong**2).mean() - 1 > 3.3 * squares.std() / np.sqrt(SEEDS) + 0.03  # the mutant: errors 13 % too small
