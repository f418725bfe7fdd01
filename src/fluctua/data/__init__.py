"""Data sets, built-in or from a user's .npz or .npy. The only room that meets data files and the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .._validate.targets import TargetsAre
from .._validate.values import as_path, choice, positive_int, shown
from ..errors import InvalidInput
from .dataset import Dataset
from .download import fetch
from .formats import read_cifar10_binary, read_idx
from .locate import Entry, available, data_home
from .own import looks_like_path, own_dataset
from .preparation import Preparation
from .published import published_dataset, variant_key
from .registry import REGISTRY
from .selection import Selection, class_list, recoded

__all__ = [
    "Dataset",
    "Entry",
    "Preparation",
    "available",
    "data_home",
    "fetch",
    "load",
    "read_cifar10_binary",
    "read_idx",
]


def load(
    name: str | os.PathLike[str],
    *,
    subset: str | None = None,
    split: str | None = None,
    classes: Sequence[int | str] | None = None,
    limit: int | None = None,
    targets: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    targets_are: TargetsAre = None,
    like: Dataset | None = None,
) -> Dataset:
    """Load a built-in data set or a file of arrays as inputs (N, d) and targets (N, c).

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
    name : str or path
        A name from the table; or an .npz holding `X` and `y` (or `Y`); or an .npy of inputs with `targets`.
        In a user's file, integer or text y of shape (N,) or (N, 1) become one-hot over their sorted distinct values
        in the whole file; any other numbers are targets as they are, (N,) becoming (N, 1). `LeastSquares` reads
        arrays by the same rule. Inputs of more than two axes are flattened to (N, d); integer inputs become float64.
    subset : {"train", "test"}, optional
        Default "train" for mnist and cifar10. Default "test" for emnist, whose ByClass train subset has
        697,932 images and takes about 3 GB. digits has only "all".
    split : {"byclass", "bymerge", "balanced", "letters", "digits", "mnist"}, optional
        Of emnist; default "byclass". They have 62, 47, 47, 26, 10 and 10 classes.
    classes : sequence of int or str, optional
        Keep only samples with these labels (or class names); one target column for each, in this order.
        Labels are the files' own: those of emnist's letters run from 1 (A) to 26 (Z).
    limit : int, optional
        Keep at most the first `limit` samples, counted after `classes`.
    targets : str or path, optional
        The .npy of targets that belongs to an .npy of inputs.
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
    float32 copy. `classes` and `limit` act before the conversion, so they reduce the larger part.

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
    if not isinstance(name, str | os.PathLike):
        raise InvalidInput(f"name must be a data set's name or a path, got {shown(name)}.")
    for argument, place in (("name", name), ("targets", targets), ("data_dir", data_dir)):
        if place is not None:
            as_path(argument, place)
    wanted = Selection(class_list(classes), limit, targets_are, like)
    if isinstance(name, str) and (name in REGISTRY or not looks_like_path(name)):
        source = REGISTRY[choice("data set", name, REGISTRY)]
        if targets is not None or targets_are is not None:
            which = "targets" if targets is not None else "targets_are"
            raise InvalidInput(f"{which} belongs to a user's own file; {name} has its own labels.")
        found = published_dataset(source, variant_key(source, subset, split), wanted.classes, limit, data_dir)
        return found if like is None else recoded(found, like)
    if subset is not None or split is not None:
        raise InvalidInput(f"subset and split belong to the built-in data sets, and {name} is read as a file.")
    return own_dataset(Path(name), targets, wanted)
