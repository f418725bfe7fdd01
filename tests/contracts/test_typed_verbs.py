"""What type checkers are told of verbs is what is registered: `fluctua._typed_verbs` against `_validate/nouns`."""

import ast
import inspect
from importlib import import_module

import pytest

from fluctua import _typed_verbs
from fluctua._validate.nouns import _VERBS

STUDIES = ("adaptive", "coloring", "diffusion", "layers", "learning")
TYPED = {"predict": "Predicting", "simulate": "Simulating", "verify": "Verifying", "plan": "Planning"}


def told(verb):
    """Noun to result, as type checkers are told."""
    found = {}
    tree = ast.parse(inspect.getsource(_typed_verbs))
    protocol = next(each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == TYPED[verb])
    for overload in (each for each in protocol.body if isinstance(each, ast.FunctionDef)):
        nouns = ast.unparse(overload.args.args[1].annotation).split(" | ")
        found |= dict.fromkeys(nouns, ast.unparse(overload.returns))
    return found


def registered(verb):
    """Noun to result, as functions say that are registered for nouns; torch's need torch."""
    found = {}
    for kind, function in _VERBS[verb].registry.items():
        if kind is not object and ".torch." not in kind.__module__:
            found[kind.__name__] = result_of(function)
    return found


def result_of(function):
    """What a function returns of a whole, of which shards are parts."""
    return str(inspect.signature(function).return_annotation).removesuffix(" | Part")


@pytest.mark.parametrize("verb", TYPED)
def test_each_noun_has_the_result_of_its_function(verb):
    for name in (
        *(f"studies.{study}" for study in STUDIES),
        "theory.leading",
        "verification.heads",
        "planning.head_plan",
    ):
        import_module(f"fluctua.{name}")
    expected, found = registered(verb), told(verb)
    assert set(expected) | {"LeastSquares"} == set(found) - {"LocalNetwork"}
    shared = {
        ("simulate", "Head"): "HeadMeasurement"
    }  # one function for both, which gives back what the noun's runs are
    for noun, result in expected.items():
        assert found[noun] == shared.get((verb, noun), result)
    assert found["LeastSquares"] == result_of(_VERBS[verb].dispatch(object))


def test_type_checkers_read_the_examples():
    """Mypy does, of this file's helper, in every commit."""
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[2]
    checked = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    assert "tests/helpers" in checked
    assert "assert_type" in (root / "tests" / "helpers" / "typed_verbs.py").read_text()
