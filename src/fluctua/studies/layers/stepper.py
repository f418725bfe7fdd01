"""Minibatch descent of two-layer linear nets, compiled, a replica at a time."""

from __future__ import annotations

from ..._arrays import Ints, Real
from ...simulation.compiled_cache import compiled

__all__ = ["descend"]


@compiled
def descend(first: Real, second: Real, x: Real, y: Real, batches: Ints, lr: float) -> None:
    """Advance every replica in place by the batches, (steps, R, b): W1 is (R, h, r), W2 is (R, c, h).

    Both layers' gradients are of the weights before the step.
    """
    steps, replicas, size = batches.shape
    hidden, rank = first.shape[1:]
    outputs = second.shape[1]
    kind = first.dtype.type
    rate = kind(lr / size)
    z, e, p = x[0, 0] * first[0, :, 0], x[0, 0] * second[0, :, 0], x[0, 0] * first[0, :, 0]
    g1, g2 = first[0].copy(), second[0].copy()
    for replica in range(replicas):
        w1, w2 = first[replica], second[replica]
        for step in range(steps):
            g1[:], g2[:] = kind(0), kind(0)
            for sample in batches[step, replica]:
                xi, yi = x[sample], y[sample]
                for k in range(hidden):
                    total = kind(0)
                    for j in range(rank):
                        total += w1[k, j] * xi[j]
                    z[k], p[k] = total, kind(0)
                for o in range(outputs):
                    total = -yi[o]
                    for k in range(hidden):
                        total += w2[o, k] * z[k]
                    e[o] = total
                    for k in range(hidden):
                        p[k] += w2[o, k] * total
                        g2[o, k] += total * z[k]
                for k in range(hidden):
                    for j in range(rank):
                        g1[k, j] += p[k] * xi[j]
            for k in range(hidden):
                for j in range(rank):
                    w1[k, j] -= rate * g1[k, j]
            for o in range(outputs):
                for k in range(hidden):
                    w2[o, k] -= rate * g2[o, k]
