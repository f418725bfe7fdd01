"""Every batch of a tiny problem listed for samplers, whose thermal noise enters additively: moments with no theory.

It knows the schemes as they are written down, letter by letter, on weights, momenta and, where a step uses the gradient
of the last one again, that gradient; and that a step is affine in these and in the thermal noise. Nothing of kernels,
modes, noise sources or where a chain is begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.enumeration import list_batches


@dataclass(frozen=True, eq=False)
class SamplerEnumeration:
    """One sampler on one tiny data set, averaged over all batches and over thermal noise.

    The state is (vec V, vec p, vec g, 1), g the last gradient; xi are two normal numbers per weight and step.
    """

    inputs: np.ndarray
    targets: np.ndarray
    scheme: str
    lr: float
    batch_size: int | None
    temperature: float
    weight_decay: float = 0.0
    friction: float = 0.0
    beta: float = 0.0
    sampling: str = "with_replacement"

    @cached_property
    def batches(self) -> np.ndarray:
        size = len(self.inputs)
        if self.batch_size is None:
            return np.arange(size)[None]
        return list_batches(size, self.batch_size, self.sampling)

    @cached_property
    def optimum(self) -> np.ndarray:
        n, d = self.inputs.shape
        normal = self.inputs.T @ self.inputs / n + self.weight_decay * np.eye(d)
        return np.linalg.lstsq(normal, self.inputs.T @ self.targets / n, rcond=1e-12)[0].T

    def gradient(self, weights: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """The gradient of one batch, weight decay included."""
        x, y = self.inputs[batch], self.targets[batch]
        return (x @ weights.T - y).T @ x / len(batch) + self.weight_decay * weights

    def step(self, w, p, g, xi, batch):
        """One step as the scheme is written: weights, momentum, last gradient, two kicks of noise, the batch."""
        eps, al, heat = self.lr, self.friction, self.temperature

        def friction(p, time, noise):
            c = np.exp(-al * time)
            return c * p + np.sqrt(heat * (1 - c * c)) * noise

        if self.scheme in ("SGLD", "ULA"):
            w = w - eps * self.gradient(w, batch) + np.sqrt(2 * eps * heat) * xi[0]
        elif self.scheme == "SGHMC":
            noise = np.sqrt(eps * heat * (2 * al - eps * heat * self.beta)) * xi[0]
            w, p = w + eps * p, p - eps * al * p - eps * self.gradient(w, batch) + noise
        elif self.scheme == "BAOA":
            p = p - eps * self.gradient(w, batch)
            w = w + eps / 2 * p
            p = friction(p, eps, xi[0])
            w = w + eps / 2 * p
        elif self.scheme == "BAOAB":
            p = p - eps / 2 * g
            w = w + eps / 2 * p
            p = friction(p, eps, xi[0])
            w = w + eps / 2 * p
            g = self.gradient(w, batch)
            p = p - eps / 2 * g
        elif self.scheme == "ABOBA":
            w = w + eps / 2 * p
            g = self.gradient(w, batch)
            p = friction(p - eps / 2 * g, eps, xi[0]) - eps / 2 * g
            w = w + eps / 2 * p
        elif self.scheme == "OBABO":
            p = friction(p, eps / 2, xi[0]) - eps / 2 * g
            w = w + eps * p
            g = self.gradient(w, batch)
            p = friction(p - eps / 2 * g, eps / 2, xi[1])
        return w, p, g

    @cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of every batch on the state, (n, m, m), and what thermal noise adds, (n, m, 2 c d)."""
        shape, size = self.optimum.shape, self.optimum.size

        def after(vector, noise, batch):
            v, p, g = vector[: 3 * size].reshape(3, *shape)
            w, p, g = self.step(v + self.optimum, p, g, noise.reshape(2, *shape), batch)
            return np.concatenate([(w - self.optimum).ravel(), p.ravel(), g.ravel(), [1.0]])

        maps, noises = [], []
        still = np.zeros(2 * size)
        for batch in self.batches:
            origin = after(np.zeros(3 * size), still, batch)
            columns = [after(each, still, batch) - origin for each in np.eye(3 * size)]
            maps.append(np.column_stack([*columns, origin]))
            noises.append(
                np.column_stack([after(np.zeros(3 * size), each, batch) - origin for each in np.eye(2 * size)])
            )
        return np.array(maps), np.array(noises)

    @cached_property
    def flow(self) -> tuple[np.ndarray, np.ndarray]:
        """What a step makes of the second moment, (m^2, m^2), and adds to it, (m, m)."""
        maps, noises = self.maps
        pairs = np.mean([np.kron(one, one) for one in maps], axis=0)
        return pairs, np.mean([one @ one.T for one in noises], axis=0)

    def after_one(self, moment: np.ndarray) -> np.ndarray:
        pairs, added = self.flow
        return (pairs @ moment.ravel()).reshape(moment.shape) + added

    def begun(self, weights: np.ndarray) -> np.ndarray:
        """The second moment of the state at W(0) = `weights`, at rest, the gradient that of a fresh batch."""
        states = [
            np.concatenate(
                [(weights - self.optimum).ravel(), 0 * weights.ravel(), self.gradient(weights, b).ravel(), [1]]
            )
            for b in self.batches
        ]
        return np.mean([np.outer(state, state) for state in states], axis=0)

    def moments(self, weights: np.ndarray, steps: int) -> Iterator[np.ndarray]:
        """Yield the second moment of the state after 0, 1, ..., `steps` steps."""
        moment = self.begun(weights)
        yield moment
        for _ in range(steps):
            moment = self.after_one(moment)
            yield moment

    def stationary(self) -> np.ndarray:
        """The second moment that a step leaves unchanged, by repeated squaring of the step."""
        pairs, added = self.flow
        start = np.zeros((len(added),) * 2)
        start[-1, -1] = 1
        whole = np.zeros((len(pairs) + 1,) * 2)
        whole[:-1, :-1], whole[:-1, -1], whole[-1, -1] = pairs, added.ravel(), 1
        state, power = np.append(start.ravel(), 1.0), whole
        for _ in range(60):
            before, state = state, power @ state
            if np.abs(state - before).max() <= 1e-15 * np.abs(state).max():
                break
            power = power @ power
        return state[:-1].reshape(start.shape)

    def growth(self) -> float:
        """Spectral radius of a step on the second moment of the state without its constant."""
        maps = self.maps[0][:, :-1, :-1]
        return float(np.abs(np.linalg.eigvals(np.mean([np.kron(one, one) for one in maps], axis=0))).max())

    def blocks(self, moment: np.ndarray, part: int = 0) -> np.ndarray:
        """E[v_k v_l^T] of every pair of rows, (c, c, d, d); with part 1 of the momentum."""
        (c, d), size = self.optimum.shape, self.optimum.size
        rows = slice(part * size, (part + 1) * size)
        return moment[rows, rows].reshape(c, d, c, d).transpose(0, 2, 1, 3)

    def covariance(self, moment: np.ndarray, part: int = 0) -> np.ndarray:
        """S, summed over outputs, (d, d)."""
        return np.einsum("kkij->ij", self.blocks(moment, part))

    def mean(self, moment: np.ndarray) -> np.ndarray:
        """E V, (c, d)."""
        return moment[: self.optimum.size, -1].reshape(self.optimum.shape)

    def excess_loss(self, moment: np.ndarray) -> float:
        """E L(W) - L(W*): the loss is quadratic about W*."""
        n, d = self.inputs.shape
        curvature = self.inputs.T @ self.inputs / n + self.weight_decay * np.eye(d)
        return float(0.5 * np.sum(curvature * self.covariance(moment)))
