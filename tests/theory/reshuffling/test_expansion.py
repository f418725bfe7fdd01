"""F43, F44 and F56: what a step adds, and an epoch, against the balance summed step by step."""

import numpy as np
import pytest

from fluctua.theory.reshuffling import mean_path
from fluctua.theory.reshuffling.memory import EpochMoments
from helpers.agreement import close
from helpers.reshuffled import RECIPES, Reshuffled


@pytest.fixture(autouse=True)
def whole_path(monkeypatch):
    """Nothing of the mean's path is left out."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)


RTOL = 1e-12


@pytest.fixture(scope="module", params=RECIPES)
def epoch(request):
    return Reshuffled(RECIPES[request.param])


def test_the_source_of_an_epoch_is_its_average(epoch):
    found, _ = epoch.law.added(epoch.moments)
    assert close(found, epoch.average_source, rtol=RTOL)


def test_an_epoch_is_the_balance_step_by_step(epoch):
    """F43, with the average source's share of N1 and N2 in closed form, F44."""
    start = epoch.moments.states[0]
    found = epoch.law.through(start, *epoch.law.added(epoch.moments))
    expected = epoch.states(start)
    for state, other in zip(found, expected, strict=True):
        assert close(state, other, rtol=RTOL)


def test_a_position_is_where_the_balance_is_then(epoch):
    source, added = epoch.law.added(epoch.moments)
    states = epoch.law.through(epoch.moments.states[0], source, added)
    for place in range(len(epoch.sizes)):
        found = epoch.law.at(place, EpochMoments(states, epoch.moments.means), source, added)
        assert close(found, epoch.rows(epoch.columns(states[place])), rtol=RTOL)


def test_noise_that_feels_nothing_is_taken_back_in_closed_form(epoch):
    """F44, with C alone, against the sum over all pairs of batches."""
    noise, steps = epoch.problem.minimum(epoch.sgd.weight_decay).noise, len(epoch.sizes)
    noise = np.tile(noise, (len(epoch.m) // 3,) * 2)
    found = epoch.law.from_noise_alone(np.zeros_like(noise))
    for time in range(1, steps + 1):
        expected = np.zeros(noise.shape, epoch.m.dtype)
        for one in range(time):
            for other in range(time):
                covariance = (11 - epoch.sizes[one]) / epoch.sizes[one] if one == other else -1
                carried = np.outer(epoch.m ** (time - 1 - one), epoch.m ** (time - 1 - other))
                expected += covariance / 10 * np.outer(epoch.f, epoch.f) * carried * noise
        assert np.abs(found[time] - expected).max() <= RTOL * np.abs(found).max()


def test_what_one_epoch_adds_decays_as_its_map(epoch):
    """F56: 1 - m^n m^n, and that of the mean."""
    steps = len(epoch.sizes)
    assert close(epoch.law.slow.gap(), 1 - np.outer(epoch.m**steps, epoch.m**steps), rtol=RTOL)
    assert close(epoch.law.slow.rate, 1 - epoch.m**steps, rtol=RTOL)


def test_the_stationary_mean_is_the_same_an_epoch_later(epoch):
    """F57."""
    settled = epoch.law.settled_mean
    assert np.abs(settled).max() > 1e-6
    assert close(epoch.follow(settled)[-1], settled, rtol=1e-7)
