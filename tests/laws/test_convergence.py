"""Iterations end converged or say so: the stability limit with momentum against the dense map of second moments."""

import numpy as np
import pytest
from scipy.optimize import brentq

import fluctua as fl
from fluctua.errors import NotConverged
from fluctua.theory import radius

TWO = [[0.961, -1.235], [-1.476, 0.525]]


def growth(x, kappa, decay, lr, momentum, dampening=0.0, nesterov=False):
    """Spectral radius of E[M kron M], M the matrix of one step on (V, u), for gradients of covariance factor kappa."""
    identity, outer = np.eye(x.shape[1]), np.einsum("ni,nj->nij", x, x)
    nu, mu = (1.0, momentum) if nesterov else (0.0, 1.0)
    tau = 1 - dampening
    kept = np.block([[identity, -lr * mu * momentum * identity], [0 * identity, momentum * identity]])
    push = np.vstack([-lr * (nu + mu * tau) * identity, tau * identity])
    mean = outer.mean(axis=0)
    steady = kept + push @ (mean + decay * identity) @ np.hstack([identity, 0 * identity])
    parts = [push @ (each - mean) @ np.hstack([identity, 0 * identity]) for each in outer]
    whole = np.kron(steady, steady) + kappa * np.mean([np.kron(part, part) for part in parts], axis=0)
    return np.abs(np.linalg.eigvals(whole)).max()


def dense_limit(x, kappa, decay, about, **options):
    """The learning rate near `about` at which that radius passes 1."""

    def above(lr):
        return growth(x, kappa, decay, lr, **options) - 1

    assert above(0.3 * about) < 0
    return brentq(above, 0.9 * about, 1.1 * about, xtol=1e-300, rtol=1e-12)


@pytest.mark.parametrize("copies", [1, 30])
@pytest.mark.parametrize(("nesterov", "expected"), [(False, 0.27551), (True, 0.41689)])
def test_two_points_whose_map_has_an_eigenvalue_near_minus_its_radius(nesterov, expected, copies):
    problem = fl.LeastSquares(np.repeat(TWO, copies, axis=0), np.repeat([1.0, 2.0], copies))
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, 1, momentum=0.9, nesterov=nesterov))
    assert limit == pytest.approx(expected, abs=6e-6)
    assert growth(problem.inputs, 1.0, 0.0, (1 - 1e-6) * limit, 0.9, nesterov=nesterov) < 1
    assert growth(problem.inputs, 1.0, 0.0, (1 + 1e-6) * limit, 0.9, nesterov=nesterov) > 1


def clouds(kind, rng):
    """Points that repeat, nearly repeat, lie on axes, on corners, or far out."""
    few = rng.normal(size=(3, 2)) * rng.lognormal(size=(3, 1))
    return {
        "distinct": rng.standard_t(3, size=(8, 3)),
        "repeated": np.repeat(few[:2], 3, axis=0),
        "nearly repeated": np.repeat(few, 10, axis=0) + 0.02 * rng.normal(size=(30, 2)),
        "on axes": np.repeat(np.diag(rng.normal(size=3)), 2, axis=0),
        "corners": np.sign(rng.normal(size=(7, 2))),
        "two outliers": np.vstack([rng.normal(size=(28, 2)), 20 * rng.normal(size=(2, 2))]),
        "one feature": rng.normal(size=(6, 1)),
    }[kind]


