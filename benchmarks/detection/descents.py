"""Real runs, compiled: what a monitor with its default `every` keeps at its looks, and what other detectors read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numba
import numpy as np

import fluctua as fl

EVERY = 16
"""The monitor's default."""
BLOCKS = 16
LOSS, SQUARE, WORK, NORM, NEIGHBOURS = range(5)  # of a step: batch loss, |u|^2, w.u, |w|^2, g(t).g(t-1)
_COMPILED = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}, "cache": True}


@dataclass(frozen=True)
class Case:
    """One training problem on digits."""

    name: str
    lr: float
    momentum: float
    batch_size: int
    shuffled: bool
    softmax: bool = False
    weight_decay: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        return len(digits()[0]) // self.batch_size

    def sgd(self) -> fl.SGD:
        sampling = {"sampling": "shuffle", "drop_last": True} if self.shuffled else {}
        return fl.SGD(self.lr, self.batch_size, momentum=self.momentum, weight_decay=self.weight_decay, **sampling)


CASES = [
    Case(f"{name}, {'shuffled' if shuffled else 'with replacement'}", lr, momentum, size, shuffled, softmax, decay)
    for name, lr, momentum, size, softmax, decay in (
        ("least squares", 0.05, 0.0, 16, False, 0.0),
        ("least squares, momentum 0.9", 0.005, 0.9, 16, False, 0.0),
        ("softmax", 0.5, 0.0, 16, True, 1e-3),
        ("softmax, momentum 0.9", 0.1, 0.9, 32, True, 1e-3),
    )
    for shuffled in (True, False)
]


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = fl.load("digits")
    return np.ascontiguousarray(data.inputs, np.float32), np.ascontiguousarray(data.targets, np.float32)


@numba.njit(**_COMPILED)
def _errors(z, y, softmax):
    """Turn outputs into errors; return the loss."""
    loss = 0.0
    if softmax:
        top, total = z.max(), 0.0
        for k in range(len(z)):
            loss -= y[k] * (z[k] - top)
            z[k] = np.exp(z[k] - top)
            total += z[k]
        for k in range(len(z)):
            z[k] = z[k] / total - y[k]
        return loss + np.log(total)
    for k in range(len(z)):
        z[k] -= y[k]
        loss += 0.5 * z[k] * z[k]
    return loss


@numba.njit(**_COMPILED)
def _gradient(w, x, y, batch, softmax, g, z):
    """Set g to the mean gradient of a batch; return its mean loss."""
    g[:] = 0
    loss = 0.0
    for i in batch:
        row = x[i]
        for k in range(len(w)):
            total = w.dtype.type(0)
            for j in range(len(row)):
                total += w[k, j] * row[j]
            z[k] = total
        loss += _errors(z, y[i], softmax)
        for k in range(len(w)):
            for j in range(len(row)):
                g[k, j] += z[k] * row[j]
    g /= w.dtype.type(len(batch))
    return loss / len(batch)


@numba.njit(**_COMPILED)
def descend(x, y, lr, momentum, decay, size, shuffled, softmax, lengths, steps, seed, losses_every, every):
    """One run from zero.

    Returns mean weights and gradients of 16 blocks for every look, (looks, 16, P), the floor's sample of each unit,
    numbers of each step, (steps, 5), and the loss of all samples after every `losses_every` steps.
    """
    np.random.seed(seed)
    samples, outputs, looks = len(x), y.shape[1], len(lengths)
    w = np.zeros((outputs, x.shape[1]), x.dtype)
    g, spare, z = np.zeros_like(w), np.zeros_like(w), np.zeros(outputs, x.dtype)
    wf, gf = w.reshape(-1), g.reshape(-1)
    u, last, gathered = np.zeros_like(wf), np.zeros_like(wf), np.zeros(len(wf))
    point = np.zeros_like(wf)
    weights, gradients = np.zeros((looks, 16, len(wf))), np.zeros((looks, 16, len(wf)))
    floors, numbers = np.zeros(steps // every), np.zeros((steps, 5))
    losses = np.zeros(steps // losses_every if losses_every else 0)
    order, everything, place, batch = np.arange(samples), np.arange(samples), samples, np.zeros(size, np.int64)
    lr_, beta, gamma = x.dtype.type(lr), x.dtype.type(momentum), x.dtype.type(decay)
    for t in range(steps):
        if shuffled:
            if place + size > samples:
                np.random.shuffle(order)
                place = 0
            batch[:] = order[place : place + size]
            place += size
        else:
            for i in range(size):
                batch[i] = np.random.randint(samples)
        numbers[t, 0] = _gradient(w, x, y, batch, softmax, g, z)
        if t % every == 0:
            gathered[:] = 0
        if t % every == every // 2:
            point[:] = wf
        square, work, norm, product = 0.0, 0.0, 0.0, 0.0
        for j in range(len(wf)):
            own = gf[j] + gamma * wf[j]
            step = beta * u[j] + own
            square += step * step
            work += wf[j] * step
            norm += wf[j] * wf[j]
            product += own * last[j]
            gathered[j] += own
            u[j], last[j] = step, own
            wf[j] -= lr_ * step
        numbers[t, 1], numbers[t, 2], numbers[t, 3], numbers[t, 4] = square, work, norm, product
        if t % every == every // 2:
            floors[t // every] = lr / 4 * (1 + momentum) * square
        if t % every == every - 1:
            unit = t // every
            for k in range(looks):
                block = (unit - 16 * lengths[k]) // lengths[k]
                if 0 <= block < 16 and unit >= 16 * lengths[k]:
                    for j in range(len(wf)):
                        weights[k, block, j] += point[j] / lengths[k]
                        gradients[k, block, j] += gathered[j] / (every * lengths[k])
        if losses_every and (t + 1) % losses_every == 0:
            value = _gradient(w, x, y, everything, softmax, spare, z)
            total = 0.0
            for j in range(len(wf)):
                total += wf[j] * wf[j]
            losses[(t + 1) // losses_every - 1] = value + 0.5 * decay * total
    return weights, gradients, floors, numbers, losses


def run(case: Case, lengths, steps: int, seed: int, losses_every: int = 0):
    x, y = digits()
    return descend(
        x, y, case.lr, case.momentum, case.weight_decay, case.batch_size, case.shuffled, case.softmax,
        np.asarray(lengths, np.int64), steps, seed, losses_every, EVERY,
    )  # fmt: skip
