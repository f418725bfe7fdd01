"""A report in the lines that a terminal holds: no number cut, no word broken, and tables that stay tables."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TextIO

from ..planning.candidates import FILLED

__all__ = ["columns", "fitted", "laid_out"]

WIDTH = 80
_LABEL = re.compile(r"(?:\s+|\S+(?: \S+)*\s{2,})(?=\S)")  # before what a line says
_LONGEST, _NARROW = 16, 2  # of such labels; blanks before what goes on where there is none
_GOING_ON = " " * 10
_CELL = re.compile(r"\S+(?: \S+)*")
_NUMBER = re.compile(r"(?<!\S)[-+]?[\d.]+\S*(?!\S)")  # none in a heading
_WHOLE = re.compile(r"(?<=\d) (?=%)| (?=\+-)|(?<=\+-) ")  # blanks within a number: 5 %, 1.2 +- 0.1
_HELD = "\0"

Block = Sequence[str]


def fitted(text: str, stream: TextIO) -> str:
    """Return the text in lines that a terminal holds; elsewhere as it is."""
    return laid_out(text, columns()) if stream.isatty() else text


def columns() -> int:
    """Characters that a line holds: the terminal's, 80 at most."""
    return min(WIDTH, shutil.get_terminal_size().columns)


def laid_out(text: str, width: int) -> str:
    """Return the text in lines of at most `width` characters, except for words that are longer.

    A table that is too wide is set narrower; where that is not enough, its rows are stacked.
    """
    return "\n".join(line for block in _blocks(_rejoined(text.split("\n"))) for line in _fitted(block, width))


def _rejoined(lines: Block) -> Block:
    """Put together what was filled to a width that is not the terminal's: its lines end where no word more fitted."""
    found = [lines[0]]
    for before, line in pairwise(lines):
        went_on = line.startswith(_GOING_ON) and line.strip() and len(before) <= FILLED
        if went_on and len(before) + 1 + len(line.split()[0]) > FILLED:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return found


def _fitted(block: Block, width: int) -> Sequence[str]:
    if max(map(len, block)) <= width:
        return block
    if len(block) == 1:
        return _wrapped(block[0], width).splitlines()
    narrower = _squeezed(block)
    return narrower if max(map(len, narrower)) <= width else _stacked(block, width)


def _wrapped(line: str, width: int) -> str:
    """A line in several; what follows stands below what it says."""
    label = _LABEL.match(line)
    indent = label.end() if label and label.end() <= min(_LONGEST, width // 2) else _NARROW
    return _filled(_WHOLE.sub(_HELD, line), width, indent)


def _filled(line: str, width: int, indent: int) -> str:
    held = textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return held.replace(_HELD, " ")


# -- tables ------------------------------------------------------------------------------------------------------------


def _blocks(lines: Block) -> Iterator[Block]:
    """Tables, and the other lines one by one."""
    begin = 0
    while begin < len(lines):
        end = begin + 1
        while end < len(lines) and _is_table(lines[begin : end + 1]):
            end += 1
        yield lines[begin:end]
        begin = end


def _is_table(lines: Block) -> bool:
    """Whether lines are a heading, without numbers, and rows with the same columns."""
    return not _NUMBER.search(lines[0]) and all(map(_columns, lines)) and bool(_cuts(lines))


def _columns(line: str) -> bool:
    """Whether a line has the columns of a table: three at least."""
    return len(_CELL.findall(line)) > 2


def _cuts(table: Block) -> list[int]:
    """Where its columns end: blank in every line, between two words of the heading; empty if it is no table."""
    heads = list(_CELL.finditer(table[0]))
    found = [
        next((place for place in reversed(range(one.end(), other.start())) if _blank(table, place)), -1)
        for one, other in pairwise(heads)
    ]
    return [] if -1 in found else found


def _blank(table: Block, place: int) -> bool:
    return all(line[place : place + 1] in ("", " ") for line in table)


def _squeezed(table: Block) -> Block:
    """With at most two blanks between columns."""
    width = max(map(len, table))
    empty = [_blank(table, place) for place in range(width)]
    kept = [place for place in range(width) if not all(empty[max(place - 2, 0) : place + 1]) or place < 2]
    return ["".join(line.ljust(width)[place] for place in kept).rstrip() for line in table]


def _stacked(table: Block, width: int) -> Block:
    """A row below the other, each value after the name of its column."""
    ends = [None, *_cuts(table), None]
    heads, *rows = ([" ".join(line[one:other].split()) for one, other in pairwise(ends)] for line in table)
    lines: list[str] = []
    for first, *cells in rows:
        named = first if first[:1].isalpha() else f"{heads[0]} {first}"
        said = [f"{head} {cell}" for head, cell in zip(heads[1:], cells, strict=True) if cell]
        lines += _filled(f"{named}: {', '.join(_one_piece(each, width) for each in said)}", width, _NARROW).splitlines()
    return lines


def _one_piece(cell: str, width: int) -> str:
    return cell.replace(" ", _HELD) if len(cell) < width - _NARROW - 1 else cell