OPTIMISERS = {
    "heavy ball": {"momentum": 0.9},
    "strong": {"momentum": 0.99},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
    "dampened": {"momentum": 0.5, "dampening": 0.4},
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize(
    "kind", ["distinct", "repeated", "nearly repeated", "on axes", "corners", "two outliers", "one feature"]
)
def test_the_limit_with_momentum_is_where_the_dense_map_starts_to_grow(kind, optimiser):
    options = OPTIMISERS[optimiser]
    for size, sampling, decay in (
        (1, "with_replacement", 0.0),
        (4, "with_replacement", 0.2),
        (2, "without_replacement", 0.0),
        (3, "without_replacement", 0.1),
    ):
        x = clouds(kind, np.random.default_rng(size))
        problem = fl.LeastSquares(x, np.arange(len(x)) + 0.5)
        sgd = fl.SGD(1.0, size, sampling=sampling, weight_decay=decay, **options)
        kappa = 1 / size if sampling == "with_replacement" else (len(x) - size) / (size * (len(x) - 1))
        _, singular, basis = np.linalg.svd(x)  # directions without data never move, at no rate
        seen = x @ basis[: np.sum(singular > 1e-9 * singular[0])].T
        limit = fl.max_stable_lr(problem, sgd)
        assert limit == pytest.approx(dense_limit(seen, kappa, decay, limit, **options), rel=1e-9)


@pytest.mark.parametrize("options", [*OPTIMISERS.values(), {"momentum": 0.0}])
def test_noise_that_does_not_feel_the_weights_leaves_the_limit_of_the_mean(options):
    """One feature coded -1/+1: K = 0, and the mean decays up to 2 (1 + beta)/(h (...))."""
    problem = fl.LeastSquares([[1.0], [-1.0], [1.0]], [1.0, 2.0, 3.0])
    limit = fl.max_stable_lr(problem, fl.SGD(0.1, 1, **options))
    beta, tau = options["momentum"], 1 - options.get("dampening", 0.0)
    expected = 2 * (1 + beta) / ((1 + 2 * beta) if options.get("nesterov") else tau)
    assert limit == pytest.approx(expected, rel=1e-12)
    with pytest.raises(fl.UnstableSGD) as caught:
        fl.predict(problem, fl.SGD(1.01 * limit, 1, **options))
    assert caught.value.max_stable_lr == pytest.approx(limit)
    assert fl.predict(problem, fl.SGD(0.99 * limit, 1, **options)).excess_loss > 0


def test_a_plan_for_a_feature_of_constant_size():
    problem = fl.LeastSquares([[1.0], [-1.0], [1.0]], [1.0, 2.0, 3.0])
    found = fl.plan(problem, 20, batch_size=1, schedules=["constant"])
    assert found.limits == pytest.approx({0.0: 2.0, 0.9: 3.8}, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-69, 1e-40, 1e40, 1e68])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_the_limit_scales_over_all_inputs_that_are_accepted(scale, options):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), (np.arange(20) + 0.5) / 20
    limits = [fl.max_stable_lr(fl.LeastSquares(c * x, y), fl.SGD(1.0, 2, **options)) * c**2 for c in (1.0, scale)]
    assert limits[1] == pytest.approx(limits[0], rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_a_limit_that_was_not_found_is_not_returned(monkeypatch, options):
    x = np.random.default_rng(0).standard_t(2.1, size=(300, 20))
    problem = fl.LeastSquares(x, x[:, 0])
    fl.max_stable_lr(problem, fl.SGD(1.0, 1, **options))
    monkeypatch.setattr(radius, "_ROUNDS", 4)
    with pytest.raises(NotConverged, match="after 4 rounds the relative residual is") as caught:
        fl.max_stable_lr(problem, fl.SGD(1.0, 1, **options))
    assert isinstance(caught.value, fl.errors.FluctuaError)
    assert caught.value.rounds == 4
    assert caught.value.residual > caught.value.tolerance


def test_a_small_basis_restarts_and_finds_the_same(monkeypatch):
    x = np.random.default_rng(0).standard_t(2.1, size=(300, 20))
    problem, sgd = fl.LeastSquares(x, x[:, 0]), fl.SGD(1.0, 1, momentum=0.9)
    limit = fl.max_stable_lr(problem, sgd)
    monkeypatch.setattr(radius, "_MOST", 8)
    assert fl.max_stable_lr(problem, sgd) == pytest.approx(limit, rel=1e-10)
