"""Samples, and the verdict on them (F137): the law passes, mutants and a user's broken steps are rejected."""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.studies import diffusion

RUN = {"samples": 20_000, "level": 1e-6, "rng": 1}
"""Fixed beforehand. A variance is known to 1 %, that of a band of 30 modes to 0.18 %. Nearest to their bars are the
laws times 1.02 and 0.98: 2 % of 30 modes are 11 error bars and the level needs 5.3, so that chance misses with 1e-8."""
LINE = diffusion.GaussianData(mean=[0.5], covariance=[[1.0]])


@pytest.fixture(scope="module")
def digits():
    return diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))


def rejected(verdict):
    return {row.name for row in verdict.mutants if not row.consistent}


def own(eta=0.0, last=1.0, clip=None, off=0.0):
    """A user's DDIM in ten lines, right or wrong."""
    levels = np.append(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)), last)

    def step(x, eps, t, t_prev, rng):
        now, then = levels[t], levels[t_prev]
        guess = (x - np.sqrt(1 - now) * eps) / np.sqrt(now)
        guess = guess if clip is None else np.clip(guess, -clip, clip)
        fresh = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        x *= 0  # what it is given may be changed
        noise = np.sqrt(fresh) * rng.standard_normal(x.shape)
        return np.sqrt(then) * guess + np.sqrt(1 - then - fresh) * eps * (1 + off) + noise

    return step


@pytest.mark.any_seed
def test_samples_depend_on_the_seed_alone(digits):
    sampler = diffusion.DDIM(steps=5, eta=0.5)
    one, two = (fl.simulate(digits, sampler, samples=5000, rng=3, threads=threads) for threads in (1, 3))
    assert np.array_equal(one.samples, two.samples)
    assert not np.array_equal(one.samples, fl.simulate(digits, sampler, samples=5000, rng=4).samples)
    assert one.samples.shape == one.start.shape == (5000, 64)
    assert np.abs(one.covariance - np.cov(one.samples.T)).max() < 1e-12
    assert np.abs(one.mean_error - (one.samples.mean(axis=0) - digits.mean)).max() < 1e-12
    assert one.mode_variances == pytest.approx(np.var((one.samples @ digits.modes), axis=0, ddof=1), abs=1e-9)


@pytest.mark.any_seed
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_a_step_of_ones_own_makes_the_same_samples(digits, eta):
    """The same stream in another's hands: the numbers of a step are those of the chain to rounding."""
    sampler = diffusion.DDIM(steps=5, eta=eta)
    one = fl.simulate(digits, sampler, samples=300, rng=3)
    two = fl.simulate(digits, sampler, samples=300, rng=3, step=own(eta))
    assert np.abs(one.samples - two.samples).max() < 1e-12


@pytest.mark.any_seed
@pytest.mark.parametrize("solver", ["ddim", "2m", "corrected"])
def test_whole_matrices_carry_what_the_chain_does(digits, solver):
    """Without noise each sample is an affine image of its start, and `carried` has the image of all of them."""
    from fluctua.studies.diffusion.pixels import chain_of

    sampler = diffusion.DDIM(steps=10, solver=solver)
    law = fl.predict(digits, sampler)
    mean, covariance = chain_of(digits, sampler, law.grid).carried()
    assert np.abs(covariance - law.covariance).max() < 1e-11
    assert np.abs(mean - digits.mean - law.mean_error).max() < 1e-11


CASES = [(10, {}), (20, {"eta": 1.0}), (20, {"solver": "2m", "spacing": "predicted"})]
MORE = [(10, {"eta": 0.5}), (20, {}), (50, {"eta": 1.0})]


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
@pytest.mark.parametrize(("steps", "asked"), CASES)
def test_the_law_passes_and_mutants_do_not(digits, steps, asked):
    verdict = fl.verify(digits, diffusion.DDIM(steps=steps, **asked), **RUN)
    assert verdict.passed
    wrong = {"exact x 1.02", "exact x 0.98", "ode", "grid shifted by one training step"}
    assert rejected(verdict) >= {*wrong, "last alpha-bar that of the first training step"}
    assert ("first order" in rejected(verdict)) == (asked.get("solver") != "2m")
    assert any(name.startswith("eta") for name in rejected(verdict)) == (asked.get("solver") != "2m")


