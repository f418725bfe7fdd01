"""Verdicts on problems with one mode, or with an output that never fluctuates: no warning, no crash, no nan."""

import json

import numpy as np
import pytest

import fluctua as fl

RNG = np.random.default_rng(8)
INPUTS = RNG.normal(size=(10, 2))


@pytest.mark.any_seed
def test_one_mode():
    """The correlation of one element with itself warned, and the table of the dynamic verdict printed nan."""
    problem, sgd = fl.LeastSquares(INPUTS[:7, :1], RNG.normal(size=7)), fl.SGD(0.05, 2)
    at_once = fl.verify(problem, sgd, steps=60, replicas=16, rng=1, level=1e-6)
    in_time = fl.verify_dynamic(problem, sgd, steps=60, replicas=16, rng=1, level=1e-6)
    for verdict in (at_once, in_time):
        assert "nan" not in str(verdict.table)
        assert "nan" not in verdict.words
        assert "NaN" not in json.dumps(json.loads(verdict.to_json()))


@pytest.mark.any_seed
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_output_that_is_fitted_exactly(momentum):
    """Its plane has no density; the figure's field ended in LinAlgError."""
    targets = np.column_stack([INPUTS @ [1.0, 2.0], RNG.normal(size=10)])
    verdict = fl.verify_dynamic(
        fl.LeastSquares(INPUTS, targets), fl.SGD(0.01, 2, momentum=momentum), steps=60, replicas=16, rng=1, level=1e-6
    )
    assert "nan" not in str(verdict.table)
