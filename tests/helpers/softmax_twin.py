"""The quadratic twin of a softmax head by brute force: every batch listed, weights flattened, nothing shared."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from .all_orders import partitions, sizes_of


def softmax(z):
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def loss(weights, x, y, gamma):
    """Mean cross-entropy and weight decay."""
    p = softmax(x @ weights.T)
    return float(-(y * np.log(p)).sum(axis=1).mean() + 0.5 * gamma * (weights**2).sum())


def gradients(weights, x, y):
    """Each sample's gradient of the cross-entropy, (N, c d)."""
    r = softmax(x @ weights.T) - y
    return (r[:, :, None] * x[:, None, :]).reshape(len(x), -1)


def hessians(weights, x):
    """Each sample's Hessian of the cross-entropy, (N, c d, c d)."""
    p = softmax(x @ weights.T)
    a = np.array([np.diag(q) - np.outer(q, q) for q in p])
    return np.array([np.kron(one, np.outer(v, v)) for one, v in zip(a, x, strict=True)])


def batches(samples, size, *, replacement):
    """All batches, each as likely."""
    every = product(range(samples), repeat=size) if replacement else combinations(range(samples), size)
    return [list(batch) for batch in every]


def steps(weights, x, y, gamma, sgd):
    """The maps (P, q) of s = (V, buffer) of one step, a batch each: s' = P s + q; momentum as torch has it."""
    g, h = gradients(weights, x, y), hessians(weights, x)
    n, beta, eta = weights.size, sgd.momentum, sgd.lr
    found = []
    for batch in batches(len(x), sgd.batch_size, replacement=sgd.sampling == "with_replacement"):
        hessian = h[batch].mean(axis=0) + gamma * np.eye(n)
        still = g[batch].mean(axis=0) + gamma * weights.ravel()
        one, zero = np.eye(n), np.zeros((n, n))
        buffer = np.hstack([(1 - sgd.dampening) * hessian, beta * one])
        pushed = (1 - sgd.dampening) * still
        used, pulled = (
            (np.hstack([hessian, zero]) + beta * buffer, still + beta * pushed) if sgd.nesterov else (buffer, pushed)
        )
        found.append(
            (np.vstack([np.hstack([one, zero]) - eta * used, buffer]), np.concatenate([-eta * pulled, pushed]))
        )
    return found


def orders(weights, x, y, gamma, lr, size):
    """The maps (P, q) of V from an epoch's start to after each of t steps, of all w orders: (w, t, n, n), (w, t, n)."""
    g, h, n = gradients(weights, x, y), hessians(weights, x), weights.size
    found = []
    for order in partitions(list(range(len(x))), sizes_of(len(x), size)):
        p, q, path = np.eye(n), np.zeros(n), []
        for batch in map(list, order):
            once = np.eye(n) - lr * (h[batch].mean(axis=0) + gamma * np.eye(n))
            p, q = once @ p, once @ q - lr * (g[batch].mean(axis=0) + gamma * weights.ravel())
            path.append((p, q))
        found.append(path)
    return np.array([[p for p, _ in path] for path in found]), np.array([[q for _, q in path] for path in found])


def epoch_floor(weights, x, y, gamma, lr, size):
    """The stationary 1/2 tr(H S) of shuffled epochs, averaged over their steps: all orders are alike likely."""
    p, q = orders(weights, x, y, gamma, lr, size)
    n, last = weights.size, (p[:, -1], q[:, -1])
    mean = np.linalg.solve(np.eye(n) - last[0].mean(axis=0), last[1].mean(axis=0))

    def driven(p, q):
        crossed = np.einsum("wij,j,wk->ik", p, mean, q)
        return (crossed + crossed.T + q.T @ q) / len(p)

    both = np.einsum("wij,wkl->ikjl", last[0], last[0]).reshape(n * n, n * n) / len(p)
    begun = np.linalg.solve(np.eye(n * n) - both, driven(*last).ravel()).reshape(n, n)
    steps = range(p.shape[1])
    carried = sum(
        np.einsum("wij,jk,wlk->il", p[:, t], begun, p[:, t]) / len(p) + driven(p[:, t], q[:, t]) for t in steps
    )
    curvature = hessians(weights, x).mean(axis=0) + gamma * np.eye(n)
    return float(0.5 * np.trace(curvature @ carried) / len(steps))


def moments_after(maps, mean, second, count):
    """E s and E s s^T after so many steps."""
    for _ in range(count):
        each = [
            (p @ mean + q, p @ second @ p.T + np.outer(p @ mean, q) + np.outer(q, p @ mean) + np.outer(q, q))
            for p, q in maps
        ]
        mean, second = (np.mean([one[k] for one in each], axis=0) for k in (0, 1))
    return mean, second


def stationary(maps):
    """E s s^T that a step leaves as it is; E s = 0, because the gradient's mean is 0 at the optimum."""
    n = len(maps[0][1])
    square = np.mean([np.kron(p, p) for p, _ in maps], axis=0)
    added = np.mean([np.outer(q, q) for _, q in maps], axis=0)
    return np.linalg.solve(np.eye(n * n) - square, added.ravel()).reshape(n, n)
