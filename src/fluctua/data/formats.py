"""Readers of the publishers' formats: IDX (MNIST, EMNIST) and the binary version of CIFAR-10.

Both read plain and gzipped files alike (told apart by content, not by name) and never unpickle anything.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validate.sizes import refuse_bytes
from ..errors import CorruptData, DataUnavailable
from ..storage.stored import reading

__all__ = ["content", "parse_cifar10", "parse_idx", "read_cifar10_binary", "read_idx"]

_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_RECORD = 1 + 3 * 32 * 32
_REMEDY = "Remove this file, then fetch it again (fluctua data fetch) or copy it anew from its publisher."


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, the format of MNIST and EMNIST, plain or gzipped.

    Parameters
    ----------
    path : str or path
        Its content is 00 00, the type code 08, the number of axes, each axis' length (big-endian, four bytes
        each), then the values.

    Returns
    -------
    ndarray of uint8
        In the shape that the header states. Peak memory is one uncompressed copy of the file.

    Raises
    ------
    DataUnavailable
        If the file cannot be opened.
    CorruptData
        If the magic number, the type code or the length is wrong, or the gzip stream is broken.
    """
    return parse_idx(Path(path), content(Path(path))[0])


def read_cifar10_binary(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one batch file of the binary version of CIFAR-10, plain or gzipped.

    Parameters
    ----------
    path : str or path
        Records of 3,073 bytes: one label from 0 to 9, then the red, green and blue planes, row by row.

    Returns
    -------
    images : ndarray of uint8, shape (N, 3072)
        A view: peak memory is one uncompressed copy of the file.
    labels : ndarray of uint8, shape (N,)

    Raises
    ------
    DataUnavailable
        If the file cannot be opened.
    CorruptData
        If the length is not a positive multiple of 3,073, a label exceeds 9, or the gzip stream is broken.
    """
    return parse_cifar10(Path(path), content(Path(path))[0])


def content(path: Path) -> tuple[bytearray, str]:
    """Return the uncompressed bytes of `path` and their sha256."""
    data, digest = bytearray(), hashlib.sha256()
    with reading(lambda reason: _broken(path, data, reason)):
        try:
            for chunk in _chunks(path):
                refuse_bytes(f"{path}, unpacked,", len(chunk) + len(data) // 8, "Is it what its name says?")
                data += chunk
                digest.update(chunk)
        except OSError as problem:
            if problem.errno is None:  # gzip's own
                raise
            raise DataUnavailable(f"{path} cannot be read: {problem.strerror}.") from problem
    return data, digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as raw:
        stream: Any = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP_MAGIC else raw
        with stream:
            while chunk := stream.read(_CHUNK):
                yield chunk


def _broken(path: Path, data: bytearray, reason: str) -> CorruptData:
    return CorruptData(path, f"its gzip stream is broken; {len(data):,} bytes could be read ({reason})", _REMEDY)


def parse_idx(path: Path, data: bytearray) -> NDArray[np.uint8]:
    """Return the array in the uncompressed IDX content `data`; `path` is for the error text."""
    shape, start = _idx_header(path, data)
    expected, found = math.prod(shape), len(data) - start
    if found != expected:
        axes = " x ".join(f"{length:,}" for length in shape)
        state = f"{expected - found:,} are missing" if found < expected else f"{found - expected:,} too many"
        what = f"its header announces {axes} = {expected:,} bytes and {found:,} follow: {state}"
        raise CorruptData(path, what, _REMEDY)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _idx_header(path: Path, data: bytearray) -> tuple[tuple[int, ...], int]:
    if len(data) < 4 or data[:2] != b"\0\0":
        what = f"bad magic number: an IDX file begins with 00 00, this one with {data[:4].hex(' ') or 'nothing'}"
        raise CorruptData(path, what, _REMEDY)
    code, axes = data[2], data[3]
    if code != _UNSIGNED_BYTE:
        what = f"its type code is {code:#04x}, and only {_UNSIGNED_BYTE:#04x} (unsigned bytes) is expected"
        raise CorruptData(path, what, _REMEDY)
    start = 4 + 4 * axes
    if axes == 0 or len(data) < start:
        what = f"its header for {axes} axes takes {start} bytes and the whole file holds {len(data)}"
        raise CorruptData(path, what, _REMEDY)
    return struct.unpack_from(f">{axes}I", data, 4), start


def parse_cifar10(path: Path, data: bytearray) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images and labels in the uncompressed batch `data`; `path` is for the error text."""
    count, rest = divmod(len(data), _RECORD)
    if rest or not count:
        what = f"its length, {len(data):,} bytes, is no positive multiple of {_RECORD:,} (label and pixels)"
        raise CorruptData(path, what, _REMEDY)
    records = np.frombuffer(data, np.uint8).reshape(count, _RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        what = f"record {first} has label {labels[first]}, and CIFAR-10's labels run from 0 to 9"
        raise CorruptData(path, what, _REMEDY)
    return records[:, 1:], labels
