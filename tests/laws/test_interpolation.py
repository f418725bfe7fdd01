"""Models that fit every sample, or nearly: where they are stable, and noise proportional to the square of the decay."""

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, UnstableSGD

BEYOND = [1.001, 1.2, 1.5, 10.0]


def problem_of(name: str, dtype=float) -> fl.LeastSquares:
    rng = np.random.default_rng(0)
    wide, tall = rng.normal(size=(3, 5)), rng.normal(size=(40, 4))
    inputs, targets = {
        "fewer samples than features": (wide, rng.normal(size=3)),
        "as many": (wide[:, :3], rng.normal(size=3)),
        "targets of zero": (tall, np.zeros(40)),
        "a linear map": (tall, tall @ rng.normal(size=(4, 2))),
        "one feature": (tall[:, :1], 3 * tall[:, :1]),
    }[name]
    return fl.LeastSquares(inputs.astype(dtype), targets)


EXACT = ["fewer samples than features", "as many", "targets of zero", "a linear map", "one feature"]


def radius(problem: fl.LeastSquares, sgd: fl.SGD) -> float:
    """Spectral radius of the second-moment map of (V, u), one sample a batch, as a dense matrix."""
    x = problem.inputs.astype(float)
    x = x @ np.linalg.svd(x, full_matrices=False)[2].T  # the directions that data have
    d = x.shape[1]
    total = np.zeros((4 * d * d,) * 2)
    for row in x:
        h = np.outer(row, row)
        buffer = np.hstack([h, sgd.momentum * np.eye(d)])
        push = np.hstack([h, np.zeros((d, d))]) + sgd.momentum * buffer if sgd.nesterov else buffer
        step = np.vstack([np.eye(d, 2 * d) - sgd.lr * push, buffer])
        total += np.kron(step, step) / len(x)
    return float(np.abs(np.linalg.eigvals(total)).max())


@pytest.mark.filterwarnings("ignore::fluctua.errors.UncertainSpread")  # of the rate just below
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", EXACT)
def test_beyond_the_limit_an_exact_fit_is_refused_as_any_other(name, momentum):
    """Without noise at W* the balance has the solution 0 at any learning rate."""
    problem = problem_of(name)
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, 1, momentum=momentum))
    inside = fl.SGD(0.99 * limit, 1, momentum=momentum)
    assert radius(problem, inside) < 1
    prediction = fl.predict(problem, inside)
    assert prediction.excess_loss == 0
    assert fl.loss_spread(prediction).std == 0
    for share in BEYOND:
        sgd = fl.SGD(share * limit, 1, momentum=momentum)
        assert radius(problem, sgd) > 1
        with pytest.raises(UnstableSGD):
            fl.predict(problem, sgd)
        unbounded = fl.predict(problem, sgd, check_stability=False)
        assert unbounded.excess_loss == np.inf
        assert fl.loss_spread(unbounded).std == np.inf
        assert fl.learning_curve(problem, sgd, 3)[0] < np.inf


def test_an_average_of_the_weights_beyond_the_limit_is_refused_too():
    problem = problem_of("fewer samples than features")
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, 1))
    assert fl.predict(problem, fl.SGD(0.9 * limit, 1), average=fl.EMA(0.9)).excess_loss == 0
    with pytest.raises(UnstableSGD):
        fl.predict(problem, fl.SGD(1.1 * limit, 1), average=fl.EMA(0.9))


