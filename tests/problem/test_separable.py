"""Whether a head has an optimum without weight decay, told by a linear program that knows nothing of the search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import fluctua as fl
from fluctua.errors import InvalidInput


def endless(x, labels):
    """Whether some direction of the weights lowers a sample's loss for ever and raises none."""
    x = x / np.maximum(np.abs(x).max(axis=0), 1e-300)
    classes = labels.max() + 1
    pairs = [(v, own, other) for v, own in zip(x, labels, strict=True) for other in range(classes) if other != own]
    rows = np.zeros((len(pairs), classes, x.shape[1]))
    for row, (v, own, other) in zip(rows, pairs, strict=True):
        row[own], row[other] = v, -v
    margins = rows.reshape(len(rows), -1)
    gain = -margins.sum(axis=0) / np.abs(margins).sum()
    return -linprog(gain, A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=(-1, 1), method="highs").fun > 1e-9


def told(head, x, labels):
    """Whether the search says that there is no optimum."""
    problem = head(x, labels)
    try:
        minimum = problem.minimum()
    except InvalidInput:  # that of an optimum: the data were taken
        return True
    assert minimum.gradient_norm < (1e-6 if x.dtype == np.float32 else 1e-9) * np.abs(x).max()
    return False


def drawn(kind, rng):
    samples, features, classes = rng.integers(8, 60), rng.integers(1, 6), rng.integers(2, 5)
    x, labels = rng.normal(size=(samples, features)), rng.integers(0, classes, samples)
    if kind == "one of five":
        x = np.eye(5)[rng.integers(0, 5, samples)]
    elif kind == "a class far out":
        x[: samples // 4] += 10 ** rng.uniform(0, 3)
        labels[: samples // 4] = 0
    elif kind == "heavy tails":
        x *= rng.standard_t(1.2, size=(samples, 1))
    elif kind == "nearly sure":
        labels = np.argmax(x @ rng.normal(size=(features, classes)) * 10 + rng.gumbel(size=(samples, classes)), axis=1)
    if rng.integers(2):
        x = np.column_stack([x, np.ones(samples)])
    return x, np.unique(labels, return_inverse=True)[1]


@pytest.mark.filterwarnings("ignore::fluctua.errors.MissingBias")
@pytest.mark.parametrize("kind", ["one of five", "a class far out", "heavy tails", "nearly sure"])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_an_optimum_is_found_where_there_is_one_and_refused_where_there_is_none(kind, precision):
    rng, seen = np.random.default_rng(5), set()
    for _ in range(40):
        x, labels = drawn(kind, rng)
        x = x.astype(precision)
        if labels.max() == 0:
            continue
        truth = endless(x.astype(float), labels)
        for head in [fl.Softmax, fl.Logistic] if labels.max() == 1 else [fl.Softmax]:
            assert told(head, x, labels) == truth
        seen.add(truth)
    assert seen == {True, False}


def test_both_heads_find_the_optimum_of_classes_that_overlap_beside_one_far_away():
    """Iris: one kind against the others, of which one is so far that its probabilities are 1 to rounding."""
    from sklearn.datasets import load_iris

    data = load_iris()
    x = np.column_stack([(data.data - data.data.mean(axis=0)) / data.data.std(axis=0), np.ones(150)])
    found = [head(x, data.target == 2).minimum() for head in (fl.Softmax, fl.Logistic)]
    assert found[0].loss == pytest.approx(0.03966182263786278, rel=1e-12)  # Newton's steps by themselves, in NumPy
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-12)
