"""Simulation: reproducible replica by replica, resumable to the bit, honest about its errors and about divergence."""

import dataclasses
import itertools
import signal
import time

import numpy as np
import pytest
from scipy.stats import t as student

import fluctua as fl
from fluctua.errors import InvalidInput, OutputError, ResultError, UnknownName
from fluctua.recipe.sgd import EPOCHS
from fluctua.simulation.records import Window
from fluctua.simulation.tally import Chunk, Tally, window_average
from fluctua.storage.results import load_arrays, save_arrays

RECIPE = fl.SGD(lr=0.1, batch_size=4)
SHORT = {"steps": 30, "replicas": 16, "rng": 1}


@pytest.fixture(scope="module")
def problem():
    """40 samples, 4 inputs, 2 outputs: eta h up to 0.2."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(40, 4)) * [1.3, 1.0, 0.8, 0.6]
    return fl.LeastSquares(inputs, rng.normal(size=(40, 2)) + inputs[:, :2])


def numbers(measurement):
    """Every field but the identity."""
    values = {f.name: getattr(measurement, f.name) for f in dataclasses.fields(measurement)}
    return {name: np.asarray(value) for name, value in values.items() if name != "identity"}


def assert_same_bits(one, other):
    for name, value in numbers(one).items():
        np.testing.assert_array_equal(value, numbers(other)[name], err_msg=name)


# --- the same numbers ---


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("dynamics", "sampling"),
    [
        *itertools.product(
            ["sgd", "langevin", "langevin_state_dependent"], ["with_replacement", "without_replacement"]
        ),
        *itertools.product(["sgd"], EPOCHS),
    ],
)
def test_a_replica_does_not_depend_on_threads_or_on_its_company(problem, dynamics, sampling):
    sgd = fl.SGD(lr=0.1, batch_size=7, sampling=sampling)
    few, many, wide = (
        fl.simulate(problem, sgd, steps=30, replicas=replicas, rng=1, threads=threads, dynamics=dynamics)
        for replicas, threads in ((8, 1), (16, 2), (19, 3))
    )
    np.testing.assert_array_equal(few.replica_losses, many.replica_losses[:8])
    np.testing.assert_array_equal(few.replica_variances, many.replica_variances[:8])
    np.testing.assert_array_equal(many.replica_losses, wide.replica_losses[:16])


@pytest.mark.any_seed
def test_threads_change_nothing_at_all(problem):
    assert_same_bits(*(fl.simulate(problem, RECIPE, **SHORT, threads=threads) for threads in (1, 2)))


@pytest.mark.any_seed
def test_more_records_look_at_the_same_run(problem):
    every, last = (fl.simulate(problem, RECIPE, **SHORT, records=records) for records in (30, 1))
    np.testing.assert_array_equal(every.replica_losses[:, -1], last.replica_losses[:, -1])


@pytest.mark.any_seed
def test_a_seed_may_be_an_int_a_sequence_or_a_generator(problem):
    def losses(rng):
        return fl.simulate(problem, RECIPE, steps=5, replicas=2, rng=rng).replica_losses

    np.testing.assert_array_equal(losses(3), losses(np.random.SeedSequence(3)))
    np.testing.assert_array_equal(losses(np.random.default_rng(3)), losses(np.random.default_rng(3)))
    assert (losses(3) != losses(4)).any()
    rng = np.random.default_rng(3)
    assert (losses(rng) != losses(rng)).any()


@pytest.mark.any_seed
def test_fresh_entropy_is_recorded_and_repeats_the_run(problem):
    first = fl.simulate(problem, RECIPE, steps=5, replicas=2)
    again = fl.simulate(problem, RECIPE, steps=5, replicas=2, rng=int(first.identity["entropy"]))
    assert_same_bits(first, again)
    assert fl.simulate(problem, RECIPE, steps=5, replicas=2).identity["entropy"] != first.identity["entropy"]


@pytest.mark.any_seed
def test_single_precision_differs_from_double_by_rounding(problem):
    single, double = (fl.simulate(problem, RECIPE, **SHORT, dtype=dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single.replica_losses, double.replica_losses, rtol=1e-4)
    assert (single.replica_losses != double.replica_losses).any()


# --- what is measured ---


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("steps", "records", "opened", "recorded"),
    [(100, 7, 16, [28, 40, 52, 64, 76, 88, 100]), (5, None, 0, [1, 2, 3, 4, 5]), (600, 2, 200, [400, 600])],
)
def test_records_are_evenly_spaced_and_end_at_the_last_step(problem, steps, records, opened, recorded):
    found = fl.simulate(problem, RECIPE, steps=steps, records=records, replicas=2, rng=1)
    assert found.opened == opened
    assert found.recorded.tolist() == recorded
    assert set(found.watched) >= {0, opened, *recorded}
    assert (np.diff(found.watched) > 0).all()
    assert found.replica_losses.shape == (2, len(found.watched))
    assert found.mode_means.shape == (len(found.watched), 2, 4)


@pytest.mark.any_seed
def test_the_default_is_32_records(problem):
    assert len(fl.simulate(problem, RECIPE, steps=1000, replicas=2, rng=1).recorded) == 32


@pytest.mark.any_seed
def test_the_averages_belong_to_one_another(problem):
    found = fl.simulate(problem, RECIPE, **SHORT, records=7, start="zero", dtype=np.float64)
    curvatures = problem.curvatures
    assert found.replicas == 16
    assert found.chunks == 8
    np.testing.assert_allclose(found.mode_variances, np.diag(found.mode_covariance), rtol=1e-12)
    np.testing.assert_allclose(0.5 * found.replica_variances @ curvatures, found.replica_excess, rtol=1e-12)
    assert found.excess_loss == pytest.approx(0.5 * np.sum(curvatures * found.mode_variances))
    assert found.excess_loss_error == pytest.approx(np.std(found.replica_excess, ddof=1) / 4)
    assert repr(found).startswith("Measurement(sgd, 16 replicas, 30 steps: excess_loss=")


@pytest.mark.any_seed
def test_the_loss_is_that_of_the_weights_with_decay_and_outside_the_modes(problem):
    rng = np.random.default_rng(2)
    wide = fl.LeastSquares(np.column_stack([problem.inputs, np.zeros(40)]), problem.targets)
    weights, sgd = rng.normal(size=(2, 5)), fl.SGD(lr=0.1, batch_size=4, weight_decay=0.3)
    found = fl.simulate(wide, sgd, steps=2, records=2, replicas=2, start=weights, dtype=np.float64, dynamics="gd")
    for step in range(3):
        error = wide.inputs @ weights.T - wide.targets
        loss = 0.5 * np.sum(error**2) / 40 + 0.15 * np.sum(weights**2) - wide.minimum(0.3).loss
        assert found.replica_losses[0, step] == pytest.approx(loss, rel=1e-12)
        weights = weights - 0.1 * (error.T @ wide.inputs / 40 + 0.3 * weights)


@pytest.mark.any_seed
def test_the_balance_of_noiseless_descent_is_zero(problem):
    """S(t+1) - S(t) + eta (H S + S H) - eta^2 H S H = 0, averaged over every step."""
    found = fl.simulate(problem, RECIPE, steps=20, records=20, replicas=2, dynamics="gd", start="zero", dtype="float64")
    assert np.abs(found.balance).max() < 1e-14 * np.abs(found.mode_covariance).max()
    squares = found.mode_means.transpose(0, 2, 1) @ found.mode_means
    np.testing.assert_allclose(found.window_covariance, squares[:-1].mean(axis=0), rtol=1e-12, atol=1e-16)
    assert found.covariance_error < 1e-7 * np.linalg.norm(found.mode_covariance)  # the root of a rounding error


def test_the_window_average_is_trapezoidal_between_records():
    line = 3 + 2 * np.arange(13.0)  # steps 0..12, recorded at 4, 8, 12; the average is over 0..11
    average = window_average(line[[4, 8, 12]].mean(), line[12] - line[0], 3, 12)
    assert average == pytest.approx(line[:12].mean())


@pytest.mark.parametrize("steps", [40, 400, 4000])
@pytest.mark.parametrize("records", [4, 16])
def test_from_the_optimum_the_window_average_is_that_of_every_step(problem, steps, records):
    """Exact S at the records against exact S at every step: off by x e^-x/12 over the records, x <= the gap's decay."""
    window, law = Window.of(steps, records, problem.rank), fl.predict(problem, RECIPE, theory="discrete")
    at = {t: law.after(t).mode_covariance for t in (window.opened, steps)}
    records_mean = law.after(window.recorded.tolist()).mode_covariance
    between = np.arange(window.opened, steps).tolist()
    found = window_average(records_mean, at[steps] - at[window.opened], records, len(between))
    np.testing.assert_allclose(np.diag(found), law.after(between).mode_variances, rtol=0.032 / records)


