"""Shuffled epochs of small data with every order listed, from the definition of a step: no theory in them.

The state is a column (w, buffer) in the coordinates of the inputs. Only the homogeneous part is followed, as if the
model fitted the targets: it alone decides stability.
"""

from itertools import combinations

import numpy as np
from scipy.optimize import brentq


def partitions(left, sizes):
    """All ways to cut the samples into batches of these sizes, in order."""
    if not sizes:
        yield ()
        return
    for batch in combinations(left, sizes[0]):
        yield from ((batch, *rest) for rest in partitions([i for i in left if i not in batch], sizes[1:]))


def sizes_of(samples, size, drop_last=False):
    full, left = divmod(samples, size)
    return [size] * full + [left] * (left > 0 and not drop_last)


def step(hessian, lr, momentum, nesterov):
    """What a batch does to the column (w, buffer): buf' = momentum buf + H w, w' = w - lr buf' or Nesterov's."""
    eye = np.eye(len(hessian))
    if not momentum:
        return eye - lr * hessian
    ahead = 1 + momentum if nesterov else 1.0
    inertia = momentum**2 if nesterov else momentum
    return np.block([[eye - lr * ahead * hessian, -lr * inertia * eye], [hessian, momentum * eye]])


def epochs(inputs, size, lr, momentum=0.0, nesterov=False, weight_decay=0.0, drop_last=False):
    """The maps of all epochs that differ."""
    n, d = inputs.shape

    def of(batch):
        x = inputs[list(batch)]
        return step(x.T @ x / len(batch) + weight_decay * np.eye(d), lr, momentum, nesterov)

    steps, maps = {}, []
    for order in partitions(list(range(n)), sizes_of(n, size, drop_last)):
        product = np.eye(d * (2 if momentum else 1))
        for batch in order:
            if batch not in steps:
                steps[batch] = of(batch)
            product = steps[batch] @ product
        maps.append(product)
    return np.array(maps)


def radius(maps):
    """Spectral radius of S -> E[P S P^T]."""
    n = maps.shape[1]
    dense = np.einsum("wij,wkl->ikjl", maps, maps, optimize=True).reshape(n * n, n * n) / len(maps)
    return np.abs(np.linalg.eigvals(dense)).max()


def limit(inputs, size, start, **options):
    """The lowest learning rate at which the radius passes 1, sought in steps of 5 per cent from a stable `start`."""

    def excess(lr):
        return np.log(radius(epochs(inputs, size, lr, **options)))

    low = start
    while excess(low) >= 0:
        low /= 2
    while excess(1.05 * low) < 0:
        low *= 1.05
    return brentq(excess, low, 1.05 * low, rtol=1e-11)
