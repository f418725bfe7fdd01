"""Beyond the best linear denoiser: general linear noisings, trained denoisers, entropies, and nonlinear scores."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import fluctua as fl
from fluctua.studies import diffusion


@cache
def digits():
    data = fl.load("digits")
    return data, diffusion.GaussianData.of(data.inputs, scale=(-1, 1))


@cache
def top():
    data = digits()[1]
    return diffusion.GaussianData(mean=data.mode_mean[:16], covariance=np.diag(data.variances[:16]))


def random_sde():
    rng = np.random.default_rng(0)
    drift, noise, root = rng.normal(size=(3, 4, 4))
    return diffusion.LinearSDE(drift - (np.linalg.eigvals(drift).real.max() + 0.5) * np.eye(4), noise), root @ root.T


CASES = {
    "critically damped": lambda: (diffusion.critically_damped(), np.diag([0.3, 0.01])),
    "random": random_sde,
    "in time": lambda: (diffusion.blurring(2), np.diag([0.5, 0.2, 0.1, 0.4])),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_a_step_of_a_linear_noising_is_that_of_the_integral(case, noise):
    sde, start = CASES[case]()
    noising, d = fl.predict(sde, start), sde.features

    def slope(time, flat):
        psi, spread = flat.reshape(2, d, d)
        pulled = sde.source(time) @ np.linalg.inv(noising.covariance(time))
        motion = sde.drift_at(time) + 0.5 * (1 + noise**2) * pulled
        moved = motion @ spread + spread @ motion.T - noise**2 * sde.source(time)
        return np.concatenate([(motion @ psi).ravel(), moved.ravel()])

    first = np.concatenate([np.eye(d).ravel(), np.zeros(d * d)])
    end = solve_ivp(slope, (0.9, 0.1), first, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1].reshape(2, d, d)
    step = noising.step(0.9, 0.1, noise=noise)
    assert abs(step.matrix - end[0]).max() < 1e-9
    assert abs(step.covariance - end[1]).max() < 1e-9
    root = noising.root(0.1)
    assert abs(root @ root.T - noising.covariance(0.1)).max() < 1e-9


def test_circulation_of_critically_damped_dynamics_survives_at_equilibrium():
    noising = fl.predict(diffusion.critically_damped(), np.diag([0.3, 0.01]))
    found = [noising.circulation(t)[0, 1] for t in (0.02, 0.1, 0.3, 1.0)]
    assert np.allclose(found, [1.589, 3.330, 3.973, 4.000], atol=5e-4)
    assert abs(fl.predict(diffusion.variance_preserving(2), [[0.5, 0.1], [0.1, 0.2]]).circulation(0.3)).max() < 1e-14


def unstable(lr):
    """Ten steps from the best weights, which have grown but are numbers."""
    return diffusion.Trained(fl.SGD(lr=lr, batch_size=8), steps=10)


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: diffusion.LinearSDE([[1.0, 2.0]], [[1.0]]), "square"),
        (lambda: diffusion.LinearSDE([[1.0]], [[1.0], [1.0]]), "row for each"),
        (lambda: diffusion.LinearSDE([[1.0]], [[1.0]]).equilibrium, "unstable"),
        (lambda: fl.predict(diffusion.critically_damped(), np.diag([0.3, 0.0])).step(1.0, 0.0), "singular"),
        (lambda: fl.predict(diffusion.critically_damped(), [[1.0]]), "shape"),
        (lambda: diffusion.Trained(fl.SGD(lr=0.1, batch_size=8, sampling="shuffle")), "fresh"),
        (lambda: fl.predict(top(), diffusion.DDIM(), denoiser=diffusion.Trained(fl.SGD(lr=9.0, batch_size=8))), "lr <"),
        (lambda: fl.predict(top(), diffusion.DDIM(), denoiser=unstable(9.0)), "lr <"),
        (lambda: fl.simulate(top(), diffusion.DDIM(), denoiser=unstable(9.0), samples=20, rng=1), "diverged"),
        (lambda: fl.verify(top(), diffusion.DDIM(), denoiser=unstable(1.0), samples=20, rng=1), "lr <"),
        (lambda: diffusion.Thermodynamics(top(), diffusion.DDIM(), floor=1e9), "smaller floor"),
        (lambda: fl.predict(top(), diffusion.DDIM(), denoiser=diffusion.TrainingSet(np.eye(16))), "not linear"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(fl.errors.InvalidInput, match=words):
        call()


def test_weight_noise_of_the_denoiser_refunds_what_the_sampler_drops():
    """F143 without a number of steps, F144 with 3,000 of them, and F145 of both."""
    sampler = diffusion.DDIM(steps=10)
    said = {"exact": 11.616, "langevin": 11.528, "no_noise": 11.102}
    for theory, value in said.items():
        trained = diffusion.Trained(fl.SGD(lr=0.1, batch_size=8))
        assert fl.predict(top(), sampler, denoiser=trained, theory=theory).mode_variances.sum() == pytest.approx(
            value, abs=6e-4
        )
    long = diffusion.Trained(fl.SGD(lr=0.1, batch_size=8), steps=3000)
    assert fl.predict(top(), sampler, denoiser=long).mode_variances.sum() == pytest.approx(11.61637, abs=1e-4)


def test_entropy_production_of_noising_is_what_relative_entropy_falls_by():
    cost = diffusion.Thermodynamics(digits()[1], diffusion.DDIM(steps=10, eta=0.5, spacing="trailing"))
    end = diffusion.DDIM(steps=10, spacing="trailing").grid().alpha_bars[0]
    edges = np.linspace(-40, np.log((1 - end) / end), 40)

    def along(x):
        return cost.rate(1 / (1 + np.exp(x))) * np.exp(x) / (1 + np.exp(x))

    found = sum(quad(along, a, b, epsabs=1e-11)[0] for a, b in pairwise(edges))
    assert found == pytest.approx(cost.noising, abs=1e-6)
    assert cost.noising == pytest.approx(88.8207, abs=1e-4)
    assert cost.sampling == pytest.approx(4 * cost.noising)


def test_paths_differ_by_no_less_than_their_ends():
    cost = diffusion.Thermodynamics(digits()[1], diffusion.DDIM(steps=10, eta=1.0))
    assert [round(cost.path_kl[-2], 1), round(cost.marginal_kl[-2], 1)] == [141.0, 16.8]
    assert (cost.path_kl >= cost.marginal_kl - 1e-12).all()


@pytest.mark.any_seed
def test_samples_of_the_training_set_are_its_images():
    data, gauss = digits()
    training = diffusion.TrainingSet(data.inputs, scale=(-1, 1))
    found = fl.simulate(gauss, diffusion.DDIM(steps=5), denoiser=training, samples=300, rng=1)
    meter = diffusion.Memorisation.of(found, training)
    assert meter.share == 1.0
    assert np.median(meter.distances) < 1e-9


def test_guesses_of_nonlinear_scores_by_quadrature():
    """F149: two images on a line, and a Gaussian about each, against sums over a fine grid."""
    alpha_bar, x = 0.6, np.linspace(-2, 2, 7)
    images = np.array([[-1.2], [-0.8], [0.7], [1.3]])
    labels = [0, 0, 1, 1]
    line = np.linspace(-4, 4, 40_001)
    mixture = sum(np.exp(-0.5 * ((line - m) / r) ** 2) / r for m, r in ((-1.0, 0.2), (1.0, 0.3)))
    cases = (
        (diffusion.ClassMixture(images, labels), line, mixture),
        (diffusion.TrainingSet(images), images.ravel(), np.ones(4)),
    )
    for score, places, weights in cases:
        joint = weights * np.exp(-((x[:, None] - np.sqrt(alpha_bar) * places) ** 2) / (2 * (1 - alpha_bar)))
        joint /= joint.sum(axis=1, keepdims=True)
        mean, left = score.guess(x[:, None], alpha_bar)
        assert np.allclose(mean[:, 0], joint @ places, atol=1e-10)
        assert np.allclose(left, joint @ places**2 - (joint @ places) ** 2, atol=1e-10)


def rejected(verdict):
    return {row.name for row in verdict.rows if not row.consistent}


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_the_verdict_on_trained_denoisers_passes_and_lower_rungs_do_not():
    """3,200 trainings know the total variance to 1.5 %; discrete, the nearest, is 14 error bars off; 5.3 are needed."""
    pair = diffusion.GaussianData(mean=[0.3, 0.0], covariance=[[1.0, 0.2], [0.2, 0.5]])
    trained = diffusion.Trained(fl.SGD(lr=0.3, batch_size=2), steps=30)
    asked = {"samples": 3200, "rng": 1, "level": 1e-6, "resolution": 0.5}
    verdict = fl.verify(pair, diffusion.DDIM(steps=2, spacing="trailing"), denoiser=trained, **asked)
    assert verdict.passed
    assert rejected(verdict) == {"exact x 1.5", "exact x 0.5", "discrete", "langevin", "no weight noise"}
    assert fl.plot.names(verdict) == ("refund", "statements")


@pytest.mark.any_seed
def test_an_unsharp_verdict_asks_for_trainings_and_no_other_sampler():
    """20 trainings catch no error of 0.1 %, and more steps of the sampler would be another sampler."""
    trained = diffusion.Trained(fl.SGD(lr=0.3, batch_size=2), steps=5)
    line = diffusion.GaussianData(mean=[0.0], covariance=[[1.0]])
    verdict = fl.verify(line, diffusion.DDIM(steps=2), denoiser=trained, samples=20, rng=1, level=1e-6, resolution=1e-3)
    assert not verdict.sharp
    assert "NOT sharp" in verdict.words
    assert "at least" not in verdict.words


def two_classes():
    rng, labels = np.random.default_rng(0), np.arange(60) % 2
    inputs = rng.normal(size=(60, 2)) * [0.15, 0.05] + np.where(labels, 0.5, -0.5)[:, None]
    return diffusion.ClassMixture(inputs, labels), diffusion.GaussianData.of(inputs)


class Boastful(diffusion.ClassMixture):
    """It says that a tenth less is unknown of the data than is."""

    def guess(self, x, alpha_bar):
        mean, left = super().guess(x, alpha_bar)
        return mean, 0.9 * left


@pytest.mark.statistical(alpha=1e-6, miss=1e-9)
def test_the_verdict_on_a_score_passes_and_one_that_knows_too_much_does_not():
    """10,000 samples know what is left out to 0.4 %: 20 % are fifty error bars and 10 % are twenty; 5.3 are needed."""
    mixture, data = two_classes()
    asked = {"samples": 10_000, "rng": 1, "level": 1e-6, "resolution": 0.2}
    verdict = fl.verify(data, diffusion.DDIM(steps=5), denoiser=mixture, **asked)
    assert verdict.passed
    assert rejected(verdict) >= {"that of a linear denoiser", "Gaussian theory of the samples"}
    assert "memorised" in verdict.facts["Memorisation"]
    wrong = Boastful(mixture.inputs, mixture.labels)
    assert not fl.verify(data, diffusion.DDIM(steps=5), denoiser=wrong, **asked).consistent
