"""Every example in a docstring, in the README and in the documentation runs and prints what it says.

Examples that simulate keep one seed's numbers, print what holds for every seed, or make a verdict at level 1e-6.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import fluctua

ROOT = Path(__file__).parents[2]
VERDICTS = {
    "fluctua.studies.adaptive.verified",
    "fluctua.studies.coloring.verifying",
    "fluctua.studies.diffusion.trial",
    "fluctua.verification.in_time.verify",
    "fluctua.verification.noise",
    "fluctua.verification.noise_found",
    "fluctua.verification.equal_time",
    "docs/howto/verdict.md",
    "docs/studies/adaptive.md",
    "docs/studies/diffusion.md",
}
"""Where an example makes a verdict."""
KEPT = {
    "docs/studies/coloring.md",
    "docs/howto/gpu.md",
    "docs/studies/learning.md",
    "fluctua.planning.rehearsal",
    "fluctua.report",
    "fluctua.report.explorer.ranges",
    "fluctua.report.figures",
    "fluctua.simulation.measurement",
    "fluctua.simulation.head_measurement",
    "fluctua.simulation.parts",
    "fluctua.simulation.replicas",
    "fluctua.studies.adaptive.runs",
    "fluctua.studies.adaptive.underdamped",
    "fluctua.studies.coloring.asked",
    "fluctua.studies.coloring.families",
    "fluctua.studies.coloring.runs",
    "fluctua.studies.diffusion.runs",
    "fluctua.studies.diffusion.sampled",
    "fluctua.studies.diffusion.scored",
    "fluctua.studies.diffusion.scores",
    "fluctua.studies.diffusion.trainings",
    "fluctua.studies.learning.activity",
    "fluctua.studies.layers.measurement",
    "fluctua.studies.layers.runs",
    "fluctua.studies.layers.trial",
    *(["fluctua.torch.network_runs"] if find_spec("torch") else []),
    "fluctua.verification.in_time.verdict",
    "fluctua.verification.new_output",
    "fluctua.verification.one_epoch",
    "fluctua.verification.verdict",
}
"""Where an example keeps the numbers of one seed, or prints what holds for every seed."""
TORCH = {"docs/howto/gpu.md", "docs/howto/train_a_probe.md", "docs/monitor.md", "fluctua.recipe.schedules.recorded"}
"""Where an example needs torch, beside its own room."""


def needs_torch(name):
    return name in TORCH or name.startswith("fluctua.torch")


def marked(name):
    """The place of some examples, with what chance has to do with them."""
    marks = [pytest.mark.statistical(alpha=1e-6)] if name in VERDICTS else [pytest.mark.any_seed] * (name in KEPT)
    return pytest.param(name, marks=[*marks, *[pytest.mark.torch] * needs_torch(name)])


def has_examples(module):
    if module.startswith("fluctua.torch") and find_spec("torch") is None:
        return False
    return any(test.examples for test in doctest.DocTestFinder().find(importlib.import_module(module)))


MODULES = [
    module.name for module in pkgutil.walk_packages(fluctua.__path__, "fluctua.") if "__main__" not in module.name
]
DOCSTRINGS = sorted(filter(has_examples, MODULES))
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if ">>>" in page.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", [marked(name) for name in DOCSTRINGS])
@pytest.mark.usefixtures("coarse")
def test_the_docstrings_examples_hold(name):
    if needs_torch(name):
        pytest.importorskip("torch")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 1
    assert result.failed == 0


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_the_examples_of_the_documentation_hold(page):
    if page in TORCH:
        pytest.importorskip("torch")
    result = doctest.testfile(
        str(ROOT / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE, encoding="utf-8"
    )
    assert result.attempted > 1
    assert result.failed == 0


def test_every_place_that_simulates_is_one_with_examples():
    """A name that is no place any more would leave a verdict without its marker."""
    assert {*DOCSTRINGS, *PAGES} >= VERDICTS | KEPT
