"""Offsets and scales: W*, the modes and every law where columns differ by many orders, against rational numbers."""

import warnings

import numpy as np
import pytest

import fluctua as fl
import fluctua.problem.modes
import fluctua.problem.moments
from fluctua.errors import BelowRounding
from helpers.rational import Rational

LONGLEY = np.array(
    [  # NIST's Longley (1967): employed; deflator, product, unemployed, armed forces, population, year
        [60323, 83.0, 234289, 2356, 1590, 107608, 1947],
        [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
        [60171, 88.2, 258054, 3682, 1616, 109773, 1949],
        [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
        [63221, 96.2, 328975, 2099, 3099, 112075, 1951],
        [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
        [64989, 99.0, 365385, 1870, 3547, 115094, 1953],
        [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
        [66019, 101.2, 397469, 2904, 3048, 117388, 1955],
        [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
        [68169, 108.4, 442769, 2936, 2798, 120445, 1957],
        [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
        [68655, 112.6, 482704, 3813, 2552, 123366, 1959],
        [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
        [69331, 115.7, 518173, 4806, 2572, 127852, 1961],
        [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
    ]
)
CERTIFIED = [
    15.0618722713733,
    -0.0358191792925910,
    -2.02022980381683,
    -1.03322686717359,
    -0.0511041056535807,
    1829.15146461355,
    -3482258.63459582,
]


def columns(name: str, samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs by name, and targets that need every column of them."""
    rng = np.random.default_rng(seed)
    a, b, c, noise = rng.normal(size=(4, samples))
    ones = np.ones(samples)
    inputs = {
        "plain": [a, b],
        "offset 1e4": [1e4 + a, ones],
        "offset 1.7e9": [1.7e9 + a, ones],
        "offset without a constant": [1e6 + a, 1e6 + b],
        "time stamp": [1.7e9 + 1e7 * rng.random(samples), b],
        "units": [1e6 * a, b, 1e-3 * c],
        "twenty orders": [1e10 * a, 1e-10 * b],
        "near 1e-6": [a, a + 1e-6 * b],
        "near 1e-9": [a, a + 1e-9 * b],
        "float32": [1e4 + a, ones],
    }[name]
    kind = np.float32 if name == "float32" else float
    return np.stack(inputs, axis=1).astype(kind), 0.3 * a + b + c + 0.2 * noise


ILL = [
    "offset 1e4",
    "offset 1.7e9",
    "offset without a constant",
    "time stamp",
    "units",
    "twenty orders",
    "near 1e-6",
    "near 1e-9",
    "float32",
]
RTOL = {
    "offset without a constant": 1e-8,
    "near 1e-9": 2e-6,
    "offset 1.7e9": 1e-6,
    "float32": 3e-6,
    "near 1e-6": 1e-8,
    "offset 1e4": 1e-10,
}
"""Rounding times the condition of the scaled columns, and the precision of products over float32 data."""


@pytest.mark.parametrize("weight_decay", [0.0, 1e-8, 0.3])
@pytest.mark.parametrize("name", ["plain", *ILL])
def test_the_loss_at_the_optimum_and_the_optimum_are_those_of_the_data(name, weight_decay):
    inputs, targets = columns(name, 60)
    problem, truth = fl.LeastSquares(inputs, targets), Rational(inputs, targets, weight_decay)
    minimum, rtol = problem.minimum(weight_decay), RTOL.get(name, 1e-11)
    assert problem.rank == inputs.shape[1]
    assert minimum.loss == pytest.approx(float(truth.loss), rel=rtol)
    np.testing.assert_allclose(minimum.weights[0], truth.optimum.astype(float), rtol=100 * rtol)


def test_longley_has_its_certified_values():
    inputs = np.c_[LONGLEY[:, 1:], np.ones(16)]
    minimum = fl.LeastSquares(inputs, LONGLEY[:, 0]).minimum()
    assert minimum.loss == pytest.approx(836424.055505915 / 32, rel=1e-12)
    np.testing.assert_allclose(minimum.weights[0], CERTIFIED, rtol=1e-8)


@pytest.mark.parametrize("offset", [1e8, 1.7e9, 1e12])
def test_an_offset_of_the_targets_leaves_the_noise_floor(offset):
    """A constant column takes the offset up; what is left of the targets is known to eps times it."""
    rng = np.random.default_rng(0)
    inputs, noise, sgd = np.c_[np.ones(200), rng.normal(size=(200, 2))], rng.normal(size=200), fl.SGD(0.05, 2)
    floor, found = (fl.predict(fl.LeastSquares(inputs, y), sgd).excess_loss for y in (noise, offset + noise))
    assert floor == pytest.approx(0.01929, abs=5e-6)
    assert found == pytest.approx(floor, rel=3e-16 * offset)


@pytest.mark.parametrize("weight_decay", [0.0, 1e-8, 1e-2])
@pytest.mark.parametrize("name", ["plain", *ILL])
def test_every_law_holds_where_columns_differ_by_many_orders(name, weight_decay):
    """The stationary state, the curve and held-out losses, from starts with weight in every direction."""
    inputs, targets = columns(name, 7, seed=3)
    problem, truth = fl.LeastSquares(inputs, targets), Rational(inputs, targets, weight_decay)
    lr = 0.3 * fl.max_stable_lr(problem, fl.SGD(1.0, 1, weight_decay=weight_decay))
    sgd, rtol = fl.SGD(lr, 1, weight_decay=weight_decay), RTOL.get(name, 1e-11)
    other = inputs[:3] * np.array([[1.0], [2.0], [-0.5]]), np.array([1.0, -0.3, 2.0])
    settled, prediction = truth.stationary(lr), fl.predict(problem, sgd)
    assert prediction.excess_loss == pytest.approx(float(truth.excess(settled)), rel=rtol)
    found = fl.held_out_loss(prediction, *other)
    assert found.expected == pytest.approx(float(truth.held_out(settled, *other)), rel=rtol)
    for start in (np.zeros(inputs.shape[1]), np.arange(1.0, 1 + inputs.shape[1])):
        moment, steps = truth.begin(start), range(4)
        curve = fl.learning_curve(problem, sgd, 3, start=start[None], rtol=1e-12) + problem.minimum(weight_decay).loss
        held = fl.held_out_curve(problem, sgd, steps, *other, start=start[None], rtol=1e-12)
        for t in steps:
            assert curve[t] == pytest.approx(float(truth.excess(moment) + truth.loss), rel=rtol)
            assert held[t] == pytest.approx(float(truth.held_out(moment, *other)), rel=10 * rtol)
            after = prediction.after(t, start=start[None], rtol=1e-12)
            expected = fl.held_out_loss(after, *other).expected
            assert expected == pytest.approx(float(truth.held_out(moment, *other)), rel=10 * rtol)
            moment = truth.advanced(moment, lr)


@pytest.mark.parametrize("blocks", ["one", "several"])
def test_the_triangular_factor_is_the_same_in_blocks(blocks, monkeypatch):
    if blocks == "several":
        monkeypatch.setattr(fluctua.problem.moments, "BLOCK_ELEMENTS", 1)
        monkeypatch.setattr(fluctua.problem.modes, "BLOCK_ELEMENTS", 1)
    inputs, targets = columns("offset 1.7e9", 600)
    inputs = np.c_[np.zeros(600), inputs]
    problem, truth = fl.LeastSquares(inputs, targets), Rational(inputs[:, 1:], targets)
    assert problem.rank == 2
    assert problem.minimum().loss == pytest.approx(float(truth.loss), rel=1e-6)
    assert not problem.modes[0].any()


# --- directions that data really lack ---


def lacking(name: str) -> np.ndarray:
    """Inputs of 12 columns, of which some are zero or depend on the others exactly."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(240, 12))
    groups = np.eye(5)[rng.integers(0, 5, 240)]
    if name == "dead":
        x[:, [2, 9]] = 0
    elif name == "one-hot and constant":
        x = np.c_[x[:, :6], groups, np.ones(240)]
    elif name == "one-hot and constant, large":
        x = np.c_[1e-3 * x[:, :5], 1e-9 * x[:, 5:6], 1e6 * groups, 1e6 * np.ones(240)]
    elif name == "twice":
        x[:, 5] = x[:, 3]
    elif name == "standardised twice":
        x[:, 5] = 3 * x[:, 3] + 7
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    elif name == "a sum":
        x[:, 4] = x[:, :4].sum(axis=1)
    return x


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("dead", 10),
        ("one-hot and constant", 11),
        ("one-hot and constant, large", 11),
        ("twice", 11),
        ("standardised twice", 11),
        ("a sum", 11),
    ],
)
def test_what_data_lack_is_left_out_without_a_warning(name, rank, outputs):
    inputs = lacking(name)
    targets = inputs[:, :3] @ np.ones((3, outputs)) + np.random.default_rng(8).normal(size=(240, outputs)) ** 3
    scale = np.where(inputs.any(axis=0), np.linalg.norm(inputs, axis=0), 1)
    best = targets - inputs / scale @ np.linalg.lstsq(inputs / scale, targets, rcond=1e-12)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = fl.LeastSquares(inputs, targets)
        assert problem.minimum().loss == pytest.approx(0.5 * np.sum(best**2) / 240, rel=1e-10)
        assert problem.minimum(0.1).loss > problem.minimum().loss
    assert problem.rank == rank


def test_data_that_the_second_moment_resolves_need_no_triangular_factor(monkeypatch):
    """Nor do exact dependencies beside them: on images it costs seconds to minutes."""
    monkeypatch.setattr(fluctua.problem.modes, "_triangle", None)
    for name in ("dead", "one-hot and constant", "twice"):
        assert fl.LeastSquares(lacking(name), np.ones(240)).rank < 12


# --- what rounding hides is said ---


@pytest.mark.parametrize("offset", [1e15, 1e16])
def test_a_direction_below_rounding_is_named_with_its_share_of_the_loss(offset):
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    inputs, targets = np.c_[offset + a, np.ones(300)], a + 0.1 * rng.normal(size=300)
    centred = np.c_[inputs[:, 0] - offset, np.ones(300)]
    best, worst = Rational(centred, targets).loss, 0.5 * np.var(targets)
    with pytest.warns(BelowRounding, match="1 direction of the inputs.*Centre the inputs") as found:
        fl.LeastSquares(inputs, targets).minimum()
    assert found[0].message.directions == 1
    assert found[0].message.share == pytest.approx(1 - float(best) / worst, rel=0.1)
    assert fl.LeastSquares(centred, targets).minimum().loss == pytest.approx(float(best), rel=1e-12)


@pytest.mark.parametrize("offset", [1e15, 1e16])
def test_residuals_that_are_mostly_rounding_are_no_exact_fit_and_are_named(offset):
    rng = np.random.default_rng(0)
    inputs, noise = np.c_[np.ones(200), rng.normal(size=(200, 2))], rng.normal(size=200)
    problem = fl.LeastSquares(inputs, offset + noise, targets_are="values")
    with pytest.warns(BelowRounding, match="% of the residuals at the optimum.*Centre") as found:
        floor = fl.predict(problem, fl.SGD(0.05, 2)).excess_loss
    assert found[0].message.error > 0.1
    assert floor > 0.01


def test_a_warning_is_given_once_and_where_weight_decay_does_not_take_the_direction_anyway():
    inputs = np.c_[1e15 + np.arange(50.0), np.ones(50)]
    problem = fl.LeastSquares(inputs, np.arange(50.0))
    assert problem.minimum(0.1).loss > 0  # the direction has a curvature of 1e-28
    with pytest.warns(BelowRounding) as found:
        problem.minimum()
    assert len(found) == 1
    problem.minimum()
    fl.predict(problem, fl.SGD(1e-31, 2))


def test_relaxation_steps_are_finite_however_flat_the_mode():
    """1/(lr h) for a flat mode, to rounding, where 1 - lr h is 1."""
    inputs, targets = columns("time stamp", 50)
    problem = fl.LeastSquares(inputs, targets)
    found = fl.predict(problem, fl.SGD(1e-19, 1)).relaxation_steps
    assert found[1] == pytest.approx(1 / (1e-19 * problem.curvatures[1]), rel=1e-12)
    heavy = fl.predict(problem, fl.SGD(1e-20, 1, momentum=0.9)).relaxation_steps
    assert heavy[1] == pytest.approx(0.1 / (1e-20 * problem.curvatures[1]), rel=1e-9)
