"""The noun of the study: a two-layer linear net at a point of the manifold on which its product is the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.arguments import door
from ..._validate.plain import Keywords
from ..._validate.sizes import refuse_bytes
from ..._validate.values import choice, positive_int, real_array
from ...errors import InvalidInput
from ...problem.least_squares import LeastSquares, Minimum
from .frame import Frame
from .moments import Samples

__all__ = ["SPLITS", "Split", "TwoLayer"]

Split = Literal["balanced", "noise"]
SPLITS: tuple[Split, ...] = ("balanced", "noise")
_HIDDEN = 10
_SINGULAR = 1e-9  # of the largest singular value of W*, below which there is none
_ON = 1e-6  # of L*, by which the loss of given weights may exceed it
_ROUNDS = 4  # of Newton's method that bring given weights onto the manifold
_MATRICES = 12  # (n, n), held at once by a prediction


@dataclass(frozen=True, eq=False, repr=False, init=False)
class TwoLayer(Brief, ByValue):
    r"""A linear net of two layers, y ~ W2 W1 x, at weights whose product is the optimum: W2 W1 = W*.

    Its loss is that of the least-squares problem. On the manifold <r x^T> = 0, so that H has no term of the residuals,
    H = Jac^T (I (x) A) Jac (F105), and is flat, without noise, along the manifold.

    Parameters
    ----------
    problem : LeastSquares
        The data, samples drawn alike.
    hidden : int, optional
        Units of the hidden layer, h, at least the rank of W*; 10 by default, or as the `weights` have.
    split : str
        How W* = U s V^T is shared between the layers. "balanced": W2 = U s^1/2, W1 = s^1/2 V^T, so that
        W2^T W2 = W1 W1^T. "noise": W1 is sqrt(r/c) times as steep, with r modes of the inputs and c outputs: there
        noise does not drift the balance, if it and the inputs are white.
    weights : tuple of array_like, (h, d) and (c, h), optional
        W1 and W2, instead of a split.

    Attributes
    ----------
    problem : LeastSquares
    hidden : int
    split : str
        "given" for `weights`.
    first : ndarray, (h, r)
        W1 in the modes of the inputs. Directions that the data do not have are left out: they never move.
    second : ndarray, (c, h)
        W2.

    Raises
    ------
    InvalidInput
        For fewer hidden units than the rank of W*, for weights off the manifold, for data that are fitted exactly, and
        for samples that are not drawn alike.
    TooLarge
        Where the matrices of a prediction do not fit into memory.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits")
    >>> net = layers.TwoLayer(fl.LeastSquares(data.inputs, data.targets), hidden=10)
    >>> print(f"{len(net.curvatures)} of {net.frame.size} directions, 2/h_max = {net.edge:.6f}")
    610 of 710 directions, 2/h_max = 0.016420
    """

    problem: LeastSquares
    hidden: int
    split: str
    first: Array
    second: Array

    def __init__(
        self,
        problem: LeastSquares,
        hidden: int | None = None,
        split: Split = "balanced",
        *,
        weights: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        door(problem)
        _refuse_drawn(problem)
        choice("split", split, SPLITS)
        units = None if hidden is None else positive_int("hidden", hidden)
        minimum = problem.minimum()
        minimum.refuse_interpolation()
        if weights is None:
            first, second = _shared(minimum, _HIDDEN if units is None else units, split)
        else:
            first, second = _given(minimum, units, weights)
        held = {"problem": problem, "hidden": len(first), "split": "given" if weights is not None else split}
        for name, value in {**held, "first": first, "second": second}.items():
            object.__setattr__(self, name, value)
        size = self.frame.size
        refuse_bytes(
            f"a net of {size:,} weights in the modes of the data", 8.0 * _MATRICES * size**2, "Use fewer modes of them."
        )

    def __hash__(self) -> int:
        return hash((self.hidden, self.split, self.first.shape))

    @cached_property
    def frame(self) -> Frame:
        """The quadratic picture there."""
        return Frame(self.first, self.second, self.problem.curvatures)

    @cached_property
    def samples(self) -> Samples:
        """The samples in the modes of the inputs, with their residuals."""
        minimum = self.problem.minimum()
        return Samples(np.asarray(self.problem.projections, np.float64), np.asarray(minimum.residuals, np.float64))

    @property
    def optimum_loss(self) -> float:
        """L*, the loss on the manifold."""
        return self.problem.minimum().loss

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of H on its range, largest first, (q,)."""
        return self.frame.curvatures

    @property
    def balance(self) -> Array:
        """W2^T W2 - W1 W1^T, (h, h)."""
        return self.frame.balance

    @property
    def edge(self) -> float:
        """The limit of gradient descent, 2/h_max: of the net, far below that of its data where W* is small."""
        return 2.0 / float(self.curvatures[0])

    @property
    def words(self) -> str:
        """The net in words."""
        shape = f"{self.problem.features} - {self.hidden} - {self.problem.outputs}"
        return f"linear net {shape}, {self.split} start"

    def _shown(self) -> Keywords:
        return {
            "samples": self.problem.samples,
            "shape": (self.problem.features, self.hidden, self.problem.outputs),
            "split": self.split,
            "rank": len(self.curvatures),
            "edge": self.edge,
        }


