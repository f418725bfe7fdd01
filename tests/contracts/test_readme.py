"""Commands whose output the README or the documentation shows print it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown(page):
    """The commands of a page whose output it shows, each with the lines of that output."""
    blocks = re.findall(r"^```\n\$ (.*?)```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [tuple(one.split("\n", 1)) for block in blocks for one in block.split("\n$ ")]


def commands():
    """Every command whose output is shown, with all that is shown of its output; those that take long are slow."""
    found = {}
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for command, lines in shown(page):
            found.setdefault(command, []).append(lines)
    return [pytest.param(*one, marks=[pytest.mark.slow] * ("predict" not in one[0])) for one in found.items()]


def test_three_commands_are_shown():
    first = [command.split()[:2] for command, _ in shown(ROOT / "README.md")]
    assert first == [["fluctua", name] for name in ("predict", "verify", "plan")]


@pytest.mark.any_seed
@pytest.mark.parametrize(("command", "outputs"), commands())
def test_the_commands_print_what_is_shown(run, command, outputs):
    code, out, _ = run(*command.split()[1:])
    assert code == 0
    for lines in outputs:
        rest = " ".join(out.split())
        for piece in re.split(r"^\.\.\.$", lines, flags=re.MULTILINE):
            found = " ".join(piece.split())
            assert found in rest
            rest = rest[rest.index(found) + len(found) :]


def test_the_two_commands_are_in_the_readme():
    assert "pip install . && fluctua verify digits" in README
    assert "pip install '.[test]' && pytest" in README
