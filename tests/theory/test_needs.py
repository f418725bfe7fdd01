"""What a prediction in all modes takes: estimates beside peaks that are measured, and refusals before work."""

import tracemalloc

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import long_work
from fluctua.errors import TooLarge
from fluctua.theory.needs import needs_of, size_in_time
from fluctua.theory.stability import max_stable_lr

WIDE = 1100


def wide(features=WIDE, samples=1400, outputs=3):
    """Inputs whose curvatures fall as those of images do."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((samples, features), np.float32) * (1 + np.arange(features, dtype=np.float32)) ** -0.5
    return fl.LeastSquares(x, x[:, :outputs] + rng.standard_normal((samples, outputs), np.float32))


def peak(call):
    """Bytes that a call has at most beside those that there were."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.any_seed
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_estimates_of_memory_are_no_less_than_the_peaks(momentum):
    problem, sgd = wide(), fl.SGD(0.005 * (1 - momentum), 16, momentum=momentum)
    told = needs_of(problem, sgd.step.slots).size, needs_of(problem, sgd.step.slots, limit=True).size
    predicted = peak(lambda: fl.predict(problem, sgd))
    again = needs_of(problem, sgd.step.slots, limit=True).size
    limit = peak(lambda: max_stable_lr(problem, sgd))
    for size, found in ((told[0], predicted), (again, limit)):
        assert size < 3 * found  # an estimate of any size would pass the next
        assert found < 1.1 * size
    assert again < told[1]  # what is known is not counted again


@pytest.mark.slow
@pytest.mark.any_seed
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_estimates_of_finite_times_are_no_less_than_the_peaks(momentum, moving):
    problem = wide(200, 900)
    schedule = fl.schedules.CosineAnnealingLR(60) if moving else None
    prediction = fl.predict(problem, fl.SGD(0.005 * (1 - momentum), 16, momentum=momentum, schedule=schedule))
    fl.predict(wide(4), fl.SGD(0.01, 4)).after(60)  # which imports what is asked for
    _ = prediction.mode_covariance
    size, found = size_in_time(prediction.law), peak(lambda: prediction.after(60, start="zero", rtol=1e-3))
    assert found < 1.1 * size < 3 * found


@pytest.mark.any_seed
def test_a_finite_time_that_does_not_fit_is_refused(monkeypatch):
    prediction = fl.predict(wide(400, 900), fl.SGD(0.005, 16, momentum=0.9))
    monkeypatch.setattr("fluctua._validate.sizes.available_bytes", lambda: 4e7)
    with pytest.raises(TooLarge, match=r"a finite time of 400 modes, followed in 2 parts each, would take"):
        prediction.after(60)


@pytest.mark.any_seed
@pytest.mark.parametrize("verb", [fl.predict, fl.max_stable_lr])
def test_what_does_not_fit_is_refused_before_work(monkeypatch, verb):
    problem = wide()
    monkeypatch.setattr("fluctua._validate.sizes.available_bytes", lambda: 7e7)
    with pytest.raises(TooLarge, match=r"all modes of 1,100 inputs and 1,400 samples would take .*--modes 256"):
        verb(problem, fl.SGD(0.01, 4))
    assert "spectrum" not in vars(problem)


def test_long_work_is_told_of_before_it_is_begun(run, monkeypatch):
    _, out, err = run("predict", "digits", "--lr", "0.05")
    assert "modes 256" not in err
    monkeypatch.setattr(long_work, "_LONG", 1e6)
    monkeypatch.setattr(long_work, "_WIDE", 10)
    code, same, err = run("predict", "digits", "--lr", "0.05")
    assert (code, same) == (0, out)
    assert err.startswith("all 64 modes of 1,797 samples take about 1 seconds and ")
    assert err.rstrip().endswith("beside the data, as estimated; --modes 256 gives bounds in a fraction of both.")
    assert "as estimated" not in run("predict", "digits", "--lr", "0.05", "--modes", "20")[2]
    assert "as estimated" not in run("predict", "digits", "--loss", "cross-entropy")[2]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "1 seconds"), (89, "89 seconds"), (200, "3 minutes"), (9000, "2.5 hours")]
)
def test_times_are_told_in_fitting_units(seconds, words):
    assert long_work._told(seconds) == words