def _refuse_drawn(problem: LeastSquares) -> None:
    if problem.drawn_by is not None:
        raise InvalidInput(
            f"this problem is as {problem.drawn_by!r} draws it, and the laws of two layers are of samples that are "
            f"drawn alike. Use the problem that it was made from."
        )


def _shared(minimum: Minimum, hidden: int, split: str) -> tuple[Array, Array]:
    """W1 in the modes and W2 of a split."""
    left, size, right = np.linalg.svd(minimum.mode_weights, full_matrices=False)
    rank = int(np.count_nonzero(size > _SINGULAR * size[0]))
    if hidden < rank:
        raise InvalidInput(
            f"hidden = {hidden} units cannot hold the optimum W*, of rank {rank}: at a bottleneck <r x^T> does not "
            f"vanish and H has a term of the residuals that these laws leave out. Use hidden >= {rank}."
        )
    outputs, modes = minimum.mode_weights.shape
    tilt = (modes / outputs) ** 0.25 if split == "noise" else 1.0
    first, second = np.zeros((hidden, modes)), np.zeros((outputs, hidden))
    first[:rank] = tilt * np.sqrt(size[:rank])[:, None] * right[:rank]
    second[:, :rank] = left[:, :rank] * np.sqrt(size[:rank]) / tilt
    return first, second


def _given(minimum: Minimum, hidden: int | None, weights: Sequence[ArrayLike]) -> tuple[Array, Array]:
    """W1 in the modes and W2 of given weights, refused off the manifold and brought onto it to rounding."""
    outputs, features = minimum.weights.shape
    if not isinstance(weights, (tuple, list)) or len(weights) != 2:
        raise InvalidInput(
            "weights must be the two matrices (W1, W2), of shapes (hidden, features) and (outputs, hidden)."
        )
    one = real_array("weights[0]", weights[0], ndim=2, shape="(hidden, features)").astype(np.float64)
    two = real_array("weights[1]", weights[1], ndim=2, shape="(outputs, hidden)").astype(np.float64)
    if one.shape[1] != features or two.shape != (outputs, len(one)) or hidden not in (None, len(one)):
        raise InvalidInput(
            f"weights must be W1 of shape (hidden, {features}) and W2 of shape ({outputs}, hidden)"
            f"{'' if hidden is None else f' with hidden = {hidden}'}; got {one.shape} and {two.shape}."
        )
    first, wanted, curvatures = one @ minimum.problem.modes, minimum.mode_weights, minimum.problem.curvatures
    excess = 0.5 * float(np.sum((two @ first - wanted) ** 2 * curvatures))
    if not excess <= _ON * minimum.loss:
        raise InvalidInput(
            f"the weights are off the manifold W2 W1 = W*: their loss exceeds L* = {minimum.loss:.6g} by {excess:.3g} "
            f"({excess / minimum.loss:.1%}), and the laws hold about the manifold, to {_ON:g} of L*. Train on with all "
            f"samples in a batch, or use a split."
        )
    return _onto(first, two, wanted)


def _onto(first: Array, second: Array, wanted: Array) -> tuple[Array, Array]:
    """The nearest weights on the manifold, by Newton's method along Jac^T."""
    for _ in range(_ROUNDS):
        up, left = np.linalg.eigh(second @ second.T)
        down, right = np.linalg.eigh(first.T @ first)
        pairs = np.maximum(up, 0)[:, None] + np.maximum(down, 0)
        lacking = left.T @ (wanted - second @ first) @ right
        push = left @ np.divide(lacking, pairs, out=np.zeros_like(pairs), where=pairs > 1e-12 * pairs.max()) @ right.T
        first, second = first + second.T @ push, second + push @ first.T
    return first, second
