"""Softmax heads by brute force, F72 to F74 and F78: batches of the quadratic twin, differences, orders of an epoch."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput
from fluctua.problem.softmax.descent import Place
from fluctua.theory.local.epochs import epoch_phi
from helpers import softmax_twin as twin

GAMMA = 0.05
RECIPES = {
    "plain": {"lr": 0.7, "batch_size": 2},
    "without replacement": {"lr": 0.7, "batch_size": 2, "sampling": "without_replacement"},
    "momentum": {"lr": 0.15, "batch_size": 2, "momentum": 0.7},
    "dampened": {"lr": 0.3, "batch_size": 1, "momentum": 0.6, "dampening": 0.3},
    "nesterov": {"lr": 0.15, "batch_size": 2, "momentum": 0.7, "nesterov": True},
}


def few(classes, seed=3):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=6), np.ones(6)])
    return x, np.arange(6) % classes


def at_optimum(classes, recipe="plain"):
    x, labels = few(classes)
    problem, sgd = fl.Softmax(x, labels), fl.SGD(weight_decay=GAMMA, **RECIPES[recipe])
    return problem, sgd, x, np.eye(classes)[labels]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_twin_is_the_multiplicative_rung(recipe, classes):
    problem, sgd, x, y = at_optimum(classes, recipe)
    found = fl.predict(problem, sgd, theory="multiplicative", check_stability=False)
    whole = twin.stationary(twin.steps(found.optimum, x, y, GAMMA, sgd))
    n = found.optimum.size
    np.testing.assert_allclose(found.covariance, whole[:n, :n], rtol=0, atol=1e-12 * np.abs(whole[:n, :n]).max())


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_twin_at_finite_time_from_a_start_nearby(recipe, steps):
    problem, sgd, x, y = at_optimum(3, recipe)
    prediction = fl.predict(problem, sgd, theory="multiplicative", check_stability=False)
    w = prediction.optimum
    away = 0.1 * np.random.default_rng(5).normal(size=w.shape)
    away -= away.mean(axis=0)  # what all classes share is outside the modes
    maps, n = twin.steps(w, x, y, GAMMA, sgd), w.size
    first = twin.steps(w, x, y, GAMMA, fl.SGD(**{**sgd.to_dict(), "dampening": 0.0, "schedule": None}))
    begun = np.concatenate([away.ravel(), np.zeros(n)])
    mean, second = twin.moments_after(first, begun, np.outer(begun, begun), 1)  # torch's first buffer is the gradient
    mean, second = twin.moments_after(maps, mean, second, steps - 1)
    found = prediction.after(steps, start=w + away, rtol=1e-10)
    np.testing.assert_allclose(found.covariance, second[:n, :n], rtol=0, atol=2e-10 * np.abs(second[:n, :n]).max())
    np.testing.assert_allclose(problem.minimum(GAMMA).modes @ found.mode_mean, mean[:n], atol=1e-12)


def test_what_all_classes_share_is_moved_by_weight_decay_alone():
    problem, sgd, *_ = at_optimum(3)
    prediction = fl.predict(problem, sgd, check_stability=False)
    shared = np.ones((3, 1)) * np.array([[0.2, -0.1]])
    left = (1 - sgd.lr * GAMMA) ** 5
    found = prediction.after(5, start=prediction.optimum + shared).excess_loss - prediction.after(5).excess_loss
    assert found == pytest.approx(0.5 * GAMMA * np.sum(shared**2) * left**2, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_h_and_c_are_the_samples_averages(classes):
    problem, _, x, y = at_optimum(classes)
    minimum = problem.minimum(GAMMA)
    w = minimum.weights
    g = twin.gradients(w, x, y)
    assert np.abs(g.mean(axis=0) + GAMMA * w.ravel()).max() < 1e-14
    v = np.random.default_rng(0).normal(size=w.shape)
    h = twin.hessians(w, x).mean(axis=0) + GAMMA * np.eye(w.size)
    np.testing.assert_allclose(minimum.curvature(v).ravel(), h @ v.ravel(), atol=1e-13)
    c = np.cov(g.T, bias=True)
    np.testing.assert_allclose(minimum.noise(v).ravel(), c @ v.ravel(), atol=1e-13)
    assert minimum.noise_trace == pytest.approx(np.trace(c), rel=1e-12)
    np.testing.assert_allclose(minimum.modes.T @ h @ minimum.modes, np.diag(minimum.curvatures), atol=1e-13)
    np.testing.assert_allclose(minimum.modes.T @ c @ minimum.modes, minimum.picture.noise, atol=1e-13)


@pytest.mark.parametrize("classes", [2, 3])
def test_derivatives_are_those_of_differences(classes):
    problem, _, x, y = at_optimum(classes)
    minimum = problem.minimum(GAMMA)
    w, picture, small = minimum.weights, minimum.picture, 1e-3
    vector = np.random.default_rng(1).normal(size=picture.rank)
    v = (minimum.modes @ vector).reshape(w.shape)

    def slope(at):
        return twin.gradients(at, x, y).mean(axis=0) + GAMMA * at.ravel()

    along = (slope(w + 1e-5 * v) - slope(w - 1e-5 * v)) / 2e-5
    np.testing.assert_allclose(minimum.curvature(v).ravel(), along, rtol=1e-6, atol=1e-8)

    def bent(e):
        return (slope(w + e * v) + slope(w - e * v) - 2 * slope(w)) / e**2

    third = (4 * bent(small) - bent(2 * small)) / 3  # Richardson: what is left is of the fourth order
    shift = minimum.modes @ picture.shift(np.outer(vector, vector))
    np.testing.assert_allclose(minimum.curvature(shift.reshape(w.shape)).ravel(), -0.5 * third, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_k_and_x_are_the_change_of_the_noise(classes):
    problem, _, x, y = at_optimum(classes)
    minimum = problem.minimum(GAMMA)
    w, picture, modes = minimum.weights, minimum.picture, minimum.modes
    vector = np.random.default_rng(2).normal(size=picture.rank)
    s = np.outer(vector, vector)
    v, m = ((modes @ one).reshape(w.shape) for one in (vector, picture.shift(s)))

    def noise(at):
        g = twin.gradients(at, x, y)
        return g.T @ g / len(x) - np.outer(g.mean(axis=0), g.mean(axis=0))

    def change(e):
        both = [noise(w + e**2 * m + e * sign * v) for sign in (1, -1)]
        # the covariance is about the mean over the samples at each V: K takes the spread of means off already
        return (sum(both) / 2 - noise(w)) / e**2

    found = modes @ (picture.feedback(s) + picture.anharmonic(s)) @ modes.T
    measured = (4 * change(1e-3) - change(2e-3)) / 3
    np.testing.assert_allclose(found, measured, atol=1e-6 * max(1.0, np.abs(measured).max()))
    np.testing.assert_allclose(picture.felt(s), picture.feedback(s) + picture.anharmonic(s), atol=1e-12)


def test_logistic_is_softmax_reduced():
    x, labels = few(2)
    head, row = fl.Softmax(x, labels), fl.Logistic(x, labels)
    assert row.minimum(GAMMA / 2).loss == pytest.approx(head.minimum(GAMMA).loss, rel=1e-13)
    both = head.minimum(GAMMA).weights
    np.testing.assert_allclose(row.minimum(GAMMA / 2).weights[0], both[1] - both[0], atol=1e-12)
    for theory in ("langevin", "discrete", "multiplicative", "anharmonic"):
        pair = fl.predict(head, fl.SGD(lr=0.3, batch_size=2, weight_decay=GAMMA), theory=theory, check_stability=False)
        one = fl.SGD(lr=0.6, batch_size=2, weight_decay=GAMMA / 2)
        single = fl.predict(row, one, theory=theory, check_stability=False)
        assert single.excess_loss == pytest.approx(pair.excess_loss, rel=1e-6)
    limits = fl.max_stable_lr(head, fl.SGD(1.0, 2, GAMMA)), fl.max_stable_lr(row, fl.SGD(1.0, 2, GAMMA / 2))
    assert limits[1] == pytest.approx(2 * limits[0], rel=1e-8)


def test_classes_with_weights_are_samples_that_are_there_twice():
    x, labels = few(3)
    twice = labels == 1
    weighted = fl.Softmax(x, labels, class_weight=[1.0, 2.0, 1.0]).minimum(GAMMA)
    repeated = fl.Softmax(np.vstack([x, x[twice]]), np.append(labels, labels[twice])).minimum(GAMMA)
    np.testing.assert_allclose(weighted.weights, repeated.weights, atol=1e-12)
    np.testing.assert_allclose(weighted.curvatures, repeated.curvatures, atol=1e-12)
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-13)


def test_soft_targets_are_labels_in_shares():
    x, labels = few(3)
    y = np.eye(3)[labels]
    soft = fl.Softmax(x, 0.75 * y + 0.25 * np.roll(y, 1, axis=1)).minimum(GAMMA)
    shares = np.concatenate([labels, labels, labels, (labels + 1) % 3])
    repeated = fl.Softmax(np.tile(x, (4, 1)), shares).minimum(GAMMA)
    np.testing.assert_allclose(soft.weights, repeated.weights, atol=1e-12)
    assert soft.loss == pytest.approx(repeated.loss, rel=1e-13)


def test_a_gradient_drawn_by_weights_is_the_same_in_the_mean():
    problem, _, x, y = at_optimum(3)
    chance = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 2.0]) / 10
    sampling = fl.WeightedSampling(chance)
    found = fl.predict(
        problem, fl.SGD(0.3, 1, GAMMA, sampling=sampling), theory="multiplicative", check_stability=False
    )
    w = found.optimum
    g = twin.gradients(w, x, y) / (6 * chance[:, None]) + GAMMA * w.ravel()
    h = twin.hessians(w, x) / (6 * chance[:, None, None]) + GAMMA * np.eye(w.size)
    p = np.eye(w.size) - 0.3 * h
    square = np.einsum("i,iab,icd->acbd", chance, p, p).reshape(w.size**2, -1)
    added = 0.09 * np.einsum("i,ia,ib->ab", chance, g, g)
    whole = np.linalg.solve(np.eye(w.size**2) - square, added.ravel()).reshape(w.size, -1)
    np.testing.assert_allclose(found.covariance, whole, atol=1e-12 * np.abs(whole).max())


@pytest.mark.parametrize("sizes", [(2, False), (2, True), (3, False)])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_the_kernel_of_an_epoch_is_that_of_all_orders(sizes, momentum):
    size, dropped = sizes
    n, h = 5, np.array([1.3, 0.2])
    sgd = fl.SGD(0.2, size, sampling="shuffle", drop_last=dropped, momentum=momentum)
    noise = np.random.default_rng(0).normal(size=(n, 2))
    noise -= noise.mean(axis=0)
    steps = sgd.batch_sizes(n)
    cuts = np.concatenate([[0], np.cumsum(steps)])
    motion, push = sgd.step.at(0.2)
    one = np.array([motion + np.outer(push * each, [1.0] + [0.0] * (len(push) - 1)) for each in h])
    k = len(push)
    whole = np.zeros((2 * k, 2 * k))
    for mode in range(2):
        whole[mode * k : (mode + 1) * k, mode * k : (mode + 1) * k] = one[mode]
    added = [np.zeros((2 * k, 2 * k)) for _ in range(len(steps) + 1)]
    for order in permutations(range(n)):
        s = np.zeros(2 * k)
        for t in range(len(steps)):
            mean = noise[list(order[cuts[t] : cuts[t + 1]])].mean(axis=0)
            s = whole @ s + (mean[:, None] * push).ravel()
            added[t + 1] += np.outer(s, s) / 120
    powers = [np.linalg.matrix_power(whole, t) for t in range(len(steps) + 1)]
    square = np.kron(powers[-1], powers[-1])
    start = np.linalg.solve(np.eye(len(square)) - square, added[-1].ravel()).reshape(2 * k, 2 * k)
    states = [powers[t] @ start @ powers[t].T + added[t] for t in range(len(steps))]
    expected = np.mean(states, axis=0)[::k, ::k]
    source = sgd.sampling_factor(n) * noise.T @ noise / n
    np.testing.assert_allclose(epoch_phi(h, sgd, n) * source, expected, atol=1e-12 * np.abs(expected).max())


def test_places_have_the_loss_of_their_weights():
    problem, _, x, y = at_optimum(3)
    minimum, w = problem.minimum(GAMMA), np.random.default_rng(4).normal(size=(3, 2))
    w -= w.mean(axis=0)
    place = Place(minimum.place.head, problem.reduced(w))
    assert place.loss == pytest.approx(twin.loss(w, x, y, GAMMA), rel=1e-13)


def test_a_start_far_away_is_refused():
    problem, sgd, *_ = at_optimum(3)
    prediction = fl.predict(problem, sgd, check_stability=False)
    with pytest.raises(InvalidInput, match="too far from W"):
        prediction.after(3, start=prediction.optimum + 30 * np.array([[1.0, 0], [-1.0, 0], [0, 0]]))


def test_a_fluctuation_changes_the_mean_curvature():
    """F169: of two opposite places and a shift, to second order, against their Hessians."""
    problem, _, x, _ = at_optimum(3)
    minimum = problem.minimum(GAMMA)
    picture, modes, w = minimum.picture, minimum.modes, minimum.weights
    rng, small = np.random.default_rng(4), 1e-3
    vector, mean = rng.normal(size=(2, picture.rank))

    def curvature(place):
        return twin.hessians(w + (modes @ place).reshape(w.shape), x).mean(axis=0)

    around = [curvature(small * vector + small**2 * mean), curvature(-small * vector + small**2 * mean)]
    change = 0.5 * (around[0] + around[1]) - curvature(0 * mean)
    found = picture.softened(np.outer(vector, vector), mean)
    np.testing.assert_allclose(found, np.diag(modes.T @ change @ modes) / small**2, rtol=1e-4, atol=1e-5)