def decayed_floor(inputs, targets, sgd: fl.SGD) -> float:
    """Stationary excess loss of N <= d samples with weight decay, one sample a batch; from the dual solution.

    r = -N gamma a with (X X^T + N gamma) a = y: no residual is a difference of larger numbers.
    """
    n, gamma = len(inputs), sgd.weight_decay
    dual = np.linalg.solve(inputs @ inputs.T + n * gamma * np.eye(n), targets)
    basis = np.linalg.svd(inputs, full_matrices=False)[2].T
    x = inputs @ basis
    d, residuals, optimum = x.shape[1], -n * gamma * dual, x.T @ dual
    size = 2 * d + 1
    total = np.zeros((size**2,) * 2)
    for row, r in zip(x, residuals, strict=True):
        slope = np.hstack(
            [np.outer(row, row) + gamma * np.eye(d), np.zeros((d, d)), (r * row + gamma * optimum)[:, None]]
        )
        buffer = slope + sgd.momentum * np.eye(d, size, k=d)
        step = np.vstack([np.eye(d, size) - sgd.lr * buffer, buffer, np.eye(1, size, k=2 * d)])
        total += np.kron(step, step) / n
    scale = gamma * np.linalg.norm(optimum)  # of V and u, so that the system is of order one
    unit = np.array([scale] * (2 * d) + [1.0])
    whole = np.eye(size**2) - total * np.outer(1 / np.kron(unit, unit), np.kron(unit, unit))
    whole[-1], right = 0.0, np.zeros(size**2)
    whole[-1, -1] = right[-1] = 1.0
    moment = np.linalg.solve(whole, right).reshape(size, size)[:d, :d] * scale**2
    return float(0.5 * np.sum((x.T @ x / n + gamma * np.eye(d)) * moment))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("weight_decay", [1e-30, 1e-16, 1e-12, 1e-10, 1e-9, 1e-8, 1e-3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_tiny_weight_decay_leaves_a_floor_proportional_to_its_square(dtype, weight_decay, momentum):
    inputs = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    sgd = fl.SGD(0.01 if not momentum else 0.001, 1, weight_decay=weight_decay, momentum=momentum)
    found = fl.predict(fl.LeastSquares(inputs, [1.0, 2.0, 3.0]), sgd).excess_loss
    expected = decayed_floor(inputs.astype(float), np.array([1.0, 2.0, 3.0]), sgd)
    assert found == pytest.approx(expected, rel=1e-9 if dtype == np.float64 else 1e-4, abs=0)
    if not momentum and weight_decay in (1e-8, 1e-9, 1e-10):
        assert found == pytest.approx(4.25e-2 * weight_decay**2, rel=0.01, abs=0)


def test_the_noise_at_the_optimum_is_positive_however_small_the_decay():
    problem = problem_of("fewer samples than features")
    for weight_decay in np.geomspace(1e-20, 1e2, 23):
        lowest, *_, highest = np.linalg.eigvalsh(problem.minimum(weight_decay).noise)
        assert highest > 0
        assert lowest > -1e-12 * highest


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("shape", [(5, 5), (30, 50), (300, 30), (200, 400)])
def test_an_exact_fit_is_known_as_one_and_a_residual_above_rounding_is_not(shape, condition):
    """Whatever the conditioning: where a tall problem's targets are a linear map, and where samples are few."""
    n, d = shape
    rng = np.random.default_rng(n + d)
    inputs = rng.normal(size=shape) * np.geomspace(1, 1 / condition, d)
    weights = rng.normal(size=(d, 2)) * np.geomspace(1, condition, d)[:, None]
    problem = fl.LeastSquares(inputs, inputs @ weights)
    assert problem.minimum().interpolates
    assert problem.minimum().loss == 0
    if n > d:
        noise = 1e-12 * np.linalg.norm(inputs @ weights) * rng.normal(size=(n, 2)) / np.sqrt(n)
        near = fl.LeastSquares(inputs, inputs @ weights + noise)
        assert not near.minimum().interpolates
        scaled = inputs / np.linalg.norm(inputs, axis=0)
        left = noise - scaled @ np.linalg.lstsq(scaled, noise, rcond=None)[0]
        assert near.minimum().loss == pytest.approx(0.5 * np.sum(left**2) / n, rel=0.01)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"sampling": "without_replacement"}], ids=str)
def test_there_is_nothing_to_plan_where_no_recipe_moves(options):
    problem = problem_of("targets of zero")
    with pytest.raises(InvalidInput, match="All targets are zero"):
        fl.plan(problem, 20, batch_size=4, **options)
    found = fl.plan(problem, 20, batch_size=4, start=np.ones((1, 4)), momenta=[0.0], schedules=["constant"], **options)
    assert found.best.loss < fl.learning_curve(problem, fl.SGD(0.01, 4, **options), 1, start=np.ones((1, 4)))[0]


def test_an_exact_fit_is_planned_without_warnings():
    problem = problem_of("fewer samples than features")
    found = fl.plan(problem, 60, batch_size=3, sampling="without_replacement", schedules=["constant", "linear"])
    assert 0 <= found.best.loss < 1e-3
