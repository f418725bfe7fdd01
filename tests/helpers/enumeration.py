"""Every batch of a tiny problem, or every order of an epoch, listed: the moments of SGD with no theory in them.

It knows the definition of one step, torch.optim.SGD's on the mean gradient over the batch, and that it is affine in the
weights and the momentum buffer; nothing of noise sources, feedback, sampling factors or modes. For N <= 6 nothing is
random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product

import numpy as np

RTOL, FLOOR = 1e-12, 2e-15


def list_batches(samples: int, size: int, sampling: str) -> np.ndarray:
    """Every equally likely batch, (n, size): all N^b ordered draws with replacement, all subsets without."""
    drawn = (
        product(range(samples), repeat=size) if sampling == "with_replacement" else combinations(range(samples), size)
    )
    return np.array(list(drawn))


@dataclass(frozen=True, eq=False)
class Enumeration:
    """One recipe on one tiny data set, averaged over all batches.

    The state is the vector (vec V, 1), with momentum (vec V, vec u, 1), of length m; V = W - W*, u the momentum buffer,
    rows of V one after another. A batch maps it linearly, so its second moment, (m, m), holds E[vec V vec V^T] and, in
    the last column, E V.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lr: float
    batch_size: int
    sampling: str = "with_replacement"
    weight_decay: float = 0.0
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    nu: float | None = None

    @cached_property
    def batches(self) -> np.ndarray:
        """(n, b)."""
        return list_batches(len(self.inputs), self.batch_size, self.sampling)

    @cached_property
    def optimum(self) -> np.ndarray:
        """W*, (c, d): least squares with the weight decay as extra rows; the least norm where not unique."""
        n, d = self.inputs.shape
        rows = np.vstack([self.inputs / np.sqrt(n), np.sqrt(self.weight_decay) * np.eye(d)])
        return np.linalg.lstsq(rows, np.vstack([self.targets / np.sqrt(n), np.zeros((d, self.outputs))]), rcond=1e-12)[
            0
        ].T

    @property
    def outputs(self) -> int:
        return self.targets.shape[1]

    def step(self, weights: np.ndarray) -> np.ndarray:
        """W' for every batch of a first step, (n, c, d): the definition."""
        return self._step(weights, np.zeros_like(weights), first=True)[0]

    def _step(self, weights: np.ndarray, buffer: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """W' and the buffer for every batch, (n, c, d) each, as torch.optim.SGD makes them; with `nu` as QHM does."""
        gradients = self._gradients(weights)
        if self.nu is not None:
            buffers = self.momentum * buffer + (1 - self.momentum) * gradients
            return weights - self.lr * ((1 - self.nu) * gradients + self.nu * buffers), buffers
        buffers = gradients if first else self.momentum * buffer + (1 - self.dampening) * gradients
        if not self.momentum:
            buffers = gradients
        direction = gradients + self.momentum * buffers if self.nesterov else buffers
        return weights - self.lr * direction, buffers

    def _gradients(self, weights: np.ndarray) -> np.ndarray:
        """The gradient of every batch, (n, c, d), weight decay included."""
        x, y = self.inputs[self.batches], self.targets[self.batches]
        errors = x @ weights.T - y
        return np.einsum("nbc,nbd->ncd", errors, x) / self.batch_size + self.weight_decay * weights

    @cached_property
    def maps(self) -> np.ndarray:
        """The affine map of every batch on the state, (n, m, m), read off a step that is not the first."""
        return self._maps(first=False)

    def _maps(self, first: bool) -> np.ndarray:
        shape, parts = self.optimum.shape, 2 if self.momentum else 1

        def after(state: np.ndarray) -> np.ndarray:
            weights, buffer = np.append(state, np.zeros((2 - parts) * self.optimum.size)).reshape(2, *shape)
            moved, buffers = self._step(self.optimum + weights, buffer, first)
            return np.stack([moved - self.optimum, buffers], axis=1)[:, :parts].reshape(len(self.batches), -1)

        size = parts * self.optimum.size
        maps = np.zeros((len(self.batches), size + 1, size + 1))
        maps[:, -1, -1] = 1
        origin = maps[:, :-1, -1] = after(np.zeros(size))
        scale = 1 + np.abs(self.optimum).max()  # as large as the weights: a unit would be lost in their rounding
        for k in range(size):
            maps[:, :-1, k] = (after(scale * (np.arange(size) == k)) - origin) / scale
        return maps

    @cached_property
    def _pairs(self) -> np.ndarray:
        return _pair_average(self.maps)

    def moments(self, weights: np.ndarray, steps: int) -> Iterator[np.ndarray]:
        """Yield the second moment of the state after 0, 1, ..., `steps` steps from W(0) = `weights`, (m, m)."""
        state = np.append((weights - self.optimum).ravel(), np.zeros(self.optimum.size if self.momentum else 0))
        state = np.append(state, 1.0)
        moment = np.outer(state, state)
        yield moment
        for step in range(steps):
            pairs = self._pairs if step or not self.momentum else _pair_average(self._maps(first=True))
            moment = np.einsum("iajb,ab->ij", pairs, moment, optimize=True)
            yield moment

    @property
    def cycle(self) -> np.ndarray:
        """The affine maps of all that may happen before the same may happen again: here a step's, (n, m, m)."""
        return self.maps

    def stationary(self) -> np.ndarray:
        """The second moment that one cycle leaves unchanged, on the directions the data can move, (m, m)."""
        frame = self._frame
        flow = _flow(frame.T @ self.cycle @ frame)
        moving = flow[:-1, :-1]  # the last entry, E[1 * 1], stays 1
        fixed = np.append(np.linalg.solve(np.eye(len(moving)) - moving, flow[:-1, -1]), 1.0)
        return frame @ fixed.reshape(frame.shape[1], -1) @ frame.T

    def growth(self) -> float:
        """Spectral radius of one cycle on E[vec V vec V^T], on the directions the data can move."""
        frame = self._frame[:-1, :-1]
        return float(np.abs(np.linalg.eigvals(_flow(frame.T @ self.cycle[:, :-1, :-1] @ frame))).max())

    @property
    def _rows(self) -> np.ndarray:
        """Rows that the data move the weights along."""
        return self.inputs

    @property
    def _frame(self) -> np.ndarray:
        """Orthonormal columns: the span of the inputs for every output, and the constant."""
        _, singular, basis = np.linalg.svd(self._rows)
        span = basis[: np.sum(singular > 1e-10 * singular[0])].T
        parts = np.eye((2 if self.momentum else 1) * self.outputs)
        frame = np.zeros((len(self.maps[0]), len(parts) * span.shape[1] + 1))
        frame[:-1, :-1] = np.kron(parts, span)
        frame[-1, -1] = 1
        return frame

    def mean(self, moment: np.ndarray) -> np.ndarray:
        """E V, (c, d)."""
        return moment[: self.optimum.size, -1].reshape(self.optimum.shape)

    def blocks(self, moment: np.ndarray) -> np.ndarray:
        """E[v_k v_l^T] of every pair of output rows, (c, c, d, d)."""
        c, d = self.optimum.shape
        return moment[: c * d, : c * d].reshape(c, d, c, d).transpose(0, 2, 1, 3)

    def covariance(self, moment: np.ndarray) -> np.ndarray:
        """S = E[V^T V], summed over outputs, (d, d)."""
        return np.einsum("kkij->ij", self.blocks(moment))

    def excess_loss(self, moment: np.ndarray) -> float:
        """E L(W) - L(W*), from the definition of L, sample by sample."""
        x, mean, second = self.inputs, self.mean(moment), self.covariance(moment)
        residuals = x @ self.optimum.T - self.targets
        squares = np.einsum("ni,ij,nj->n", x, second, x) + 2 * np.sum((x @ mean.T) * residuals, axis=1)
        decay = np.trace(second) + 2 * np.sum(mean * self.optimum)
        return float(0.5 * squares.mean() + 0.5 * self.weight_decay * decay)

    def gradient_square(self, moment: np.ndarray) -> float:
        """E|G|^2 of the batch gradient, weight decay included: the mean square of a step over lr^2."""
        assert not self.momentum
        pairs = _pair_average(self.maps - np.eye(self.maps.shape[1]))
        return float(np.einsum("iaib,ab->", pairs, moment) / self.lr**2)


@dataclass(frozen=True, eq=False)
class EpochEnumeration(Enumeration):
    """One recipe on one tiny data set in epochs, averaged over all orders of the samples, N! and equally likely.

    An epoch maps the state linearly, as a product of the maps of its batches. Orders that fall into the same batches
    make the same product, so they are listed as ordered partitions, N!/(b!)^n. "sequential" has one order: the given
    one. An average of that over all orders of the data is "single_shuffle".
    """

    sampling: str = "shuffle"
    drop_last: bool = False

    @cached_property
    def sizes(self) -> list[int]:
        """Batch sizes of one epoch."""
        full, left = divmod(len(self.inputs), self.batch_size)
        return [self.batch_size] * full + [left] * (left > 0 and not self.drop_last)

    @cached_property
    def products(self) -> list[np.ndarray]:
        """The maps of all beginnings of an epoch, equally likely, of s = 0, 1, ..., n batches: each (n_s, m, m)."""
        return self._products(first=False)

    @property
    def cycle(self) -> np.ndarray:
        """The maps of all epochs, (n, m, m)."""
        return self.products[-1]

    def _products(self, first: bool) -> list[np.ndarray]:
        """Of the run's first epoch or of a later one."""
        begun = [(np.eye(len(self.maps[0])), frozenset(range(len(self.inputs))))]
        found = [np.array([begun[0][0]])]
        for s, size in enumerate(self.sizes):
            maps = self._by_batch(size, first and s == 0)
            begun = [
                (maps[batch] @ before, left.difference(batch))
                for before, left in begun
                for batch in self._continuations(left, size)
            ]
            found.append(np.array([product for product, _ in begun]))
        return found

    def _by_batch(self, size: int, first: bool) -> dict[tuple[int, ...], np.ndarray]:
        one = replace(self, batch_size=size)
        return dict(zip(map(tuple, one.batches.tolist()), one._maps(first), strict=True))

    def _continuations(self, left: frozenset[int], size: int) -> Iterator[tuple[int, ...]]:
        batches = combinations(sorted(left), size)  # the first is the next in the order of the data
        return islice(batches, 1) if self.sampling == "sequential" else batches

    def within(self, moment: np.ndarray, first: bool = False) -> np.ndarray:
        """Second moments after s = 0, 1, ..., n batches of an epoch begun with `moment`, (n + 1, m, m).

        Begun independently of the epoch's order, that is; `first` if it is the run's first, for the momentum's sake.
        """
        products = self._products(first=True) if first and self.momentum else self.products
        return np.array([np.mean(p @ moment @ p.swapaxes(1, 2), axis=0) for p in products])

    def moments(self, weights: np.ndarray, steps: int) -> Iterator[np.ndarray]:
        """Yield the second moment of the state after 0, 1, ..., `steps` steps from W(0) = `weights`, (m, m)."""
        moment = next(super().moments(weights, 0))
        yield moment
        for begin in range(0, steps, len(self.sizes)):
            epoch = self.within(moment, first=begin == 0)
            yield from epoch[1 : 1 + steps - begin]
            moment = epoch[-1]


def _flow(maps: np.ndarray) -> np.ndarray:
    """<T (x) T> over all batches, (m^2, m^2)."""
    pairs = _pair_average(maps)
    return pairs.transpose(0, 2, 1, 3).reshape(len(pairs) ** 2, -1)


def _pair_average(maps: np.ndarray) -> np.ndarray:
    """<T_ia T_jb> over all batches, (m, m, m, m) indexed i, a, j, b."""
    flat = maps.reshape(len(maps), -1)
    return (flat.T @ flat / len(maps)).reshape(maps.shape[1:] * 2)


def followed(truth: Enumeration, factors: Sequence[float], shares: Sequence[float]) -> Iterator[np.ndarray]:
    """Yield second moments of (vec w, state, 1), w the average less W*, after 1, 2, ... steps: every batch listed.

    `factors` are those of the learning rate, `shares` what a step's weights have in the average.
    """
    size, vector = truth.optimum.size, (away_from(truth) - truth.optimum).ravel()
    state = np.append(vector, np.zeros(len(truth.maps[0]) - 1 - size))
    whole = np.concatenate([vector, state, [1.0]])
    moment = np.outer(whole, whole)
    for step, (factor, share) in enumerate(zip(factors, shares, strict=True)):
        maps = replace(truth, lr=truth.lr * factor)._maps(first=step == 0)
        flow = np.zeros((len(maps), len(whole), len(whole)))
        flow[:, size:, size:] = maps
        flow[:, :size, :size] = (1 - share) * maps[:, -1:, -1:] * np.eye(size)  # there 1, or what a batch counts
        flow[:, :size, size:] = share * maps[:, :size]
        moment = np.einsum("nia,ab,njb->ij", flow, moment, flow, optimize=True) / len(maps)
        yield moment


def followed_in_epochs(
    truth: EpochEnumeration, factors: Sequence[float], shares: Sequence[float], start: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """The same in shuffled epochs: every beginning of each epoch listed, with the maps of its own rates."""
    begin = away_from(truth) if start is None else start
    size, vector = truth.optimum.size, (begin - truth.optimum).ravel()
    whole = np.concatenate([vector, vector, np.zeros(len(truth.maps[0]) - 1 - size), [1.0]])
    moment, everyone = np.outer(whole, whole), frozenset(range(len(truth.inputs)))
    for first in range(0, len(factors), len(truth.sizes)):
        begun = [(np.eye(len(whole)), everyone)]
        for step, batch_size in enumerate(truth.sizes[: len(factors) - first], first):
            one = replace(truth, lr=truth.lr * factors[step], batch_size=batch_size)
            flow = np.zeros((len(one.batches), len(whole), len(whole)))
            flow[:, size:, size:] = one._maps(first=step == 0)
            flow[:, :size, :size] = (1 - shares[step]) * np.eye(size)
            flow[:, :size, size:] = shares[step] * flow[:, size : 2 * size, size:]
            maps = dict(zip(map(tuple, one.batches.tolist()), flow, strict=True))
            begun = [
                (maps[batch] @ before, left.difference(batch))
                for before, left in begun
                for batch in combinations(sorted(left), batch_size)
            ]
            products = np.array([each for each, _ in begun])
            yield np.mean(products @ moment @ products.swapaxes(1, 2), axis=0)
        moment = np.mean(products @ moment @ products.swapaxes(1, 2), axis=0)


def away_from(truth: Enumeration) -> np.ndarray:
    """A start with a component in every direction, also where no data point has one."""
    return truth.optimum + np.random.default_rng(3).normal(size=truth.optimum.shape)


def error(found: np.ndarray | float, expected: np.ndarray | float) -> float:
    """The largest difference in units of what is allowed: at most 1 passes."""
    expected = np.asarray(expected)
    return np.abs(np.asarray(found) - expected).max() / (RTOL * np.abs(expected).max() + FLOOR)


TINY = {
    "general": lambda draw: (draw(5, 3), draw(5, 2)),
    "six samples": lambda draw: (draw(6, 2), draw(6, 1)),
    "dead feature": lambda draw: (draw(4, 3) * [1, 0, 1], draw(4, 2)),
    "duplicated feature": lambda draw: (draw(4, 2)[:, [0, 1, 1]], draw(4, 3)),
    "fewer samples than features": lambda draw: (draw(3, 5), draw(3, 2)),
    "equal curvatures": lambda draw: (1.3 * np.eye(4), draw(4, 2)),
    "one loud sample": lambda draw: (draw(4, 2) * [[6], [1], [1], [1]], draw(4, 2)),
    "one feature": lambda draw: (draw(3, 1), draw(3, 1)),
}
"""Tiny data sets by name, from normal numbers."""


def tiny(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a tiny data set; always the same."""
    rng = np.random.default_rng(21)
    return TINY[name](lambda *shape: rng.normal(size=shape))
