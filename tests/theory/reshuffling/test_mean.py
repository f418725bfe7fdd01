"""The terms of the mean's shift, F52 to F54, against their sums over the steps and the samples."""

import numpy as np
import pytest

from fluctua.theory.reshuffling import mean_path
from helpers.agreement import close
from helpers.reshuffled import RECIPES, Reshuffled, ReshuffledHead

RTOL = 1e-12


@pytest.fixture(scope="module", params=[*RECIPES, "a head"])
def epoch(request):
    head = request.param == "a head"
    reference = ReshuffledHead(RECIPES["oscillating"]) if head else Reshuffled(RECIPES[request.param])
    return reference, reference.law.memory.motion


def test_a_sample_s_noise_then_its_curvature(epoch):
    """F52."""
    reference, motion = epoch
    for time in range(1, len(reference.sizes)):
        assert close(motion.noise_curvature(time), reference.noise_curvature(time), rtol=RTOL)


def test_a_sample_s_noise_then_its_curvature_twice(epoch, monkeypatch):
    """F53."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)
    reference, motion = epoch
    found = motion.third_cumulant(motion.path(reference.moments.means[:-1]))
    means = [reference.mean(time) for time in range(len(reference.sizes))]
    assert not found[:2].any()
    for time in range(2, len(reference.sizes)):
        expected = reference.third_shift(means[:time])
        assert np.abs(expected).max() > 1e-6
        assert close(found[time], expected, rtol=RTOL)


def test_the_drift_of_a_mean(epoch):
    """F54."""
    reference, motion = epoch
    means = np.array([reference.mean(time) for time in range(len(reference.sizes))])
    found = motion.drift(means)
    assert not found[0].any()
    for time in range(1, len(reference.sizes)):
        assert close(found[time], reference.drift(means, time), rtol=RTOL)


def test_the_mean_is_followed_step_by_step(epoch, monkeypatch):
    """F52, to the accuracy of its fixed point."""
    monkeypatch.setattr(mean_path, "LEFT_OUT", 1e-15)
    reference, _ = epoch
    start = reference.moments.means[0]
    assert close(reference.law.means(start), reference.follow(start), rtol=1e-8)
