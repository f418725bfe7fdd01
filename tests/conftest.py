"""What every test shares: real data, the budgets of false alarms and of misses, slow tests on demand."""

from __future__ import annotations

import gc
import os
import signal
from importlib import import_module

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: there is a worker to a core, and matrices are small

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import main
from helpers import chance


def pytest_configure(config):
    config.pluginmanager.register(chance)
    chance.count_what_simulates()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection():
    """Collect without the garbage collector, which never looks again at what stays: 13,000 tests and all modules."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--rest", action="store_true", help="run only what a plain run on a bare machine leaves out")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "slow" in item.keywords and not (config.getoption("--slow") or config.getoption("--rest")):
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))
        if "real_data" in item.keywords and not os.environ.get("FLUCTUA_DATA"):
            item.add_marker(pytest.mark.skip(reason="needs FLUCTUA_DATA"))
    chance.refuse_overspent(items)
    if config.getoption("--rest"):
        kinds = {"slow", "real_data", "torch"}
        config.hook.pytest_deselected(items=[item for item in items if not kinds & set(item.keywords)])
        items[:] = [item for item in items if kinds & set(item.keywords)]
        items.sort(key=lambda item: "real_data" not in item.keywords)  # long ones: none comes last


@pytest.fixture(scope="session", autouse=True)
def heard():
    """Signals as a shell's foreground job has them: whoever runs the tests may ignore some (nohup, a job behind)."""
    before = {name: signal.signal(getattr(signal, name), signal.SIG_DFL) for name in ("SIGTERM", "SIGHUP")}
    before["SIGINT"] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture(scope="session")
def digits():
    return fl.load("digits")


@pytest.fixture(scope="session")
def digits_problem(digits):
    return fl.LeastSquares(digits.inputs, digits.targets)


@pytest.fixture(scope="session")
def small_problem():
    """60 samples, 12 inputs, 3 outputs, curvatures over two decades: cheap, and far from Gaussian noise at b = 4."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 12)) * np.linspace(2, 0.2, 12)
    return fl.LeastSquares(inputs, rng.normal(size=(60, 3)) + inputs @ rng.normal(size=(12, 3)))


@pytest.fixture
def coarse(monkeypatch):
    """A survey checks its exact balance at one setting, where its accuracy is not the point."""
    monkeypatch.setattr(import_module("fluctua.report.explorer.reduction"), "_CHECKS", 1)


@pytest.fixture
def undrawn(monkeypatch):
    """Commands draw no figures, where figures are not the point: most of the time of a short run goes into them."""
    monkeypatch.setattr(import_module("fluctua.report.figures"), "_save", lambda *_: [])


@pytest.fixture
def curve_alone(monkeypatch):
    """Of a result's figures only the curve, which is quick to render; the first where there is none."""
    figures = import_module("fluctua.report.figures")
    every = figures.pictures

    def one(result):
        made = every(result)
        name = "curve" if "curve" in made else next(iter(made))
        return {name: made[name]}

    monkeypatch.setattr(figures, "pictures", one)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Call the command line in an empty directory: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUCTUA_DATA", raising=False)
    monkeypatch.setattr("fluctua.cli.progress._FIRST", np.inf)  # how busy the machine is does not show

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return call


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(200, 6))
    np.savez(
        tmp_path / "features.npz", X=inputs, y=(inputs @ rng.normal(size=6) + rng.normal(size=200) > 0).astype(int)
    )
    return tmp_path / "features.npz"
