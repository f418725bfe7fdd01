"""The house: what stands where. import-linter holds who may know whom."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

import fluctua as fl

HOUSE = Path(fl.__file__).parent
MODULES = sorted(HOUSE.rglob("*.py"))
TOP = {
    "_typed_verbs.py",
    *("__init__.py", "__main__.py", "_arrays.py", "_half.py", "_optional.py", "_results.py", "_tables.py"),
    *("plot.py", "py.typed"),
}
ROOMS = {
    "_validate",
    "cli",
    "data",
    "distributed",
    "errors",
    "kernels",
    "planning",
    "problem",
    "recipe",
    "report",
    "schemas",
    "simulation",
    "storage",
    "studies",
    "theory",
    "torch",
    "verification",
}


def test_nothing_stands_in_the_corridor():
    there = {path.name for path in HOUSE.iterdir() if path.name != "__pycache__"}
    assert there == TOP | ROOMS


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_a_module_is_short_and_does_not_carry_the_name_of_a_function_it_exports(module):
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    if module.name != "__init__.py" and module.parts[-2] != "cli":  # a command is named after its module
        functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        assert module.stem not in functions


def test_dir_shows_the_public_names_and_nothing_else():
    assert dir(fl) == sorted(fl.__all__)
    assert fl.__version__ == version("fluctua")
    with pytest.raises(AttributeError, match="no attribute 'predictt'"):
        fl.predictt  # noqa: B018
