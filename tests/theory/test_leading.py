"""Leading modes: every number lies within its bounds, which close as modes are added.

Of the loss at the optimum (F150), of K (F151), of the floor (F152), of the limit (F153), of the covariance (F154).
"""

from __future__ import annotations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, LooseBounds, UnstableSGD
from fluctua.problem.leading import curvature
from fluctua.problem.leading.curvature import Curvature
from fluctua.problem.leading.filtered import steepest_modes

RECIPES = {
    "plain": fl.SGD(0.05, 8),
    "near the limit": fl.SGD(0.15, 8, sampling="without_replacement"),
    "single samples": fl.SGD(0.05, 1),
    "momentum": fl.SGD(0.01, 8, momentum=0.9),
    "Nesterov, decay": fl.SGD(0.01, 8, momentum=0.9, nesterov=True, weight_decay=0.01),
    "quasi-hyperbolic": fl.QHM(0.02, 8, momentum=0.9, nu=0.7),
}
QUICK = ("plain", "single samples", "Nesterov, decay")


@pytest.fixture(scope="module")
def data():
    return fl.load("digits")


@pytest.fixture(scope="module")
def whole(data):
    return fl.LeastSquares(data.inputs, data.targets)


def heavy():
    """Samples of which a few are loud, and targets that the flat modes know of: far from alike beyond the leading."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((400, 24)) * np.arange(1, 25) ** -0.8 * rng.pareto(3.0, (400, 1))
    return x, np.stack([x[:, 0] + x[:, 20] ** 2, np.tanh(3 * x[:, 22])], axis=1)


def agrees(whole, leading, sgd):
    """The exact numbers are within the bounds; returns how wide those of the floor are."""
    exact, found = fl.predict(whole, sgd), fl.predict(leading, sgd)
    low, high = found.excess_loss_bounds
    assert low * (1 - 1e-7) <= exact.excess_loss <= high * (1 + 1e-7)
    assert low <= found.excess_loss <= high
    k = len(found.curvatures)
    signs = np.sign(np.einsum("ij,ij->j", exact.modes[:, :k], found.modes))
    inside = exact.mode_covariance[:k, :k] * np.outer(signs, signs)
    rounding = 1e-6 * np.diag(inside).max()
    least, most = found.solved.covariance_bounds
    assert np.linalg.eigvalsh(inside - least)[0] > -rounding
    if np.isfinite(most).all():
        assert np.linalg.eigvalsh(most - inside)[0] > -rounding
    limit, known = fl.max_stable_lr(whole, sgd), fl.max_stable_lr(leading, sgd)
    assert known <= limit * (1 + 1e-6)
    assert limit <= known.at_most * (1 + 1e-6)
    return high / low - 1


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_bounds_hold_the_exact_numbers_and_close(data, whole, name):
    widths = [agrees(whole, fl.LeadingModes(data.inputs, data.targets, modes=k), RECIPES[name]) for k in (20, 45)]
    assert widths[1] < 0.5 * widths[0] < 0.1


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_bounds_hold_where_the_modes_beyond_are_far_from_alike(decay):
    x, y = heavy()
    exact = fl.LeastSquares(x, y)
    limit = fl.max_stable_lr(exact, fl.SGD(1.0, 4, weight_decay=decay))
    for k in (3, 12):
        agrees(exact, fl.LeadingModes(x, y, modes=k), fl.SGD(0.2 * limit, 4, weight_decay=decay))


def test_all_modes_give_the_exact_numbers(data, whole):
    found = fl.predict(fl.LeadingModes(data.inputs, data.targets, modes=64), sgd := fl.SGD(0.05, 8))
    exact = fl.predict(whole, sgd)
    low, high = found.excess_loss_bounds
    assert low == pytest.approx(exact.excess_loss, rel=1e-6)
    assert high == pytest.approx(exact.excess_loss, rel=1e-6)
    np.testing.assert_allclose(found.mode_variances[:40], exact.mode_variances[:40], rtol=1e-5)
    assert found.covariance_error < 1e-4


def test_weight_decay_leaves_the_optimum_exact():
    x, y = heavy()
    decay = 0.1 * float(np.mean(np.sum(x**2, axis=1)))
    sgd = fl.SGD(1e-3 / decay, 2, weight_decay=decay)
    exact, found = fl.predict(fl.LeastSquares(x, y), sgd), fl.predict(fl.LeadingModes(x, y, modes=24), sgd)
    np.testing.assert_allclose(found.optimum, exact.optimum, rtol=1e-9, atol=1e-12 * np.abs(exact.optimum).max())
    least, most = found.mode_variances_bounds
    assert (least <= exact.mode_variances * (1 + 1e-9)).all()
    assert (exact.mode_variances <= most * (1 + 1e-9)).all()


def test_bounds_hold_at_any_scale_where_nothing_is_left_out():
    x, y = heavy()
    x, y = x[:8, :4] * 1e-8, y[:8] * 1e8
    decay = 0.1 * float(np.mean(np.sum(x**2, axis=1)))
    limit = fl.max_stable_lr(exact := fl.LeastSquares(x, y), fl.SGD(1.0, 1, momentum=0.99, weight_decay=decay))
    for modes in (1, 4):
        agrees(exact, fl.LeadingModes(x, y, modes=modes), fl.SGD(0.3 * limit, 1, momentum=0.99, weight_decay=decay))


def test_no_matrix_of_all_inputs_is_needed(data, whole, monkeypatch):
    monkeypatch.setattr(curvature, "_SMALL", 10)
    pieces = [(data.inputs[k : k + 500], data.targets[k : k + 500]) for k in range(0, 1797, 500)]
    for leading in (
        fl.LeadingModes(data.inputs, data.targets, modes=30),
        fl.LeadingModes.from_batches(lambda: iter(pieces), modes=30),
    ):
        assert leading.inside.operator.matrix is None
        agrees(whole, leading, fl.SGD(0.05, 8, weight_decay=1e-3))
    assert leading.minimum(1e-3).loss == pytest.approx(whole.minimum(1e-3).loss, rel=1e-8)
    least, most = fl.LeadingModes(data.inputs, data.targets, modes=30).minimum().loss_bounds
    assert least * (1 - 1e-12) <= whole.minimum().loss <= most * (1 + 1e-12)


def test_modes_are_the_steepest_whatever_the_spectrum():
    rng = np.random.default_rng(1)
    for scales in (np.arange(1, 201) ** -1.5, np.r_[1e4, np.ones(20), 0.5 * np.ones(179)], np.ones(200)):
        x = rng.standard_normal((600, 200)) * scales
        operator = Curvature(x)
        h, modes, *_ = steepest_modes(operator, 24, 1e-13)
        reference = np.linalg.eigvalsh(operator.matrix)[::-1][:24]
        np.testing.assert_allclose(h, reference[: len(h)], rtol=1e-9)
        assert len(h) == 24
        assert np.linalg.norm(operator.matrix @ modes - modes * h) < 1e-5 * h[-1]


def test_an_interpolating_model_has_no_floor():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((40, 90)), rng.standard_normal((40, 2))
    found = fl.predict(fl.LeadingModes(x, y, modes=10), fl.SGD(0.002, 2))
    assert 0 <= found.excess_loss_bounds[0] <= found.excess_loss_bounds[1] < 1e-8


def test_beyond_the_limit_it_says_so(data):
    leading = fl.LeadingModes(data.inputs, data.targets, modes=20)
    with pytest.raises(UnstableSGD):
        fl.predict(leading, fl.SGD(0.25, 8))
    limit = fl.max_stable_lr(leading, fl.SGD(1.0, 1))
    between = fl.SGD(0.5 * (limit + limit.at_most), 1)
    with pytest.warns(LooseBounds, match="more modes"):
        found = fl.predict(leading, between)
    assert found.excess_loss_bounds[0] > 0
    assert found.excess_loss_bounds[1] == np.inf
    assert found.to_dict()["excess_loss_bounds"][1] is None


@pytest.mark.parametrize(
    "given",
    [
        {"sgd": fl.SGD(0.05, 8, sampling="shuffle")},
        {"sgd": fl.SGD(0.05, 8, sampling=fl.WeightedSampling(np.ones(1797)))},
        {"sgd": fl.SGD(0.05, 8), "average": fl.EMA(0.9)},
        {"sgd": fl.SGD(0.05, 8), "theory": "discrete"},
        {"sgd": fl.SGD(0.05, 2000, sampling="without_replacement")},
        {"sgd": fl.SGLD(0.05, 8, temperature=0.1)},
        {"sgd": fl.SGD(0.05, 8), "device": "cpu"},
    ],
    ids=["epochs", "weights", "average", "rung", "batch", "sampler", "device"],
)
def test_what_the_bounds_do_not_hold_for_is_refused(data, given):
    with pytest.raises(InvalidInput):
        fl.predict(fl.LeadingModes(data.inputs, data.targets, modes=5), **given)
    with pytest.raises(InvalidInput, match="LeadingModes"):
        fl.learning_curve(fl.LeadingModes(data.inputs, data.targets, modes=5), fl.SGD(0.05, 8), 5)
