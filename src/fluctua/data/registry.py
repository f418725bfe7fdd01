"""The register of built-in data sets: their files, addresses, hashes, splits and class names."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["REGISTRY", "Download", "Source", "Variant"]

_DIGITS = tuple(string.digits)
_UPPER = tuple(string.ascii_uppercase)
_LOWER = tuple(string.ascii_lowercase)
# ByMerge and Balanced give the other 15 lower-case letters the class of their upper-case form.
_MERGED = _DIGITS + _UPPER + tuple("abdefghnqrt")

_EMNIST_CLASSES = {
    "byclass": _DIGITS + _UPPER + _LOWER,
    "bymerge": _MERGED,
    "balanced": _MERGED,
    "letters": _UPPER,
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Download:
    """One file a publisher offers: where it is, what it must hash to, and what to take out of it.

    Attributes
    ----------
    file : str
        Name of the downloaded file.
    urls : tuple of str
        Mirrors, tried in turn.
    md5 : str
        Of the file as downloaded.
    members : tuple of str
        Names to extract when the file is an archive; empty for a plain file.
    extracted_limit : int
        Bytes that all extracted members together may take.
    size_limit : int
        Bytes that the download may take: more than the publisher's has, so that an answer without an end has one.
    """

    file: str
    urls: tuple[str, ...]
    md5: str
    members: tuple[str, ...] = ()
    extracted_limit: int = 0
    size_limit: int = 2**24


@dataclass(frozen=True)
class Variant:
    """One loadable choice (subset, and split where there is one) of a data set.

    Attributes
    ----------
    files : tuple of str
        Names of the uncompressed files, in reading order.
    class_names : tuple of str
    first_label : int
        The label of ``class_names[0]`` in the files.
    """

    files: tuple[str, ...]
    class_names: tuple[str, ...]
    first_label: int = 0


@dataclass(frozen=True)
class Source:
    """One built-in data set.

    Attributes
    ----------
    name, description, size, origin : str
        For people: size is samples, inputs and classes; origin is where the files come from.
    format : {"sklearn", "idx", "cifar10"}
    variants : dict of str to Variant
        Keyed "train", or "byclass/train" where there are splits.
    subsets, splits : tuple of str
        The first one of each is the default.
    folders : tuple of str
        Where the files may lie under the data directory, best first; fetched files go to the first.
    downloads : tuple of Download
    download_size : str
    transposed : bool
        Whether images are stored column by column.
    """

    name: str
    description: str
    size: str
    origin: str
    format: Literal["sklearn", "idx", "cifar10"]
    variants: dict[str, Variant]
    subsets: tuple[str, ...]
    splits: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = field(default=(), repr=False)
    download_size: str = ""
    transposed: bool = False


def _idx_pair(prefix: str) -> tuple[str, str]:
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def _digits() -> Source:
    return Source(
        name="digits",
        description="8 x 8 handwritten digits, shipped with scikit-learn",
        size="1,797 samples, 64 inputs, 10 classes",
        origin="scikit-learn",
        format="sklearn",
        variants={"all": Variant((), _DIGITS)},
        subsets=("all",),
    )


_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def _mnist() -> Source:
    return Source(
        name="mnist",
        description="28 x 28 handwritten digits (LeCun, Cortes and Burges)",
        size="60,000 train and 10,000 test samples, 784 inputs, 10 classes",
        origin=_MNIST_MIRRORS[0],
        format="idx",
        variants={"train": Variant(_idx_pair("train"), _DIGITS), "test": Variant(_idx_pair("t10k"), _DIGITS)},
        subsets=("train", "test"),
        folders=("mnist", ".", "MNIST/raw", "mnist/raw"),
        downloads=tuple(
            Download(file, tuple(mirror + file for mirror in _MNIST_MIRRORS), md5) for file, md5 in _MNIST_MD5.items()
        ),
        download_size="12 MB",
    )


def _emnist_variants() -> dict[str, Variant]:
    return {
        f"{split}/{subset}": Variant(_idx_pair(f"emnist-{split}-{subset}"), names, int(split == "letters"))
        for split, names in _EMNIST_CLASSES.items()
        for subset in ("test", "train")
    }


def _emnist() -> Source:
    variants = _emnist_variants()
    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    members = tuple(f"gzip/{file}.gz" for variant in variants.values() for file in variant.files)
    return Source(
        name="emnist",
        description="28 x 28 handwritten digits and letters (Cohen et al. 2017)",
        size="byclass: 116,323 test and 697,932 train samples, 784 inputs, 62 classes; others are smaller",
        origin=url,
        format="idx",
        variants=variants,
        subsets=("test", "train"),
        splits=tuple(_EMNIST_CLASSES),
        folders=("emnist", ".", "emnist/gzip", "gzip", "EMNIST/raw", "emnist/raw"),
        downloads=(Download("gzip.zip", (url,), "58c8d27c78d21e728a6bc7b3cc06412e", members, 1_000_000_000, 2**30),),
        download_size="562 MB",
        transposed=True,
    )


def _cifar10() -> Source:
    train = tuple(f"data_batch_{part}.bin" for part in range(1, 6))
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    members = tuple(f"cifar-10-batches-bin/{file}" for file in (*train, "test_batch.bin"))
    return Source(
        name="cifar10",
        description="32 x 32 colour photographs (Krizhevsky 2009), binary version",
        size="50,000 train and 10,000 test samples, 3,072 inputs, 10 classes",
        origin=url,
        format="cifar10",
        variants={"train": Variant(train, _CIFAR10_CLASSES), "test": Variant(("test_batch.bin",), _CIFAR10_CLASSES)},
        subsets=("train", "test"),
        folders=("cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10", "."),
        downloads=(
            Download("cifar-10-binary.tar.gz", (url,), "c32a1d4ab5d03f1284b67883e8d87530", members, 200_000_000, 2**28),
        ),
        download_size="170 MB",
    )


REGISTRY: dict[str, Source] = {source.name: source for source in (_digits(), _mnist(), _emnist(), _cifar10())}
