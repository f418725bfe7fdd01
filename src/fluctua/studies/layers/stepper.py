"""Minibatch descent of two-layer linear nets, compiled, a replica at a time."""

from __future__ import annotations

from ..._arrays import Array, Ints
from ...simulation.compiled_cache import compiled

__all__ = ["descend"]


@compiled
def _hidden(w1: Array, x: Array, z: Array, p: Array) -> None:
    """Z = W1 x, and p = 0."""
    for k in range(len(z)):
        total = 0.0
        for j in range(len(x)):
            total += w1[k, j] * x[j]
        z[k], p[k] = total, 0.0


@compiled
def _upper(w2: Array, y: Array, z: Array, p: Array, g2: Array) -> None:
    """With e = W2 z - y: p = W2^T e, and G2 += e z^T."""
    for o in range(len(y)):
        error = -y[o]
        for k in range(len(z)):
            error += w2[o, k] * z[k]
        for k in range(len(z)):
            p[k] += w2[o, k] * error
            g2[o, k] += error * z[k]


@compiled
def _add(rate: float, p: Array, x: Array, g: Array) -> None:
    """G += rate p x^T."""
    for k in range(len(p)):
        for j in range(len(x)):
            g[k, j] += rate * p[k] * x[j]


@compiled
def _move(rate: float, g: Array, w: Array) -> None:
    """W -= rate G, and G = 0."""
    for k in range(len(w)):
        for j in range(w.shape[1]):
            w[k, j] -= rate * g[k, j]
            g[k, j] = 0.0


@compiled
def descend(first: Array, second: Array, x: Array, y: Array, batches: Ints, lr: float) -> None:
    """Advance every replica in place by the batches, (steps, R, b): W1 is (R, h, r), W2 is (R, c, h).

    Both layers' gradients are of the weights before the step.
    """
    steps, replicas, size = batches.shape
    z, p = first[0, :, 0].copy(), first[0, :, 0].copy()
    g1, g2 = first[0] * 0.0, second[0] * 0.0
    for replica in range(replicas):
        w1, w2 = first[replica], second[replica]
        for step in range(steps):
            for sample in batches[step, replica]:
                _hidden(w1, x[sample], z, p)
                _upper(w2, y[sample], z, p, g2)
                _add(1.0, p, x[sample], g1)
            _move(lr / size, g1, w1)
            _move(lr / size, g2, w2)
