"""SIGINT, SIGTERM and SIGHUP: the run ends within seconds, and what was finished is kept, said, and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from itertools import product

import numpy as np
import pytest

import fluctua as fl
from fluctua.simulation import steppers as steps_of
from fluctua.simulation.batches import Draws, generators, seed_sequence
from fluctua.simulation.interrupts import Interrupted, deferred, raised
from fluctua.simulation.tally import Tally
from fluctua.simulation.workers import Clock
from fluctua.storage.checkpoint import Checkpoint

pytestmark = [pytest.mark.any_seed, pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")]
SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
WITHIN = 4.0


@pytest.fixture(autouse=True)
def heeded():
    """Ctrl-C, which a shell lets its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def sends(name, then=lambda *_, **__: None):
    """Press the key, so to say, and go on."""

    def call(*arguments, **options):
        os.kill(os.getpid(), getattr(signal, name))
        return then(*arguments, **options)

    return call


def module(name):
    """Return a module, also one that a function of the same name stands before."""
    return import_module(f"fluctua.{name}")


STAGES = {
    "simulation": (module("simulation.tally").Tally, "save", "repeat with --resume"),
    "comparison": (module("verification.trial").Trial, "_row", "repeat with --resume"),
    "writing": (module("verification.verdict").Verdict, "save", "repeat with --resume"),
    "explorer": (module("cli.verify"), "with_survey", "the verdict is in"),
    "figures": (module("cli.verify"), "save_figures", "the verdict is in"),
}


CASES = [
    *product(SIGNALS, ["simulation", "comparison"]),
    ("SIGTERM", "writing"),
    ("SIGHUP", "explorer"),
    ("SIGINT", "figures"),
]


@pytest.mark.parametrize(("name", "stage"), CASES)
def test_no_simulation_is_lost_whatever_stage_a_signal_comes_in(run, features, monkeypatch, tmp_path, name, stage):
    arguments = "verify", features, "--steps", 40, "--replicas", 16, "--seed", 1, "--threads", 1, "--json"
    place, attribute, said = STAGES[stage]
    monkeypatch.setattr(module("cli.verify"), "with_survey", lambda verdict, *_: verdict)
    monkeypatch.setattr(module("cli.verify"), "save_figures", lambda *_, **__: None)
    with monkeypatch.context() as patch:
        patch.setattr(place, attribute, sends(name, getattr(place, attribute)))
        code, out, err = run(*arguments, "--out", "cut")
    assert (code, out) == (SIGNALS[name], "")
    assert said in err
    assert "interrupted" in err
    kept = {path.name for path in (tmp_path / "cut").iterdir()}
    assert kept == ({"checkpoint.npz"} if "resume" in said else {"result.json", "result.npz"})
    if "resume" in said:
        whole = run(*arguments, "--out", "whole", "--no-report")
        if stage != "simulation":
            monkeypatch.setattr(module("simulation.runs").Runs, "chunk", None)  # nothing is simulated again
        assert run(*arguments, "--out", "cut", "--resume", "--no-report") == whole
        assert not (tmp_path / "cut" / "checkpoint.npz").exists()


@pytest.mark.parametrize("name", SIGNALS)
def test_the_theorem_in_time_ends_within_seconds(run, features, monkeypatch, tmp_path, name):
    """Groups of hours: the signal comes after 200 steps."""
    pressed, tick = [], Clock.tick

    def ticking(clock):
        tick(clock)
        if clock.done > 200 and not pressed:
            pressed.append(time.monotonic())
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(Clock, "tick", ticking)
    code, _, err = run(
        "verify", features, "--dynamic", "--steps", 10**7, "--replicas", 64, "--modes", 3, "--no-entropy"
    )
    assert code == SIGNALS[name], err
    assert time.monotonic() - pressed[0] < WITHIN
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


