"""Doors that strangers come to: odd numbers, scales at the edge, settings of other libraries, places with a ~."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput
from fluctua.report import render
from fluctua.report.explorer.ranges import surveyed
from helpers.fuzz import answer

pytestmark = pytest.mark.any_seed


class Unwilling(float):
    """A number that will not be one."""

    def __float__(self):
        raise RuntimeError("no")


class UnwillingWhole(int):
    """A whole number that will not be one."""

    def __int__(self):
        raise RuntimeError("no")


def test_numbers_of_strangers_are_refused():
    with pytest.raises(InvalidInput, match="lr must be a finite number"):
        fl.SGD(Unwilling(0.1), 2)
    with pytest.raises(InvalidInput, match="batch_size must be a whole number"):
        fl.SGD(0.1, UnwillingWhole(2))


def test_an_endless_nest_is_no_array():
    nest = []
    nest.append(nest)
    with pytest.raises(InvalidInput, match="inputs is nested without an end"):
        fl.LeastSquares(nest, [1.0, 2.0])


METHODS = {
    "feedback": ("covariance", {"covariance": np.eye(3)}),
    "scatter": ("quadratic", {"weights": np.ones(8), "quadratic": np.eye(3)}),
    "blocks": ("width", {"width": 3}),
    "drifts": ("steps", {"steps": (1, 2)}),
    "after": ("curve", {"steps": 3, "curve": True}),
    "to_json": ("indent", {"indent": 2}),
}
STRANGE = ["x", 1j, {}, object(), np.eye(2), np.array(["a"]), [[1, 2], [3]], int, -1.5, np.zeros((3, 3, 3))]


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_problems_and_results_refuse_what_they_do_not_take(method):
    rng = np.random.default_rng(0)
    problem = fl.LeastSquares(rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
    prediction = fl.predict(problem, fl.SGD(0.02, 2)).after(4, start="zero")
    verdict = fl.verify(problem, fl.SGD(0.02, 2), steps=8, replicas=4, rng=1, level=1e-6)
    owner = next(each for each in (problem, prediction, verdict) if hasattr(each, method))
    name, options = METHODS[method]
    assert not isinstance(answer(getattr(owner, method), **options), FluctuaError)
    for value in STRANGE:
        for argument in options:
            found = answer(getattr(owner, method), **{**options, argument: value})
            assert argument != name or isinstance(found, FluctuaError), value


@pytest.mark.parametrize("scale", [(1e40, 1.0), (1e69, 1.0), (1e-30, 1e30), (1e-69, 1.0), (1.0, 1e45), (1.0, 1e-45)])
def test_runs_on_data_beyond_the_range_of_float32_are_those_of_data_about_1(scale):
    """In units of the data nothing depends on them; float32 overflowed, and the verdict said that SGD had diverged."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=20)

    def measured(of_x, of_y):
        problem, sgd = fl.LeastSquares(of_x * x, of_y * y), fl.SGD(0.05 / of_x**2, 4)
        verdict = answer(fl.verify, problem, sgd, steps=40, replicas=8, rng=1, level=1e-6, threads=1)
        answer(fl.verify_dynamic, problem, sgd, steps=40, replicas=8, rng=1, level=1e-6, threads=1, modes=2)
        answer(fl.gradient_noise, problem, sgd, steps=8, replicas=4, rng=1, level=1e-6)
        return (
            verdict.loss_mean[-1] / of_y**2 if hasattr(verdict, "loss_mean") else verdict.arrays["loss_mean"] / of_y**2
        )

    np.testing.assert_allclose(measured(*scale), measured(1.0, 1.0), rtol=1e-4)


@pytest.mark.parametrize("scale", [(1e40, 1e-40), (1e69, 1e69), (1e-60, 1e-60), (1e-69, 1e69)])
def test_scales_whose_fourth_powers_no_float_holds_are_refused_together(scale):
    rng = np.random.default_rng(3)
    with pytest.raises(InvalidInput, match=r"inputs of magnitude .* and targets of .* Rescale both"):
        fl.LeastSquares(scale[0] * rng.normal(size=(20, 2)) / 4, scale[1] * rng.normal(size=20) / 4)


