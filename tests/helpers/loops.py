"""Loops in torch as `torch_code` writes them: run here and watched, and the same run written down in NumPy."""

from __future__ import annotations

from importlib import import_module

import numpy as np

__all__ = ["Watched", "by_hand"]


class Watched:
    """A loop that was run in this process: its batches, the learning rate of each of its steps, its weights."""

    def __init__(self, torch, monkeypatch, code, **given):
        self.batches, self.rates, self._drawn = [], [], []
        original = torch.utils.data.TensorDataset.__getitem__
        with monkeypatch.context() as patch:
            patch.setattr(
                torch.utils.data.TensorDataset, "__getitem__", lambda data, i: self._got(i, original(data, i))
            )
            hook = import_module("torch.optim.optimizer").register_optimizer_step_pre_hook(self._stepped)
            try:
                self.names = dict(given)
                exec(compile(code, "<loop>", "exec"), self.names)
            finally:
                hook.remove()
        self.weights = self.names["model"].weight.detach().numpy()
        self.loss = float(self.names["loss"])

    def _got(self, index, item):
        self._drawn.append(int(index))
        return item

    def _stepped(self, optimizer, _args, _options):
        self.rates.append(float(optimizer.param_groups[0]["lr"]))
        self.batches.append(self._drawn)
        self._drawn = []


def by_hand(inputs, targets, sgd, batches, factors=None, average=None):
    """W after these batches, (c, d), from zero: the update as torch's documentation and the QHM paper have it.

    `factors` are of the samples' losses. `average` says what is returned instead of W.
    """
    x, y = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    f, rates = np.ones(len(x)) if factors is None else factors, sgd.rates(np.arange(len(batches)))
    weights = kept = np.zeros((y.shape[1], x.shape[1]))
    buffer, updates = None, 0
    for step, (batch, lr) in enumerate(zip(batches, rates, strict=True), 1):
        error = f[batch, None] * (x[batch] @ weights.T - y[batch])
        g = error.T @ x[batch] / len(batch) + sgd.weight_decay * weights
        buffer, move = _moved(sgd, g, buffer)
        weights = weights - lr * move
        if average is not None and step > average.left_out and step % average.period == 0:
            updates += 1
            kept = weights if updates == 1 else _mixed(average, kept, weights, updates)
    return weights if average is None else kept


def _moved(sgd, g, buffer):
    beta = sgd.momentum
    if sgd.OPTIMISER == "QHM":
        buffer = beta * (0 if buffer is None else buffer) + (1 - beta) * g
        return buffer, (1 - sgd.nu) * g + sgd.nu * buffer
    if not beta:
        return None, g
    buffer = g if buffer is None else beta * buffer + (1 - sgd.dampening) * g
    return buffer, g + beta * buffer if sgd.nesterov else buffer


def _mixed(average, kept, weights, updates):
    share = 1 - average.decay if hasattr(average, "decay") else 1 / updates
    return kept + share * (weights - kept)
