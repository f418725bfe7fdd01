"""Leading modes after some steps: exact numbers lie within the bounds (F155 to F157), and searches say how they end."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, NotConverged, Unconverged, UnstableRates
from fluctua.problem.leading import curvature, filtered, solving
from fluctua.theory.leading import drifting, followed, pinched

EXACT = 2e-6  # both are followed in time to 1e-6 of the loss


def agrees(whole, leading, sgd, steps, start):
    """Loss and covariance are within their bounds; returns how wide those of the loss are."""
    exact = fl.predict(whole, sgd, check_stability=False).after(steps, start=start)
    found = fl.predict(leading, sgd, check_stability=False).after(steps, start=start)
    low, high = found.excess_loss_bounds
    assert low * (1 - EXACT) <= exact.excess_loss <= high * (1 + EXACT) + 1e-12 * exact.optimum_loss
    assert low <= found.excess_loss <= high
    turned = leading.modes.T @ whole.modes
    inside, (least, most) = turned @ exact.mode_covariance @ turned.T, found.solved.covariance_bounds
    rounding = EXACT * np.diag(inside).max(initial=1e-300)
    assert np.linalg.eigvalsh(inside - least)[0] >= -rounding
    assert not np.isfinite(most).all() or np.linalg.eigvalsh(most - inside)[0] >= -rounding
    return found, (high - low) / max(exact.excess_loss, 1e-9)


@pytest.fixture(scope="module")
def digits():
    data = fl.load("digits")
    whole = fl.LeastSquares(data.inputs, data.targets)
    return whole, {modes: fl.LeadingModes(data.inputs, data.targets, modes=modes) for modes in (20, 40)}


@pytest.mark.parametrize("start", ["optimum", "zero"])
@pytest.mark.parametrize(
    "sgd",
    [fl.SGD(0.05, 8), pytest.param(fl.SGD(0.01, 8, momentum=0.9), marks=pytest.mark.slow)],
    ids=["plain", "momentum"],
)
def test_runs_lie_within_bounds_that_close(digits, sgd, start):
    whole, leading = digits
    for steps in (0, 30, 120):
        widths = [agrees(whole, leading[modes], sgd, steps, start)[1] for modes in (20, 40)]
        assert widths[1] <= max(0.5 * widths[0], 1e-6)
        assert widths[1] < (1e-3 if start == "zero" and steps <= 30 and sgd.lr < 0.1 else 0.1)


def made(kind, rng):
    """Inputs of which some are exact combinations of others, of one curvature, loud, or fewer samples than inputs."""
    samples, features = {"fewer samples": (9, 14)}.get(kind, (40, 12))
    x = rng.standard_normal((samples, features)) * np.arange(1, features + 1) ** -0.7
    if kind == "deficient":
        x = x[:, :4] @ rng.standard_normal((4, features))
    if kind == "repeated":
        x = 2 * np.linalg.qr(rng.standard_normal((samples, features)))[0]
    if kind == "loud":
        x *= rng.pareto(2.5, (samples, 1))
    return x, x @ rng.standard_normal((features, 2)) + rng.standard_normal((samples, 2))


@pytest.mark.parametrize(
    ("kind", "recipe", "share", "steps", "start"),
    [
        ("deficient", {"batch_size": 1}, 0.3, 25, "zero"),
        ("repeated", {"batch_size": 2, "momentum": 0.5, "nesterov": True}, 0.3, [3, 20, 20], "given"),
        ("loud", {"batch_size": 1, "weight_decay": 0.05}, 0.97, 60, "zero"),
        ("fewer samples", {"batch_size": 2, "momentum": 0.9}, 0.3, 40, "zero"),
        ("fewer samples", {"batch_size": 2, "weight_decay": 0.02, "sampling": "without_replacement"}, 0.5, 40, "given"),
        ("loud", {"batch_size": 4}, 1.2, 20, "optimum"),
        ("loud", {"batch_size": 2, "momentum": 0.5, "schedule": fl.schedules.StepLR(7, 0.5)}, 0.5, [9, 25], "zero"),
    ],
    ids=["deficient", "repeated", "close to the limit", "fewer samples", "null directions", "beyond", "schedule"],
)
def test_no_data_are_too_nasty(kind, recipe, share, steps, start):
    rng = np.random.default_rng(7)
    x, y = made(kind, rng)
    whole, leading = fl.LeastSquares(x, y), fl.LeadingModes(x, y, modes=3)
    sgd = fl.SGD(share * fl.max_stable_lr(whole, fl.SGD(1.0, **recipe)), **recipe)
    agrees(whole, leading, sgd, steps, rng.standard_normal((2, x.shape[1])) if start == "given" else start)


def test_a_mean_that_is_not_spanned_widens_the_bounds(digits, monkeypatch):
    whole, leading = digits
    sgd = fl.SGD(0.05, 8)
    sure = agrees(whole, leading[20], sgd, 60, "zero")[1]
    monkeypatch.setattr(drifting, "_BLOCKS", 1)
    found, wide = agrees(whole, leading[20], sgd, 60, "zero")
    assert found.solved.start.beyond.shape[1] == 10
    assert wide > 1.2 * sure


def test_an_upper_bound_that_is_not_found_is_infinite_and_said_so(digits, monkeypatch):
    monkeypatch.setattr(followed, "_PASSES", 5)
    found = fl.predict(digits[1][20], fl.SGD(0.05, 8)).after(300)
    with pytest.warns(Unconverged, match="more modes"):
        low, high = found.excess_loss_bounds
    assert high == np.inf
    assert low >= 0


def test_rates_above_the_limit_are_said(digits):
    sgd = fl.SGD(0.3, 8, schedule=fl.schedules.StepLR(2, 0.1))
    with pytest.warns(UnstableRates, match="from step 0 to step 1"):
        fl.predict(digits[1][20], sgd).after(4)


def test_what_a_run_is_asked_is_checked(digits):
    prediction = fl.predict(digits[1][20], fl.SGD(0.05, 8))
    assert prediction.steps is None
    assert prediction.after([3, 1]).after(2).to_dict()["steps"] == [2]
    for given in ({"steps": -1}, {"steps": 1, "start": "here"}, {"steps": 1, "start": np.ones((2, 2))}, {"steps": 1.5}):
        with pytest.raises(InvalidInput):
            prediction.after(**given)


def test_fewer_modes_than_asked_for_are_said(monkeypatch):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((300, 60)) * np.arange(1, 61) ** -0.3, rng.standard_normal((300, 1))
    monkeypatch.setattr(filtered, "_ROUNDS", 3)
    leading = fl.LeadingModes(x, y, modes=20)
    with pytest.warns(Unconverged, match="20 modes"):
        found = len(leading.curvatures)
    assert 0 < found < 20
    assert leading.steepest.missing == 20 - found
    assert leading.steepest.residual > 1
    agrees(fl.LeastSquares(x, y), leading, fl.SGD(0.01, 8), 20, "zero")
    monkeypatch.setattr(filtered, "_ROUNDS", 1)
    with pytest.raises(NotConverged, match="steepest"):
        _ = fl.LeadingModes(x, y, modes=20).curvatures


def test_an_optimum_that_is_not_found_is_said_and_a_sketch_finds_it(monkeypatch):
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((220, 160)) * np.arange(1, 161) ** -0.9, rng.standard_normal((220, 2))
    monkeypatch.setattr(curvature, "_SMALL", 10)
    whole = fl.LeastSquares(x, y).minimum()
    sketched = fl.LeadingModes(x, y, modes=8).minimum()
    assert sketched.loss_bounds[0] * (1 - 1e-12) <= whole.loss <= sketched.loss * (1 + 1e-12)
    with monkeypatch.context() as alone:
        alone.setattr(solving, "_SKETCHED", 0)
        assert fl.LeadingModes(x, y, modes=8).minimum().products > 1.5 * sketched.products
    monkeypatch.setattr(solving, "_STEPS", 6)
    monkeypatch.setattr(solving, "_PATIENT", 3)
    with pytest.warns(Unconverged, match="Weight decay"):
        left = fl.LeadingModes(x, y, modes=8).minimum()
    assert left.loss_bounds[0] <= whole.loss < left.loss


def test_neither_a_far_start_nor_what_stands_for_other_modes_loosens_the_march():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 1))
    y = x + rng.standard_normal((4, 1))
    whole, leading = fl.LeastSquares(x, y), fl.LeadingModes(x, y, modes=1)
    sgd = fl.SGD(0.6 * fl.max_stable_lr(whole, fl.SGD(1.0, 2)), 2)
    for start in (1.0, 100.0, 1e6):
        agrees(whole, leading, sgd, 300, [[start]])


def test_where_nothing_couples_bounds_are_numbers(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 14)) * np.arange(1, 15) ** -0.7
    y = x @ rng.standard_normal((14, 2))
    start = rng.standard_normal((2, 14))
    whole, leading = fl.LeastSquares(x, y), fl.LeadingModes(x, y, modes=6)
    sgd = fl.SGD(0.3 * fl.max_stable_lr(whole, fl.SGD(1.0, 2)), 2)
    exact = fl.predict(whole, sgd).after(40, start=start).excess_loss
    low, high = fl.predict(leading, sgd).after(40, start=start).excess_loss_bounds
    assert 0 < low < exact < high < np.inf
    assert fl.predict(leading, sgd).after(40, start=start).covariance_error == np.inf  # W* is not known to enough
    alike = pinched.Pinched(leading).coupled(np.ones(9), 0.0, -1, (np.eye(6), 1.0), np.zeros(6))
    assert not alike.inside.any()
    assert alike.beyond == 1.0
    monkeypatch.setattr(followed, "_PASSES", 5)
    found = fl.predict(leading, sgd).after(40, start=start)
    with pytest.warns(Unconverged, match="upper bound"):
        assert found.excess_loss == np.inf


def test_estimates_are_numbers_where_no_mode_is_left_out_but_rounding():
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((20, count)).astype(np.float32) for count in (2, 1))
    x = 1e5 * (x + 3)
    leading = fl.LeadingModes(x, y, modes=2)
    assert leading.lengths_left.any()
    vars(leading)["curvature_left"] = 0.0  # as rounding has it where it is not positive
    found = fl.predict(leading, fl.SGD(1e-13, 2)).after(5)
    assert found.excess_loss_bounds[0] <= found.excess_loss <= found.excess_loss_bounds[1]
