"""Real runs of samplers: the schemes' own letters, thermal noise that no grouping changes, and known numbers."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.steppers import stepper
from fluctua.simulation.thermal import Heat

TEMPERATURE, DECAY, EPS, FRICTION = 0.02, 0.1, 0.15, 0.8
BOUND = 4.9  # combined standard errors: chance passes it once in 1e6


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((12, 3))
    return fl.LeastSquares(np.column_stack([x, x[:, 0]]), rng.standard_normal((12, 2)))  # one direction has no data


def numbers_of(steps, shape, replicas=3, seed=5):
    """Batches' generators, and the normal numbers that the runs use, (replicas, steps, c, d)."""
    rngs = generators(seed_sequence(seed), replicas)
    return rngs, Heat(rngs).numbers(slice(None), steps, shape, np.dtype(float))


def gradient(problem, w, rows):
    """Mean gradient over some samples, with weight decay."""
    x, y = problem.inputs[rows], problem.targets[rows]
    return (w @ x.T - y.T) @ x / len(x) + DECAY * w


def letters(problem, kind, batches, xi):
    """W after the steps, by the letters of the scheme; a kick is by the gradient at the place where it is."""
    w, p, c = np.zeros(xi.shape[1:]), np.zeros(xi.shape[1:]), np.exp(-FRICTION * EPS)
    heat = np.sqrt(TEMPERATURE * (1 - c * c))
    for rows, n in zip(batches, xi, strict=True):
        g = gradient(problem, w, rows)
        if kind is fl.SGLD:
            w = w - EPS * g + np.sqrt(2 * EPS * TEMPERATURE) * n
        elif kind is fl.SGHMC:
            w, p = w + EPS * p, p - EPS * FRICTION * p - EPS * g + np.sqrt(2 * FRICTION * EPS * TEMPERATURE) * n
        else:  # BAOA
            p = p - EPS * g
            w = w + EPS / 2 * p
            p = c * p + heat * n
            w = w + EPS / 2 * p
    return w


def sampler_of(kind, batch_size, temperature=TEMPERATURE):
    given = {"lr": EPS, "batch_size": batch_size, "temperature": temperature, "weight_decay": DECAY}
    return kind(**given) if kind is fl.SGLD else kind(friction=FRICTION, **given)


def advanced(problem, sampler, steps, rngs, cut=()):
    """V + W* after the steps, taken in stretches."""
    rows = problem.rank if sampler.batch_size is None else problem.samples
    draws, minimum = Draws(rngs, rows, sampler), problem.minimum(DECAY).weights
    state = np.zeros((sampler.step.slots, len(rngs), *minimum.shape))
    state[0] -= minimum
    move = stepper(problem, sampler, "sgd", np.dtype(float))
    for begin, end in zip((0, *cut), (*cut, steps), strict=True):
        move(state, draws, end - begin, begin)
    return state[0] + minimum


