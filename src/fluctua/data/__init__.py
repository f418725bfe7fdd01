"""Data sets, built-in or from a user's files and objects. The only room that meets data files and the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .._validate.targets import TargetsAre
from .._validate.values import as_path, choice, positive_int, shown
from ..errors import InvalidInput
from .dataset import Dataset
from .download import fetch
from .formats import read_cifar10_binary, read_idx
from .locate import Entry, available, data_home
from .preparation import Preparation
from .published import published_dataset, variant_key
from .registry import REGISTRY
from .selection import Selection, class_list, recoded

__all__ = [
    "Batches",
    "Dataset",
    "Entry",
    "Preparation",
    "available",
    "batches",
    "data_home",
    "fetch",
    "load",
    "read_cifar10_binary",
    "read_idx",
]


def load(
    name: Any,
    *,
    subset: str | None = None,
    split: str | None = None,
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    targets: Any = None,
    inputs_key: str | int | Sequence[str] | None = None,
    targets_key: str | int | Sequence[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    targets_are: TargetsAre = None,
    like: Dataset | None = None,
) -> Dataset:
    """Load a built-in data set, a file or an object of your own as inputs (N, d) and targets (N, c).

    ========  ====================  ===============  ==============================================
    name      samples x inputs      classes          values
    ========  ====================  ===============  ==============================================
    digits    1,797 x 64            10               pixels / 16, float64; ships with scikit-learn
    mnist     60,000 x 784          10               pixels / 255, float32
    emnist    116,323 x 784         62               pixels / 255, float32, turned upright
    cifar10   50,000 x 3,072        10               pixels / 255, float32; red, green, blue planes
    ========  ====================  ===============  ==============================================

    Targets are one-hot in the inputs' dtype. Nothing is centred and no bias is added: `Preparation` does both.

    Parameters
    ----------
    name : str, path or object
        A name from the table; or a file ending in .npz, .npy, .csv, .tsv (also .gz), .parquet, .h5, .hdf5, .pt, .pth or
        .safetensors; or a folder that `save_to_disk` of Hugging Face's datasets wrote; or an object: (X, y), a frame, a
        dictionary of arrays, a scikit-learn Bunch, a torch or Hugging Face data set.
        Inputs are the array X, or one named inputs, features, embeddings or data; targets are y or Y, or named
        targets, target, labels, label or class, in any letters. In a table inputs are a column of vectors, or every
        column of numbers but the targets'. What remains open, or looks like an index, is refused with the names found.
        In a user's file, integer or text y of shape (N,) or (N, 1) become one-hot over their sorted distinct values
        in the whole file; any other numbers are targets as they are, (N,) becoming (N, 1). `LeastSquares` reads
        arrays by the same rule. Inputs of more than two axes are flattened to (N, d); integer inputs become float64,
        and float16 and bfloat16 stay as they are.
    subset : str, optional
        "train" or "test". Default "train" for mnist and cifar10. Default "test" for emnist, whose ByClass train subset
        has 697,932 images and takes about 3 GB. digits has only "all". Of a user's file: the part of a DatasetDict, or
        of arrays named X_train or train/X; default "train" where there is one.
    split : {"byclass", "bymerge", "balanced", "letters", "digits", "mnist"}, optional
        Of emnist; default "byclass". They have 62, 47, 47, 26, 10 and 10 classes.
    classes : sequence of int or str, optional
        Keep only samples with these labels (or class names); one target column for each, in this order.
        Labels are the files' own: those of emnist's letters run from 1 (A) to 26 (Z).
    limit : int, optional
        Keep at most the first `limit` samples, counted after `classes`.
    targets : str, path or object, optional
        A file of any of these kinds, or an array, with the targets that belong to inputs in `name`, row by row.
    inputs_key, targets_key : str or sequence of str, optional
        The array or column that holds the inputs, and the targets, where the rule does not find them. Of a table's
        columns several: a sequence, names with commas between, or patterns such as "f*". Columns without names count
        from 0, -1 being the last.
    data_dir : str or path, optional
        Directory with the files of built-in data sets, plain or .gz; default: the environment variable
        FLUCTUA_DATA. If either is set it is the only place looked at, and nothing is fetched. With neither,
        the files are fetched into the cache (`data_home`) once.
    targets_are : {"labels", "values"}, optional
        What y of a user's file holds, where the rule would have it otherwise. It is asked for where y holds more
        different whole numbers than a fifth of the samples; below 20 samples those are labels where one comes twice,
        values otherwise.
    like : Dataset, optional
        The training data, when these are held-out data: targets become the outputs of those. A label without a sample
        here keeps its column; a label that those data do not have is refused, or left out where `classes` is given.

    Returns
    -------
    Dataset
        Inputs and targets, and where they came from.

    Raises
    ------
    UnknownName
        For a name, subset, split or class name that does not exist; it carries the nearest one.
    DataUnavailable
        If the files are not where they should be, or cannot be fetched.
    CorruptData
        If a file is damaged, or not what its name says.
    OutputError
        If a fetched file cannot be written into the cache.
    MissingPackage
        If the format needs a package that is not installed: pyarrow, h5py or torch.
    InvalidInput
        For arguments that do not fit together, for NaN, infinity or mismatched shapes in a user's file, and where
        labels and values cannot be told apart.

    Warns
    -----
    AmbiguousTargets
        For labels of which some are negative, and floats that look like labels.

    Notes
    -----
    Cost: one pass over the files. Peak memory for the built-in images is five bytes per pixel: the files' bytes and one
    float32 copy. `classes` and `limit` act before the conversion, so they reduce the larger part. Of a user's file,
    without `classes`, the first `limit` inputs alone are read into memory.

    Examples
    --------
    >>> import fluctua.data
    >>> fluctua.data.load("digits")
    Dataset('digits': 1,797 samples, 64 inputs, 10 outputs, float64)
    >>> pair = fluctua.data.load("digits", classes=[3, 8], limit=100)
    >>> pair.class_names, pair.targets.shape
    (('3', '8'), (100, 2))
    """
    if limit is not None:
        limit = positive_int("limit", limit)
    if name is None or isinstance(name, bool | int | float | bytes | type):
        raise InvalidInput(f"name must be a data set's name, a path, or an object with data, got {shown(name)}.")
    for argument, place in (("name", name), ("targets", targets), ("data_dir", data_dir)):
        if isinstance(place, str | os.PathLike) or (argument == "data_dir" and place is not None):
            as_path(argument, place)
    wanted = Selection(class_list(classes), limit, targets_are, like)
    from .own import is_own, own_dataset  # noqa: PLC0415  (a dozen readers, which the digits do not need)
    from .readers.rule import Keys  # noqa: PLC0415

    if not is_own(name):
        source = REGISTRY[choice("data set", name, REGISTRY)]
        own = {"targets": targets, "targets_are": targets_are, "inputs_key": inputs_key, "targets_key": targets_key}
        if given := [argument for argument, value in own.items() if value is not None]:
            raise InvalidInput(f"{given[0]} belongs to a user's own file; {name} has its own labels.")
        found = published_dataset(source, variant_key(source, subset, split), wanted.classes, limit, data_dir)
        return found if like is None else recoded(found, like)
    if split is not None:
        raise InvalidInput(f"split belongs to a built-in data set, emnist, and {shown(name)} is read as your own.")
    return own_dataset(name, targets, wanted, Keys(inputs_key, targets_key), subset)


def __getattr__(name: str) -> Any:
    """Return what reads files in chunks, which few need."""
    if name not in ("Batches", "batches"):
        raise AttributeError(f"module 'fluctua.data' has no attribute {name!r}")
    from . import in_chunks  # noqa: PLC0415

    return getattr(in_chunks, name)
