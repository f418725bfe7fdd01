"""A largest stable learning rate that says how it was found."""

from __future__ import annotations

from typing import Any, Literal

from .._results import Brief

__all__ = ["StableLimit"]

Method = Literal[
    "exact", "all epochs", "random epochs", "expansion", "independent batches", "local", "some samples", "leading modes"
]


class StableLimit(Brief, float):
    """A learning rate, usable as any float, with the way it was found; made by `max_stable_lr`.

    Attributes
    ----------
    method : str
        "exact": an eigenvalue, for independent batches and for epochs of one batch. "all epochs": the spectral radius
        of the second-moment map of shuffled epochs, all of which were listed. "random epochs": the same, averaged over
        random ones. "expansion": where the law of `predict`, to first order in modes over samples, diverges.
        "independent batches", in a plan of shuffled epochs: that of independent batches as noisy as the epoch's on
        average. "local": of the quadratic at the optimum of a head, a crossover. "some samples": an eigenvalue, with K
        averaged over `feedback_samples` of them. "leading modes": a lower bound, up to which runs are stable (F153).
    error : float
        One standard error of it, absolute, for "random epochs" and "some samples"; an estimate for "expansion";
        otherwise 0.
    orders : int
        Epochs that it is an average over; 0 where it needs none.
    largest_share : float
        Share of the second moment at the limit that the one order makes which adds most. Where that is large, still
        rarer orders may decide, and the true limit may lie below this one by more than `error`.

    at_most : float or None
        What the limit does not exceed, where the learning rate is a lower bound, "leading modes"; None elsewhere.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> limit = fl.max_stable_lr(problem, fl.SGD(lr=0.01, batch_size=1))
    >>> print(f"{limit:.6f} {limit.method} {limit.error}")
    0.153846 exact 0.0
    """

    method: Method
    error: float
    orders: int
    largest_share: float
    at_most: float | None

    def __new__(
        cls,
        value: float,
        method: Method,
        error: float = 0.0,
        orders: int = 0,
        largest_share: float = 0.0,
        at_most: float | None = None,
    ) -> StableLimit:
        """Take the learning rate and what is known of it."""
        found = super().__new__(cls, value)
        found.method, found.error, found.orders, found.largest_share = method, error, orders, largest_share
        found.at_most = at_most
        return found

    def _shown(self) -> dict[str, Any]:
        known = {name: getattr(self, name) for name in ("method", "error", "orders", "largest_share", "at_most")}
        return {"lr": float(self), **{name: value for name, value in known.items() if value}}

    def __repr__(self) -> str:
        error = f" +- {self.error:.2g}" if self.error else ""
        error = error if self.at_most is None else f" to {self.at_most:.7g}"
        return f"StableLimit({float(self):.7g}{error}, {self.method})"

    __str__ = float.__repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (float(self), self.method, self.error, self.orders, self.largest_share, self.at_most)
