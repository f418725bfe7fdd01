"""The learning rate of those who give none is stable on any data: held to dense maps of the second moment."""

import json
from functools import cache
from itertools import combinations

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import main
from fluctua.planning.usual_rate import default_rate

RNG = np.random.default_rng


def normal(n, d):
    return RNG(n + d).normal(size=(n, d))


DATA = {
    "one feature": normal(30, 1),
    "normal": normal(40, 5),
    "offset": normal(40, 4) + 3,
    "heavy tails": RNG(1).standard_t(1.5, size=(60, 4)),
    "one outlier": np.vstack([normal(30, 3), [[40.0, 0, 0]]]),
    "one-hot": np.eye(5)[RNG(2).integers(5, size=40)],
    "scales": normal(30, 4) * [100, 1, 0.1, 1e-3],
    "few samples": normal(3, 5),
    "two samples": normal(2, 2),
}
RECIPES = {
    "plain": {},
    "decay": {"weight_decay": 3.0},
    "momentum": {"momentum": 0.9},
    "strong": {"momentum": 0.99},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "mild nesterov": {"momentum": 0.3, "nesterov": True},
    "dampening": {"momentum": 0.9, "dampening": 0.5},
    "much dampening": {"momentum": 0.5, "dampening": 0.95},
}


def step(hessian, sgd):
    """One step of (W, buf) with this batch curvature, as torch.optim.SGD has it."""
    one, beta, tau = np.eye(len(hessian)), sgd.momentum, 1 - sgd.dampening if sgd.momentum else 1.0
    g = np.hstack([hessian + sgd.weight_decay * one, 0 * one])
    buf = np.hstack([0 * one, beta * one]) + tau * g
    moved = g + beta * buf if sgd.nesterov else buf
    return np.vstack([np.hstack([one, 0 * one]) - sgd.lr * moved, buf])


def independent_radius(x, sgd, kappa):
    """Spectral radius of E[M x M], the map of the second moment, over independent batches."""
    hessian = x.T @ x / len(x)
    mean = step(hessian, sgd)
    slope = [step(np.outer(row, row), sgd) - mean for row in x]
    spread = np.mean([np.kron(m, m) for m in slope], axis=0)
    return np.abs(np.linalg.eigvals(np.kron(mean, mean) + kappa * spread)).max()


def epoch_radius(x, sgd):
    """The same of one epoch, averaged over every order: over every next batch, and every order of what is left."""

    @cache
    def onward(left):
        if not left:
            return np.eye(4 * x.shape[1] ** 2)
        after = [onward(left.difference(batch)) @ twice(batch) for batch in batches(left)]
        return np.mean(after, axis=0)

    def batches(left):
        return combinations(sorted(left), min(sgd.batch_size, len(left)))

    @cache
    def twice(batch):
        rows = x[list(batch)]
        one = step(rows.T @ rows / len(rows), sgd)
        return np.kron(one, one)

    return np.abs(np.linalg.eigvals(onward(frozenset(range(len(x)))))).max()


def chosen(problem, **options):
    sgd = fl.SGD(1.0, **options)
    return fl.SGD(default_rate(problem, sgd).lr, **options)


@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", DATA)
def test_independent_batches_are_stable(name, recipe, size):
    x = DATA[name]
    problem = fl.LeastSquares(x, x[:, :1] * 1.0)
    samplings = {"with_replacement": 1 / size}
    if size <= len(x):
        samplings["without_replacement"] = (len(x) - size) / (size * (len(x) - 1))
    for sampling, kappa in samplings.items():
        sgd = chosen(problem, batch_size=size, sampling=sampling, **RECIPES[recipe])
        null = x.shape[1] - problem.rank if not sgd.weight_decay else 0
        assert independent_radius(x @ problem.modes if null else x, sgd, kappa) < 1
        assert sgd.lr == float(f"{sgd.lr:.0e}")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [1, 2, 4, 5, 6])
def test_shuffled_epochs_are_stable(size, recipe):
    for seed, samples in ((0, 6), (1, 5), (2, 6)):
        x = RNG(seed).normal(size=(samples, 2)) * (1 + 5 * (np.arange(samples) == 0)[:, None])
        if size <= samples:
            problem = fl.LeastSquares(x, x[:, :1] * 1.0)
            assert epoch_radius(x, chosen(problem, batch_size=size, sampling="shuffle", **RECIPES[recipe])) < 1


WIDE = {
    "40 normal": (lambda: normal(1000, 40), 8),
    "100 normal": (lambda: normal(1000, 100), 8),
    "200 normal": (lambda: normal(600, 200), 4),
    "400 normal": (lambda: normal(500, 400), 1),
    "images": (lambda: fl.load("digits").inputs[:, fl.load("digits").inputs.any(axis=0)], 1),
    "rare ones": (lambda: (normal(400, 50) > 1).astype(float), 2),
}


@pytest.mark.parametrize("name", WIDE)
def test_ordinary_features_are_stable(name):
    """The second moment, iterated from the identity, decays: its growth per step settles below one."""
    x, size = WIDE[name][0](), WIDE[name][1]
    samples, features = x.shape
    sgd = chosen(fl.LeastSquares(x, x[:, :1] * 1.0), batch_size=size)
    h, s, kappa = x.T @ x / samples, np.eye(features), 1 / size
    for _ in range(60):
        mixed = x.T @ (np.einsum("ij,ij->i", x @ s, x)[:, None] * x) / samples
        after = s - sgd.lr * (h @ s + s @ h) + sgd.lr**2 * ((1 - kappa) * h @ s @ h + kappa * mixed)
        growth, s = np.trace(after) / np.trace(s), after / np.trace(after)
    assert 0.5 < growth < 1


def test_the_largest_square_is_found_in_any_block():
    x = RNG(0).normal(size=(50, 3)).astype(np.float32)
    x[41] = 7
    assert fl.LeastSquares(x, x[:, :1]).largest_square() == pytest.approx(147)


def test_a_schedule_above_one_lowers_the_rate():
    problem = fl.LeastSquares(DATA["normal"], DATA["normal"][:, :1])
    flat = default_rate(problem, fl.SGD(1.0, 4))
    peaked = default_rate(problem, fl.SGD(1.0, 4, schedule=[1.0, 10.0, 1.0]), 3)
    assert peaked.slower == 10
    assert peaked.lr == pytest.approx(flat.lr / 10, rel=0.5)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    path = tmp_path_factory.mktemp("default") / "wide.npz"
    np.savez(path, X=normal(1000, 100), y=RNG(3).integers(0, 3, 1000))
    return str(path)


@pytest.mark.parametrize("more", [[], ["--momentum", "0.9"], ["--batch-size", "1"], ["--weight-decay", "0.5"]])
def test_predict_works_without_a_rate_and_says_how_it_was_found(wide, capsys, more):
    with pytest.raises(SystemExit) as left:
        main(["predict", wide, *more])
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert "default lr: 1/4 of 2/(kappa max |x|^2)" in out
    assert ("over 10 for momentum" in out) == ("--momentum" in more)


def test_a_given_rate_is_used_and_nothing_is_said_of_a_default(wide, capsys):
    with pytest.raises(SystemExit):
        main(["predict", wide, "--lr", "0.01"])
    assert "default lr" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["predict", "digits", "--json"])
    assert json.loads(capsys.readouterr().out)["recipe"]["lr"] == 0.05  # the mean's limit is the lesser here
