"""A user's own data: files of many formats, folders and objects; inputs and targets of one, or of one each."""

from __future__ import annotations

import difflib
import hashlib
import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import AnyArray
from .._half import HalfArray, Rows
from .._validate.values import as_path, shown
from ..errors import CorruptData, DataUnavailable, InvalidInput
from ..storage.paths import expanded, kind_of, printable
from ..storage.stored import reading
from .dataset import Dataset
from .readers import SUFFIXES, dataset_files, ending, is_dataset_folder, opened
from .readers.held import Held, Pair, spelled
from .readers.objects import held_object
from .readers.rule import Keys, in_part, inputs_of, refuse_counting, refuse_gaps, targets_if_any, targets_of
from .registry import REGISTRY
from .selection import Selection

__all__ = ["existing", "held_of", "is_own", "looks_like_path", "own_dataset", "pair_of"]


def looks_like_path(name: object) -> bool:
    """Whether `name` means a file, a folder or an object: no string, one with an ending or a separator, or a folder."""
    if not isinstance(name, str):
        return True
    return bool(Path(name).suffix) or any(mark in name for mark in (os.sep, os.altsep) if mark) or _is_saved(name)


def is_own(name: object) -> bool:
    """Whether `name` means a user's file, folder or object, and no built-in data set."""
    return looks_like_path(name) and not (isinstance(name, str) and name in REGISTRY)


def _is_saved(name: str) -> bool:
    try:
        return is_dataset_folder(Path(name))
    except (OSError, ValueError):
        return False


def own_dataset(source: Any, targets: Any, wanted: Selection, keys: Keys, subset: str | None) -> Dataset:
    """Load a user's file or object; `fluctua.data.load` documents the rules."""
    if subset is not None and not isinstance(subset, str):
        raise InvalidInput(f"subset must be the name of a part, as 'train' or 'test', got {shown(subset)}.")
    rows = wanted.limit if wanted.classes is None else None  # with classes, the first so many are anywhere
    with ExitStack() as stack:
        held, files = _held(stack, source, subset, beside=False)
        other, more = (None, {}) if targets is None else _held(stack, targets, subset, beside=True)
        inputs, y, columns = _read(held, other, keys, rows, wanted)
    name = f"{held.name}/{held.part}" if held.part else held.name
    return replace(wanted.dataset(name, inputs, y, {**files, **more}), columns=columns)


def held_of(stack: ExitStack, source: Any) -> Held:
    """Return what is in a file or an object, no value of which is read."""
    return _held(stack, source, None, beside=True, hashed=False)[0]


def _held(
    stack: ExitStack, source: Any, subset: str | None, beside: bool, hashed: bool = True
) -> tuple[Held, dict[str, str]]:
    """Return what is in a file or an object, and the hashes of the files."""
    if not isinstance(source, str | os.PathLike):
        return in_part(held_object(source, subset), subset, beside), {}
    path = existing(as_path("name", source))
    held = stack.enter_context(opened(path, subset))
    held = replace(held, name=printable(path.name))
    if path.is_dir():
        return held, {printable(f"{path.name}/{file.relative_to(path)}"): _hash(file) for file in _saved(path, held)}
    return in_part(held, subset, beside), {printable(path.name): _hash(path)} if hashed else {}


def _saved(path: Path, held: Held) -> list[Path]:
    with reading(partial(_spoiled, held.name)):
        return dataset_files(path, held.part)


def _read(
    held: Held, other: Held | None, keys: Keys, rows: int | None, wanted: Selection
) -> tuple[Rows, AnyArray | None, tuple[str, ...]]:
    """Return the first `rows` of X, y whole, whose distinct values are those of the whole file, and X's columns.

    There may be no y where targets are optional.
    """
    y_names, like = _targets(held, other, keys, wanted.optional), wanted.like
    x_names = inputs_of(held, keys, y_names if other is None else (), None if other is None else other.name)
    named = held.table and held.named and len(x_names) > 1
    if named and like is not None and like.columns:
        x_names = _in_order(held, x_names, like)
    first = pair_of(held, x_names, y_names if other is None else [], rows)
    second = first if other is None else pair_of(other, [], y_names, None)
    inputs, y = first[0], second[1]
    assert inputs is not None
    if y is not None:
        _same_length(held, other, (inputs, first[2]), y)
    if held.table:
        _hold_columns(held, keys, x_names, inputs)
    return inputs, None if y is None else np.asarray(y), tuple(x_names) if named else ()


