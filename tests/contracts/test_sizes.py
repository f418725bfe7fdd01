"""Sizes before work: what the machine cannot hold, or end in a month, is refused with both numbers, at once."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from importlib import import_module

import numpy as np
import pytest

import fluctua as fl
from fluctua._validate import sizes as _sizes
from fluctua._validate.sizes import available_bytes, refuse_bytes, refuse_work
from fluctua._validate.targets import one_hot
from fluctua.errors import FluctuaError, TooLarge

pytestmark = pytest.mark.any_seed
RECIPE = fl.SGD(lr=0.02, batch_size=4)
HUGE = 2**40


@pytest.fixture
def wide():
    """A thousand outputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 30))
    return fl.LeastSquares(x, x @ rng.normal(size=(30, 1000)) + rng.normal(size=(40, 1000)))


def quickly(call, *arguments, **options):
    began = time.process_time()
    with pytest.raises(TooLarge) as caught:
        call(*arguments, **options)
    assert time.process_time() - began < 10
    assert caught.value.needed > caught.value.available >= 0
    return str(caught.value)


def test_bytes_are_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(_sizes, "available_bytes", lambda: 3 * 2**30)
    refuse_bytes("replicas = 3", 2 * 2**30, "Use fewer.")
    with pytest.raises(TooLarge, match=r"^replicas = 3 would take about 4 GiB of memory, .* has 3 GiB free\. Use f"):
        refuse_bytes("replicas = 3", 4 * 2**30, "Use fewer.")
    with pytest.raises(TooLarge, match=r"1\.73e\+69 GiB"):
        refuse_bytes("it", 2.0**260, "Do not.")
    assert issubclass(TooLarge, FluctuaError)


def test_work_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(_sizes, "_cores", lambda: 2)
    day = 86_400 * 1e10
    refuse_work("it", 29 * day, "Do not.")
    with pytest.raises(TooLarge, match=r"it would take about 2\.7e\+16 operations, 31 days on 2 cores.*30 days"):
        refuse_work("it", 31 * day, "Do not.")
    with pytest.raises(TooLarge, match="27 years"):
        refuse_work("it", 1e4 * day, "Do not.")


def test_the_machine_tells_what_it_has(tmp_path, monkeypatch):
    assert 2**24 < available_bytes() < 2**50
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   4000 kB\nSwapFree:  96 kB\nHugePages: 3\n")
    monkeypatch.setattr(_sizes, "_INFO", info)
    assert available_bytes() == 4096 * 1024
    monkeypatch.setattr(_sizes, "_INFO", tmp_path / "none")
    assert 2**24 < available_bytes() < 2**50  # from the number of pages


