"""How much of new outputs is learned, as a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._arrays import Array
from .._results import ByValue, Tables, Tabular
from .._validate.plain import Header

__all__ = ["LearnedShare"]


@dataclass(frozen=True, eq=False, repr=False)
class LearnedShare(ByValue, Tabular):
    r"""How much of new outputs is learned after some steps from zero; made by `learned_share`.

    The share is phi(k) = <f E W_k x>/<f^2>, the part of an output f that the weights have learned, (k, m) for every
    number of steps and every output.

    Attributes
    ----------
    steps : tuple of int
        After how many steps of training from zero.
    exact : ndarray, (k, m)
        phi(k) = B (1 - M^k) H^-1 B^T/<f^2>, B = <f x^T> (F120).
    limit : ndarray, (m,)
        phi at the optimum, which is the share that is ever learned.
    foretold, foretold_error : ndarray, (k, m), or None
        From the lagged covariances of the outputs that exist, and its standard error; None without `replicas`, and
        where the optimiser's first step differs from the others.
    measured, measured_error : ndarray, (k, m), or None
        By training the new outputs.
    identity : dict
        Recipe, replicas and seed: what repeats the numbers.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> parity = 1.0 - 2.0 * (data.labels % 2)
    >>> share = fl.learned_share(problem, fl.SGD(lr=0.05, batch_size=8), parity, steps=100)
    >>> print(share, f"{share.exact[0, 0]:.9f}")
    LearnedShare(1 output, 100 steps: exact 0.536836, in the end 0.707667) 0.536835598
    """

    steps: tuple[int, ...]
    exact: Array
    limit: Array
    foretold: Array | None = None
    foretold_error: Array | None = None
    measured: Array | None = None
    measured_error: Array | None = None
    identity: Header = field(default_factory=dict)

    def __repr__(self) -> str:
        outputs = len(self.limit)
        words = f"exact {self.exact[-1, 0]:.6g}"
        for name in ("foretold", "measured"):
            value, error = getattr(self, name), getattr(self, f"{name}_error")
            words += "" if value is None else f", {name} {value[-1, 0]:.4g} +- {error[-1, 0]:.1g}"
        return (
            f"LearnedShare({outputs} output{'s' * (outputs > 1)}, {self.steps[-1]:,} steps: {words}, "
            f"in the end {self.limit[0]:.6g})"
        )

    def _tables(self) -> Tables:
        return {"shares": self._columns}

    def _columns(self) -> Mapping[str, Any]:
        count, outputs = self.exact.shape
        columns = {
            "steps": np.repeat(self.steps, outputs),
            "output": np.tile(np.arange(outputs), count),
            "exact": self.exact.ravel(),
        }
        for name in ("foretold", "foretold_error", "measured", "measured_error"):
            value = getattr(self, name)
            if value is not None:
                columns[name] = value.ravel()
        return columns
