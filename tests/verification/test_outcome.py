"""Runs that are too short to be sharp name how many replicas would do, and so many do."""

import pytest

import fluctua as fl
from fluctua.verification.outcome import outcome_of, remedy, replicas_for, steps_for


def test_a_word_for_what_was_found():
    found = {(a, b): outcome_of(a, b) for a in (True, False) for b in (True, False)}
    assert found == {
        (True, True): "passed",
        (True, False): "inconclusive",
        (False, True): "failed",
        (False, False): "failed",
    }


def test_four_times_as_many_replicas_halve_the_error():
    asked = [replicas_for(0.4, resolution, 10_000, 0.001) for resolution in (0.04, 0.02)]
    assert asked[1] / asked[0] == pytest.approx(4, rel=0.06)


def test_no_number_is_named_where_nothing_is_seen():
    assert "32 replicas would tell" in remedy(None, 8, None)
    assert remedy(None, 64, None) == ""
    assert replicas_for(float("inf"), 0.05, 8, 0.001) is None
    assert replicas_for(1.0, 1e-9, 8, 0.001) is None


@pytest.mark.statistical(alpha=1e-5)
@pytest.mark.parametrize("replicas", [16, 48])
def test_as_many_replicas_as_named_are_sharp(small_problem, replicas):
    sgd = fl.SGD(lr=0.02, batch_size=4)
    short = fl.verify(small_problem, sgd, steps=64, replicas=replicas, rng=1, resolution=0.1, level=1e-6)
    assert short.outcome == "inconclusive"
    named = short.replicas_needed
    assert f"about {named:,} replicas" in short.words
    again = fl.verify(small_problem, sgd, steps=64, replicas=named, rng=2, resolution=0.1, level=1e-6)
    assert again.sharp
    assert again.replicas_needed is None


@pytest.mark.statistical(alpha=1e-5)
def test_runs_in_time_and_the_noise_name_a_number_too(small_problem):
    sgd = fl.SGD(lr=0.02, batch_size=4)
    noise = fl.gradient_noise(small_problem, sgd, steps=20, replicas=8, rng=1, level=1e-6)
    assert noise.outcome == "inconclusive"
    assert f"about {noise.replicas_needed:,} replicas" in noise.words
    again = fl.gradient_noise(small_problem, sgd, steps=20, replicas=noise.replicas_needed, rng=2, level=1e-6)
    assert again.passed
    options = {"steps": 64, "modes": 4, "resolution": 0.3, "entropy": False, "level": 1e-6}
    short = fl.verify_dynamic(small_problem, sgd, replicas=16, rng=1, **options)
    assert short.outcome == "inconclusive"
    again = fl.verify_dynamic(small_problem, sgd, replicas=short.replicas_needed, rng=2, **options)
    assert again.detectable <= 0.3


def test_as_many_replicas_need_steps_by_the_square_root_law():
    asked = [steps_for(0.4, resolution, 64, 1000) for resolution in (0.04, 0.02)]
    assert asked[0] > 1000 * (0.4 / 0.04) ** 2
    assert asked[1] == pytest.approx(4 * asked[0], rel=0.1)
    assert steps_for(float("inf"), 0.05, 8, 100) is None
    assert steps_for(1.0, 1e-9, 8, 100) is None
    assert remedy(100, 8, 5000) == "; about 100 replicas of as many steps would do, or 8 of at least 5,000 steps"
