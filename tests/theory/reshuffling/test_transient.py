"""F56: a run through some epochs, against one epoch after another."""

import numpy as np
import pytest

from fluctua.theory.reshuffling import mean_path, transient
from fluctua.theory.reshuffling.transient import Epochs
from helpers.agreement import close
from helpers.reshuffled import RECIPES, Reshuffled


@pytest.fixture(autouse=True)
def whole_path(monkeypatch):
    """Nothing of the mean's path is left out."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)


EPOCHS = 4


@pytest.fixture(scope="module", params=RECIPES)
def epoch(request):
    return Reshuffled(RECIPES[request.param])


def begun(epoch, rtol):
    """A run away from W*, so near that E V takes noise away."""
    return Epochs(epoch.law, np.random.default_rng(7).normal(size=(2, 3)), rtol)


@pytest.fixture(autouse=True, params=[1, 12])
def marched(request, monkeypatch):
    """Epochs that are followed one by one."""
    monkeypatch.setattr(transient, "_MARCHED", request.param)
    return request.param


def starts(epoch, run, marched):
    """The means at the start of the epochs: one after another, and later as F56 has them."""
    settled, steps, found = epoch.law.settled_mean, len(epoch.sizes), [run.mean]
    for _ in range(min(marched, EPOCHS - 1)):
        found.append(epoch.follow(found[-1])[-1])
    later = EPOCHS - len(found)
    return found + [settled + (found[-1] - settled) * epoch.m ** (steps * (1 + number)) for number in range(later)]


def test_the_mean_is_followed_through_epochs(epoch, marched):
    run, steps = begun(epoch, 1e-3), len(epoch.sizes)
    each = [epoch.columns(one).real for mean in starts(epoch, run, marched) for one in epoch.follow(mean)[:-1]]
    for time, expected in enumerate(each):
        assert close(run.means([time]), expected, rtol=1e-6)
    assert close(run.means(range(steps, 3 * steps)), np.mean(each[steps : 3 * steps], axis=0), rtol=1e-6)


def test_the_covariance_is_followed_through_epochs(epoch, marched):
    run, steps = begun(epoch, 1e-6), len(epoch.sizes)
    state, each = run.state, []
    for mean in starts(epoch, run, marched):
        moments, source, added = begun(epoch, 1e-13).epoch_from(state, mean)
        each += [epoch.law.at(place, moments, source, added) for place in range(steps)]
        state = moments.states[-1]
    last = EPOCHS * steps - 1
    for time in (0, 1, steps - 1, steps, 2 * steps + 1, last):
        found, _ = begun(epoch, 1e-6).average([time])
        assert close(found, each[time], rtol=1e-5)
    _, curve = run.average([last], np.ones(3))
    assert close(curve, np.trace(each, axis1=1, axis2=2), rtol=1e-5)