@pytest.mark.usefixtures("coarse")
def test_a_verdict_with_a_survey_is_read_again(small_problem, tmp_path):
    sgd = fl.SGD(0.02, 4)
    found = surveyed(fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1, level=1e-6), small_problem)
    found.save(tmp_path)
    again = fl.Verdict.load(tmp_path)
    assert render(again, brief=[0]) == render(found, brief=[0])
    assert set(again.arrays) == set(found.arrays)


def test_a_count_of_cores_that_is_no_number_is_named(small_problem, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "x")
    with pytest.raises(InvalidInput, match="LOKY_MAX_CPU_COUNT must be a whole number, got 'x'"):
        fl.simulate(small_problem, fl.SGD(0.02, 4), steps=4, replicas=2, rng=1)
    fl.simulate(small_problem, fl.SGD(0.02, 4), steps=4, replicas=2, rng=1, threads=1)


@pytest.mark.parametrize(("threads", "words"), [("0", "numba, .* NUMBA_NUM_THREADS=0"), ("x", "^$")])
def test_settings_of_the_compiler_that_are_wrong_are_named(threads, words):
    code = (
        "import fluctua as fl\n"
        "try: fl.simulate(fl.LeastSquares([[1.], [2.]], [1., 3.]), fl.SGD(.02, 1), steps=2, replicas=2, threads=1)\n"
        "except fl.FluctuaError as error: print(error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not found.stderr
    assert re.search(words, found.stdout.strip())


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "t.npz", "--out=~nouser/r"),
        ("noise", "t.npz", "--out=~nouser/r"),
        ("reproduce", "--out=~nouser/r"),
        ("report", "~nouser/r"),
        ("plot", "~nouser/r"),
        ("report", "t.npz", "--out=~nouser/r.html"),
    ],
)
def test_places_of_a_user_that_there_is_not(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    np.savez("t.npz", X=np.eye(4), y=np.arange(4.0))
    code, _, err = run(*arguments)
    assert code == 2
    assert "no user has the home directory ~nouser" in err
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


def test_results_may_lie_at_home(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    np.savez("t.npz", X=np.random.default_rng(0).normal(size=(9, 2)), y=np.arange(9.0))
    code, _, _ = run("noise", "t.npz", "--steps", 8, "--replicas", 4, "--level", 1e-6, "--out=~/r")
    assert code in (0, 1)
    assert (tmp_path / "home" / "r").is_dir()
    assert not (tmp_path / "~").exists()


def test_a_schedule_in_float32_is_one():
    factors = np.linspace(1, 0.5, 8, dtype=np.float32)
    found = answer(fl.SGD, 0.02, 4, schedule=factors)
    np.testing.assert_allclose(found.rates(np.arange(8)), 0.02 * factors, rtol=1e-7)
    assert answer(fl.SGD, 0.02, 4, schedule=np.float32([1e38])).schedule.factors == pytest.approx([1e38])


@pytest.mark.parametrize("steps", ["x", 1.5, [0.5], None, {}, object(), [[1], [1, 2]], "nan", 1j])
def test_rates_and_weights_are_of_whole_steps(steps):
    recipes = fl.SGD(0.1, 2), fl.SGD(0.1, 2, schedule=[1.0, 0.5])
    shaped = [
        fl.SGD(0.1, 2, schedule=each)
        for each in (
            fl.schedules.StepLR(2, 0.5),
            fl.schedules.CosineAnnealingLR(4),
            fl.schedules.LinearLR(0.5, 1.0, 4),
            fl.schedules.InverseTimeLR(3.0),
        )
    ]
    for call in (*(each.rates for each in (*recipes, *shaped)), fl.EMA(0.9).weights, fl.RunningAverage(1).weights):
        with pytest.raises(InvalidInput, match="steps"):
            call(steps)
        assert np.all(np.isfinite(call(np.arange(2))))


@pytest.mark.parametrize("name", ["\ud800", "a\udfff/b"])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (fl.Verdict.load, fl.DynamicVerdict.load, lambda place: fl.load(f"{place}.npz")):
        found = answer(call, name)
        assert isinstance(found, FluctuaError)
        str(found).encode()


def test_a_longest_run_that_no_memory_holds_is_refused_with_both_numbers(small_problem):
    target = 1.05 * small_problem.minimum().loss
    with pytest.raises(fl.errors.TooLarge, match=r"longest = 1099511627776 .* would take about .* GiB of memory, and"):
        fl.batch_costs(small_problem, [2], target, longest=2**40)


def test_arrays_as_long_as_a_scheduled_run_are_refused_before_they_are_made(small_problem, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("t.npz", X=np.random.default_rng(0).normal(size=(9, 2)), y=np.arange(9.0))
    made, length = [], np.arange
    monkeypatch.setattr(np, "arange", lambda *given, **more: made.append(max(given)) or length(*given, **more))
    words = (
        r"a schedule, or an average that runs, over 10,000,000,000 steps would take about .* GiB of memory, and this"
    )
    code, _, err = run("predict", "t.npz", "--steps", 10**10, "--schedule", "cosine")
    assert code == 2
    assert re.search(words, err)
    scheduled = fl.SGD(0.02, 4, schedule=fl.schedules.CosineAnnealingLR(100))
    with pytest.raises(fl.errors.TooLarge, match=words):
        fl.simulate(small_problem, scheduled, steps=10**10, replicas=2, records=2, rng=1, threads=1)
    assert max(made) < 10**7


@pytest.mark.parametrize("options", [{}, {"start": "zero"}, {"start": "zero", "weight_decay": 0.1}])
def test_a_long_run_at_a_constant_rate_has_no_array_of_its_length(small_problem, monkeypatch, options):
    class Begun(Exception):
        pass

    def begin(*_):
        raise Begun

    made, length = [], np.arange
    monkeypatch.setattr(np, "arange", lambda *given, **more: made.append(max(given)) or length(*given, **more))
    monkeypatch.setattr(sys.modules["fluctua.simulation.squares"].SquaresRuns, "_hold", begin)
    start = options.pop("start", "optimum")
    with pytest.raises(Begun):
        fl.simulate(small_problem, fl.SGD(0.02, 4, **options), steps=10**9, replicas=2, records=2, rng=1, start=start)
    assert max(made) < 10**7


LACKS = {
    "an array": MemoryError("Unable to allocate 11.9 GiB"),
    "a library": ImportError("/lib/x.so: failed to map segment from shared object"),
    "the system": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "a thread": RuntimeError("can't start new thread"),
}


@pytest.mark.parametrize("case", LACKS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_lack_of_memory_is_told_whoever_says_it(run, monkeypatch, case, wrapped):
    def greedy(*_, **__):
        if wrapped:
            raise OSError("could not load the library") from LACKS[case]
        raise LACKS[case]

    monkeypatch.setattr(import_module("fluctua.cli.predict"), "solve", greedy)
    code, _, err = run("predict", "digits", "--lr", 0.05)
    assert code == 2
    assert "does not fit into memory" in err
    assert "fault" not in err


def test_more_orders_than_the_memory_holds_are_refused_with_both_numbers():
    rng = np.random.default_rng(0)
    problem = fl.LeastSquares(rng.normal(size=(40, 3)), rng.normal(size=40))
    words = r"^1073741824 orders of 40 samples would take about 960 GiB of memory, and this machine has"
    with pytest.raises(fl.errors.TooLarge, match=words):
        fl.semi_analytic(problem, fl.SGD(0.01, 8, sampling="shuffle"), orders=2**30, rng=1)
