"""The law of samplers against whole matrices, all signs of the noise, known limits, and the published table."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import NotConverged
from fluctua.studies import diffusion
from fluctua.studies.diffusion import best_grid
from fluctua.studies.diffusion.law import marginals_of
from fluctua.studies.diffusion.steps import steps_of
from fluctua.studies.diffusion.told import most_kept
from helpers import gaussian_samplers as brute

SOLVERS = {"ddim": 0.0, "ddim, eta 0.7": 0.7, "corrected, eta 0.7": 0.7, "2m": 0.0}


@cache
def digits():
    return diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))


@cache
def small():
    rng = np.random.default_rng(5)
    root = rng.normal(size=(4, 4)) * [1.0, 0.5, 0.1, 0.02]
    return diffusion.GaussianData(mean=rng.normal(size=4), covariance=root @ root.T)


def line(variance, mean=0.0):
    return diffusion.GaussianData(mean=[mean], covariance=[[variance]])


def turning(variance, steps):
    """A grid that turns a mode of this variance by equal angles, from pure noise."""
    angles = np.linspace(np.pi / 2, 0, steps + 1)
    return diffusion.Grid(1 / (1 + variance * np.tan(angles) ** 2), np.arange(steps, -1.0, -1) - 1)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("spacing", ["trailing", (900, 780, 640, 500, 380, 260, 160, 100)])
def test_the_law_is_that_of_whole_matrices(solver, spacing):
    """F128, F134 and F136 by brute propagation of matrices that are not diagonal."""
    name, eta = solver.partition(",")[0], SOLVERS[solver]
    data, sampler = small(), diffusion.DDIM(steps=8, eta=eta, spacing=spacing, solver=name)
    found = fl.predict(data, sampler)
    levels = found.grid.alpha_bars
    if name == "2m":
        mean, covariance = brute.two_step(data.mean, data.covariance, levels)
    else:
        mean, covariance = brute.ddim(data.mean, data.covariance, levels, eta, name == "corrected")
    assert np.abs(found.covariance - covariance).max() < 1e-12
    assert np.abs(found.mean_error - (mean - data.mean)).max() < 1e-12
    other = fl.predict(data, diffusion.DDIM(steps=8, eta=eta, spacing=spacing, solver=name, betas="cosine"))
    assert np.abs(other.covariance - covariance).max() > 1e-6


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_the_law_is_the_sum_over_all_signs_of_the_noise(eta):
    found = fl.predict(line(0.3, mean=0.8), diffusion.DDIM(steps=8, eta=eta))
    mean, square = brute.over_all_signs(0.8, 0.3, found.grid.alpha_bars, eta)
    assert found.mean_error[0] == pytest.approx(mean - 0.8, abs=1e-12)
    assert found.mode_variances[0] == pytest.approx(square - mean**2, abs=1e-12)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "cosine"])
@pytest.mark.parametrize("spacing", ["trailing", "linspace", "predicted"])
def test_the_cosine_law(spacing, betas):
    """F129: without noise a step keeps cos^2 of the angle by which it turns a mode, on any grid and schedule."""
    found = fl.predict(digits(), diffusion.DDIM(steps=15, spacing=spacing, betas=betas))
    marginals = marginals_of(digits(), found.grid)[:, : digits().rank]
    kept = np.cumprod(np.cos(np.diff(found.angles[:, : digits().rank], axis=0)) ** 2, axis=0)
    ratio = found.course.variances[1:, : digits().rank] / marginals[1:] * marginals[0]
    assert np.abs(ratio - kept).max() < 1e-13
    turned = np.sin(np.diff(found.angles, axis=0)) ** 2
    assert np.abs(found.lost - turned)[:, : digits().rank].max() < 1e-13


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_what_a_mode_lacks_obeys_the_law_of_two_angles(eta):
    """F130, and that it is never negative once it is not."""
    data = small()
    found = fl.predict(data, diffusion.DDIM(steps=10, eta=eta, spacing="trailing"))
    marginals, steps = marginals_of(data, found.grid), steps_of(found.grid, eta)
    lacks = 1 - found.course.variances / marginals
    share = steps.noise[:, None] ** 2 / marginals[1:]
    root = np.sqrt(data.variances)
    before = np.arctan2(steps.sigma[:, None], steps.a[:, None] * root)
    psi = before - np.arctan2(steps.kap[:, None], steps.to_a[:, None] * root)
    expected = (1 - share) * (np.sin(psi) ** 2 + np.cos(psi) ** 2 * lacks[:-1])
    assert np.abs(lacks[1:] - expected).max() < 1e-13
    assert np.abs(found.lost - (1 - share) * np.sin(psi) ** 2).max() < 1e-13
    flat = data.variances < 1  # white noise has more than these at the first level, and less than the others
    assert (lacks[1:][:, ~flat] > 0).all()


@pytest.mark.parametrize(
    ("eta", "constant", "exact"), [(0, 2.4665, 2.4674), (0.5, 2.9359, 2.9407), (1, 4.9161, 4.9348)]
)
def test_constants_on_the_grid_of_equal_angles(eta, constant, exact):
    """F132: n times what a mode lacks, at n = 4,000."""
    found = fl.predict(line(0.3), diffusion.DDIM(steps=4000, train_steps=4000, eta=eta, spacing=turning(0.3, 4000)))
    lacks = 4000 * (1 - found.variance_kept)
    assert lacks == pytest.approx(constant, abs=3e-4)
    assert lacks == pytest.approx(exact, rel=4e-3)


@pytest.mark.parametrize(("solver", "eta", "order"), [("ddim", 0.0, 1), ("ddim", 1.0, 1), ("2m", 0.0, 2)])
def test_orders_of_convergence(solver, eta, order):
    counts = np.array([80, 160, 320])
    errors = []
    for steps in counts:
        levels = 1 / (1 + np.geomspace(10, 0.01, steps + 1))
        grid = diffusion.Grid(levels, np.arange(steps, -1.0, -1) - 1)
        found = fl.predict(line(0.3), diffusion.DDIM(steps=int(steps), eta=eta, solver=solver, spacing=grid))
        flow = fl.predict(line(0.3), found.sampler, theory="ode")
        errors.append(abs(found.mode_variances[0] / flow.mode_variances[0] - 1))
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.02)


@pytest.mark.parametrize(("eta", "predicted"), [(0.5, 0.0377), (1.0, 2.018e-6)])
def test_noise_forgets_the_start(eta, predicted):
    """An error of the variance of the start arrives multiplied by a power of signal to noise, F132."""
    found = fl.predict(line(0.05), diffusion.DDIM(steps=1000, spacing="trailing", eta=eta), theory="ode")
    marginal = marginals_of(found.data, found.grid)[0, 0]
    signal = found.grid.alpha_bars[0] * 0.05 / marginal
    assert signal ** (eta**2) == pytest.approx(predicted, rel=2e-3)
    assert 1 - found.variance_kept == pytest.approx((1 - 1 / marginal) * signal ** (eta**2), rel=1e-9)
    exact = fl.predict(line(0.05), found.sampler).course
    response = exact.response[-1, 0] ** 2 * marginal / 0.05
    assert response == pytest.approx(predicted, rel=0.01)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_corrected_sampler_is_exact_at_any_number_of_steps(steps, eta):
    """F136, from a start that is right."""
    grid = diffusion.Grid(np.linspace(0, 1, steps + 1), np.arange(steps, -1.0, -1) - 1)
    found = fl.predict(digits(), diffusion.DDIM(steps=steps, eta=eta, solver="corrected", spacing=grid))
    alive = digits().variances > 0
    assert np.abs(found.mode_variances / np.where(alive, digits().variances, 1) - 1)[alive].max() < 5e-15
    assert found.w2 < 1e-7
    assert (found.lost == 0).all()


TABLE = {
    5: ((0.4344, 1.5860), (0.4181, 1.6315), (0.3333, 1.8978), (0.5639, 1.0954), 0.5886),
    10: ((0.6570, 0.9005), (0.6318, 0.9605), (0.5243, 1.2467), (0.7535, 0.5804), 0.1380),
    20: ((0.8085, 0.4857), (0.7839, 0.5418), (0.6889, 0.7800), (0.8682, 0.3006), 0.0517),
    50: ((0.9174, 0.2062), (0.9010, 0.2441), (0.8406, 0.3937), (0.9450, 0.1236), 0.0170),
    100: ((0.9574, 0.1070), (0.9471, 0.1310), (0.9097, 0.2246)),
    1000: ((0.9953, 0.0187), (0.9940, 0.0179), (0.9890, 0.0303)),
}
MNIST = {
    5: ((0.4835, 4.896), (0.3586, 6.054), (0.2649, 7.139), (0.5296, 4.076), 2.177),
    20: ((0.8267, 1.570), (0.7196, 2.399), (0.7524, 1.950), (0.8536, 1.154), 0.251),
    100: ((0.9612, 0.422), (0.9232, 0.691), (0.9466, 0.449), (0.9685, 0.319), 0.025),
}


def said(data, steps, **asked):
    found = fl.predict(data, diffusion.DDIM(steps=steps, **asked))
    return found.variance_kept, found.w2, found.w2_covariance


@pytest.mark.parametrize("steps", TABLE)
def test_digits(steps):
    for eta, (kept, far) in zip((0.0, 0.5, 1.0), TABLE[steps], strict=False):
        assert said(digits(), steps, eta=eta)[:2] == pytest.approx((kept, far), abs=5.1e-5)
    if len(TABLE[steps]) == 5:
        assert said(digits(), steps, spacing="predicted")[:2] == pytest.approx(TABLE[steps][3], abs=5.1e-5)
        memory = said(digits(), steps, spacing="predicted", solver="2m")
        assert memory[2] == pytest.approx(TABLE[steps][4], abs=1.2e-4)  # without the error of the mean
        assert memory[1] > memory[2]


def test_other_numbers_of_digits():
    assert (digits().rank, len(digits().mean)) == (61, 64)
    assert digits().total_variance == pytest.approx(18.7731, abs=5e-5)
    assert said(digits(), 10, spacing="karras")[1] == pytest.approx(1.2085, abs=5.1e-5)
    assert fl.predict(digits(), diffusion.DDIM(steps=10)).kl(0) == pytest.approx(15.0, abs=0.05)
    assert fl.predict(digits(), diffusion.DDIM(steps=10, spacing="trailing")).kl(0) == pytest.approx(40.9, abs=0.05)
    etas = np.linspace(0, 1, 21)
    for steps, best in ((10, 0.0), (250, 0.0), (1000, 0.35)):
        assert etas[np.argmin([said(digits(), steps, eta=eta)[1] for eta in etas])] == pytest.approx(best)


@pytest.mark.parametrize(
    ("steps", "eta", "ratio"), [(10, 0, 1.43), (50, 0, 1.10), (1000, 0, 1.006), (10, 1, 4.9), (50, 1, 2.1)]
)
def test_the_first_order_rung_overstates_the_loss(steps, eta, ratio):
    sampler = diffusion.DDIM(steps=steps, eta=eta, spacing="trailing")
    alive = digits().variances > 0
    lacks = [
        1 - fl.predict(digits(), sampler, theory=theory).mode_variances[alive] / digits().variances[alive]
        for theory in ("first_order", "exact")
    ]
    assert np.median(lacks[0] / lacks[1]) == pytest.approx(ratio, rel=0.011)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FLUCTUA_DATA"), reason="FLUCTUA_DATA is not set")
def test_mnist():
    data = diffusion.GaussianData.of(fl.load("mnist").inputs, scale=(-1, 1))
    assert data.rank == 712
    assert data.total_variance == pytest.approx(210.900, abs=5e-4)
    for steps, row in MNIST.items():
        asked = ({}, {"eta": 1.0}, {"spacing": "karras"}, {"spacing": "predicted"})
        for one, (kept, far) in zip(asked, row, strict=False):
            found = said(data, steps, **one)
            assert found[0] == pytest.approx(kept, abs=5.1e-5)
            assert found[1] == pytest.approx(far, abs=1.1e-3)
        assert said(data, steps, spacing="predicted", solver="2m")[2] == pytest.approx(row[4], abs=6e-4)


def test_no_grid_keeps_more_than_the_bound():
    """F131: cos^2n of the whole angle over n, and 1 % needs 246 steps of DDIM (247 to leading order)."""
    for spacing in ("leading", "trailing", "linspace", "karras", "predicted"):
        found = fl.predict(digits(), diffusion.DDIM(steps=20, spacing=spacing))
        widest = np.abs(found.angles[0] - found.angles[-1])
        level = marginals_of(digits(), found.grid)[0]
        kept = found.mode_variances[:61] / digits().variances[:61] * level[:61]
        assert (kept <= np.cos(widest[:61] / 20) ** 40 + 1e-13).all()
        assert found.variance_kept < most_kept(found) * level.max() + 1e-12
    for steps, enough in ((245, False), (246, True)):
        found = fl.predict(line(0.3), diffusion.DDIM(steps=steps, spacing=turning(0.3, steps)))
        assert (found.variance_kept >= 0.99) == enough


def test_the_predicted_grid_of_one_mode_turns_by_equal_angles():
    """F133: the tangent law, where a single mode decides."""
    found = fl.predict(line(0.3), diffusion.DDIM(steps=12, spacing="predicted"))
    assert np.diff(found.angles[:, 0]) == pytest.approx(
        np.full(12, found.angles[-1, 0] - found.angles[0, 0]) / 12, rel=1e-4
    )


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_no_small_change_of_the_predicted_grid_is_better(eta):
    sampler = diffusion.DDIM(steps=60, spacing="predicted", eta=eta)
    best = fl.predict(digits(), sampler)
    inner = np.arange(1, 60)
    for wave in (1, 2, 3):
        for size in (0.5, -0.5):
            logs = np.log(best.grid.noise_to_signal[:-1])
            logs[1:] += size * np.sin(wave * np.pi * inner / 60) * np.abs(np.diff(logs))
            moved = diffusion.Grid(np.append(1 / (1 + np.exp(logs)), 1.0), best.grid.timesteps)
            other = fl.predict(digits(), diffusion.DDIM(steps=60, eta=eta, spacing=moved))
            assert other.w2_covariance > best.w2_covariance * (1 - 2e-3)
    assert best.w2 < fl.predict(digits(), diffusion.DDIM(steps=50, eta=eta)).w2


def test_a_grid_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(best_grid, "_ROUNDS", 1)
    with pytest.raises(NotConverged, match="the predicted grid of 7 steps"):
        fl.predict(small(), diffusion.DDIM(steps=7, spacing="predicted"))


def test_distances_are_those_of_gaussians():
    """F135 by roots of whole matrices and by determinants."""
    data, found = small(), fl.predict(small(), diffusion.DDIM(steps=5, eta=0.3))
    mean = data.mean + found.mean_error
    assert found.w2 == pytest.approx(brute.bures(data.mean, data.covariance, mean, found.covariance), abs=1e-9)
    inverse = np.linalg.inv(data.covariance)
    determinants = np.linalg.slogdet(data.covariance)[1] - np.linalg.slogdet(found.covariance)[1]
    off = found.mean_error @ inverse @ found.mean_error
    entropy = 0.5 * (np.trace(inverse @ found.covariance) - 4 + off + determinants)
    assert found.kl(0) == pytest.approx(entropy, rel=1e-9)
    assert found.kl(1e9) == 0


def test_steps_in_between_are_those_of_a_shorter_sampler():
    whole = fl.predict(small(), diffusion.DDIM(steps=10, eta=0.4))
    start = whole.after(0)
    assert start.mode_variances.tolist() == [1.0] * 4
    assert start.mean_error == pytest.approx(-np.sqrt(whole.grid.alpha_bars[0]) * small().mean)
    half = diffusion.Grid(whole.grid.alpha_bars[:6], whole.grid.timesteps[:6])
    short = fl.predict(small(), diffusion.DDIM(steps=5, eta=0.4, spacing=half))
    assert whole.after(5).mode_variances == pytest.approx(short.mode_variances)
    assert whole.after(5).w2 == pytest.approx(short.w2)
    assert whole.columns("steps")["w2"][-1] == whole.w2


def test_modes_without_data_end_at_exactly_nothing():
    data = diffusion.GaussianData(mean=[1.0, -1.0, 0.0], covariance=np.diag([1.0, 0.0, 0.0]))
    for asked in ({}, {"eta": 1.0}, {"solver": "2m"}, {"solver": "corrected"}, {"spacing": "predicted"}):
        found = fl.predict(data, diffusion.DDIM(steps=10, **asked))
        assert found.mode_variances[1:].tolist() == [0.0, 0.0]
        assert np.isfinite(found.angles).all()
        assert np.isfinite(found.lost).all()
        assert np.isnan(found.columns("modes")["kept"][1:]).all()
        assert data.rank == 1


def test_a_plan_is_the_fewest_steps_and_the_smallest_distance():
    found = diffusion.plan(digits(), accuracy=0.01)
    assert (found.steps, found.sampler.solver, found.sampler.spacing) == (31, "2m", "predicted")
    for one in found.candidates:
        assert one.misplaced <= 0.01
        if one.sampler.spacing != "leading":
            less = {"spacing": one.sampler.spacing, "solver": one.sampler.solver, "eta": one.sampler.eta}
            assert fl.predict(digits(), diffusion.DDIM(steps=one.sampler.steps - 1, **less)).misplaced > 0.01
    assert all(one.sampler.steps >= 246 for one in found.candidates if one.sampler.solver == "ddim")
    best = fl.plan(digits(), budget=1000, spacings=["trailing"], solvers=["ddim"])
    assert best.sampler.eta == pytest.approx(0.35, abs=0.03)
    assert best.prediction.w2 == pytest.approx(0.0170, abs=5.1e-5)
    near = diffusion.plan(digits(), w2=0.2, solvers=["ddim"], spacings=["predicted", "leading"])
    assert near.prediction.w2 <= 0.2 < said(digits(), near.steps - 1, spacing="predicted")[1]
