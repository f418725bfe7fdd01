"""A data set posed as a problem: with the outputs that its labels were read as."""

from __future__ import annotations

from ..data import Dataset
from ..problem.least_squares import LeastSquares

__all__ = ["least_squares_of"]


def least_squares_of(data: Dataset) -> LeastSquares:
    """Return the problem of a data set, whose targets were read already."""
    problem = LeastSquares(data.inputs, data.targets, targets_are="values")
    problem.coding = data.coding
    return problem
