"""Random options and values on the command line: exit code 0, 1 or 2, no traceback, no warning, nothing left behind."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fluctua.cli import main

pytestmark = pytest.mark.any_seed
BAD = ("", "x", "nan", "inf", "-1", "1e300", "--", "²", "é", "1" * 5000, "9" * 30, "0x10", "1,2", "None")
VALUES = {
    "lr": ("0.02", "0.1", "1e-3", "0.5", "3", "0", "1e-300", "1e149"),
    "batch-size": ("1", "2", "4", "8", "12", "0", "13", "1099511627776"),
    "weight-decay": ("0", "0.1", "1e-20", "10"),
    "sampling": ("with_replacement", "without_replacement", "shuffle", "sequential", "single_shuffle", "suffle"),
    "momentum": ("0", "0.5", "0.9", "0.99", "1", "0.999999999999"),
    "dampening": ("0", "0.5", "1"),
    "optimizer": ("SGD", "QHM", "QHM", "qhm"),
    "nu": ("0", "0.7", "1", "1e-9", "1.1"),
    "schedule": (
        "constant",
        "linear",
        "cosine",
        "step",
        "inverse",
        "onecycle",
        "warmup-cosine",
        "good.npy",
        "zeros.npy",
        "huge.npy",
        "absent.npy",
        "negative.npy",
        "short.npy",
        "train.npz",
        "linaer",
    ),
    "ema": ("0", "0.5", "0.999", "1"),
    "tail": ("1", "3", "0", "100"),
    "theory": ("exact", "discrete", "langevin", "hessian", "equilibrium", "exakt"),
    "classes": ("0,1", "1,0", "0", "0,0", "7", "--1", "0,", ",", "a,b", "0,1,2"),
    "limit": ("9", "10", "30", "0", "1152921504606846976"),
    "targets": ("y.npy", "x.npy", "absent.npy"),
    "inputs-key": ("X", "x*", "0", "-1", "absent"),
    "targets-key": ("y", "Y", "*", "-1", ""),
    "held-out-targets": ("y.npy", "absent.csv"),
    "subset": ("train", "test"),
    "split": ("letters",),
    "data-dir": ("nowhere", "train.npz"),
    "steps": ("1", "2", "8", "16", "40", "0", "9223372036854775808"),
    "replicas": ("2", "8", "16", "1", "0", "1099511627776"),
    "records": ("1", "2", "16", "17", "0"),
    "start": ("optimum", "zero", "one"),
    "dynamics": ("sgd", "langevin", "langevin_state_dependent", "gd"),
    "modes": ("1", "2", "3", "4", "0"),
    "lags": ("1", "1,2", "2", "1,1", "0", "1,x", "3000000000", "1" * 5000),
    "seed": ("1", "0", "1606938044258990275541962092341162602522202993782792835301376"),
    "threads": ("1", "2", "0"),
    "out": ("out", "deep/er/out", "train.npz", "train.npz/out"),
    "held-out": ("held.npz", "test", "train.npz", "absent.npz", "y.npy", "wide.npz"),
    "orders": ("32", "64", "31", "0", "9007199254740992"),
    "position": ("0", "1", "99"),
    "test-size": ("0.2", "0.5", "10", "0", "1", "1.0", "0.999", "2e9"),
    "budget": ("1", "4", "16", "0"),
    "samples": ("8", "40", "0", "3"),
    "target": ("0.2", "0.45", "0", "7"),
    "longest": ("100", "0"),
    "torch": ("half", "mse", "sum"),
    "loss": ("mse", "cross-entropy", "squared-error"),
    "epochs": ("1", "2", "0"),
    "labels": ("y.npy", "x.npy", "absent.csv"),
    "shard": ("1/1", "1/2", "2/2", "3/2", "0/4", "1/99"),
    "processes": ("0",),
    "dask": ("here", "tcp://"),
}
FLAGS = (
    "nesterov",
    "drop-last",
    "json",
    "spread",
    "force",
    "resume",
    "dynamic",
    "entropy",
    "no-entropy",
    "no-report",
    "check",
    "bias",
    "center",
    "standardize",
    "measure",
    "fresh",
    "no-bias",
)
DATA = (
    "train.npz",
    "train.npz",
    "train.npz",
    "numbers.npz",
    "x.npy",
    "absent.npz",
    "broken.npz",
    "empty.npz",
    "wide.npz",
    "y.npy",
    "digist",
    "nan.npz",
    "mnist",
    "",
)
MEMORY = ("optimizer", "momentum", "dampening", "nesterov", "nu")
RECIPE = ("lr", "batch-size", "weight-decay", "sampling", "schedule", "drop-last", *MEMORY)
CHOICE = (
    *("classes", "limit", "targets", "inputs-key", "targets-key", "subset", "split", "data-dir"),
    *("bias", "center", "standardize", "test-size"),
)
RUN = ("steps", "replicas", "seed", "out")
COMMANDS = {
    "predict": (
        *RECIPE,
        *CHOICE,
        "theory",
        "ema",
        "tail",
        "steps",
        "start",
        "position",
        "held-out",
        "held-out-targets",
        "spread",
        "orders",
        "seed",
        "torch",
        "json",
    ),
    "verify": (
        *RECIPE,
        *CHOICE,
        *RUN,
        "theory",
        "ema",
        "tail",
        "records",
        "start",
        "dynamics",
        "threads",
        "resume",
        "force",
        "json",
        "dynamic",
        "modes",
        "lags",
    ),
    "verify --dynamic": (*RECIPE, *CHOICE, *RUN, "modes", "lags", "threads", "json", "entropy", "no-entropy"),
    "noise": (*RECIPE, *CHOICE, *RUN, "json"),
    "plan": (
        *CHOICE,
        "budget",
        "samples",
        "batch-size",
        "momentum",
        "schedule",
        "weight-decay",
        "sampling",
        "held-out",
        "held-out-targets",
        "check",
        "replicas",
        "seed",
        "torch",
        "json",
    ),
    "probe": (
        *CHOICE,
        "loss",
        "budget",
        "epochs",
        "batch-size",
        "momentum",
        "schedule",
        "weight-decay",
        "sampling",
        "labels",
        "no-bias",
        "held-out",
        "held-out-targets",
        "seed",
        "json",
    ),
    "sweep": (
        *RECIPE,
        *CHOICE,
        *RUN,
        "ema",
        "tail",
        "samples",
        "start",
        "target",
        "longest",
        "threads",
        "measure",
        "fresh",
        "json",
        "shard",
        "processes",
        "dask",
    ),
}
SMALL = {
    "verify": ["--steps", "8", "--replicas", "4", "--threads", "1", "--no-report"],
    "verify --dynamic": ["--steps", "16", "--replicas", "4", "--threads", "1", "--no-report"],
    "noise": ["--steps", "8", "--replicas", "4"],
    "plan": ["--budget", "4", "--momentum", "0", "--schedule", "constant"],
    "probe": ["--budget", "4", "--momentum", "0", "--schedule", "constant", "--sampling", "with_replacement"],
    "sweep": ["--lr", "0.02,0.1", "--batch-size", "2,8", "--steps", "8", "--replicas", "4", "--threads", "1"],
}


def write(folder):
    """What the commands are given."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 3))
    np.savez(folder / "train.npz", X=x, y=np.arange(12) % 2)
    np.savez(folder / "held.npz", X=x[:5] + 0.1, y=np.arange(5) % 2)
    np.savez(folder / "numbers.npz", X=x, y=x @ rng.normal(size=(3, 2)) + rng.normal(size=(12, 2)))
    np.savez(folder / "wide.npz", X=rng.normal(size=(12, 4)), y=np.arange(12) % 3)
    np.savez(folder / "nan.npz", X=np.full((4, 2), np.nan), y=np.arange(4) % 2)
    np.savez(folder / "empty.npz", X=np.zeros((0, 2)), y=np.zeros(0))
    (folder / "broken.npz").write_bytes((folder / "train.npz").read_bytes()[:300])
    for name, array in {
        "x": x,
        "y": np.arange(12) % 2,
        "good": np.linspace(1, 0, 40),
        "zeros": np.zeros(40),
        "huge": np.full(40, 1e300),
        "negative": -np.ones(40),
        "short": np.ones(2),
    }.items():
        np.save(folder / f"{name}.npy", array)


