"""Every example in a docstring, in the README and in the documentation runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import fluctua

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if ">>>" in page.read_text()
)
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(fluctua.__path__, "fluctua.") if "__main__" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_the_docstrings_examples_hold(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_documentation_hold(page):
    result = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 1
    assert result.failed == 0
