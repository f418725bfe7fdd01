"""Work that others do: the same numbers to the last bit, whoever does it and whatever becomes of them."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua import errors
from fluctua.errors import InvalidInput, UncertainLimit, WorkersLost
from fluctua.simulation.executors import Fractions, current

SGD = fl.SGD(0.05, 4)
HOUSE = Path(fl.__file__).parent
dask_workers = import_module("fluctua.distributed.dask_workers")
pytestmark = pytest.mark.any_seed


def swept(problem, **options):
    asked = {"lr": [0.01, 0.03], "batch_size": [2, 4], "steps": 60, "measure": True, "replicas": 6, "rng": 1}
    return fl.sweep(problem, SGD, **{**asked, **options})


def simulated(problem, **options):
    return fl.simulate(problem, SGD, steps=40, replicas=20, rng=2, **options)


def in_time(problem, **options):
    return fl.verify_dynamic(problem, SGD, steps=24, replicas=8, modes=3, rng=1, entropy=False, **options)


def refuses(cluster, words):
    with pytest.raises(InvalidInput, match=words), fl.cluster(cluster.address):
        pass


@pytest.fixture(params=["dask", "processes"])
def workers(request):
    return request.getfixturevalue("loopback").address if request.param == "dask" else 2


def test_cells_and_replicas_are_those_of_this_process_to_the_last_bit(small_problem, workers, tmp_path):
    with fl.cluster(workers):
        sweep, run = swept(small_problem, checkpoint=tmp_path), simulated(small_problem)
        head = fl.simulate(fl.Softmax(np.eye(12).repeat(2, 0), [0, 1] * 12), SGD, steps=20, replicas=4, rng=1)
    assert sweep == swept(small_problem)
    assert run == simulated(small_problem)
    assert head == fl.simulate(fl.Softmax(np.eye(12).repeat(2, 0), [0, 1] * 12), SGD, steps=20, replicas=4, rng=1)
    assert swept(small_problem, checkpoint=tmp_path, progress=None) == sweep
    assert len(list(tmp_path.iterdir())) == 4 + 4 + 1  # predicted, measured, and the seed


def runs_of_studies(problem):
    """Of each study some runs."""
    from fluctua.studies import adaptive, coloring, diffusion, layers, learning
    from fluctua.studies.learning.beginning import begin
    from fluctua.studies.learning.runs import watch

    short = {"replicas": 16, "rng": 1}
    line = diffusion.GaussianData(mean=[0.0, 1.0], covariance=[[1.0, 0.5], [0.5, 1.0]])
    trained = diffusion.Trained(fl.SGD(lr=0.1, batch_size=8), steps=5)
    net = learning.RateNetwork(np.roll(0.5 * np.eye(4), 1, axis=0), gain=0.9, noise=0.05, dt=0.1)
    return [
        fl.simulate(adaptive.Langevin("spring", lr=0.3, temperature=0.1), steps=20, **short).final,
        fl.simulate(coloring.named("K4", colors=3), coloring.SGDLike(batch=0.8), sweeps=9, **short).curve,
        fl.simulate(line, diffusion.DDIM(steps=2), samples=30, rng=1).samples,
        fl.simulate(line, diffusion.DDIM(steps=2), denoiser=trained, samples=30, rng=1).traces,
        fl.simulate(layers.TwoLayer(problem, hidden=3), fl.SGD(lr=0.01, batch_size=4), steps=9, **short).replica_excess,
        watch(begin(net, 9, (4, 4), np.random.SeedSequence(1), 1)).lagged,
    ]


def test_groups_in_time_are_those_of_this_process_to_the_last_bit(small_problem, workers):
    with fl.cluster(workers):
        there = in_time(small_problem)
    assert there == in_time(small_problem)


@pytest.mark.slow
def test_groups_of_studies_are_those_of_this_process_to_the_last_bit(small_problem, workers):
    with fl.cluster(workers):
        there = runs_of_studies(small_problem)
    for mine, theirs in zip(runs_of_studies(small_problem), there, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_a_worker_warns_of_and_what_it_refuses_is_said_here(workers):
    """Functions that pickle carries whole: the workers have no tests."""

    def warned(shared, item, _report):
        import warnings

        from fluctua.errors import UncertainLimit

        warnings.warn(UncertainLimit(shared, item, "expansion"), stacklevel=2)
        warnings.warn("of someone else's", DeprecationWarning, stacklevel=2)
        return shared * item

    def refused(shared, item, _report):
        from fluctua.errors import UnstableSGD

        raise UnstableSGD(shared, item)

    with fl.cluster(workers), pytest.warns(UncertainLimit) as heard:
        found = dict(current().cells(warned, 0.5, [0.25, 0.125], lambda *_: None))
    assert found == {0: 0.125, 1: 0.0625}
    assert sorted(each.message.error for each in heard) == [0.125, 0.25]
    with fl.cluster(workers), pytest.raises(errors.UnstableSGD, match=r"lr = 0\.5 is above") as raised:
        list(current().cells(refused, 0.5, [0.25], lambda *_: None))
    assert raised.value.max_stable_lr == 0.25


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"FluctuaError"}))
def test_errors_and_warnings_cross_from_process_to_process_with_their_numbers(name):
    kind = getattr(errors, name)
    made = kind.__new__(kind, "what it says")
    made.args, made.number = ("what it says",), 0.5
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), again.args, again.number) == (kind, ("what it says",), 0.5)
    missing = pickle.loads(pickle.dumps(errors.MissingPackage("zarr", "reading", "zarr")))
    assert "pip install zarr" in str(missing)


@pytest.mark.usefixtures("undrawn")
def test_a_command_prints_what_it_prints_in_this_process(run, features, loopback, tmp_path):
    asked = (
        "sweep",
        features,
        "--lr",
        "0.01,0.1",
        "--batch-size",
        2,
        "--steps",
        40,
        "--measure",
        "--seed",
        1,
        "--json",
    )
    verified = ("verify", features, "--steps", 40, "--replicas", 16, "--seed", 1, "--json", "--no-report")
    here, verdict = run(*asked), run(*verified)
    for option in (("--processes", 2), ("--dask", loopback.address)):
        assert run(*asked, *option, "--out", f"by{option[0]}") == here
        assert run(*verified, *option, "--out", f"by{option[0]}") == verdict
    assert not list(tmp_path.rglob("checkpoint.npz"))


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(small_problem, alone):
    """The first worker ends when the first cell is there, the second when the first group of replicas is."""
    doomed, _ = alone.worker(), alone.worker()
    alone.ready(2)

    def kill(_stage, fraction):
        if fraction > 0.6 and doomed.poll() is None:
            alone.kill(doomed)

    with fl.cluster(alone.address):
        assert swept(small_problem, progress=kill) == swept(small_problem)
        assert doomed.poll() is not None
        alone.kill(alone.workers[1])
        alone.worker()
        assert simulated(small_problem) == simulated(small_problem)


@pytest.mark.slow
def test_where_the_scheduler_is_gone_what_was_finished_is_kept(small_problem, alone, tmp_path, monkeypatch):
    alone.worker()
    alone.ready(1)
    monkeypatch.setattr(dask_workers, "_WAIT", 2)
    asked = {"lr": [0.01, 0.02, 0.03, 0.04], "batch_size": [4], "steps": 60, "measure": False}

    def kill(_stage, fraction):
        if fraction > 0.5 and alone.scheduler.poll() is None:
            alone.kill(alone.scheduler)

    with (
        pytest.raises(WorkersLost, match=r"scheduler at tcp://.* does not answer any more: \d of 4") as lost,
        fl.cluster(alone.address),
    ):
        swept(small_problem, **asked, checkpoint=tmp_path / "cells", progress=kill)
    assert lost.value.asked == 4
    kept = len(list((tmp_path / "cells").iterdir()))
    assert kept == lost.value.finished >= 1
    assert swept(small_problem, **asked, checkpoint=tmp_path / "cells") == swept(small_problem, **asked)


@pytest.mark.slow
def test_groups_in_time_are_kept_where_the_scheduler_is_gone(small_problem, alone, tmp_path, monkeypatch):
    alone.worker()
    alone.ready(1)
    monkeypatch.setattr(dask_workers, "_WAIT", 2)

    def kill(stage, fraction):
        if stage == "simulation" and fraction > 0.5 and alone.scheduler.poll() is None:
            alone.kill(alone.scheduler)

    with pytest.raises(WorkersLost, match=r"does not answer any more: \d of 8") as lost, fl.cluster(alone.address):
        in_time(small_problem, checkpoint=tmp_path / "groups", progress=kill)
    assert len(list((tmp_path / "groups").glob("*.npz"))) == lost.value.finished >= 4
    assert in_time(small_problem, checkpoint=tmp_path / "groups") == in_time(small_problem)
    assert not (tmp_path / "groups").exists()


def test_processes_that_are_killed_are_replaced(small_problem):
    from joblib.externals.loky import get_reusable_executor

    killed = []

    def kill(_stage, fraction):
        if fraction > 0.5 and not killed:
            killed.extend(get_reusable_executor(2, timeout=60)._processes.values())
            os.kill(killed[0].pid, signal.SIGKILL)

    with fl.cluster(2):
        found = swept(small_problem, progress=kill)
    assert killed
    assert found == swept(small_problem)


def test_a_worker_of_another_fluctua_and_one_without_are_refused(alone, tmp_path):
    shutil.copytree(HOUSE, tmp_path / "other" / "fluctua", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "fluctua" / "__main__.py").open("a") as file:
        file.write("# a line that differs\n")
    other = alone.worker(path=tmp_path / "other")
    refuses(alone, r"is not the same as this process: fluctua's files \w+ there and \w+ here")
    alone.kill(other)
    (tmp_path / "none" / "fluctua").mkdir(parents=True)
    (tmp_path / "none" / "fluctua" / "__init__.py").write_text("raise ImportError('no such package')")
    alone.worker(path=tmp_path / "none")
    refuses(alone, r"cannot import fluctua \(ImportError\('no such package'\)\)")


def test_a_scheduler_without_workers_is_refused(alone, monkeypatch):
    monkeypatch.setattr(dask_workers, "_WAIT", 0.5)
    refuses(alone, r"has no worker, and none came within 0.5 s. Begin some: `dask worker tcp")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        ("", "missing port number"),
        ("here", "missing port number"),
        ("http://127.0.0.1:80", "unknown address scheme 'http'"),
        (0, "workers must be at least 1, got 0"),
        (True, "workers must be a distributed.Client, .* got bool"),
        (2.5, "got float"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_cluster_is_refused(given, words, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask_workers, "_WAIT", 1)
    with pytest.raises(InvalidInput, match=words), fl.cluster(given):
        pass


def test_after_the_body_this_process_does_the_work_again():
    here, there = current(), []
    with pytest.raises(ZeroDivisionError), fl.cluster(1):
        there.append(current() is not here) or 1 / 0
    assert there == [True]
    assert current() is here


def test_pieces_are_told_of_by_what_they_cost():
    told = []
    first = Fractions([1.0, 3.0], told.append)
    first(1, 0.5)
    first(0, 1.0)
    first.after(1)(0, 1.0)
    assert told == [0.375, 0.625, 1.0]
