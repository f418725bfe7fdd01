"""The room for PyTorch: the core never needs it, and without it the room says what to install."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["torch"] = None
import fluctua as fl
{}
"""


def _run(lines):
    command = [sys.executable, "-c", WITHOUT.format(lines)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_the_core_does_not_import_torch():
    problem = "data = fl.load('digits'); problem = fl.LeastSquares(data.inputs, data.targets)"
    assert _run(f"{problem}; fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))").returncode == 0


def test_the_room_names_what_to_install():
    done = _run("import fluctua.torch")
    assert done.returncode == 1
    assert all(said in done.stderr for said in ("pip install", "torch", "MissingPackage"))
