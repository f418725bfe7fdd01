"""The scripts of benchmarks/ refuse what cannot be measured before they measure; a record of other data stays."""

from __future__ import annotations

import json
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks"
ABSURD = {
    "adaptive_chain": [],
    "cluster": [],
    "coloring_visits": [],
    "detectors": ["--runs 0", "--runs -1", "--runs x", "--out no/where.json"],
    "equilibrium_training": ["--seeds 0", "--epochs 0", "--seconds nan", "--data no.npz", "--pack no/where.npz"],
    "growth": ["--rounds 0", "--rounds 1.5"],
    "head_floors": ["1", "many"],
    "kills": ["--kills 0", "--seed -1", "--only nothing"],
    "leading_modes": ["", "leading", "leading 0 8", "leading 100", "dense cifar10 x", "some 100 8"],
    "local_network": ["--mnist no.npz", "--out no/where.json"],
    "monitor_overhead": ["0"],
    "out_of_core": ["0", "1", "-5"],
    "page": [],
    "plan_vs_sweep": ["--rounds 3"],
    "predict_passes": ["mnist-0", "digits --slow"],
    "simulate_on_device": ["--rounds 0", "--replicas 1", "--replicas 64 -1", "--work 0", "--work inf"],
    "simulate_vs_torch": ["--rounds 0", "--rounds -3", "--seconds 0", "--seconds nan"],
    "soak": ["--steps 0", "--curve 9", "--steps inf"],
    "sweep": [],
    "trained_denoisers": ["--trainings 19", "--seed x"],
    "variance_flatness": ["--epochs 9", "--runs 0", "--mnist no.npz"],
}
"""Arguments that a script cannot use; none of one that takes none."""
SHARED = {"asked", "timing"}


@pytest.fixture
def script(monkeypatch):
    """Run a script as a person does, or give its names."""
    monkeypatch.syspath_prepend(str(PLACE))

    def ran(name, arguments=None):
        monkeypatch.setattr(sys, "argv", [name, *(arguments or [])])
        return runpy.run_path(str(PLACE / f"{name}.py"), run_name="as a module" if arguments is None else "__main__")

    yield ran
    for name in [*SHARED, *(each for each in sys.modules if each.partition(".")[0] == "detection")]:
        sys.modules.pop(name, None)


def test_every_script_is_here():
    assert {path.stem for path in PLACE.glob("*.py")} == ABSURD.keys() | SHARED


@pytest.mark.parametrize("name", [name for name, each in ABSURD.items() if each])
def test_absurd_counts_are_refused_in_a_line(name, script, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if re.search(r"^(import|from) torch", (PLACE / f"{name}.py").read_text(encoding="utf-8"), re.MULTILINE):
        pytest.importorskip("torch")
    for arguments in ABSURD[name]:
        with pytest.raises(SystemExit) as ended:
            script(name, arguments.split())
        assert ended.value.code == 2, arguments
        assert "error: " in capsys.readouterr().err.splitlines()[-1]


MADE_UP = "random numbers in MNIST's shape, because it could not be read (DataUnavailable), 19% of the numbers not zero"


def test_numbers_on_made_up_data_leave_the_record_of_mnist(script, monkeypatch, tmp_path):
    """And that of MNIST leaves theirs."""
    here = script("simulate_vs_torch")
    monkeypatch.setattr(import_module("timing"), "RESULTS", tmp_path)
    for data in ("MNIST, 19% of the numbers not zero", MADE_UP):
        here["main"].__globals__["measured"] = lambda *_, data=data: {"data": data, "instructions": "AVX2"}
        here["main"]()
    found = {path.name: json.loads(path.read_text())["data"] for path in tmp_path.iterdir()}
    assert found["simulate_vs_torch_avx2.json"].startswith("MNIST")
    assert found["random_simulate_vs_torch_avx2.json"] == MADE_UP


def test_a_device_keeps_a_row_for_each_kind_of_data(script, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    kept = script("simulate_on_device")["kept"]
    monkeypatch.setitem(kept.__globals__, "RESULTS", tmp_path / "rows.json")
    for data in ("MNIST", "MNIST's shape"):
        kept({"device": "cpu", "data": data})
    assert {name: row["data"] for name, row in json.loads((tmp_path / "rows.json").read_text()).items()} == {
        "cpu": "MNIST",
        "cpu, MNIST's shape": "MNIST's shape",
    }