def test_errors_of_matrices_are_unbiased_for_unequal_chunks():
    """Every outcome of six fair signs in chunks of 1, 2 and 3: the mean squared error bar is the variance, 1/6."""
    squared_errors = []
    for signs in itertools.product([-1.0, 1.0], repeat=6):
        tally = Tally(np.array([1]), 0, np.array([0, 1]))
        for chunk in (signs[:1], signs[1:3], signs[3:]):
            n, mean, zero = len(chunk), np.full((1, 1), np.mean(chunk)), np.zeros((1, 1))
            tally.add(Chunk(np.zeros((n, 1)), np.zeros((n, 2)), zero, mean, change=zero), gap=np.ones((1, 1)))
        found = tally.measurement({}, gap=np.ones((1, 1)))
        squared_errors.append((found.covariance_error**2, found.balance_error[0, 0] ** 2))
    np.testing.assert_allclose(np.mean(squared_errors, axis=0), 1 / 6, rtol=1e-12)


@pytest.fixture(scope="module")
def calibration(problem):
    """Squared deviation and squared error bar of four quantities, each in units of its mean error, over 400 seeds."""
    law = fl.predict(problem, RECIPE)
    expected = law.after(range(1, 17), rtol=1e-9)
    window = law.after(range(16), rtol=1e-9).mode_covariance
    balance = RECIPE.lr**2 / RECIPE.batch_size * problem.minimum().source(window)
    pairs = {name: [] for name in ("covariance", "balance", "mode variances", "excess loss")}
    for seed in range(400):
        run = fl.simulate(problem, RECIPE, steps=16, records=16, replicas=16, rng=seed, threads=1)
        covariance_deviation = np.linalg.norm(run.mode_covariance - expected.mode_covariance)
        pairs["covariance"].append((covariance_deviation, run.covariance_error))
        pairs["balance"].append((run.balance - balance, run.balance_error))
        pairs["mode variances"].append((run.mode_variances - expected.mode_variances, run.mode_variance_errors))
        pairs["excess loss"].append((run.excess_loss - expected.excess_loss, run.excess_loss_error))
    return {name: _squares(np.array(values)) for name, values in pairs.items()}


