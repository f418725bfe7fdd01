"""docs/shuffle.md: no term is missing, and every term is worth what the page says."""

import re
from pathlib import Path

import pytest
from test_memory import WORTH

PAGE = Path(__file__).parents[3] / "docs" / "shuffle.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the pages are not part of the distribution")


def test_the_page_has_every_formula_once_and_in_order():
    found = re.findall(r"```\{formula\} (F\d+)", PAGE.read_text(encoding="utf-8"))
    assert found == [f"F{number}" for number in [*range(40, 60), *range(62, 67)]]


def test_the_page_says_what_each_term_is_worth():
    text = PAGE.read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    found = dict(re.findall(r"^\| (F\d\d(?:, (?:Ḡ|G - Ḡ))?) \| ([+-][\d.]+) \|$", text, re.MULTILINE))
    names = {"F44, average source": "F44, Ḡ", "F44": "F44, G - Ḡ"}
    assert {names.get(number, number): change for number, (_, _, change) in WORTH.items()} == {
        number: float(change) for number, change in found.items()
    }
