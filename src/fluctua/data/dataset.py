"""`Dataset`, the frozen object that leaves this room, and how samples are chosen and encoded for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from .._arrays import AnyArray, Ints
from .._half import HalfArray, stored_as
from .._results import Brief, ByValue, clipped
from .._validate.plain import Json, JsonObject, Keywords
from .._validate.targets import VALUES, Coding, labels_text, plain
from .._validate.values import choice, listed, shown
from ..errors import InvalidInput
from .registry import REGISTRY
from .splitting import Rng, Size, fresh_seed, held_out_share, split_rows

__all__ = ["Dataset", "chosen_labels", "chosen_samples"]

_BLOCK = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Brief, ByValue):
    """Inputs and targets of one regression problem, and where they came from; made by `load`.

    Attributes
    ----------
    inputs : ndarray, shape (N, d)
        float16, float32 or float64; nothing is centred and no bias is added but by `Preparation`. Of a file in
        bfloat16, an array whose slices are float32 (`numpy.asarray` widens it whole).
    targets : ndarray, shape (N, c)
        One-hot for labelled data, otherwise the numbers of the user's file.
    labels : ndarray of int64, uint64 or str, shape (N,), or None
        Labels as the files have them (EMNIST's letters count from 1); None where the targets are numbers.
    name : str
        Such as "mnist/train", "emnist/byclass/test", "features.npz".
    class_names : tuple of str
        Name of each column of `targets`; empty where the targets are numbers.
    files : mapping of str to str
        sha256 of each file read: of the uncompressed bytes for the built-in data sets, whose names lose their
        .gz here; of the file as it is for a user's. Empty for digits and for objects.
    classes : tuple of int or str
        Label of each column of `targets`; empty where the targets are numbers.
    preparation : mapping of str to JSON types
        What `Preparation` and `split` have done to the samples; empty where nothing was.
    columns : tuple of str
        Names of the inputs where they are columns of a table; held-out data are read in this order.
    sha256 : str
        Of inputs and targets as used, so `subset`, `classes` and `limit` change it. Computed on first use.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> data.inputs.shape, data.targets.shape, data.class_names, data.labels[:4].tolist()
    ((100, 64), (100, 2), ('3', '8'), [3, 8, 3, 8])
    """

    inputs: AnyArray
    targets: AnyArray
    labels: AnyArray | None
    name: str
    class_names: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[int | str, ...] = ()
    preparation: Mapping[str, Json] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Hash of dtype, shape and values of inputs and targets, without a copy of either."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets):
            plain = array.bits if isinstance(array, HalfArray) else array
            kind = array.stored if isinstance(array, HalfArray) else array.dtype.str
            digest.update(f"{kind}{array.shape}".encode())
            for start in range(0, len(plain) if plain.size else 0, _BLOCK):
                digest.update(np.ascontiguousarray(plain[start : start + _BLOCK]).data.cast("B"))
        return digest.hexdigest()

    @property
    def about(self) -> JsonObject:
        """Name and hashes: what a result says of its data."""
        told: JsonObject = {"preparation": dict(self.preparation)} if self.preparation else {}
        return {"name": self.name, "sha256": self.sha256, "files": dict(self.files), **told}

    def split(self, test_size: Size = 0.2, *, rng: Rng = None) -> tuple[Dataset, Dataset]:
        """Split off held-out data, by label where there are labels: scikit-learn's `train_test_split`, stratified.

        Parameters
        ----------
        test_size : float or int
            The share of samples to hold out, or their number.
        rng : numpy.random.Generator or int, optional
            The seed, which `preparation` records. The same number as scikit-learn's `random_state` holds the same
            samples out. None draws one.

        Returns
        -------
        train : Dataset
            What is left, in the order of the data.
        held_out : Dataset
            Its samples, in the order of the data, with the same outputs.

        Raises
        ------
        InvalidInput
            For a size that is neither a share nor a number of samples, where a class would be left untrained, and where
            a class has a single sample.

        Notes
        -----
        Cost: one copy of the data.
        """
        size, seed = held_out_share(test_size), fresh_seed(rng)
        rows = split_rows(len(self.inputs), self.labels, size, seed)
        record = {"test_size": size, "held_out": len(rows[1]), "seed": seed}
        train, held_out = (self._rows(index, {**self.preparation, **record}) for index in rows)
        return train, replace(held_out, name=f"{self.name}, held out")

    def _rows(self, index: Ints, preparation: Mapping[str, Json]) -> Dataset:
        """Some of the samples, with a record of how they were chosen."""
        labels = None if self.labels is None else self.labels[index]
        return replace(
            self, inputs=self.inputs[index], targets=self.targets[index], labels=labels, preparation=preparation
        )

    @property
    def coding(self) -> Coding:
        """How the targets were read, as `LeastSquares` has it of what it reads itself."""
        return VALUES if self.labels is None else Coding(self.classes)

    @property
    def targets_words(self) -> str:
        """What the outputs are, in a line, and in a second how to have a file's numbers read otherwise."""
        outputs = self.targets.shape[1]
        if self.labels is not None:
            number = self.name.partition("/")[0] not in REGISTRY and self.labels.dtype.kind != "U"
            other = "\n--targets-are values: one output, the numbers themselves" if number else ""
            return f"labels, {outputs} outputs: {labels_text(self.classes, width=40)}{other}"
        distinct = np.unique(self.targets) if outputs == 1 else np.array([0.5])
        whole = (distinct == np.round(distinct)).all()
        other = f"\n--targets-are labels: {len(distinct):,} outputs, one for each number" if whole else ""
        return f"values, {outputs} output{'s' * (outputs > 1)}{other}"

    def __repr__(self) -> str:
        samples, inputs = self.inputs.shape
        outputs = self.targets.shape[1]
        sizes = f"{samples:,} samples, {inputs:,} inputs, {outputs:,} outputs"
        prepared = ", prepared" if "bias" in self.preparation else ""
        return clipped(f"Dataset({self.name!r}: {sizes}, {stored_as(self.inputs)}{prepared})")

    def _shown(self) -> Keywords:
        sizes = dict(zip(("samples", "inputs", "outputs"), (*self.inputs.shape, self.targets.shape[1]), strict=True))
        return {"name": self.name, **sizes, "dtype": stored_as(self.inputs), "classes": self.class_names}


def chosen_labels(
    classes: Sequence[int | str] | None, known: Sequence[int | str], class_names: Sequence[str], name: str
) -> tuple[list[int | str], tuple[str, ...]]:
    """Return the labels to keep, in the order given, and their names; None keeps all of `known`."""
    if classes is None:
        return list(known), tuple(class_names)
    columns = [_column(entry, known, class_names, name) for entry in listed("classes", classes, "labels, as [3, 8]")]
    if not columns or len(set(columns)) < len(columns):
        raise InvalidInput(f"classes must name at least one label, and none twice, got {shown(classes)}.")
    return [known[column] for column in columns], tuple(class_names[column] for column in columns)


def _column(entry: object, known: Sequence[int | str], class_names: Sequence[str], name: str) -> int:
    if isinstance(entry, str):
        return list(class_names).index(choice(f"class of {name}", entry, class_names))
    if isinstance(entry, Integral) and not isinstance(entry, bool):
        if int(entry) in known:
            return list(known).index(int(entry))
        if str(int(entry)) in known:  # labels that are text
            return list(known).index(str(int(entry)))
    first = ", ".join(str(label) for label in known[:70]) + (", ..." if len(known) > 70 else "")
    raise InvalidInput(f"classes holds {shown(entry)}, which is not a label of {name}. Its labels: {first}.")


def chosen_samples(labels: AnyArray, wanted: Sequence[int | str], limit: int | None) -> NDArray[np.intp] | slice:
    """Return an index of the first `limit` samples whose label is `wanted`; a slice if all labels are."""
    distinct, inverse = np.unique(labels, return_inverse=True)
    keep = np.array([plain(label) in wanted for label in distinct])[inverse]
    if keep.all():
        return slice(limit)
    if not keep.any():
        raise InvalidInput(f"no sample has a label in {list(wanted)}: an empty problem has no loss.")
    return np.flatnonzero(keep)[:limit]
