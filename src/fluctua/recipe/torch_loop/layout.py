"""How the text is laid out: numbers in full, lines that PEP 8 allows, and imports of what is used alone."""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["WIDTH", "assigned", "imports", "number", "options", "refused", "where"]

WIDTH = 79  # of a line, as PEP 8 has it
_ROUNDING = 4e-16  # of a number, which a shorter text may be off by
_MODULES = {
    "torch.optim": ("lr_scheduler",),
    "torch.optim.swa_utils": ("AveragedModel", "get_ema_multi_avg_fn"),
    "torch.utils.data": ("DataLoader", "RandomSampler", "TensorDataset", "WeightedRandomSampler"),
}
"""What a loop may use of torch, beside what it calls in full."""


def number(value: float) -> str:
    """Return a number as short as it can be told without a change: 0.335 for what rounding has made of it."""
    short = f"{value:.15g}"
    return short if abs(float(short) - value) <= _ROUNDING * abs(value) else repr(float(value))


def options(given: dict[str, object]) -> list[str]:
    """Return keyword arguments as they are written."""
    return [f"{name}={_written(value)}" for name, value in given.items()]


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return number(value) if isinstance(value, float) else repr(value)


def assigned(statement: str, indent: str = "") -> list[str]:
    """Return a statement in lines: opened at its outermost brackets, an element a line, where it is too long for one.

    Rows of numbers are filled instead.
    """
    begin = statement.find("(") if "[" not in statement else min(filter(lambda x: x >= 0, map(statement.find, "([")))
    if len(indent + statement) <= WIDTH or begin < 0:
        return [indent + statement]
    end = max(map(statement.rfind, ")]"))
    elements, inner = list(_elements(statement[begin + 1 : end])), indent + 4 * " "
    if all(re.fullmatch(r"[-+.\de]+", element) for element in elements):
        inside = textwrap.wrap(", ".join(elements), WIDTH, initial_indent=inner, subsequent_indent=inner)
    else:
        inside = [line for element in elements for line in assigned(f"{element},", inner)]
    return [indent + statement[: begin + 1], *inside, indent + statement[end:]]


def _elements(text: str) -> Iterator[str]:
    """Yield what the commas outside of all brackets and strings part."""
    depth, begin, line = 0, 0, f"({text})"
    for token in tokenize.generate_tokens(io.StringIO(line).readline):
        if token.type != tokenize.OP:
            continue
        depth += (token.string in "([{") - (token.string in ")]}")
        if token.string == "(" and depth == 1:
            begin = token.end[1]
        elif (token.string == "," and depth == 1) or depth == 0:
            if element := line[begin : token.start[1]].strip():
                yield element
            begin = token.end[1]


def imports(body: Iterable[str]) -> Sequence[str]:
    """Return the lines that import what the others use."""
    text = "\n".join(body)
    used = {module: [name for name in names if re.search(rf"\b{name}\b", text)] for module, names in _MODULES.items()}
    standard = ["import itertools", ""] if "itertools." in text else []
    return [
        *standard,
        "import numpy as np",
        "import torch",
        *(f"from {module} import {', '.join(names)}" for module, names in used.items() if names),
    ]


def where(condition: str, call: str) -> tuple[str, ...]:
    """Return a call in a loop, every time or where the condition holds."""
    return (f"    if {condition}:", f"        {call}") if condition else (f"    {call}",)


def refused(found: str, expected: str) -> Iterator[str]:
    """Yield what a loop says to data that the prediction is not of; both are text of an f-string."""
    yield "    raise ValueError("
    yield f'        f"other data than predicted: {found}, "'
    yield f'        f"not {expected}: give as inputs and "'
    yield '        "targets the samples that the prediction is of"'
    yield "    )"
