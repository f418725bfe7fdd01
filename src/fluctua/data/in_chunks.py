"""Files that are too large for memory, as chunks of inputs and targets that can be read again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import AnyArray
from .._results import Brief, clipped
from .._validate.plain import Keywords
from .._validate.targets import Label, TargetsAre, decided, one_hot, plain, read_labels, values_of
from .._validate.values import as_path, positive_int
from ..errors import InvalidInput
from ..storage.paths import expanded, printable
from .own import existing, held_of, pair_of
from .readers import ending
from .readers.held import Held
from .readers.rule import Keys, inputs_of, targets_of
from .readers.slices import SLICED, is_zarr, sliced, zarr_arrays

__all__ = ["Batches", "batches"]

_ROWS = 2**24  # numbers of a chunk, unless asked otherwise
_ROWS_AT_MOST = 2**20


class Batches(Brief):
    """Chunks of inputs and targets from files, the same ones each time it is iterated; made by `batches`.

    Attributes
    ----------
    name : str
        Of the file of inputs.
    shape : (int, int)
        Samples and inputs.
    targets : ndarray, (N, c)
        All of them: they are read at once.
    labels : ndarray, (N,), or None
        Where targets are labels.
    classes : tuple of int or str
        The labels of the outputs; empty where targets are values.
    rows : int
        Samples of a chunk.
    """

    def __init__(self, path: Path, kind: str, names: list[str], held: Held, targets: AnyArray, are: TargetsAre) -> None:
        self._path, self._kind, self._names = path, kind, names
        self.name = printable(path.name)
        shape = held.entries[names[0]].shape
        if not shape:
            raise InvalidInput(f"{self.name} holds a single number, and inputs are (N, d): a row for each sample.")
        self.samples, self._width = int(shape[0]), len(names) if len(names) > 1 else int(np.prod(shape[1:]))
        self.rows, self.labels = 1, None
        self.classes: tuple[Label, ...] = ()
        if decided(f"y of {self.name}", targets, are) == "labels":
            self.labels = read_labels(f"y of {self.name}", targets)
            self.classes = tuple(plain(label) for label in np.unique(self.labels))
            targets = one_hot(self.labels, self.classes, np.dtype(np.float32))
        self.targets = values_of(f"y of {self.name}", targets)

    def __len__(self) -> int:
        return (self.samples + self.rows - 1) // self.rows

    def __iter__(self) -> Iterator[tuple[AnyArray, AnyArray]]:
        start = 0
        for piece in sliced(self._path, self._kind, self._names, self.rows):
            flat = piece.reshape(len(piece), -1)
            yield flat, self.targets[start : start + len(flat)]
            start += len(flat)

    def __repr__(self) -> str:
        return clipped(f"Batches({self.name!r}: {self.samples:,} samples, {self.rows:,} at a time)")

    def _shown(self) -> Keywords:
        return {"name": self.name, "samples": self.samples, "rows": self.rows, "classes": self.classes}


def batches(
    inputs: str | os.PathLike[str],
    targets: Any = None,
    *,
    rows: int | None = None,
    inputs_key: Any = None,
    targets_key: Any = None,
    targets_are: TargetsAre = None,
) -> Batches:
    """Return a file of inputs as chunks for `LeastSquares.from_batches` and `LeadingModes.from_batches`.

    Parameters
    ----------
    inputs : str or path
        An .npy file, which is mapped into memory; .h5, .hdf5 or .parquet; or a folder of Zarr's.
    targets : str, path or object, optional
        Their targets, in a file of any kind that `load` reads, or an array; by default those in the file of inputs.
    rows : int, optional
        Samples of a chunk; by default as many as have 16 million numbers.
    inputs_key, targets_key : str or sequence of str, optional
        The array or column, as in `load`.
    targets_are : {"labels", "values"}, optional
        As in `load`.

    Returns
    -------
    Batches
        It can be iterated as often as there are passes.

    Raises
    ------
    InvalidInput
        For files of another kind, and where inputs and targets differ in number.
    DataUnavailable
        Where there is no such file.
    CorruptData
        If a file is damaged, or not what its name says.
    MissingPackage
        If the format needs a package that is not installed: h5py, pyarrow or zarr.

    Warns
    -----
    AmbiguousTargets
        For labels of which some are negative, and floats that look like labels.

    Notes
    -----
    Memory: all targets, and a chunk of inputs.

    Examples
    --------
    >>> import tempfile, numpy as np, fluctua as fl, fluctua.data
    >>> folder = tempfile.mkdtemp()
    >>> x = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    >>> np.save(f"{folder}/x.npy", x)
    >>> chunks = fluctua.data.batches(f"{folder}/x.npy", (x[:, 0] > 0).astype(int), rows=300)
    >>> chunks, chunks.classes, len(chunks)
    (Batches('x.npy': 1,000 samples, 300 at a time), (0, 1), 4)
    >>> fl.LeastSquares.from_batches(chunks)
    LeastSquares(1,000 samples, 8 inputs, 2 outputs from labels, float32)
    """
    path, keys = expanded(as_path("inputs", inputs)), Keys(inputs_key, targets_key)
    kind = ".zarr" if path.is_dir() and is_zarr(path) else ending(path)
    if kind != ".zarr":
        existing(path)
    if kind not in SLICED:
        raise InvalidInput(
            f"{path.name} cannot be read in chunks: that can .npy, .h5, .parquet and folders of Zarr's. Convert it "
            f"once, or load it whole with fluctua.load."
        )
    with ExitStack() as stack:
        held = stack.enter_context(zarr_arrays(path)) if kind == ".zarr" else held_of(stack, path)
        other = None if targets is None else held_of(stack, targets)
        y_names = targets_of(held if other is None else other, keys, alone=other is not None)
        names = inputs_of(held, keys, y_names if other is None else (), None if other is None else other.name)
        y = np.asarray(pair_of(held if other is None else other, [], y_names, None)[1])
        found = Batches(path, kind, names, held, y, targets_are)
    if len(found.targets) != found.samples:
        raise InvalidInput(
            f"{found.name} has {found.samples:,} samples and there are {len(found.targets):,} targets; row i of both "
            f"must belong to the same sample."
        )
    usual = min(max(_ROWS // max(found._width, 1), 1), _ROWS_AT_MOST)
    found.rows = usual if rows is None else positive_int("rows", rows)
    return found
