"""Files that are too large to be read as a whole: their leading modes, in chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from .._validate.plain import Keywords
from .._validate.sizes import available_bytes
from ..data import Dataset, batches
from ..data.in_chunks import Batches
from ..data.readers import ending
from ..data.readers.slices import SLICED, is_zarr
from ..errors import InvalidInput
from ..problem.leading.leading_modes import LeadingModes
from .progress import progress_bar

__all__ = ["is_large", "large_problem", "modes_asked", "reported_by"]

_MODES = 256
_SHARE = 0.5  # of the memory there is, from which a file is not read as a whole


def modes_asked(options: dict[str, Any]) -> int | None:
    """Take --modes out of `options`: as given, or what a file that is too large is looked at in; else None."""
    modes: int | None = options.pop("modes")
    return _MODES if modes is None and is_large(options["data"]) else modes


def is_large(data: Any) -> bool:
    """Whether DATA is a file that can be read in chunks and is too large to be read as a whole."""
    try:
        path = Path(data).expanduser()
        if path.is_dir():
            size = sum(file.stat().st_size for file in path.rglob("*")) if is_zarr(path) else 0
        else:
            size = path.stat().st_size if ending(path) in SLICED else 0
    except (OSError, ValueError, TypeError, RuntimeError):  # the last of a user that there is not
        return False
    return size > _SHARE * available_bytes()


def large_problem(places: Keywords, switches: Keywords, modes: int) -> tuple[Dataset, LeadingModes]:
    """Return a file's leading modes, read in chunks, and what it is called."""
    refused = {**places, **switches}
    named = ("data", "targets", "inputs_key", "targets_key", "targets_are", "data_dir")
    if given := [name for name, value in refused.items() if value and name not in named]:
        raise InvalidInput(
            f"{places['data']} is too large for memory and is read in chunks, and --{given[0].replace('_', '-')} needs "
            f"all of it. Leave it out, or prepare the file first."
        )
    keys = {name: places[name] for name in ("inputs_key", "targets_key", "targets_are")}
    chunks = batches(places["data"], places["targets"], **keys)
    with progress_bar() as progress:
        problem = LeadingModes.from_batches(chunks, modes, progress=progress)
        _ = problem.curvatures
        reported_by(problem, None)
    return _stand_in(chunks, problem), problem


def reported_by(problem: LeadingModes, progress: Any) -> None:
    """Have passes over chunks tell `progress` how far they are; arrays in memory have none to tell."""
    if hasattr(problem.inside.inputs, "progress"):
        problem.inside.inputs.progress = progress


def _stand_in(chunks: Batches, problem: LeadingModes) -> Dataset:
    """What names the data, with inputs that are read where they are asked for."""
    names, inside = tuple(map(str, chunks.classes)), problem.inside
    return Dataset(cast(Any, inside.inputs), inside.targets, chunks.labels, chunks.name, names, {}, chunks.classes)
