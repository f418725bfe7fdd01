"""Where every replica gives the same answer, the spread is rounding: no verdict may take it for sampling."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import fluctua as fl
from fluctua.verification.significance import ROUNDING, detectable_error, family_p_value, p_values

RUN = {"steps": 80, "replicas": 32, "entropy": False}
LEVEL = 1e-6  # only the output is looked at


def coded(seed: int) -> fl.LeastSquares:
    """One feature coded -1/+1: x^2 = 1, so that every batch answers a kick in the same way."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(40, 1))
    return fl.LeastSquares(x, 2 * x + rng.normal(size=(40, 1)))


def factorial(scale: float) -> fl.LeastSquares:
    """Two orthogonal factors, one of them +-`scale`."""
    design = np.tile([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], (10, 1)) * [1, scale]
    return fl.LeastSquares(design, design @ [1.0, 2.0] + np.random.default_rng(1).normal(size=40))


def steep_constant() -> fl.LeastSquares:
    """A column of ones, steeper than the centred features beside it."""
    rng = np.random.default_rng(2)
    centred = rng.normal(size=(60, 3))
    inputs = np.c_[np.ones(60), 0.3 * (centred - centred.mean(axis=0))]
    return fl.LeastSquares(inputs, inputs.sum(axis=1) + rng.normal(size=60))


def diabetes() -> fl.LeastSquares:
    data = load_diabetes()
    return fl.LeastSquares(np.c_[np.ones(442), data.data], data.target)


@pytest.mark.any_seed
@pytest.mark.parametrize("seed", range(2))
def test_a_response_that_is_the_same_in_every_batch_is_consistent(seed):
    """Nothing of it is sampled, so that it holds for every seed; and says nothing of what sampling would catch."""
    found = fl.verify_dynamic(coded(seed), fl.SGD(0.1, 4), rng=seed, **RUN)
    response = found.row("response")
    assert response.p_value == 1
    assert response.z_rms < 0.01
    assert response.detectable == float("inf")
    assert "nothing" in next(line for line in found.table.splitlines() if line.startswith("response"))
    assert json.loads(found.to_json())["rows"][2]["detectable"] is None


@pytest.mark.statistical(alpha=5e-6)
@pytest.mark.parametrize(
    ("problem", "sgd"),
    [
        (factorial(1.0), fl.SGD(0.1, 4)),
        (factorial(0.5), fl.SGD(0.1, 4)),
        (steep_constant(), fl.SGD(0.1, 4)),
        (steep_constant(), fl.SGD(0.02, 4, momentum=0.9)),
        (diabetes(), fl.SGD(0.1, 4)),
    ],
    ids=["orthogonal", "halved", "constant", "constant, momentum", "diabetes"],
)
def test_one_mode_that_answers_alike_does_not_decide(problem, sgd):
    """Five cases, each statement of the others still sampled: level 1e-6."""
    found = fl.verify_dynamic(problem, sgd, rng=3, level=LEVEL, **RUN)
    assert found.consistent, found.table
    assert found.row("response").detectable > 1e-6


@pytest.mark.any_seed
@pytest.mark.parametrize("off", [1e-5, -1e-5, 1e-3])
def test_a_wrong_response_is_rejected_to_rounding(monkeypatch, off):
    """The mutant: rates wrong by a part in 100,000, where nothing but rounding could hide it."""
    right = fl.Prediction.response
    monkeypatch.setattr(fl.Prediction, "response", lambda p, lag: 1 - (1 + off) * (1 - right(p, lag)))
    found = fl.verify_dynamic(coded(0), fl.SGD(0.1, 4), rng=1, level=LEVEL, **RUN)
    assert not found.row("response").consistent


@pytest.mark.any_seed
@pytest.mark.parametrize(("lr", "steps"), [(0.1, 200), (0.5, 2000), (0.9, 2000)])
def test_a_run_without_noise_compares_by_its_precision(lr, steps):
    """y = 2x is fitted: from zero every replica descends alike, in float32, down to the smallest numbers there are."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 1))
    found = fl.verify(fl.LeastSquares(x, 2 * x), fl.SGD(lr, 4), steps=steps, replicas=4, start="zero", rng=1)
    assert found.consistent, found.words
    assert not found.sharp
    assert "would have caught nothing" in found.words
    assert np.isfinite(found.tested.comparison.z_rms)
    assert found.table


@pytest.mark.any_seed
def test_a_wrong_law_without_noise_is_rejected():
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 1))
    found = fl.verify(
        fl.LeastSquares(x, 2 * x), fl.SGD(0.1, 4), steps=50, replicas=4, start="zero", rng=1, resolution=1e-3
    )
    assert [row.consistent for row in found.rows if " x " in row.name] == [False, False]


@pytest.mark.any_seed
def test_columns_below_their_floor_neither_deviate_nor_catch():
    rng = np.random.default_rng(5)
    rounding = 1 + 1e-16 * (3 + rng.normal(size=(16, 2)))
    sampled = 1 + 0.1 * rng.normal(size=(16, 1))
    assert family_p_value(rounding - 1) == 1
    assert detectable_error(rounding, 0.01) == float("inf")
    both = np.hstack([rounding, sampled])
    assert detectable_error(both, 0.01) == pytest.approx(detectable_error(sampled, 0.01 / 3))
    assert p_values(rounding - 1 + 1e-6).max() < 1e-12  # ten thousand times the floor
    assert p_values(np.full((4, 1), 5 * ROUNDING["float32"]), ROUNDING["float32"])[0] > 1e-2