@pytest.mark.any_seed
def test_a_first_order_without_any_variance_is_rejected():
    flat = diffusion.GaussianData(mean=[0.0, 0.0], covariance=np.diag([3e-3, 1e-3]))
    sampler = diffusion.DDIM(steps=5, eta=0.5)
    assert (fl.predict(flat, sampler, theory="first_order").mode_variances < 0).all()
    assert "first order" in rejected(fl.verify(flat, sampler, samples=2000))


@pytest.mark.slow
@pytest.mark.statistical(alpha=3e-6, miss=3e-6)
def test_more_steps_and_noises_with_all_samples(digits):
    """R = 100,000: three verdicts at the level of one."""
    for steps, asked in MORE:
        verdict = fl.verify(digits, diffusion.DDIM(steps=steps, **asked), level=1e-6, rng=1)
        assert verdict.passed, (steps, asked, verdict.words)
        assert {row.name for row in verdict.mutants} == rejected(verdict)
        assert len(verdict.mutants) >= 7


BROKEN = {
    "ends at the first training step": {"last": float(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[0])},
    "clips its guess": {"clip": 1.0},
    "adds noise": {"eta": 0.05},
    "overstates eps by 1 %": {"off": 0.01},
}


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_a_right_step_of_ones_own_passes(digits):
    verdict = fl.verify(digits, diffusion.DDIM(steps=10), step=own(), **RUN)
    assert verdict.passed
    assert "a step of your own" in verdict.title
    assert "What it agrees with" not in verdict.facts


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_step_of_ones_own_is_rejected(digits, name):
    """Hundreds of error bars each: an end too early, clipping of most pixels, noise where there is none, 1 % of eps."""
    verdict = fl.verify(digits, diffusion.DDIM(steps=10), step=own(**BROKEN[name]), **{**RUN, "samples": 5000})
    assert not verdict.row("exact").consistent
    if name.startswith("ends"):
        assert verdict.facts["What it agrees with"] == "last alpha-bar that of the first training step"


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x, eps, t, t_prev, rng: x[:, :0], r"returned .* the shape \(1000, 1\)"),  # noqa: ARG005
        (lambda x, eps, t, t_prev, rng: x * np.nan, "not finite"),  # noqa: ARG005
        (lambda x, eps, t, t_prev, rng: x + 1j, "returned"),  # noqa: ARG005
        (lambda x, eps, t, t_prev, rng: None, "returned None"),  # noqa: ARG005
        (lambda x, eps, t, t_prev, rng: x[t + 10**6], "raised IndexError"),  # noqa: ARG005
    ],
)
def test_a_step_that_does_not_answer_is_the_users(step, words):
    with pytest.raises(InvalidInput, match=words):
        fl.verify(LINE, diffusion.DDIM(steps=5), samples=1000, step=step)


@pytest.mark.parametrize("step", [7, lambda x: x, np.ndarray])
def test_a_step_takes_five_arguments(step):
    with pytest.raises(InvalidInput, match=r"step must be a function of \(x, eps, t, t_prev, rng\)"):
        fl.verify(LINE, diffusion.DDIM(), step=step)


@pytest.mark.any_seed
def test_a_step_is_told_training_steps(digits):
    told = []

    def step(x, eps, t, t_prev, rng):  # noqa: ARG001
        told.append((t, t_prev))
        return x

    fl.simulate(LINE, diffusion.DDIM(steps=5), samples=2, step=step)
    assert told == [(800, 600), (600, 400), (400, 200), (200, 0), (0, -1)]
    assert all(type(each) is int for pair in told for each in pair)
    fl.simulate(digits, diffusion.DDIM(steps=5, spacing="karras"), samples=2, step=step)
    assert told[5][0] == 999
    assert told[-1][1] == -1


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("verb", "asked"),
    [
        (fl.simulate, {"samples": 1}),
        (fl.simulate, {"samples": 10**12}),
        (fl.verify, {"samples": 999}),
        (fl.verify, {"samples": 10**15}),
        (fl.verify, {"level": 2.0}),
        (fl.verify, {"resolution": 0.0}),
        (fl.verify, {"threads": 0}),
    ],
)
def test_arguments_out_of_range_are_refused(verb, asked):
    with pytest.raises(InvalidInput, match=next(iter(asked))):
        verb(LINE, diffusion.DDIM(), **asked)
