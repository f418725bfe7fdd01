"""Folders that `save_to_disk` of Hugging Face's datasets wrote; reading them needs pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..._optional import needed
from ...errors import CorruptData, InvalidInput
from .arrow import arrow_entries
from .held import Held

__all__ = ["dataset_files", "is_dataset_folder", "saved_dataset"]

_STATE, _INFO, _PARTS = "state.json", "dataset_info.json", "dataset_dict.json"


def is_dataset_folder(path: Path) -> bool:
    """Whether Hugging Face's `save_to_disk` wrote this folder."""
    return any((path / name).is_file() for name in (_STATE, _PARTS))


def dataset_files(path: Path, part: str) -> list[Path]:
    """Return the files of a folder that `saved_dataset` reads."""
    place = path / part
    return [*(place / name for name in (_STATE, _INFO) if (place / name).is_file()), *_data_files(place)]


@contextmanager
def saved_dataset(path: Path, subset: str | None) -> Iterator[Held]:
    """Give the columns of a data set on disk, one part of it where it has several, by default train."""
    pa: Any = needed("pyarrow", f"reading the data set in {path.name}")
    part = _part(path, subset)
    place, stored = path / part, []
    for file in _data_files(place):
        with pa.memory_map(str(file)) as source:
            stored.append(pa.ipc.open_stream(source).read_all())
    table = pa.concat_tables(stored)
    state = _json(place / _STATE)
    if isinstance(shown := state.get("_format_columns"), list):
        table = table.select([name for name in table.schema.names if name in shown])
    yield Held(path.name, arrow_entries(path.name, table, _classes(place)), True, part=part)


def _part(path: Path, subset: str | None) -> str:
    if not (path / _PARTS).is_file():
        if subset is not None:
            raise InvalidInput(f"{path.name} is one data set, without parts such as {subset!r}. Leave subset out.")
        return ""
    known = _json(path / _PARTS).get("splits")
    if not isinstance(known, list) or not known or any(not _plain_name(name) for name in known):
        raise CorruptData(path / _PARTS, "it names no parts", "Save the data set again.")
    part = subset if subset is not None else "train" if len(known) > 1 else str(known[0])
    if part not in known:
        raise InvalidInput(f"{path.name} has no part {part!r}: its parts are {', '.join(known)}. Say which by subset.")
    return part


def _data_files(place: Path) -> list[Path]:
    listed = _json(place / _STATE).get("_data_files")
    names = [item.get("filename") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    if not names or any(not _plain_name(name) for name in names):
        raise CorruptData(place / _STATE, "it names no files of data", "Save the data set again.")
    return [place / str(name) for name in names]


def _plain_name(name: object) -> bool:
    return isinstance(name, str) and name == Path(name).name and name not in ("", ".", "..")


def _json(path: Path) -> Mapping[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise CorruptData(path, "it is no dictionary", "Save the data set again.")
    return found


def _classes(place: Path) -> dict[str, list[str]]:
    """Return the classes of the columns that the data set declares to be labels."""
    features = _json(place / _INFO).get("features") if (place / _INFO).is_file() else None
    items = features.items() if isinstance(features, dict) else ()
    labels = {name: item for name, item in items if isinstance(item, dict) and item.get("_type") == "ClassLabel"}
    return {name: [str(each) for each in item["names"]] for name, item in labels.items() if item.get("names")}
