"""A rehearsal's verdict on a true prediction of skewed losses, and on a wrong one."""

import numpy as np
import pytest
from scipy.stats import binom

import fluctua as fl
from fluctua.planning.rehearsal import Rehearsal, Run, spread_of_mean

CHECKS, STATED = 10_000, 4e-4
GAMMA = 1.0  # shape: losses of a few modes, with a spread as large as their mean and a skewness of 2


def share_off(losses, predicted):
    """Of groups of runs, (checks, R): how often the rehearsal of each calls the prediction off."""
    runs = [Run(fl.SGD(0.1, 1), predicted, float(one.mean()), spread_of_mean(one, predicted)) for one in losses]
    return sum(not Rehearsal((run,), losses.shape[1]).agrees for run in runs) / len(losses)


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize("replicas", [16, 64])
def test_a_true_mean_of_skewed_losses_is_called_off_as_rarely_as_stated(replicas):
    """0.04 % is stated for 16 runs. Student's t of their own spread alone gives 0.4 and 0.1 % here."""
    losses = np.random.default_rng(replicas).gamma(GAMMA, 1 / GAMMA, size=(CHECKS, replicas))
    assert share_off(losses, 1.0) <= binom.isf(1e-4, CHECKS, STATED) / CHECKS


@pytest.mark.statistical(alpha=1e-6)
def test_a_prediction_three_times_too_high_or_low_is_called_off_by_the_default_number_of_runs():
    losses = np.random.default_rng(5).gamma(GAMMA, 1 / GAMMA, size=(200, 64))
    assert share_off(losses, 3.0) > 0.8
    assert share_off(losses, 1 / 3) > 0.8


@pytest.mark.any_seed
def test_the_spread_is_that_of_the_runs_unless_their_mean_is_low():
    losses = np.random.default_rng(1).gamma(GAMMA, size=32)
    own = losses.std(ddof=1) / np.sqrt(32)
    assert spread_of_mean(losses, 0.5 * losses.mean()) == pytest.approx(own)
    assert spread_of_mean(losses, 2 * losses.mean()) == pytest.approx((1 + 0.5**0.5) * own)
    assert spread_of_mean(np.zeros(32), 1.0) == 0
