"""Numbered formulas: a citation has its formula, and a formula its function and its test, which say the number."""

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "theory": range(20),
    "dynamics": range(20, 40),
    "shuffle": [*range(40, 60), *range(62, 70)],
    "spread": [60, 61, 70],
    "softmax": [*range(71, 80), *range(166, 170)],
    "networks": range(87, 90),
    "monitor": range(80, 87),
    "samplers": range(90, 100),
    "adaptive": range(100, 105),
    "layers": range(105, 114),
    "learning": range(114, 121),
    "coloring": range(121, 128),
    "diffusion_sde": range(139, 150),
    "diffusion": range(128, 138),
    "large_data": range(150, 158),
}
CITED = re.compile(r"\bF(?:\d{1,2}|1\d\d)\b")
SECTION = re.compile(r"\.md\)?,?\s+sections?\s+\d", re.IGNORECASE)
DIRECTIVE = re.compile(r"^ *```\{formula\} (\S+)\n((?: *:\w+: .*\n)*)((?:.*\n)*?) *```$", re.MULTILINE)
OPTION = re.compile(r":(\w+): (.*)")


@cache
def formulas():
    """Every formula of the pages: number, page, and what its options name, in the order in which they stand."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for number, options, latex in DIRECTIVE.findall(page.read_text()):
            names = {option: value.split() for option, value in OPTION.findall(options)}
            found.append((number, page.stem, names, latex))
    return found


def texts():
    """What may cite: code, tests, and pages."""
    yield from (path for room in ("src", "tests") for path in (ROOT / room).rglob("*.py"))
    yield from (ROOT / "docs").rglob("*.md")
    yield from (ROOT / "docs" / "examples").glob("*.py")


def meant(path):
    """What a dotted path means, and the docstrings where its number may stand: its own, its class's, its module's."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        words = [found.__doc__ or ""]
        for name in parts[length:]:
            found = getattr(found, name)
            words += [inspect.getdoc(found) or "", module_words(found)]
        return found, " ".join(words)
    raise ImportError(path)


def module_words(found):
    """The docstring of the module in which something is defined."""
    module = inspect.getmodule(getattr(found, "fget", None) or getattr(found, "func", None) or found)
    return (module and module.__doc__) or ""


def test_pages_number_their_formulas_once_and_within_their_range():
    numbers = [number for number, *_ in formulas()]
    assert len(numbers) >= 38
    assert sorted(numbers) == sorted(set(numbers))
    for number, page, names, latex in formulas():
        assert int(number[1:]) in PAGES[page], f"{number} is on {page}.md"
        assert latex.strip(), f"{number} is empty"
        assert set(names) <= {"function", "test", "figure"}, f"{number} names {set(names)}"


def test_no_page_has_a_formula_that_is_not_read_here():
    written = sum(page.read_text().count("```{formula} ") for page in (ROOT / "docs").rglob("*.md"))
    assert written == len(formulas())


def test_every_number_that_is_cited_is_that_of_a_formula():
    known = {number for number, *_ in formulas()}
    unknown = [
        f"{path.relative_to(ROOT)}: {number}"
        for path in texts()
        for number in CITED.findall(path.read_text())
        if number not in known
    ]
    assert not unknown, unknown


def test_formulas_are_cited_by_number_and_not_by_section():
    by_section = [str(path.relative_to(ROOT)) for path in texts() if SECTION.search(path.read_text())]
    assert not by_section, by_section


def test_a_symbol_has_one_meaning():
    table = (ROOT / "docs" / "symbols.md").read_text().split("\n\n")[2]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]
    symbols = [symbol for row in rows for symbol in re.split(r", (?![^(]*\))", row)]
    assert len(symbols) > 40
    assert sorted(symbols) == sorted(set(symbols))


@pytest.mark.parametrize("number", [number for number, *_ in formulas()])
def test_a_formula_has_a_function_and_a_test_that_say_its_number(number):
    _, page, names, _ = next(each for each in formulas() if each[0] == number)
    for path in names["function"]:
        if path.startswith("fluctua.torch"):
            pytest.importorskip("torch")
        found, words = meant(path)
        if page == "shuffle":  # a term has a function of its own
            words = inspect.getdoc(found) or ""
        assert re.search(rf"\b{number}\b", spelled(words)), f"{path} does not say that it computes {number}"
    called = {path.rsplit(".", 1)[1] for path in names["function"]}
    for path in names["test"]:
        text = (ROOT / path).read_text()
        assert re.search(rf"\b({'|'.join([number, *called])})\b", spelled(text)), f"{path} knows nothing of {number}"


def spelled(words):
    """A text with ranges written out: "F20 to F23" cites what lies between, too."""

    def every(found):
        first, last = (int(number) for number in found.groups())
        return " ".join(f"F{number}" for number in range(first, last + 1))

    return re.sub(r"\bF(\d{1,3}) to F(\d{1,3})\b", every, words)


@pytest.mark.parametrize(
    ("text", "cited"), [("F2 and F20.", ["F2", "F20"]), ("F401, 0xF2, #F0F0F0, AF1", []), ("(F7)", ["F7"])]
)
def test_what_a_citation_is(text, cited):
    assert CITED.findall(text) == cited


def test_ranges_are_spelled_out():
    assert spelled("F3, F20 to F22") == "F3, F20 F21 F22"
