"""The problem: a linear head with a cross-entropy loss on one data set, softmax or logistic."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from .base import Head
from .logits import single_row

__all__ = ["Logistic", "Softmax"]


class Softmax(Head):
    r"""L(W) = 1/N sum_i -log p_{y_i}(W x_i), p = softmax(W x): the mean cross-entropy of a linear head (F71).

    Weight decay gamma/2 |W|^2 is the recipe's, as with `LeastSquares`.

    Parameters
    ----------
    inputs : array_like, (N, d)
        Any real type, as for `LeastSquares`. A bias is a constant column.
    labels : array_like, (N,) or (N, c)
        Whole numbers or text, a class each; or soft targets, rows of chances that sum to 1. Classes are the labels that
        occur, sorted.
    class_weight : array_like, mapping or "balanced", optional
        Weights of the classes, as `torch.nn.CrossEntropyLoss(weight=...)` has them. The loss is the sum of weighted
        losses over the sum of the weights of *all* samples, or over N with soft targets, and a batch's gradient the
        mean of its samples' with that norm. torch divides by the sum over the batch instead, which fluctuates.
    label_smoothing : float
        Share of the target that is spread evenly over all classes, from 0 to below 1, as torch has it.
    ignore_index : int or str, optional
        A label whose samples do not count: they are left out, and counted as `ignored`.
    reduction : "mean"
        Nothing else: the theory's loss is a mean over the batch.

    Attributes
    ----------
    inputs : ndarray, (N, d)
    targets : ndarray, (N, c)
        y of each sample that counts, rows that sum to 1; smoothed and weighted.
    factors : ndarray, (N,), or None
        What the loss of each sample is multiplied by, where classes have weights.
    classes : tuple of int or str
        The label of each row of W.
    ignored : int
        Samples left out.

    Raises
    ------
    InvalidInput
        For NaN, wrong shapes, unequal lengths, one class, labels below 0, classes without samples, soft targets that
        are no chances, weights that are not positive, and reduction="sum".

    Notes
    -----
    Everything is computed in the coordinates that data can move: c - 1 contrasts between classes times the modes of
    <x x^T>. A row added to all of W changes no probability and has no noise: weight decay alone moves it.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.Softmax(data.inputs, data.labels)
    >>> minimum = problem.minimum(weight_decay=1e-2)
    >>> print(f"{minimum.loss:.6f} {minimum.accuracy:.3f} {minimum.noise_trace:.5f}")
    0.741462 0.953 2.44128
    """


class Logistic(Head):
    r"""L(w) = 1/N sum_i log(1 + exp(w.x_i)) - y_i w.x_i: two classes, one row of weights.

    The same code as `Softmax` with one free logit. A softmax head of two classes at learning rate eta and weight decay
    gamma moves the difference of its rows as this one does at 2 eta and gamma/2.

    Parameters
    ----------
    inputs : array_like, (N, d)
        As for `Softmax`.
    labels : array_like, (N,) or (N, 2)
        Labels of two classes, of which the second, in sorted order, has y = 1; or chances of the second class.
    class_weight, label_smoothing, ignore_index, reduction
        As for `Softmax`.

    Attributes
    ----------
    inputs, targets, factors, classes, ignored
        As for `Softmax`; targets are those of both classes, (N, 2).

    Raises
    ------
    InvalidInput
        As `Softmax`, and for more than two classes.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.Logistic(data.inputs, data.labels > 4)
    >>> print(problem.minimum(weight_decay=1e-2).weights.shape)
    (1, 64)
    """

    _PAIR = True

    @property
    def frame(self) -> Array:
        """Logits of both classes by the free one, (2, 1)."""
        return single_row()

    @property
    def lift(self) -> Array:
        """The row of the weights is the free one."""
        return np.ones((1, 1))