def _targets(held: Held, other: Held | None, keys: Keys, optional: bool) -> list[str]:
    """Return the names of the targets, in the other file where there is one."""
    if optional and other is None:
        return targets_if_any(held, keys)
    if other is None and len(held.entries) == 1 and not held.table:
        raise InvalidInput(
            f"{held.name} holds inputs only: name the file of its targets, or any other with labels, by "
            f"targets='y.npy' (--targets y.npy)."
        )
    return targets_of(held if other is None else other, keys, alone=other is not None)


def _in_order(held: Held, names: list[str], like: Dataset) -> list[str]:
    """Return the columns in the order of the training data's, by name."""
    if lacking := [name for name in like.columns if name not in held.entries]:
        raise InvalidInput(
            f"{held.name} lacks the column {lacking[0]!r} of {like.name}: inputs are matched by name. It holds "
            f"{held.words}."
        )
    if more := [name for name in names if name not in like.columns]:
        raise InvalidInput(f"{held.name} has the column {more[0]!r}, which {like.name} has not as an input.")
    return list(like.columns)


def pair_of(held: Held, inputs: list[str], targets: list[str], rows: int | None) -> Pair:
    """Return the first `rows` of the inputs and all of the targets; what goes wrong is the file's fault."""
    with reading(partial(_spoiled, held.name)):
        for name in (*inputs, *targets):
            if (entry := held.entries[name]).content == "other":
                entry.read(0)  # which says why, where it is the file's fault
                raise InvalidInput(f"{held.name}: {name} holds {spelled(entry)}, and neither numbers nor text.")
        return held.pair(inputs, targets, rows)


def _spoiled(name: str, reason: str) -> CorruptData:
    return CorruptData(name, f"its values cannot be read ({reason}); it may be cut short", "Save it again.")


def _hold_columns(held: Held, keys: Keys, names: list[str], inputs: Rows) -> None:
    if len(names) == inputs.shape[-1] and not isinstance(inputs, HalfArray) and inputs.dtype.kind == "f":
        refuse_gaps(held, names, inputs)
    if keys.inputs is None and inputs.ndim == 2 and len(names) == inputs.shape[1]:
        refuse_counting(held, names, inputs)


def existing(path: Path, expected: tuple[str, ...] = SUFFIXES) -> Path:
    """Return the path of a file or folder that is there and can be read; raises `DataUnavailable` or `InvalidInput`."""
    path = expanded(path)
    kind = kind_of(path, DataUnavailable)
    if kind == "directory" and is_dataset_folder(path) and expected is SUFFIXES:
        return path
    if kind != "file":
        near = difflib.get_close_matches(path.name, _arrays_in(path.parent) if kind == "nothing" else [], n=3)
        hint = f"Near it: {', '.join(near)}. " if near else ""
        what = "does not exist" if kind == "nothing" else f"is a {kind}"
        raise DataUnavailable(
            f"{path} {what}. {hint}Expected a file ({', '.join(expected)}){_FOLDER if expected is SUFFIXES else ''}."
        )
    if ending(path) not in expected:
        raise InvalidInput(
            f"{path} ends in {path.suffix or 'nothing'}; read are {', '.join(expected)}. "
            f"Convert it once: numpy.savez('data.npz', X=X, y=y)."
        )
    return path


_FOLDER = ", or a folder that save_to_disk of Hugging Face's datasets wrote"


def _arrays_in(folder: Path) -> list[str]:
    try:
        return [item.name for item in folder.iterdir() if ending(item) in SUFFIXES]
    except OSError:  # not there, or not to be read: no hint
        return []


def _same_length(held: Held, other: Held | None, found: tuple[Rows, int], y: Rows) -> None:
    (inputs, samples) = found
    if y.ndim and inputs.ndim and samples != len(y):
        shapes = f"(shapes {(samples, *inputs.shape[1:])} and {y.shape})"
        where = f"{held.name}: X" if other is None else f"{held.name}"
        whose = "y" if other is None else other.name
        raise InvalidInput(
            f"{where} has {samples:,} samples and {whose} has {len(y):,} {shapes}; row i of both must belong to the "
            f"same sample."
        )


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
