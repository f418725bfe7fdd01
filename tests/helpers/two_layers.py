"""Two-layer nets without the package: gradients by hand, every batch listed, and the study's data sets."""

from functools import cache

import numpy as np

import fluctua as fl
from fluctua.studies import layers


@cache
def steep_digits(modes=20):
    """Digits on their steepest modes."""
    data = fl.load("digits")
    whole = fl.LeastSquares(data.inputs, data.targets)
    return whole if modes is None else fl.LeastSquares(data.inputs @ whole.modes[:, :modes], data.targets)


@cache
def gaussian():
    """Gaussian inputs, a diagonal teacher, label noise 1."""
    rng = np.random.default_rng(12345)
    inputs, teacher = rng.normal(size=(2000, 16)), np.zeros((8, 16))
    teacher[:, :8] = np.diag(np.geomspace(4, 0.25, 8))
    return fl.LeastSquares(inputs, inputs @ teacher.T + rng.normal(size=(2000, 8)))


def tiny(seed=1, *, samples=4, features=2, outputs=2, hidden=2):
    """A net on few samples, at a split mixed by a rotation and off balance."""
    rng = np.random.default_rng(seed)
    inputs = 2 * rng.normal(size=(samples, features))
    targets = inputs @ rng.normal(size=(features, outputs)) + 0.7 * rng.normal(size=(samples, outputs))
    problem = fl.LeastSquares(inputs, targets)
    start = layers.TwoLayer(problem, hidden=hidden)
    mix = np.eye(hidden) + 0.3 * rng.normal(size=(hidden, hidden))
    first = mix @ start.first @ problem.modes.T
    return layers.TwoLayer(problem, weights=(first, start.second @ np.linalg.inv(mix)))


def data_of(net):
    """Inputs in the modes, and the targets that the residuals say."""
    minimum = net.problem.minimum()
    x = np.asarray(net.problem.projections, float)
    return x, x @ minimum.mode_weights.T - minimum.residuals


def sample_gradients(net, point):
    """Gradient of every sample at a point, (N, n), from the loss's definition."""
    x, y = data_of(net)
    first, second = point[: net.first.size].reshape(net.first.shape), point[net.first.size :].reshape(net.second.shape)
    error = x @ first.T @ second.T - y
    one = np.einsum("nh,nr->nhr", error @ second, x).reshape(len(x), -1)
    return np.concatenate([one, np.einsum("nc,nh->nch", error, x @ first.T).reshape(len(x), -1)], axis=1)


def point_of(net):
    """The start as one vector."""
    return np.concatenate([net.first.ravel(), net.second.ravel()])


def sample_hessians(net):
    """Second derivatives of every sample's loss at the start, (N, n, n): complex steps, exact to rounding."""
    start, small = point_of(net), 1e-30
    found = [sample_gradients(net, start + 1j * small * direction).imag / small for direction in np.eye(len(start))]
    return np.stack(found, axis=2)


def listed(net, lr, steps):
    """Covariance and mean of the weights, and mean of Bal, after steps of single samples, all sequences listed."""
    x, y = data_of(net)
    first, second = net.first[None], net.second[None]
    for _ in range(steps):
        ones, twos = [], []
        for xi, yi in zip(x, y, strict=True):
            hidden = first @ xi
            error = np.einsum("ach,ah->ac", second, hidden) - yi
            ones.append(first - lr * np.einsum("ach,ac,r->ahr", second, error, xi))
            twos.append(second - lr * np.einsum("ac,ah->ach", error, hidden))
        first, second = np.concatenate(ones), np.concatenate(twos)
    count = len(first)
    weights = np.concatenate([first.reshape(count, -1), second.reshape(count, -1)], axis=1)
    about = weights - weights.mean(axis=0)
    balance = second.swapaxes(1, 2) @ second - first @ first.swapaxes(1, 2)
    return about.T @ about / count, weights.mean(axis=0), balance.mean(axis=0)
