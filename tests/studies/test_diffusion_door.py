"""What Gaussian data, samplers and plans refuse, at their doors."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import DeficientRank, InvalidInput, UnscaledData
from fluctua.studies import diffusion

LINE = diffusion.GaussianData(mean=[0.5], covariance=[[1.0]])
UNIT = np.eye(3)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"eta": -0.1}, "eta must be at least 0"),
        ({"eta": float("nan")}, "eta must be a finite number"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"steps": 1001, "spacing": "trailing"}, "steps = 1001 is more than the 1000 training steps"),
        ({"steps": 30}, r"30 does not divide the 1000 training steps.*begin at 957.*Use 25 or 40 steps"),
        ({"spacing": "even"}, "unknown spacing 'even'"),
        ({"spacing": "trail"}, "Did you mean 'trailing'"),
        ({"spacing": (5, 3), "steps": 3}, "lists 2 training steps, and steps = 3"),
        ({"spacing": (3, 5), "steps": 2}, "must fall"),
        ({"spacing": (1000, 5), "steps": 2}, "at most 999"),
        ({"spacing": (), "steps": 2}, "empty"),
        ({"spacing": 7}, "spacing must be a sequence"),
        ({"betas": "quadratic"}, "unknown betas"),
        ({"betas": [0.1, 0.0]}, "betas must lie between 0 and 1, and beta of training step 1 is 0"),
        ({"betas": [0.1, 1.2]}, "beta of training step 1 is 1.2"),
        ({"betas": [[0.1]]}, "shape"),
        ({"betas": [0.1, np.nan]}, "nan"),
        ({"beta_start": 0.0}, "beta_start must be greater than 0"),
        ({"beta_end": 1.0}, "beta_end must be less than 1"),
        ({"train_steps": 1}, "train_steps"),
        ({"solver": "heun"}, "unknown solver"),
        ({"solver": "2m", "eta": 0.5}, r"eta = 0.5 has no place in solver='2m'"),
        ({"set_alpha_to_one": 1}, "set_alpha_to_one must be True or False"),
        ({"clip_sample": True}, "clip_sample=True is not covered.*not linear"),
        ({"thresholding": True}, "thresholding=True is not covered"),
        ({"guidance_scale": 7.5}, "guidance_scale = 7.5 is not covered"),
        ({"steps_offset": 50}, "less than the stride 50"),
        ({"steps_offset": 1, "spacing": "trailing"}, "shift of spacing='leading'"),
        ({"spacing": diffusion.Grid([0.1, 1.0], [5, -1])}, "the grid has 1 steps, and steps = 20"),
    ],
)
def test_samplers_are_refused_with_the_reason(asked, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.DDIM(**asked)


def test_too_much_noise_says_which_step_and_how_much_there_may_be():
    sampler = diffusion.DDIM(steps=10, eta=1.2)
    with pytest.raises(InvalidInput, match=r"eta = 1.2 asks at step 0 of 10 .* Use eta <= 1\.0\d+") as found:
        fl.predict(LINE, sampler)
    allowed = float(str(found.value).split("eta <= ")[1].split()[0])
    assert fl.predict(LINE, diffusion.DDIM(steps=10, eta=allowed)).variance_kept > 0
    with pytest.raises(InvalidInput):
        fl.predict(LINE, diffusion.DDIM(steps=10, eta=allowed + 2e-6))


@pytest.mark.parametrize(
    ("levels", "times", "words"),
    [
        ([0.1, 0.5, 0.5, 1.0], [3, 2, 1, -1], "level 1 has 0.5 and level 2 has 0.5"),
        ([0.5, 0.1, 1.0], [3, 2, -1], "must fall with the training step"),
        ([0.1, 1.5], [3, -1], r"must lie in \[0, 1\]"),
        ([-0.1, 1.0], [3, -1], r"must lie in \[0, 1\]"),
        ([0.1, 0.5, 1.0], [3, -1], "as many timesteps"),
        ([1.0], [-1], "at least two"),
        ([0.1, np.inf], [3, -1], "inf"),
    ],
)
def test_levels_that_do_not_fall_are_refused(levels, times, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.Grid(levels, times)


def test_betas_that_leave_nothing_have_no_continuous_grid():
    whole = diffusion.DDIM(steps=2, betas=[0.5] * 2000, spacing="trailing")
    assert np.isfinite(fl.predict(LINE, whole).w2)
    for spacing in ("karras", "predicted"):
        with pytest.raises(InvalidInput, match="leave nothing of the data"):
            fl.predict(LINE, diffusion.DDIM(steps=2, betas=[0.5] * 2000, spacing=spacing))


def test_a_predicted_grid_needs_data():
    with pytest.raises(InvalidInput, match="Give the data"):
        diffusion.DDIM(spacing="predicted").grid()


@pytest.mark.parametrize(
    ("mean", "covariance", "words"),
    [
        ([0, 0, 0], UNIT[:2], "covariance must have shape"),
        ([0, 0], UNIT, r"covariance must have shape \(2, 2\)"),
        ([0, 0, 0], UNIT + np.triu(np.ones((3, 3)), 1), r"symmetric, and its element \(0, 1\) is 1"),
        ([0, 0, 0], np.diag([1, 1, -1]), "no negative direction"),
        ([0, 0, 0], np.zeros((3, 3)), "some positive one"),
        ([0, 0, np.nan], UNIT, "nan"),
        ([0, 0, 1j], UNIT, "real numbers"),
        ([], np.empty((0, 0)), "empty"),
        ([0, 0, 0], 1j * UNIT, "real numbers"),
        ([0, 0, 0], np.full((3, 3), np.inf), "inf"),
        ([[0, 0, 0]], UNIT, "shape"),
    ],
)
def test_moments_that_are_none_are_refused(mean, covariance, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.GaussianData(mean=mean, covariance=covariance)


@pytest.mark.parametrize(
    ("inputs", "scale", "words"),
    [
        (np.ones((1, 3)), None, "a single sample"),
        (np.full((4, 3), 0.2), (-1, 1), "cannot be mapped"),
        (np.full((4, 3), 0.2), None, "some positive one"),
        (np.full((4, 3), np.nan), None, "nan"),
        (1j * np.ones((4, 3)), None, "real numbers"),
        (np.empty((0, 3)), None, "empty"),
        (np.eye(4), (1, -1), r"scale\[1\] must be greater than 1"),
        (np.eye(4), 2, "scale must be the two numbers"),
        (np.eye(4), (0, np.inf), r"scale\[1\] must be a finite number"),
    ],
)
def test_samples_that_have_no_covariance_are_refused(inputs, scale, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.GaussianData.of(inputs, scale=scale)


def test_data_that_nobody_has_scaled_are_warned_of():
    rows = np.random.default_rng(0).uniform(0, 255, (50, 3))
    with pytest.warns(UnscaledData, match="scale=") as found:
        diffusion.GaussianData.of(rows)
    assert found[0].message.high == rows.max()
    diffusion.GaussianData.of(rows / 255)
    scaled = diffusion.GaussianData.of(rows, scale=(-1, 1))
    low, high = rows.min(), rows.max()
    assert scaled.mean == pytest.approx(2 * (rows.mean(axis=0) - low) / (high - low) - 1)
    assert scaled.covariance == pytest.approx(np.cov(rows.T, bias=True) * (2 / (high - low)) ** 2)


def test_fewer_samples_than_columns_say_the_rank():
    rows = np.random.default_rng(0).uniform(-1, 1, (5, 8))
    with pytest.warns(DeficientRank, match="rank 4") as found:
        data = diffusion.GaussianData.of(rows)
    assert (found[0].message.rank, data.rank, data.samples) == (4, 4, 5)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.uint8])
def test_every_type_of_number_has_the_moments_of_double_precision(kind):
    rows = (np.random.default_rng(0).uniform(0, 1, (500, 3)) * (200 if kind is np.uint8 else 1)).astype(kind)
    found, exact = (diffusion.GaussianData.of(each, scale=(-1, 1)) for each in (rows, rows.astype(float)))
    assert found.covariance == pytest.approx(exact.covariance, abs=1e-12)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "one of accuracy, w2 and budget, got none"),
        ({"accuracy": 0.1, "budget": 3}, "got accuracy and budget"),
        ({"accuracy": 1.0}, "accuracy must be less than 1"),
        ({"w2": -1.0}, "w2 must be greater than 0"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"budget": 3, "solvers": ["euler"]}, "unknown solver"),
        ({"budget": 3, "spacings": []}, "spacings is empty"),
        ({"budget": 3, "etas": [-1.0]}, "eta must be at least 0"),
        ({"w2": 1e-9, "spacings": ["trailing"]}, "no sampler that was tried reaches W2 <= 1e-09"),
    ],
)
def test_plans_are_refused_with_the_reason(asked, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.plan(LINE, **asked)


@pytest.mark.parametrize(
    ("sampler", "asked", "words"),
    [
        (20, {}, "sampler must be"),
        (diffusion.DDIM(), {"theory": "exactly"}, "unknown theory"),
        (diffusion.DDIM(solver="2m"), {"theory": "first_order"}, "solver='2m' has none of it"),
    ],
)
def test_predictions_are_refused_with_the_reason(sampler, asked, words):
    with pytest.raises(InvalidInput, match=words):
        fl.predict(LINE, sampler, **asked)


def test_other_verbs_name_those_that_take_it():
    with pytest.raises(InvalidInput, match=r"GaussianData is not taken by fluctua.sweep.*fluctua.predict"):
        fl.sweep(LINE)
    with pytest.raises(InvalidInput, match="steps"):
        fl.predict(LINE, diffusion.DDIM(steps=10)).after(11)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"clip_sample": True}, "clip_sample=True"),
        ({"algorithm_type": "sde-dpmsolver++"}, "algorithm_type = 'sde-dpmsolver.*' of the scheduler is not covered"),
        ({"use_karras_sigmas": True}, "use_karras_sigmas"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"beta_schedule": "sigmoid"}, "unknown betas 'sigmoid'"),
        ("config", "config must be"),
    ],
)
def test_settings_of_a_scheduler_that_are_not_covered_are_named(config, words):
    with pytest.raises(InvalidInput, match=words):
        diffusion.DDIM.of(config, steps=10)


def test_settings_of_schedulers_are_read():
    config = {"num_train_timesteps": 500, "beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}
    found = diffusion.DDIM.of({**config, "set_alpha_to_one": False}, steps=10, eta=0.5)
    assert (found.train_steps, found.betas, found.spacing, found.eta) == (500, "cosine", "trailing", 0.5)
    assert found.last == found.training_alpha_bars[0] < 1
    given = diffusion.DDIM.of({"trained_betas": [0.1, 0.2], "solver_order": 2, "num_train_timesteps": 2}, steps=1)
    assert (given.solver, given.train_steps, tuple(given.spacing)) == ("2m", 2, (1,))
