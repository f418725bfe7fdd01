"""Optimisers of other libraries in the place of a recipe."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.recipe.reading import read_recipe

X = np.random.default_rng(0).normal(size=(30, 3))
PROBLEM = fl.LeastSquares(X, X[:, :2] + 1)


@pytest.mark.parametrize("name", ["AdamW", "adam", "RMSprop", "Lion", "torch.optim.LBFGS", "sparse_adam", "Muon"])
def test_a_step_that_is_not_linear_is_refused_by_name(name):
    for call in (
        lambda: read_recipe({"optimizer": name, "lr": 0.1, "batch_size": 2}),
        lambda: fl.predict(PROBLEM, name),
    ):
        with pytest.raises(InvalidInput, match=r"not linear in the gradient.*docs/howto/optimisers\.md"):
            call()


def test_as_an_attribute_it_says_why():
    with pytest.raises(AttributeError, match="no AdamW: AdamW is not covered"):
        _ = fl.AdamW
    assert not hasattr(fl, "Adamant")


def test_a_class_of_any_library_is_known_by_its_name():
    class Lion:
        pass

    class Mine(Lion):
        pass

    for value in (Lion, Mine()):
        with pytest.raises(InvalidInput, match="Lion is not covered"):
            fl.max_stable_lr(PROBLEM, value)


def test_the_page_has_the_section():
    page = Path(__file__).parents[2] / "docs/howto/optimisers.md"
    assert "## Steps that are not linear in the gradient" in page.read_text(encoding="utf-8")


def test_the_command_line_refuses_it():
    command = [sys.executable, "-m", "fluctua", "predict", "digits", "--limit", "100", "--optimizer", "adamw"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "AdamW is not covered" in re.sub(r"\s+", " ", done.stderr)


@pytest.mark.torch
def test_torchs_optimisers_are_answered():
    torch = pytest.importorskip("torch")
    weights = [torch.nn.Parameter(torch.zeros(2))]
    sgd = torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    line = "fluctua.SGD(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True, batch_size=...)"
    with pytest.raises(InvalidInput, match=re.escape(line)):
        fl.predict(PROBLEM, sgd)
    with pytest.raises(InvalidInput, match=r"the class torch\.optim\.SGD"):
        fl.predict(PROBLEM, torch.optim.SGD)
    more = torch.optim.SGD([{"params": weights}, {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5}], lr=0.1)
    with pytest.raises(InvalidInput, match="2 parameter groups"):
        fl.predict(PROBLEM, more)
    with pytest.raises(InvalidInput, match="maximizes"):
        fl.predict(PROBLEM, torch.optim.SGD(weights, lr=0.1, maximize=True))
    for kind in (torch.optim.AdamW, torch.optim.RMSprop):
        for value in (kind, kind(weights)):
            with pytest.raises(InvalidInput, match=f"{kind.__name__} is not covered"):
                fl.predict(PROBLEM, value)