@pytest.mark.any_seed
@pytest.mark.parametrize("batch_size", [4, None])
@pytest.mark.parametrize("kind", [fl.SGLD, fl.SGHMC, fl.BAOA])
def test_the_compiled_steps_are_the_letters_of_the_scheme(problem, kind, batch_size):
    sampler = sampler_of(kind, batch_size)
    rngs, xi = numbers_of(40, (2, 4))
    if batch_size is None:
        batches = np.broadcast_to(np.arange(12), (40, 3, 12))
    else:
        (batches,) = Draws(generators(seed_sequence(5), 3), 12, sampler).batches(40)
    found = advanced(problem, sampler, 40, rngs)
    for replica in range(3):
        expected = letters(problem, kind, batches[:, replica], xi[replica])
        np.testing.assert_allclose(found[replica], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.any_seed
def test_no_grouping_of_steps_or_replicas_changes_the_thermal_noise(problem, monkeypatch):
    sampler = sampler_of(fl.BAOA, 4)
    whole = advanced(problem, sampler, 30, generators(seed_sequence(5), 3))
    cut = advanced(problem, sampler, 30, generators(seed_sequence(5), 3), (7, 8))
    fewer = advanced(problem, sampler, 30, generators(seed_sequence(5), 2))
    monkeypatch.setattr("fluctua.simulation.thermal._NUMBERS", 50)
    small = advanced(problem, sampler, 30, generators(seed_sequence(5), 3))
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_array_equal(fewer, whole[:2])
    np.testing.assert_array_equal(small, whole)


@pytest.mark.any_seed
def test_without_a_temperature_runs_are_those_of_sgd(problem):
    sgd = fl.SGD(lr=EPS, batch_size=4, weight_decay=DECAY)
    given = {"steps": 50, "replicas": 4, "rng": 1, "dtype": "float64"}
    cold, plain = fl.simulate(problem, sampler_of(fl.SGLD, 4, 0.0), **given), fl.simulate(problem, sgd, **given)
    np.testing.assert_allclose(cold.replica_losses, plain.replica_losses, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(cold.mode_covariance, plain.mode_covariance, rtol=1e-12, atol=1e-15)


@pytest.mark.any_seed
def test_an_interrupted_run_of_a_sampler_goes_on_with_the_same_numbers(problem, tmp_path):
    sampler, given = sampler_of(fl.BAOA, 4), {"steps": 20, "replicas": 16, "rng": 2}

    def stop(fraction):
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fl.simulate(problem, sampler, **given, threads=1, checkpoint=tmp_path / "kept.npz", progress=stop)
    found = fl.simulate(problem, sampler, **given, checkpoint=tmp_path / "kept.npz")
    np.testing.assert_array_equal(found.replica_losses, fl.simulate(problem, sampler, **given).replica_losses)


@pytest.mark.any_seed
def test_an_abobas_draws_are_seen_half_a_drift_before_the_end(problem):
    sampler = sampler_of(fl.ABOBA, 4)
    rngs, xi = numbers_of(1, (2, 4))
    (batches,) = Draws(generators(seed_sequence(5), 3), 12, sampler).batches(1)
    run = fl.simulate(problem, sampler, steps=1, replicas=3, rng=5, start="zero", dtype="float64")
    c = np.exp(-FRICTION * EPS)
    minimum = problem.minimum(DECAY)
    for replica in range(3):
        kick = -EPS / 2 * gradient(problem, np.zeros((2, 4)), batches[0, replica])
        p = c * kick + np.sqrt(TEMPERATURE * (1 - c * c)) * xi[replica, 0] + kick
        v = EPS / 2 * p - minimum.weights  # from the opening gradient: B O B, then half of A
        expected = np.sum((v @ problem.modes) ** 2, axis=0)
        np.testing.assert_allclose(run.replica_variances[replica], expected, rtol=1e-9)
    assert len(rngs) == 3


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["gd", "langevin", "langevin_state_dependent"])
def test_other_dynamics_have_no_place_for_thermal_noise(problem, dynamics):
    with pytest.raises(InvalidInput, match="SGLD has thermal noise of its own"):
        fl.simulate(problem, sampler_of(fl.SGLD, 4), steps=5, replicas=2, dynamics=dynamics)


@pytest.fixture(scope="module")
def diabetes():
    x, y = load_diabetes(return_X_y=True)
    return fl.LeastSquares((x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None])


KNOWN = {  # mean excess loss and its error of runs by code that shares nothing with this; settled after 3,000 steps
    "sgld": (fl.SGLD, {"lr": 0.05}, 0.013608, 14e-6),
    "baoa": (fl.BAOA, {"lr": 0.2, "friction": 1.0}, 0.039595, 25e-6),
    "sghmc": (fl.SGHMC, {"lr": 0.1, "friction": 1.0}, 0.027187, 32e-6),
}


@pytest.mark.statistical(alpha=1e-6)  # |z| < 4.9 with 128 replicas, each
@pytest.mark.parametrize("name", KNOWN)
def test_runs_have_the_excess_loss_of_runs_made_elsewhere(diabetes, name):
    kind, given, known, error = KNOWN[name]
    sampler = kind(**given, batch_size=8, temperature=0.5 / 442, weight_decay=0.01)
    run = fl.simulate(diabetes, sampler, steps=6000, replicas=128, records=120, rng=19)
    late = run.replica_losses[:, run.watched > 3000].mean(axis=1)
    bar = np.hypot(error, late.std(ddof=1) / np.sqrt(len(late)))
    assert abs(late.mean() - known) < BOUND * bar
    assert abs(1.05 * late.mean() - known) > BOUND * bar  # 5 % would be seen: the error bar is below 1 %