def _squares(values):
    squares = values.reshape(400, 2, -1) ** 2
    return (squares / squares[:, 1].mean(axis=0)).mean(axis=2).T


def calibration_p_value(deviation, error, factor=1.0):
    difference = deviation - factor * error
    z = difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference)))
    return float(2 * student.sf(abs(z), len(difference) - 1))


QUANTITIES = ("covariance", "balance", "mode variances", "excess loss")


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-4)  # asked is 2e-5, because the mean of 400 skewed squares has a heavier tail
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_error_bars_are_the_errors(calibration, quantity):
    assert calibration_p_value(*calibration[quantity]) > 2e-5


@pytest.mark.statistical(alpha=1e-6, miss=1e-4)
@pytest.mark.slow
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("factor", [(2 / 3) ** 2, (4 / 3) ** 2])
def test_error_bars_wrong_by_a_third_are_rejected(calibration, quantity, factor):
    assert calibration_p_value(*calibration[quantity], factor) < 2e-5


# --- interruption ---


class InterruptOnceSaved:
    """A progress callback that presses Ctrl-C when the checkpoint holds something."""

    def __init__(self, path):
        self.path, self.seen = path, []

    def __call__(self, fraction):
        self.seen.append(fraction)
        if self.path.exists():
            raise KeyboardInterrupt


