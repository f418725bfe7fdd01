"""The built-in data sets, from their files (or scikit-learn) to a `Dataset`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._arrays import AnyArray, Array, Ints
from .._validate.sizes import refuse_bytes
from .._validate.targets import one_hot
from .._validate.values import choice
from ..errors import CorruptData, InvalidInput
from .dataset import Dataset, chosen_labels, chosen_samples
from .download import fetch
from .formats import content, parse_cifar10, parse_idx
from .locate import data_home, find, missing, names_a_place
from .registry import Source, Variant

__all__ = ["published_dataset", "variant_key"]


def variant_key(source: Source, subset: str | None, split: str | None) -> str:
    """Return the key of the variant meant by `subset` and `split`, filling in the defaults."""
    known = source.subsets
    key = choice(f"subset of {source.name}", known[0] if subset is None else subset, known)
    if source.splits:
        chosen = source.splits[0] if split is None else split
        return f"{choice(f'split of {source.name}', chosen, source.splits)}/{key}"
    if split is not None:
        raise InvalidInput(f"split belongs to emnist; {source.name} has none, got split={split!r}.")
    return key


def published_dataset(
    source: Source,
    key: str,
    classes: Sequence[int | str] | None,
    limit: int | None,
    data_dir: str | os.PathLike[str] | None,
) -> Dataset:
    """Load the variant `key` of a built-in data set; `fluctua.data.load` documents the rules."""
    variant, title = source.variants[key], source.name if key == "all" else f"{source.name}/{key}"
    known = range(variant.first_label, variant.first_label + len(variant.class_names))
    wanted, class_names = chosen_labels(classes, known, variant.class_names, title)
    pixels, labels, files = _read(source, key, data_dir)
    index = chosen_samples(labels, wanted, limit)
    # Copied even where it is a view, so that a small choice does not keep the whole file's labels.
    kept = labels[index].copy()
    inputs = _scaled(source, pixels[index])
    return Dataset(inputs, one_hot(kept, wanted, inputs.dtype), kept, title, class_names, files, tuple(wanted))


def _read(source: Source, key: str, data_dir: str | os.PathLike[str] | None) -> tuple[AnyArray, Ints, dict[str, str]]:
    if source.format == "sklearn":
        pixels, labels = _digits()
        return pixels, labels.astype(np.int64), {}
    reader = _read_idx_pair if source.format == "idx" else _read_cifar10
    return reader(source.variants[key], _paths(source, key, data_dir))


def _digits() -> tuple[Array, Array]:
    """The digits of scikit-learn, from its file: importing all its data sets takes a second."""
    found = find_spec("sklearn")
    places = [] if found is None else list(found.submodule_search_locations or [])
    files = [file for place in places if (file := Path(place, "datasets", "data", "digits.csv.gz")).is_file()]
    if not files:  # another release, which keeps them elsewhere
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        return np.asarray(pixels), np.asarray(labels)
    table = np.loadtxt(files[0], delimiter=",")
    return np.ascontiguousarray(table[:, :-1]), table[:, -1]


def _paths(source: Source, key: str, data_dir: str | os.PathLike[str] | None) -> list[Path]:
    home = data_home(data_dir)
    paths = find(source, key, home)
    if paths is None and names_a_place(data_dir):
        raise missing(source, key, home, data_dir)
    if paths is None:
        fetch(source.name)
        paths = find(source, key, home)
    assert paths is not None, "fetch leaves every file of the set in place"
    return paths


def _read_idx_pair(variant: Variant, paths: list[Path]) -> tuple[NDArray[np.uint8], Ints, dict[str, str]]:
    arrays, files = [], {}
    for path, name in zip(paths, variant.files, strict=True):
        data, files[name] = content(path)
        arrays.append(parse_idx(path, data))
    _check_pair(variant, paths, *arrays)
    return arrays[0], arrays[1].astype(np.int64), files


def _check_pair(variant: Variant, paths: list[Path], images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    remedy = f"Get {paths[0].name} and {paths[1].name} anew, from the same release."
    if images.ndim != 3 or labels.ndim != 1 or 0 in images.shape:
        what = f"images have shape {images.shape}, labels {labels.shape}; expected (N, rows, columns) and (N,)"
        raise CorruptData(paths[0], what, remedy)
    if len(images) != len(labels):
        raise CorruptData(paths[1], f"{len(labels):,} labels for {len(images):,} images", remedy)
    first, last = variant.first_label, variant.first_label + len(variant.class_names) - 1
    if labels.min() < first or labels.max() > last:
        what = f"labels run from {labels.min()} to {labels.max()}, and this set's from {first} to {last}"
        raise CorruptData(paths[1], what, remedy)


def _read_cifar10(variant: Variant, paths: list[Path]) -> tuple[NDArray[np.uint8], Ints, dict[str, str]]:
    batches, files = [], {}
    for path, name in zip(paths, variant.files, strict=True):
        data, files[name] = content(path)
        batches.append(parse_cifar10(path, data))
    _check_batches(paths, [len(labels) for _, labels in batches])
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return pixels, labels.astype(np.int64), files


def _check_batches(paths: list[Path], counts: list[int]) -> None:
    """CIFAR-10's batches are of one size: a shorter one was cut, at the end of a record."""
    for path, count in zip(paths, counts, strict=True):
        if count < max(counts):
            what = f"it holds {count:,} images, and {paths[counts.index(max(counts))].name} {max(counts):,}"
            raise CorruptData(path, what, "Get all batches anew, from the same release.")


def _scaled(source: Source, pixels: AnyArray) -> AnyArray:
    if source.format == "sklearn":
        return np.asarray(pixels / 16.0)
    upright = pixels.transpose(0, 2, 1) if source.transposed else pixels
    refuse_bytes(f"{source.name}, {len(upright):,} samples in float32,", 4.0 * upright.size, "Use a smaller limit.")
    scaled = np.empty(upright.shape, np.float32)
    np.divide(upright, np.float32(255), out=scaled)
    return scaled.reshape(len(scaled), -1)
