"""Small tables of scikit-learn as problems: those of docs/shuffle.md."""

from functools import cache

import numpy as np
from sklearn import datasets

import fluctua as fl


@cache
def problem_of(name: str) -> fl.LeastSquares:
    """A data set in units of its spread and a constant, classes one-hot; the first 1,792 digits as they are."""
    if name == "digits":
        digits = fl.load("digits")
        return fl.LeastSquares(digits.inputs[:1792], digits.targets[:1792])
    found = getattr(datasets, f"load_{name}")()
    x = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    y = found.target
    y = (y[:, None] - y.mean()) / y.std() if name == "diabetes" else np.eye(y.max() + 1)[y]
    return fl.LeastSquares(np.column_stack([x, np.ones(len(x))]), y)