@pytest.mark.any_seed
@pytest.mark.parametrize("rng", [7, None])
def test_an_interrupted_run_goes_on_to_the_same_bits(problem, tmp_path, rng):
    path = tmp_path / "run.checkpoint"
    arguments = {"steps": 3000, "replicas": 20, "threads": 1, "checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(problem, RECIPE, rng=rng, progress=InterruptOnceSaved(path), **arguments)
    header, arrays = load_arrays(path)
    assert 1 <= int(arrays["chunks"]) < 8
    assert len(arrays["replica_losses"]) < 20
    assert [p.name for p in tmp_path.iterdir()] == ["run.checkpoint"]

    seen = []
    resumed = fl.simulate(problem, RECIPE, rng=rng, progress=seen.append, **arguments)
    assert list(tmp_path.iterdir()) == []
    assert seen[0] > len(arrays["replica_losses"]) / 20
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    seed = int(header["identity"]["entropy"])
    assert_same_bits(resumed, fl.simulate(problem, RECIPE, rng=seed, steps=3000, replicas=20, threads=2))


@pytest.mark.any_seed
def test_a_run_seeded_by_a_generator_resumes_with_or_without_it(problem, tmp_path):
    path = tmp_path / "run.checkpoint"
    arguments = {"steps": 3000, "replicas": 20, "threads": 1, "checkpoint": path}
    for rng in (np.random.default_rng(1), None):
        with pytest.raises(KeyboardInterrupt):
            fl.simulate(problem, RECIPE, rng=np.random.default_rng(1), progress=InterruptOnceSaved(path), **arguments)
        resumed = fl.simulate(problem, RECIPE, rng=rng, **arguments)
        whole = fl.simulate(problem, RECIPE, rng=np.random.default_rng(1), steps=3000, replicas=20)
        assert_same_bits(resumed, whole)


def raise_interrupt(_):
    raise KeyboardInterrupt


def press_ctrl_c(_):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.any_seed
@pytest.mark.parametrize("at_once", [raise_interrupt, press_ctrl_c])
def test_an_interrupt_does_not_wait_for_the_run_to_end(problem, at_once):
    handler, began = signal.getsignal(signal.SIGINT), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(problem, RECIPE, steps=10**8, replicas=2, rng=1, progress=at_once)
    assert time.monotonic() - began < 20  # the run itself would take an hour
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def checkpoint(problem, tmp_path):
    """An interrupted run's file."""
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(
            problem,
            RECIPE,
            steps=3000,
            replicas=20,
            rng=7,
            threads=1,
            checkpoint=path,
            start="zero",
            progress=InterruptOnceSaved(path),
        )
    return path


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rng": 8}, "entropy"),
        ({"steps": 3001}, "steps"),
        ({"replicas": 21}, "replicas"),
        ({"records": 3}, "records"),
        ({"dynamics": "gd"}, "dynamics"),
        ({"dtype": np.float64}, "dtype"),
        ({"start": "optimum"}, "start"),
        ({"start": np.zeros((2, 4))}, "start"),
        ({"lr": 0.11}, "recipe"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(problem, checkpoint, change, named):
    arguments = {"steps": 3000, "replicas": 20, "rng": 7, "start": "zero", **change}
    recipe = fl.SGD(lr=arguments.pop("lr", 0.1), batch_size=4)
    before = checkpoint.read_bytes()
    with pytest.raises(ResultError, match=rf"another run \(different: .*{named}"):
        fl.simulate(problem, recipe, checkpoint=checkpoint, **arguments)
    assert checkpoint.read_bytes() == before


@pytest.mark.any_seed
def test_checkpoints_of_two_starts_given_as_arrays_are_told_apart(problem, tmp_path):
    path = tmp_path / "run.checkpoint"
    arguments = {"steps": 3000, "replicas": 20, "rng": 7, "threads": 1, "checkpoint": path}
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(problem, RECIPE, start=np.ones((2, 4)), progress=InterruptOnceSaved(path), **arguments)
    with pytest.raises(ResultError, match="start"):
        fl.simulate(problem, RECIPE, start=np.zeros((2, 4)), **arguments)


@pytest.mark.any_seed
def test_checkpoints_of_two_weightings_are_told_apart_where_both_fit_every_sample(tmp_path):
    """Their sizes and L(W*) = 0 are the same."""
    path, rows = tmp_path / "run.checkpoint", np.random.default_rng(4).normal(size=(6, 8))
    arguments = {"steps": 3000, "replicas": 20, "rng": 7, "threads": 1, "start": "zero", "checkpoint": path}
    arguments["dtype"] = np.float64  # by itself it may be another for each
    weights = np.array([1.0, 2, 3, 1, 2, 3])
    one, other, alike = (
        fl.LeastSquares(rows, np.arange(6.0), sample_weight=each) for each in (weights, weights[::-1], 3 * weights)
    )
    with pytest.raises(KeyboardInterrupt):
        fl.simulate(one, fl.SGD(0.01, 2), progress=InterruptOnceSaved(path), **arguments)
    for problem in (other, fl.LeastSquares(rows, np.arange(6.0))):
        assert problem.minimum().loss == one.minimum().loss == 0
        with pytest.raises(ResultError, match=r"another run \(different: problem\)"):
            fl.simulate(problem, fl.SGD(0.01, 2), **arguments)
    found = fl.simulate(alike, fl.SGD(0.01, 2), **arguments)
    assert len(found.run.problem.sample_weight) == 16


@pytest.mark.any_seed
@pytest.mark.parametrize("rng", [7, None])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "another result"])
def test_a_damaged_checkpoint_is_refused_and_kept(problem, checkpoint, damage, rng):
    content = checkpoint.read_bytes()
    if damage == "another result":
        save_arrays(checkpoint, {"verdict": 1}, {"x": np.zeros(2)})
    else:
        checkpoint.write_bytes({"cut": content[: len(content) // 2], "garbage": b"x" * 500, "empty": b""}[damage])
    with pytest.raises(ResultError):
        fl.simulate(problem, RECIPE, steps=3000, replicas=20, rng=rng, start="zero", checkpoint=checkpoint)
    assert [p.name for p in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_a_checkpoint_that_cannot_be_written_is_an_output_error(problem, tmp_path):
    shown = []
    with pytest.raises(OutputError):
        fl.simulate(problem, RECIPE, **SHORT, checkpoint=tmp_path / "missing" / "run.checkpoint", progress=shown.append)
    assert not shown  # refused before any work


# --- divergence ---


@pytest.mark.any_seed
@pytest.mark.parametrize("dynamics", ["sgd", "gd", "langevin_state_dependent"])
def test_divergence_is_a_finding_not_a_warning(problem, dynamics):
    sgd = fl.SGD(lr=50.0, batch_size=4)
    run = fl.simulate(problem, sgd, steps=64, records=8, replicas=8, rng=1, start="zero", dynamics=dynamics)
    assert 0 < run.diverged_at <= 64
    assert "nan" in repr(run) or "inf" in repr(run)
    assert fl.simulate(problem, RECIPE, **SHORT).diverged_at is None


@pytest.mark.any_seed
def test_divergence_is_dated_by_its_first_overflow(problem):
    sgd = fl.SGD(lr=50.0, batch_size=4)
    run = fl.simulate(problem, sgd, steps=64, records=64, replicas=8, rng=1)
    finite = np.isfinite(run.replica_losses).all(axis=0)  # every step is watched
    assert finite[: run.diverged_at].all()
    assert not finite[run.diverged_at]


# --- bad arguments ---


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replicas": 1}, "replicas must be at least 2"),
        ({"replicas": 2.5}, "replicas"),
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"records": 31}, "records = 31"),
        ({"records": 0}, "records"),
        ({"dtype": int}, "float32 or float64"),
        ({"dtype": np.float16}, "float32 or float64"),
        ({"dtype": "float33"}, "float32 or float64"),
        ({"start": np.zeros((4, 2))}, "shape"),
        ({"threads": 0}, "threads"),
        ({"threads": -1}, "threads"),
        ({"rng": -1}, "rng"),
        ({"rng": "seven"}, "rng"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(problem, change, words):
    with pytest.raises(InvalidInput, match=words):
        fl.simulate(problem, RECIPE, **{**SHORT, **change})


@pytest.mark.parametrize(
    ("change", "suggestion"), [({"dynamics": "langevine"}, "langevin"), ({"start": "optimun"}, "optimum")]
)
def test_unknown_names_come_with_a_suggestion(problem, change, suggestion):
    with pytest.raises(UnknownName, match=f"Did you mean '{suggestion}'") as caught:
        fl.simulate(problem, RECIPE, **SHORT, **change)
    assert caught.value.suggestion == suggestion


@pytest.mark.any_seed
@pytest.mark.parametrize("sampling", ["without_replacement", *EPOCHS])
def test_a_batch_larger_than_the_data_is_refused_without_replacement(problem, sampling):
    with pytest.raises(InvalidInput, match="batch_size = 41"):
        fl.simulate(problem, fl.SGD(lr=0.1, batch_size=41, sampling=sampling), **SHORT)
    fl.simulate(problem, fl.SGD(lr=0.1, batch_size=41), **SHORT)
