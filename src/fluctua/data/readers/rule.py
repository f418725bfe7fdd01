"""Which array or column holds the inputs, and which the labels or targets: one rule for every kind of file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..._arrays import AnyArray
from ..._half import HalfArray, Rows
from ..._validate.frames import is_index
from ..._validate.values import shown
from ...errors import InvalidInput
from .held import Held, spelled

__all__ = [
    "INPUT_NAMES",
    "TARGET_NAMES",
    "Keys",
    "in_part",
    "inputs_of",
    "refuse_counting",
    "refuse_gaps",
    "refuse_index",
    "targets_if_any",
    "targets_of",
]

INPUT_NAMES = ("X", "inputs", "input", "features", "feature", "embeddings", "embedding", "data")
TARGET_NAMES = ("y", "targets", "target", "labels", "label", "class")
_PARTS = "train|test|val|valid|validation|dev"
_PART = re.compile(rf"^(?P<before>{_PARTS})[/_.](?P<a>.+)$|^(?P<b>.+)[_.](?P<after>{_PARTS})$")
_COUNTED = 8  # rows from which 0, 1, 2, ... is no chance


@dataclass(frozen=True)
class Keys:
    """Names that the caller gave: None where the rule is to find them."""

    inputs: str | int | Sequence[str] | None = None
    targets: str | int | Sequence[str] | None = None


def in_part(held: Held, subset: str | None, lenient: bool = False) -> Held:
    """Return the arrays of one part, X_train or train/X as X; train where no part is asked for and X is in none.

    What has no parts is whole, where `lenient`: a file of labels beside one part of the inputs.
    """
    if subset is not None and not isinstance(subset, str):
        raise InvalidInput(f"subset must be the name of a part, such as 'train' or 'test', got {shown(subset)}.")
    if held.part or (held.table and (subset is None or lenient)):
        return held
    parts = {} if held.table else {name: _part_of(name) for name in held.entries}
    known = sorted({part for part, _ in parts.values() if part})
    if subset is None and ("train" not in known or _named(held, INPUT_NAMES)):
        return held
    part = "train" if subset is None else subset
    mine = {base: held.entries[name] for name, (own, base) in parts.items() if own == part}
    if lenient and not known:
        return held
    if not mine:
        has = f"its parts are {', '.join(known)}" if known else f"it has no parts; it holds {held.words}"
        raise InvalidInput(f"{held.name} has no part {shown(subset)}: {has}.")
    return replace(held, entries={**held.entries, **mine} if subset is None else mine, part=part)


def _part_of(name: str) -> tuple[str, str]:
    found = _PART.match(name)
    if found is None:
        return "", name
    return (found["before"], found["a"]) if found["before"] else (found["after"], found["b"])


def targets_of(held: Held, keys: Keys, alone: bool) -> list[str]:
    """Return the names of the targets; `alone` where the file holds targets only."""
    if keys.targets is not None:
        return _asked(held, keys.targets, "targets_key")
    if alone and len(held.entries) == 1:
        return list(held.entries)
    found = _likely_targets(held)
    if len(found) == 1:
        return found
    what = f"either {' or '.join(found)} may be meant" if found else f"none is named {', '.join(TARGET_NAMES)}"
    raise InvalidInput(
        f"{held.name} must hold labels or targets; it holds {held.words}, and {what}. {_ask('targets', held)}"
    )


def targets_if_any(held: Held, keys: Keys) -> list[str]:
    """Return the names of the targets, none where there are none; columns of a table are inputs where they are named.

    A label under a name that nobody knows would otherwise count as an input.
    """
    if keys.targets is not None or _likely_targets(held):
        return targets_of(held, keys, alone=False)
    if held.table and keys.inputs is None:
        raise InvalidInput(
            f"{held.name} holds {held.words}, and no column is known to be a label. If all are inputs, say so by "
            f"inputs_key '*' (--inputs-key '*'); otherwise name the inputs there, or the label by targets_key "
            f"(--targets-key)."
        )
    return []


def _likely_targets(held: Held) -> list[str]:
    found = _named(held, TARGET_NAMES) or [name for name, entry in held.entries.items() if entry.declared]
    return found or ([] if held.named else _last_text(held))


def _last_text(held: Held) -> list[str]:
    texts = [name for name, entry in held.entries.items() if entry.content == "text"]
    return texts if texts == list(held.entries)[-1:] else []


def inputs_of(held: Held, keys: Keys, targets: Sequence[str], other: str | None) -> list[str]:
    """Return the names of the inputs, beside those of the `targets`, which may lie in the `other` file."""
    if keys.inputs is not None:
        found = _asked(held, keys.inputs, "inputs_key")
        if both := [name for name in found if name in targets]:
            raise InvalidInput(f"{held.name}: {both[0]} cannot be an input and a target. Choose others by inputs_key.")
        return found
    if other is not None and (also := _named(held, TARGET_NAMES)):
        raise InvalidInput(
            f"{held.name} holds {' and '.join(also)} itself, and targets={other!r} is given too. Leave targets out, or "
            f"choose the inputs by inputs_key (--inputs-key)."
        )
    return (_columns if held.table else _array)(held, [name for name in held.entries if name not in targets])


def _array(held: Held, others: list[str]) -> list[str]:
    if {"data", "indices", "indptr"} <= set(held.entries):
        raise InvalidInput(f"{held.name} holds a sparse matrix, and all entries are needed: save X.toarray().")
    found = [name for name in _named(held, INPUT_NAMES) if name in others]
    if not found and len(held.entries) == 1:
        return others
    if len(found) == 1:
        return found
    raise InvalidInput(
        f"{held.name} must hold the array X (samples x inputs) and either y or Y (labels or targets), or one of "
        f"{', '.join(INPUT_NAMES[1:])} and one of {', '.join(TARGET_NAMES[1:])}; it holds {held.words}. "
        f"{_ask('inputs', held)}"
    )


def _columns(held: Held, others: list[str]) -> list[str]:
    vectors = [name for name in others if held.entries[name].is_vector]
    if vectors:
        return _vector(held, others, vectors)
    for name in others:
        entry = held.entries[name]
        if entry.content != "number":
            raise InvalidInput(
                f"{held.name}: its column {name!r} holds {entry.about or entry.content}, no numbers, and is not known "
                f"to be the label. {_ask('inputs', held)} Or remove the column."
            )
    refuse_index(held.name, others if held.named else (), _ask("inputs", held))
    if not others:
        raise InvalidInput(f"{held.name} holds {held.words}: no column is left for the inputs.")
    return others


def refuse_index(file: str, names: Sequence[str], remedy: str = "") -> None:
    """Refuse columns that are called as an index is."""
    for name in names:
        if is_index(name):
            raise InvalidInput(
                f"{file}: its column {name!r} looks like an index, and a number that counts the samples is no feature "
                f"of them. Remove the column (pandas: to_csv(index=False)). {remedy}"
            )


def _vector(held: Held, others: list[str], vectors: list[str]) -> list[str]:
    named = [name for name in vectors if name in _named(held, INPUT_NAMES)]
    numbers = [name for name in others if held.entries[name].content == "number"]
    for found in (named, numbers):
        if len(found) == 1:
            return found
    raise InvalidInput(f"{held.name} holds {held.words}: several may be the inputs. {_ask('inputs', held)}")


def _named(held: Held, known: Sequence[str]) -> list[str]:
    names = {name.lower() for name in known}
    return [name for name in held.entries if name.strip().lower() in names]


def _asked(held: Held, key: object, argument: str) -> list[str]:
    """Return the names that a key means: exact ones, or those that its patterns match, in the file's order."""
    wanted = _wanted(held, key, argument)
    found = [name for name in held.entries if any(name == each or fnmatchcase(name, each) for each in wanted)]
    for each in wanted:
        if not any(name == each or fnmatchcase(name, each) for name in held.entries):
            raise InvalidInput(f"{held.name} has no {each!r}, which {argument} names. It holds {held.words}.")
    if len(found) > 1 and not held.table:
        raise InvalidInput(f"{argument} must name one array, and {shown(key)} names {', '.join(found)}.")
    if bad := [name for name in found if held.entries[name].content == "other"]:
        entry = held.entries[bad[0]]
        raise InvalidInput(f"{held.name}: {bad[0]} holds {spelled(entry)}, and neither numbers nor text.")
    return found


