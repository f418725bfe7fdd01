"""Each dynamics against its own exact law: descent to rounding, the random ones to their stated false-alarm rate."""

import functools

import numpy as np
import pytest
from scipy.stats import t as student

import fluctua as fl
from fluctua.recipe.sgd import EPOCHS
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.steppers import DYNAMICS, minibatch_in_modes, stepper
from fluctua.verification.trial import LAW_OF


@pytest.fixture(scope="module")
def problem():
    """50 samples, 5 inputs of unequal scale, 3 outputs."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(50, 5)) * [1.0, 0.9, 0.7, 0.5, 0.4] + [0.5, 0, 0, 0.3, 0]
    return fl.LeastSquares(inputs, rng.normal(size=(50, 3)) + inputs[:, :3])


def recipe(problem, **changes):
    """0.4 of the stability limit: eta h = 0.6 in the steepest mode, where continuous time is far off."""
    plain = fl.SGD(lr=1.0, batch_size=8, **changes)
    return fl.SGD(lr=0.4 * fl.max_stable_lr(problem, plain), batch_size=8, **changes)


@functools.cache
def run_of(problem, sgd, replicas, steps, start, dynamics):
    return fl.simulate(
        problem, sgd, steps=steps, records=steps // 8, replicas=replicas, start=start, dynamics=dynamics, rng=20
    )


def deviations(problem, sgd, theory, factor=1.0, *, replicas=2048, steps=160, start="optimum", dynamics="sgd"):
    """Smallest p-value, times their number, of the modes' variances and the excess loss against `theory`."""
    run = run_of(problem, sgd, replicas, steps, start, dynamics)
    law = fl.predict(problem, sgd, theory=theory).after(run.recorded.tolist(), start=start)
    measured = np.column_stack([run.replica_variances, run.replica_excess])
    expected = factor * np.append(law.mode_variances, law.excess_loss)
    z = (measured.mean(axis=0) - expected) / (measured.std(axis=0, ddof=1) / np.sqrt(replicas))
    return float(measured.shape[1] * 2 * student.sf(np.abs(z).max(), replicas - 1))


# Student's t of a mean of 1,000 skewed numbers can double the tail: tests ask for 3e-5 and state 1e-4.
ASKED = 3e-5


def test_every_dynamics_names_the_level_it_obeys():
    assert set(DYNAMICS) == set(LAW_OF)
    assert set(LAW_OF.values()) <= {"exact", "langevin"}


@pytest.mark.any_seed
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("start", ["zero", "array"])
def test_descent_relaxes_exponentially_mode_by_mode(problem, weight_decay, start):
    sgd = recipe(problem, weight_decay=weight_decay)
    minimum = problem.minimum(weight_decay)
    weights = np.zeros((3, 5)) if start == "zero" else np.random.default_rng(1).normal(size=(3, 5))
    run = fl.simulate(
        problem,
        sgd,
        steps=40,
        records=40,
        replicas=2,
        dynamics="gd",
        dtype=np.float64,
        start="zero" if start == "zero" else weights,
    )
    begin = (weights - minimum.weights) @ problem.modes
    shrink = (1 - sgd.lr * minimum.curvatures) ** np.arange(41)[:, None]
    np.testing.assert_allclose(run.mode_means, begin * shrink[:, None], rtol=0, atol=1e-13)
    losses = 0.5 * np.einsum("p,tcp->t", minimum.curvatures, (begin * shrink[:, None]) ** 2)
    np.testing.assert_allclose(run.replica_losses, np.tile(losses, (2, 1)), rtol=1e-11, atol=1e-15)
    assert run.mode_covariance == pytest.approx(np.mean(run.mode_means[1:].transpose(0, 2, 1) @ run.mode_means[1:], 0))