@pytest.mark.parametrize(
    ("folder", "line", "limit", "usage"),
    [
        ("jobs/one", "0::/jobs/one", "memory.max", "memory.current"),
        ("memory/jobs/one", "4:memory:/jobs/one", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_a_control_group_and_those_above_it_bind(tmp_path, monkeypatch, folder, line, limit, usage):
    place = tmp_path / "cgroup" / folder
    place.mkdir(parents=True)
    (tmp_path / "mine").write_text(f"{line}\n1:name=x:/\n")
    monkeypatch.setattr(_sizes, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(_sizes, "_CGROUP", tmp_path / "mine")
    (place / limit).write_text("3000000\n")
    (place / usage).write_text("2000000\n")
    assert available_bytes() == 1_000_000
    (place / "memory.stat").write_text("anon 5\ninactive_file 500000\n")  # pages that are given back
    assert available_bytes() == 1_500_000
    (place.parent / limit).write_text("100\n")
    (place.parent / usage).write_text("300\n")
    assert available_bytes() == 0
    for each in (place, place.parent):
        (each / limit).write_text("max\n")
    assert available_bytes() > 2**24


def run_limited(code, limit):
    """Run Python with so much address space."""

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limited, check=False)


def test_the_limit_of_the_process_binds():
    code = "from fluctua._validate.sizes import available_bytes as a; print(a())"
    assert 0 < float(run_limited(code, 2**31).stdout) < 2**31


def test_running_out_of_memory_is_not_a_fault_of_ours(run, monkeypatch):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 11.9 GiB for an array")

    monkeypatch.setattr(import_module("fluctua.cli.predict"), "solve", greedy)
    code, _, err = run("predict", "digits", "--lr", 0.05)
    assert code == 2
    assert "does not fit into memory (Unable to allocate 11.9 GiB" in err
    assert "fault" not in err


@pytest.mark.parametrize("replicas", [HUGE, 2**52])
def test_replicas(small_problem, replicas):
    words = f"^replicas = {replicas}.* would take about .* GiB of memory, and this machine has"
    for call, options in (
        (fl.simulate, {"steps": 10}),
        (fl.verify, {"steps": 10}),
        (fl.gradient_noise, {"steps": 10}),
        (fl.verify_dynamic, {"steps": 40}),
    ):
        with pytest.raises(TooLarge, match=words):
            call(small_problem, RECIPE, replicas=replicas, rng=1, **options)
    found = fl.plan(small_problem, 10, momenta=[0.0], schedules=["constant"])
    with pytest.raises(TooLarge, match=words):
        fl.rehearse(small_problem, found, replicas=replicas)


def test_records_and_steps(small_problem):
    text = quickly(fl.simulate, small_problem, RECIPE, steps=HUGE, records=HUGE, replicas=2)
    assert text.startswith(f"records = {HUGE} would take about")
    text = quickly(fl.simulate, small_problem, RECIPE, steps=2**53, replicas=2)
    assert text.startswith(f"steps = {2**53} of 2 replicas would take about")
    quickly(fl.gradient_noise, small_problem, RECIPE, steps=HUGE, replicas=8)


@pytest.mark.parametrize("call", [fl.simulate, fl.verify, fl.gradient_noise, fl.verify_dynamic])
def test_batches(small_problem, call):
    assert quickly(call, small_problem, fl.SGD(0.02, HUGE), steps=40, replicas=16, rng=1).startswith("steps = 40 of 16")


def test_batches_of_a_short_run(small_problem):
    text = quickly(fl.simulate, small_problem, fl.SGD(0.02, 2**36), steps=2, replicas=2)
    assert text.startswith(f"batches of {2**36} for 1 replicas would take about")


def test_many_outputs_in_time(wide):
    prediction = fl.predict(wide, RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sizes, "available_bytes", lambda: 2**22)
        patch.setattr(_sizes, "_SMALL", 0)
        assert quickly(fl.loss_spread, prediction).startswith("the spread of the loss of 1,000 outputs in 30 modes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sizes, "available_bytes", lambda: 2**27)
        text = quickly(fl.verify_dynamic, wide, RECIPE, steps=64, replicas=64, rng=1, entropy=False)
        assert text.startswith("modes = 1 of 1,000 outputs")


def test_the_spread_of_very_many_outputs_is_too_much_work():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 100))
    problem = fl.LeastSquares(x, rng.normal(size=(200, 3000)) + x @ rng.normal(size=(100, 3000)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sizes, "_FLOPS", 1e6)
        assert "3,000 outputs would take about 1" in quickly(fl.loss_spread, fl.predict(problem, RECIPE))


def test_very_many_inputs():
    class Wide(np.ndarray):
        """Two samples of a million inputs each, in a few bytes."""

    x = np.lib.stride_tricks.as_strided(np.array([1.0, 2.0]), (2, 1_000_000), (8, 0)).view(Wide)
    assert quickly(fl.LeastSquares, x, [1.0, 2.0]).startswith("the curvature of 1,000,000 inputs would take about")


def test_one_column_for_each_label():
    labels = np.arange(1_000_000)
    text = quickly(one_hot, labels, range(1_000_000), np.dtype(np.float64))
    assert text.startswith("one column for each of 1,000,000 labels of 1,000,000 samples would take about 2.98e+04 GiB")
