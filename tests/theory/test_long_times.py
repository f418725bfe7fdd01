"""Late times: their logarithm where time has closed forms; what needs an array over steps is refused before work."""

import tracemalloc

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.kernels import constant as kernels
from fluctua.recipe.schedules import CosineAnnealingLR
from helpers.thinning import thinned


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    return fl.LeastSquares(rng.normal(size=(200, 3)), rng.normal(size=200))


OPTIMISERS = {
    "plain": {},
    "heavy ball": {"momentum": 0.9},
    "Nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}


@thinned(2, ("optimiser", list(OPTIMISERS)), ("start", ["optimum", "zero"]), ("average", [None, fl.EMA(0.9)]))
def test_a_thousand_million_steps_cost_little_more_than_a_thousand(small, optimiser, start, average, monkeypatch):
    """Counted in sums over intervals, not in seconds; and at that time the law is the stationary one."""
    prediction = fl.predict(small, fl.SGD(0.01, 4, **OPTIMISERS[optimiser]), average=average)
    calls, advance = [], kernels.Kernel.advance
    monkeypatch.setattr(kernels.Kernel, "advance", lambda *args: calls.append(1) or advance(*args))
    prediction.after(10**3, start=start, rtol=1e-4)
    few = len(calls)
    for late in (10**9, 2**53):
        calls.clear()
        tracemalloc.start()
        settled = prediction.after(late, start=start, rtol=1e-4)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_allclose(settled.mode_covariance, prediction.mode_covariance, rtol=1e-4, atol=1e-7)
        assert len(calls) < 3 * few + 500
        assert peak < 4e6


@pytest.mark.parametrize("theory", ["discrete", "langevin", "hessian", "equilibrium"])
def test_so_it_is_on_every_rung(small, theory):
    prediction = fl.predict(small, fl.SGD(0.01, 4), theory=theory)
    late = prediction.after([10**9, 10**9 + 1], start="zero")
    assert late.excess_loss == pytest.approx(prediction.excess_loss, rel=1e-6)


def test_a_curve_beyond_memory_is_refused_with_both_numbers(small):
    for asked in (
        lambda: fl.learning_curve(small, fl.SGD(0.01, 4), 10**14),
        lambda: fl.predict(small, fl.SGD(0.01, 4)).after(10**14, curve=True),
        lambda: fl.predict(small, fl.SGD(0.01, 4), average=fl.RunningAverage()).after(10**14),
        lambda: fl.predict(small, fl.SGD(0.01, 4, schedule=CosineAnnealingLR(10**6))).after(10**14),
        lambda: fl.learning_curve(small, fl.SGD(0.01, 4, schedule=CosineAnnealingLR(10**6)), 10**14),
    ):
        with pytest.raises(InvalidInput, match=r"100,000,000,000,000 steps would take about .* of memory, and this"):
            asked()


def test_a_curve_holds_numbers_and_not_modes():
    """20,000 steps: some numbers a step, however many modes there are."""
    rng = np.random.default_rng(1)
    wide = fl.LeastSquares(rng.normal(size=(60, 50)), rng.normal(size=60))
    tracemalloc.start()
    curve = fl.learning_curve(wide, fl.SGD(0.01, 8), 20_000, theory="discrete")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert curve.shape == (20_001,)
    assert peak < 64 * len(curve)


def test_the_curve_is_that_of_single_times(small):
    curve = fl.learning_curve(small, fl.SGD(0.05, 4), 3000)
    prediction = fl.predict(small, fl.SGD(0.05, 4))
    for t in (0, 1, 2, 1023, 1024, 1025, 3000):
        assert curve[t] == pytest.approx(prediction.after(t, start="zero").excess_loss, rel=1e-5)