@pytest.mark.parametrize("dynamics", ["sgd", "gd", "langevin", "langevin_state_dependent"])
def test_a_step_that_takes_long_can_be_stopped_between_replicas(small_problem, monkeypatch, dynamics):
    """And cutting it changes no number."""
    sgd = fl.SGD(0.05, 4)

    def advanced(look_up):
        draws = Draws(generators(seed_sequence(3), 5), small_problem.samples, sgd)
        state = np.zeros((1, 5, small_problem.outputs, small_problem.features))
        steps_of.stepper(small_problem, sgd, dynamics, np.dtype(float), None, look_up)(state, draws, 4, 0)
        return state

    whole = advanced(lambda: None)
    monkeypatch.setattr(steps_of, "_PART_FLOPS", 1.0)
    looks = []
    np.testing.assert_array_equal(advanced(lambda: looks.append(1)), whole)
    assert len(looks) >= 5

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        advanced(stop)


def test_a_signal_at_the_very_end_of_the_runs_is_not_lost(small_problem, monkeypatch, tmp_path):
    """It comes when the last chunk is in: the runs are complete, and the caller hears of it all the same."""
    save, saved = Tally.save, []

    def last(tally, path, identity):
        save(tally, path, identity)
        saved.append(path)
        if tally.replicas == 8:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = {"steps": 20, "replicas": 8, "rng": 1, "threads": 1, "checkpoint": tmp_path / "kept"}
    with monkeypatch.context() as patch:
        patch.setattr(Tally, "save", last)
        with pytest.raises(KeyboardInterrupt):
            fl.simulate(small_problem, fl.SGD(0.05, 4), **arguments)
    assert saved
    again = fl.simulate(small_problem, fl.SGD(0.05, 4), **arguments)
    assert again.replicas == 8
    assert not (tmp_path / "kept").exists()


def test_the_owner_of_a_checkpoint_removes_it(small_problem, tmp_path):
    kept = Checkpoint(tmp_path / "kept")
    arguments = {"steps": 20, "replicas": 8, "rng": 1, "threads": 1}
    first = fl.simulate(small_problem, fl.SGD(0.05, 4), **arguments, checkpoint=kept)
    assert kept.path.exists()
    again = fl.simulate(small_problem, fl.SGD(0.05, 4), **arguments, checkpoint=kept)
    np.testing.assert_array_equal(first.mode_covariance, again.mode_covariance)
    other = fl.simulate(small_problem, fl.SGD(0.04, 4), **arguments, checkpoint=Checkpoint(kept.path, resume=False))
    assert other.identity["recipe"]["lr"] == 0.04


def test_a_refused_command_drops_no_checkpoint(run, features, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint.npz").write_text("hours of runs")
    code, _, _ = run("verify", features, "--lr", 50, "--out", "out")
    assert code == 2
    assert (tmp_path / "out" / "checkpoint.npz").read_text() == "hours of runs"


def test_only_signals_that_would_end_the_program_are_taken():
    before = {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS}
    heard = []
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        signal.signal(signal.SIGTERM, lambda *_: heard.append("theirs"))
        with raised(), deferred(threading.Event()) as _:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["theirs"]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop = threading.Event()
        with raised():
            with pytest.raises(Interrupted, match="SIGTERM"), deferred(stop):
                os.kill(os.getpid(), signal.SIGTERM)
            assert stop.is_set()
            with pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_outside_the_main_thread_nothing_is_touched():
    found = []

    def elsewhere():
        with raised(), deferred(threading.Event()):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("mode", [(), ("--dynamic", "--modes", "3", "--no-entropy")])
def test_a_real_process_ends_within_seconds(features, tmp_path, name, mode):
    arguments = "verify", features, "--steps", "10000000", "--replicas", "64", "--out", tmp_path / "out", *mode
    child = subprocess.Popen(
        [sys.executable, "-m", "fluctua", *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert "data" in child.stdout.readline()
    time.sleep(4)  # into the runs
    began = time.monotonic()
    child.send_signal(getattr(signal, name))
    _, err = child.communicate(timeout=60)
    assert child.returncode == SIGNALS[name]
    assert time.monotonic() - began < WITHIN
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]
