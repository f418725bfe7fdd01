"""docs/shuffle.md: what computes a formula cites its number, and every term is worth what the page says."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from test_memory import WORTH

PAGE = Path(__file__).parents[3] / "docs" / "shuffle.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the pages are not part of the distribution")
NUMBERS = [f"F{number}" for number in [*range(40, 60), 62, 63, 64]]


def formulas():
    """Functions and tests by number."""
    found = re.findall(r"```\{formula\} (F\d+)\n:function: (.*)\n:test: (.*)\n", PAGE.read_text(encoding="utf-8"))
    return {number: (functions.split(), tests.split()) for number, functions, tests in found}


def resolved(path):
    """What a dotted path means: attributes of the longest module in it."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise ImportError(path)


def test_the_page_has_every_formula_once_and_in_order():
    found = re.findall(r"```\{formula\} (F\d+)", PAGE.read_text(encoding="utf-8"))
    assert found == list(formulas()) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_what_computes_a_formula_cites_its_number(number):
    functions, tests = formulas()[number]
    for path in functions:
        if path.startswith("fluctua.theory."):
            assert re.search(rf"\b{number}\b", resolved(path).__doc__), path
        else:
            assert resolved(path).__doc__
    for path in tests:
        assert (PAGE.parents[1] / path).exists()


def test_the_page_says_what_each_term_is_worth():
    text = PAGE.read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    found = dict(re.findall(r"^\| (F\d\d(?:, (?:Ḡ|G - Ḡ))?) \| ([+-][\d.]+) \|$", text, re.MULTILINE))
    names = {"F44, average source": "F44, Ḡ", "F44": "F44, G - Ḡ"}
    assert {names.get(number, number): change for number, (_, _, change) in WORTH.items()} == {
        number: float(change) for number, change in found.items()
    }
