"""Moments of samples that come in chunks: added one by one, merged in a fixed order, never held together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import AnyArray, Array
from .._results import Brief, ByValue
from .._validate.plain import Keywords
from .._validate.values import as_array, positive_int, shaped, shown
from ..errors import InvalidInput
from .moments import blocks

__all__ = ["StreamingMoments", "read_chunk"]


class StreamingMoments(Brief, ByValue):
    r"""Sums over samples that come in chunks: of x x^T and y x^T, or at given weights of the residuals and their noise.

    Without `weights` these are the moments that W* and the modes follow from; at W* they are those of the
    gradient noise. Every chunk is summed by itself, and its sums are added to those before it. So `add` of a chunk and
    `merge` of what another process made of the same chunk give the same bits, and a result depends on the order of
    the chunks alone. Sums are in float64.

    Parameters
    ----------
    features : int
        Number of inputs of a sample, d.
    outputs : int
        Number of outputs, c.
    weights : array_like, (c, d), optional
        W that the residuals r = W x - y are of; None means zero, and no noise is summed.

    Attributes
    ----------
    samples, chunks : int
        How many have been added.
    gram : ndarray, (d, d)
        Sum of x x^T without `weights`, of |r|^2 x x^T with them.
    crossed : ndarray, (c, d)
        Sum of r x^T.
    products : ndarray, (c, c)
        Sum of r r^T.
    largest_input, largest_target : float
        Largest absolute values.
    longest : float
        Largest |x|^2.

    Raises
    ------
    InvalidInput
        For sizes that are no whole numbers from 1 up, and for weights of another shape.

    Notes
    -----
    Cost: N d^2 flops. Memory: 8 d^2 bytes twice, and one block of samples in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.problem.streaming import StreamingMoments
    >>> x, y = np.arange(12.0).reshape(6, 2), np.ones((6, 1))
    >>> whole = StreamingMoments(2, 1).add(x[:4], y[:4]).add(x[4:], y[4:])
    >>> elsewhere = StreamingMoments(2, 1).add(x[4:], y[4:])
    >>> merged = StreamingMoments(2, 1).add(x[:4], y[:4]).merge(elsewhere)
    >>> whole.samples, whole.chunks, bool((whole.gram == merged.gram).all())
    (6, 2, True)
    """

    def __init__(self, features: int, outputs: int, weights: ArrayLike | None = None) -> None:
        self.features, self.outputs = positive_int("features", features), positive_int("outputs", outputs)
        shape = self.outputs, self.features
        self.weights: Array | None = None if weights is None else shaped("weights", weights, shape).astype(np.float64)
        self.samples = self.chunks = 0
        self.gram, self.crossed = np.zeros((features, features)), np.zeros(shape)
        self.products = np.zeros((outputs, outputs))
        self.largest_input = self.largest_target = self.longest = 0.0

    def add(self, inputs: ArrayLike, targets: ArrayLike) -> StreamingMoments:
        """Add a chunk of samples.

        Parameters
        ----------
        inputs : array_like, (n, d)
            Any real type.
        targets : array_like, (n, c) or (n,)
            Numbers.

        Returns
        -------
        StreamingMoments
            Itself.

        Raises
        ------
        InvalidInput
            For NaN, infinity and other shapes; the chunk and the row are named.
        """
        x, y = read_chunk(self.chunks, inputs, targets, (self.features, self.outputs))
        one = StreamingMoments(self.features, self.outputs, self.weights) if self.chunks else self
        one._sum(x, y)
        return self if one is self else self.merge(one)

    def _sum(self, x: AnyArray, y: AnyArray) -> None:
        """Add all samples of one chunk to sums that are zero."""
        self.samples, self.chunks = len(x), 1
        for rows in blocks(*x.shape):
            some = x[rows].astype(np.float64)
            square = np.einsum("ij,ij->i", some, some)
            self.longest = max(self.longest, float(square.max()))
            self.largest_input = max(self.largest_input, float(some.max()), -float(some.min()))
            self.largest_target = max(self.largest_target, float(y[rows].max()), -float(y[rows].min()))
            self._sum_block(some, y[rows].astype(np.float64))

    def _sum_block(self, x: Array, y: Array) -> None:
        r = -y if self.weights is None else x @ self.weights.T - y
        self.crossed += r.T @ x
        self.products += r.T @ r
        if self.weights is not None:
            x *= np.sqrt(np.einsum("ij,ij->i", r, r))[:, None]
        self.gram += x.T @ x  # one operand twice: BLAS computes one triangle only

    def merge(self, other: StreamingMoments) -> StreamingMoments:
        """Add the sums of `other`, whose chunks come after these.

        Parameters
        ----------
        other : StreamingMoments
            Of the same sizes and at the same weights.

        Returns
        -------
        StreamingMoments
            Itself.

        Raises
        ------
        InvalidInput
            For sums of other sizes or at other weights.
        """
        if not isinstance(other, StreamingMoments) or not self._alike(other):
            raise InvalidInput(
                f"other must be StreamingMoments of {self.features:,} features and {self.outputs:,} outputs at the "
                f"same weights, got {shown(other)}: their sums are of other things."
            )
        for name in ("gram", "crossed", "products"):
            getattr(self, name).__iadd__(getattr(other, name))
        for name in ("largest_input", "largest_target", "longest"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.samples, self.chunks = self.samples + other.samples, self.chunks + other.chunks
        return self

    def _alike(self, other: StreamingMoments) -> bool:
        sizes = (self.features, self.outputs) == (other.features, other.outputs)
        if self.weights is None or other.weights is None:
            return sizes and self.weights is other.weights
        return sizes and np.array_equal(self.weights, other.weights)

    def __repr__(self) -> str:
        kind = "moments" if self.weights is None else "residuals"
        return f"StreamingMoments({self.samples:,} samples in {self.chunks:,} chunks, {self.features:,} inputs, {kind})"

    def _shown(self) -> Keywords:
        return {name: getattr(self, name) for name in ("samples", "chunks", "features", "outputs")}

    def _compared(self) -> Keywords:
        sums = ("samples", "chunks", "gram", "crossed", "products", "weights")
        return {name: getattr(self, name) for name in sums}


def read_chunk(
    number: int, inputs: Any, targets: Any, sizes: tuple[int, int] | None = None
) -> tuple[AnyArray, AnyArray]:
    """Return the arrays of chunk `number`, (n, d) and (n, c); refuses, by chunk and row, what no moments are made of.

    float32 and float64 stay what they are; every other real type becomes float64, and 16 bits float32.
    """
    x, y = (_numbers(number, name, each) for name, each in (("inputs", inputs), ("targets", targets)))
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not x.size or not y.size:
        raise InvalidInput(
            f"chunk {number} (counted from 0) holds inputs of shape {x.shape} and targets of shape {y.shape}; expected "
            f"are (n, d) and (n, c) or (n,) with the same n, at least 1: row i of both belongs to one sample."
        )
    if sizes is not None and (x.shape[1], y.shape[1]) != sizes:
        raise InvalidInput(
            f"chunk {number} (counted from 0) has {x.shape[1]:,} inputs and {y.shape[1]:,} outputs, and the chunks "
            f"before it {sizes[0]:,} and {sizes[1]:,}: all samples need the same columns. Check how it was made."
        )
    for name, array in (("inputs", x), ("targets", y)):
        _refuse_gaps(number, name, array)
    return x, y


def _numbers(number: int, name: str, value: Any) -> AnyArray:
    array = as_array(f"{name} of chunk {number}", value)
    if array.dtype.kind not in "fiub":
        raise InvalidInput(
            f"{name} of chunk {number} (counted from 0) must hold real numbers, got dtype {array.dtype}; labels become "
            f"columns of 0 and 1 first, as numpy.eye(classes)[labels]."
        )
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


def _refuse_gaps(number: int, name: str, array: AnyArray) -> None:
    for rows in blocks(*array.shape):
        bad = ~np.isfinite(array[rows])
        if bad.any():
            row, column = (int(place) for place in np.argwhere(bad)[0])
            raise InvalidInput(
                f"chunk {number} (counted from 0): {name} hold {array[rows.start + row, column]} in row "
                f"{rows.start + row} of it, column {column}: every moment of the data would become NaN. Leave such "
                f"samples out or fill what is missing first."
            )