@pytest.mark.any_seed
def test_descent_obeys_the_learning_curve(problem):
    sgd = fl.SGD(lr=0.3, batch_size=50, sampling="without_replacement", weight_decay=0.1)  # kappa = 0: no noise
    run = fl.simulate(problem, sgd, steps=30, records=30, replicas=2, dynamics="gd", start="zero", dtype=np.float64)
    curve = fl.learning_curve(problem, sgd, 30, start="zero")
    np.testing.assert_allclose(run.replica_losses[0], curve, rtol=1e-9, atol=1e-15)


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["sgd", "langevin_state_dependent"])
def test_without_noise_every_discrete_dynamics_is_descent(problem, dynamics):
    sgd = fl.SGD(lr=0.3, batch_size=50, sampling="without_replacement", weight_decay=0.1)
    options = {"steps": 30, "records": 30, "replicas": 2, "start": "zero", "dtype": np.float64, "rng": 1}
    expected = fl.simulate(problem, sgd, dynamics="gd", **options).mode_means
    found = fl.simulate(problem, sgd, dynamics=dynamics, **options).mode_means
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.any_seed
def test_without_noise_the_langevin_process_is_the_gradient_flow(problem):
    sgd = fl.SGD(lr=0.3, batch_size=50, sampling="without_replacement", weight_decay=0.1)
    run = fl.simulate(
        problem, sgd, dynamics="langevin", steps=30, records=30, replicas=2, start="zero", dtype=np.float64
    )
    flow = np.exp(-sgd.lr * problem.minimum(0.1).curvatures * np.arange(31)[:, None])
    np.testing.assert_allclose(run.mode_means, run.mode_means[0] * flow[:, None], rtol=0, atol=1e-13)


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", list(DYNAMICS))
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_directions_without_data_are_moved_by_weight_decay_alone(dynamics, weight_decay):
    rng = np.random.default_rng(3)
    inputs = np.column_stack([rng.normal(size=(20, 2)), np.zeros(20)])  # the third pixel is dead
    problem = fl.LeastSquares(inputs, rng.normal(size=(20, 1)))
    sgd = fl.SGD(lr=0.1, batch_size=2, weight_decay=weight_decay)
    v = np.array([[[[0.3, -0.2, 0.7]]]])
    stepper(problem, sgd, dynamics, np.dtype(np.float64))(
        v, Draws(generators(seed_sequence(1), 1), problem.samples, sgd), 10, 0
    )
    each = np.exp(-0.1 * weight_decay) if dynamics == "langevin" else 1 - 0.1 * weight_decay
    assert v[0, 0, 0, 2] == pytest.approx(0.7 * each**10, rel=1e-13)


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", list(DYNAMICS))
def test_a_replica_moves_as_if_it_were_alone(problem, dynamics):
    sgd = recipe(problem, weight_decay=0.1)
    advance = stepper(problem, sgd, dynamics, np.dtype(np.float64))
    together, alone = np.zeros((1, 3, 3, 5)), np.zeros((1, 1, 3, 5))
    advance(together, Draws(generators(seed_sequence(4), 3), problem.samples, sgd), 7, 0)
    advance(alone, Draws(generators(seed_sequence(4), 3)[2:], problem.samples, sgd), 7, 0)
    np.testing.assert_allclose(alone[0, 0], together[0, 2], rtol=0, atol=1e-14)


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["gd", "sgd"])
@pytest.mark.parametrize("options", [{"momentum": 0.7, "dampening": 0.4}, {"momentum": 0.7, "nesterov": True}], ids=str)
def test_a_full_batch_moves_the_mean_of_momentum(problem, dynamics, options):
    """Descent on all samples is the mean's law, with torch's first step, whichever code makes the steps."""
    sgd = fl.SGD(0.05, problem.samples, 0.1, "without_replacement", **options)
    found = fl.simulate(problem, sgd, steps=9, replicas=2, start="zero", dynamics=dynamics, dtype="float64", rng=1)
    prediction = fl.predict(problem, sgd)
    for t, mean in zip(found.watched.tolist(), found.mode_means, strict=True):
        expected = prediction.after(t, start="zero").mean @ problem.modes
        np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-14)


def test_the_overdamped_process_knows_no_momentum(problem):
    with pytest.raises(fl.errors.InvalidInput, match="langevin_state_dependent"):
        fl.simulate(problem, fl.SGD(0.05, 4, momentum=0.5), steps=2, replicas=2, dynamics="langevin")


@pytest.mark.parametrize("dynamics", ["langevin", "langevin_state_dependent"])
@pytest.mark.parametrize("sampling", EPOCHS)
def test_a_langevin_process_has_no_epochs(problem, dynamics, sampling):
    with pytest.raises(fl.errors.InvalidInput, match="independent from step to step, and the batches of sampling"):
        fl.simulate(problem, fl.SGD(0.05, 4, sampling=sampling), steps=2, replicas=2, dynamics=dynamics)