def drawn(rng):
    """One command line: up to three options, one in three of them with a value that means harm."""
    name = str(rng.choice(list(COMMANDS)))
    options = [option for option in COMMANDS[name] if option not in CHOICE or rng.random() < 0.15]
    line = [*name.split(), str(rng.choice(DATA)) if rng.random() < 0.2 else "train.npz"]
    given = dict(zip(SMALL.get(name, [])[::2], SMALL.get(name, [])[1::2], strict=False))
    for option in rng.choice(options, size=int(rng.integers(0, 4)), replace=False):
        if option in FLAGS:
            given[f"--{option}"] = None
        else:
            values = BAD if rng.random() < 0.1 else VALUES[option]
            given[f"--{option}"] = str(values[rng.integers(len(values))])
    if name.startswith("verify"):
        given["--no-report"] = None
    if given.get("--optimizer") == "QHM" and rng.random() < 0.7:
        given = {"--momentum": "0.9", "--nu": "0.7", **given}
    return [*line, *(part for pair in given.items() for part in pair if part is not None)]


def tried(line, capsys, folder):
    """Run one command line, and hold its end against the promises."""
    before, began = sorted(folder.iterdir()), time.process_time()
    with pytest.raises(SystemExit) as stopped:
        main(line)
    out, err = capsys.readouterr()
    assert stopped.value.code in (0, 1, 2), err
    assert time.process_time() - began < 20
    for word in ("Traceback", "should not happen", "Warning", "warning: overflow", "warning: invalid", "nan %"):
        assert word not in out + err, err
    if stopped.value.code == 2:
        assert err.strip()
        assert sorted(folder.iterdir()) == before, err
    assert not list(folder.rglob(".*"))
    return stopped.value.code


@pytest.mark.parametrize(("count", "seed"), [(30, 8), pytest.param(150, 9, marks=pytest.mark.slow)])
def test_random_command_lines(request, tmp_path, monkeypatch, capsys, count, seed):
    """The few of a plain run draw one figure, the many draw all."""
    if count < 100:
        request.getfixturevalue("curve_alone")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUCTUA_DATA", raising=False)
    monkeypatch.setenv("FLUCTUA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fluctua.data.published.fetch", refuse)
    write(tmp_path)
    rng, codes = np.random.default_rng(seed), []
    for _ in range(count):
        line = drawn(rng)
        try:
            codes.append(tried(line, capsys, tmp_path))
        except BaseException as error:
            error.add_note(" ".join(line)[:400])
            raise
    assert codes.count(2) > count / 3
    assert codes.count(0) + codes.count(1) > count / 10


def refuse(name, **_):
    from fluctua.errors import DataUnavailable

    raise DataUnavailable(f"{name} is not fetched in a test.")
