"""How a table of text is laid out, from its first lines: delimiter, header, and what each column holds."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import CorruptData, InvalidInput
from .held import Content
from .rule import TARGET_NAMES

__all__ = ["HEAD", "Layout", "layout_of", "missing", "number"]

HEAD = 200
"""Records that tell the layout."""
_DELIMITERS = "\t;,|"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "?", "-", ".", "missing", "#n/a"})
_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.I)


@dataclass(frozen=True)
class Layout:
    """Of a table of text.

    Attributes
    ----------
    delimiter : str
    named : bool
        Whether the first record names the columns.
    columns : tuple of str
        Names; the numbers 0, 1, ... where there are none.
    contents : tuple of {"number", "text"}
    record_bytes : float
        Characters of a record, on average.
    """

    delimiter: str
    named: bool
    columns: tuple[str, ...]
    contents: tuple[Content, ...]
    record_bytes: float


def number(field: str) -> float | None:
    """Return the number that a field spells, None if it spells none; Python's own 1_000 is none."""
    try:
        return None if "_" in field else float(field)
    except ValueError:
        return None


def missing(field: str) -> bool:
    """Whether a field says that there is no value."""
    return field.strip().lower() in _MISSING


def layout_of(name: str, lines: Sequence[str], tabs: bool, counting: bool = False) -> Layout:
    """Return the layout of a table that begins with these lines; `counting` numbers above all are no question then."""
    if not any(line.strip() for line in lines):
        raise CorruptData(name, "it holds no lines", "Expected a line for each sample.")
    delimiter = "\t" if tabs else _delimiter(lines)
    records = _records(lines, delimiter)
    _refuse_blanks(name, records)
    named = _has_header(name, records, counting)
    first = [field.strip() for field in records[0]]
    body = records[1:] if named else records
    if not body:
        raise CorruptData(name, "it holds a header and no samples", "Expected a line for each sample below it.")
    columns = tuple(first) if named else tuple(str(k) for k in range(len(first)))
    _refuse_twins(name, columns)
    contents = tuple(_content([row[k] for row in body if k < len(row)]) for k in range(len(columns)))
    _refuse_foreign(name, columns, contents, body)
    return Layout(delimiter, named, columns, contents, sum(map(len, lines)) / len(lines))


def _records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    return [record for record in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if record]


def _delimiter(lines: Sequence[str]) -> str:
    """The first delimiter by which every record has the same fields, several of them; else a comma, which says so."""
    for mark in _DELIMITERS:
        widths = {len(record) for record in _records(lines[: HEAD // 2], mark)}
        if len(widths) == 1 and widths != {1}:
            return mark
    return ","


def _has_header(name: str, records: Sequence[Sequence[str]], counting: bool) -> bool:
    first, body = [field.strip() for field in records[0]], records[1:]
    if not body:
        return all(number(field) is None for field in first) and len(first) > 1
    columns = [[row[k] for row in body if k < len(row)] for k in range(len(first))]
    over = [k for k, field in enumerate(first) if number(field) is None and _content(columns[k]) == "number"]
    texts = [k for k, field in enumerate(first) if number(field) is None and k not in over]
    if any(not missing(first[k]) or first[k] == "" for k in over):
        return True
    numbers = [number(field) for field in first if number(field) is not None]
    counted = len(numbers) > 1 and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))
    label = any(first[k].lower() in TARGET_NAMES and first[k] not in columns[k] for k in texts)
    if counted and not label and not counting:
        raise InvalidInput(
            f"{name} begins with {', '.join(first[:4])}{', ...' if len(first) > 4 else ''}: names of columns, or the "
            f"first sample? Name the columns by text (f0, f1, ..., label), or remove that line."
        )
    if label or not texts or len(texts) < len(first):
        return label
    if all(first[k] in columns[k] for k in texts):
        return False
    if all(min(Counter(columns[k]).values()) > 1 for k in texts):  # were it a label, one sample would be lacking
        return True
    raise InvalidInput(
        f"{name} begins with {first[0]!r:.40}: does that name a column, or is it the first label? Put a line with the "
        f"column's name, label, above all others."
    )


def _refuse_twins(name: str, columns: Sequence[str]) -> None:
    if twins := sorted({column for column in columns if columns.count(column) > 1}):
        raise InvalidInput(f"{name} has several columns named {twins[0]!r}: which is meant? Rename all but one.")


def _content(fields: Sequence[str]) -> Content:
    """Number where most that is there spells one: what does not is refused where it stands."""
    there = [field for field in fields if not missing(field)]
    spelled = sum(number(field) is not None for field in there)
    return "number" if (there and 2 * spelled > len(there)) or not there else "text"


def _refuse_foreign(
    name: str, columns: Sequence[str], contents: Sequence[Content], body: Sequence[Sequence[str]]
) -> None:
    """Refuse decimal commas."""
    for k, content in enumerate(contents):
        fields = [row[k].strip() for row in body if k < len(row)] if content == "text" else []
        if fields and all(_COMMA.fullmatch(field) for field in fields):
            raise InvalidInput(
                f"{name}: column {columns[k]!r} holds {fields[0]}, with a comma where a number has a point. Write it "
                f"with decimal points: pandas.read_csv(path, sep=..., decimal=',').to_csv(path, index=False)."
            )


def _refuse_blanks(name: str, records: Sequence[Sequence[str]]) -> None:
    """Refuse numbers separated by blanks, which would be labels of a single column."""
    apart = [record[0].split() for record in records[1:] or records]
    if len(records[0]) == 1 and all(
        len(parts) > 1 and all(number(part) is not None for part in parts) for parts in apart
    ):
        raise InvalidInput(
            f"{name}: its numbers are separated by blanks ({records[-1][0]:.40}). Separate them by commas or tabs: "
            f"numpy.savetxt(path, X, delimiter=',')."
        )