@pytest.mark.any_seed
@pytest.mark.parametrize("options", [{}, {"momentum": 0.7, "nesterov": True, "weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("sampling", EPOCHS)
def test_epochs_move_the_modes_as_they_move_the_weights(problem, sampling, options):
    sgd = fl.SGD(0.05, 8, sampling=sampling, **options)  # 50 samples: six full batches and one of two
    state = np.random.default_rng(2).normal(size=(1 + bool(sgd.momentum), 3, problem.outputs, problem.features))
    inside = state @ problem.modes
    for advance, moved in (
        (stepper(problem, sgd, "sgd", np.dtype(np.float64)), state),
        (minibatch_in_modes(problem, sgd), inside),
    ):
        advance(moved, Draws(generators(seed_sequence(4), 3), problem.samples, sgd), 20, 0)
    np.testing.assert_allclose(inside, state @ problem.modes, rtol=0, atol=1e-13)


@pytest.mark.any_seed
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sampling", EPOCHS)
def test_full_batch_descent_knows_nothing_of_epochs(problem, sampling, drop_last):
    options = {"steps": 9, "replicas": 2, "start": "zero", "dynamics": "gd", "rng": 1}
    found, expected = (
        fl.simulate(problem, fl.SGD(0.05, 8, sampling=sampling, drop_last=drop_last), **options),
        fl.simulate(problem, fl.SGD(0.05, 8), **options),
    )
    np.testing.assert_array_equal(found.mode_means, expected.mode_means)


@pytest.mark.any_seed
@pytest.mark.parametrize("sampling", EPOCHS)
def test_an_epoch_of_one_batch_is_full_batch_descent(problem, sampling):
    sgd = fl.SGD(0.05, problem.samples, 0.1, sampling, momentum=0.7)
    options = {"steps": 9, "replicas": 2, "start": "zero", "dtype": "float64", "rng": 1}
    found, expected = (fl.simulate(problem, sgd, dynamics=name, **options).mode_means for name in ("sgd", "gd"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


SGD_CASES = [
    ({}, "optimum"),
    ({"momentum": 0.8}, "optimum"),
    ({"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}, "optimum"),
    ({"momentum": 0.6, "dampening": 0.5, "sampling": "without_replacement"}, "zero"),
    ({"sampling": "without_replacement", "weight_decay": 0.1}, "optimum"),
    ({"weight_decay": 0.1}, "zero"),
]


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize(("changes", "start"), SGD_CASES)
def test_minibatch_descent_obeys_the_exact_level(problem, changes, start):
    assert deviations(problem, recipe(problem, **changes), "exact", start=start) > ASKED


@pytest.mark.parametrize("theory", ["discrete", "langevin", "hessian"])
def test_minibatch_descent_disobeys_the_lower_levels(problem, theory):
    assert deviations(problem, recipe(problem), theory) < ASKED


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_minibatch_descent_rejects_an_exact_level_wrong_by_two_per_cent(problem, factor):
    assert deviations(problem, recipe(problem), "exact", factor) < ASKED


LANGEVIN = {"dynamics": "langevin", "replicas": 1024, "steps": 48, "start": "zero"}
STATE_DEPENDENT = {"dynamics": "langevin_state_dependent", "replicas": 1024, "steps": 64}


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-4)
def test_the_langevin_process_obeys_its_level(problem):
    assert deviations(problem, recipe(problem, weight_decay=0.1), "langevin", **LANGEVIN) > ASKED


@pytest.mark.slow
@pytest.mark.parametrize(("theory", "factor"), [("discrete", 1.0), ("exact", 1.0), ("langevin", 1.05)])
def test_the_langevin_process_rejects_other_levels(problem, theory, factor):
    assert deviations(problem, recipe(problem, weight_decay=0.1), theory, factor, **LANGEVIN) < ASKED


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-4)
def test_langevin_with_state_dependent_noise_obeys_the_exact_level(problem):
    assert deviations(problem, recipe(problem, weight_decay=0.1), "exact", **STATE_DEPENDENT) > ASKED


@pytest.mark.slow
@pytest.mark.parametrize(("theory", "factor"), [("discrete", 1.0), ("langevin", 1.0), ("exact", 1.05)])
def test_langevin_with_state_dependent_noise_rejects_other_levels(problem, theory, factor):
    assert deviations(problem, recipe(problem, weight_decay=0.1), theory, factor, **STATE_DEPENDENT) < ASKED