def _wanted(held: Held, key: object, argument: str) -> list[str]:
    names = list(held.entries)
    given = [key] if isinstance(key, str | int) and not isinstance(key, bool) else key
    if not isinstance(given, list | tuple) or not given:
        raise InvalidInput(f"{argument} must be a name, or a sequence of names of columns, got {shown(key)}.")
    out: list[str] = []
    for each in given:
        text = str(each)
        parts = [text] if text in names or not held.table else [part.strip() for part in text.split(",")]
        out += [_counted(held, part) for part in parts]
    return out


def _counted(held: Held, name: str) -> str:
    """Columns without names may be counted from the end, -1 being the last."""
    names = list(held.entries)
    if not held.named and re.fullmatch(r"-\d{1,9}", name) and int(name) >= -len(names):
        return names[int(name)]
    return name


def _ask(what: str, held: Held) -> str:
    option = f"{what}_key (--{what}-key)"
    if not held.named:
        return f"Its columns have no names: give their numbers, counted from 0, or -1 for the last, by {option}."
    pattern = ", or a pattern such as 'f*'," if held.table and what == "inputs" else ""
    return f"Say which it is: give its name{pattern} by {option}."


def refuse_counting(held: Held, names: Sequence[str], matrix: Rows) -> None:
    """Refuse a column that counts the samples, whatever its name."""
    if len(matrix) < _COUNTED or isinstance(matrix, HalfArray):
        return
    for k in np.flatnonzero((np.diff(matrix[:_COUNTED], axis=0) == 1).all(axis=0)).tolist():
        if (np.diff(matrix[:, k]) == 1).all():
            raise InvalidInput(
                f"{held.name}: its column {names[k]!r} counts the samples, {matrix[0, k]:g}, {matrix[1, k]:g}, "
                f"{matrix[2, k]:g}, ...: an index is no feature of them. Remove it, or name the columns of the inputs, "
                f"that one too if it is meant, by inputs_key (--inputs-key)."
            )


def refuse_gaps(held: Held, names: Sequence[str], matrix: AnyArray) -> None:
    """Refuse numbers that are missing or not finite, by column and row."""
    for start in range(0, len(matrix), 4096):
        bad = ~np.isfinite(matrix[start : start + 4096])
        if bad.any():
            row, k = (int(i) for i in np.argwhere(bad)[0])
            raise InvalidInput(
                f"{held.name}: column {names[k]!r} holds {matrix[start + row, k]:g} in row {start + row} (counted from "
                f"0). Leave such samples out or fill what is missing first."
            )
