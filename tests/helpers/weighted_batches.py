"""Every batch of a tiny problem whose samples count, or are drawn, unequally: listed, each with its probability.

Knows how `torch.utils.data.WeightedRandomSampler` draws, with replacement, and what a weighted loss is; nothing of
effective rows or importance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .enumeration import Enumeration


@dataclass(frozen=True, eq=False)
class WeightedEnumeration(Enumeration):
    """Sample i is drawn with probability ~ `drawn`_i; its loss counts `counted`_i, over their mean.

    With `unbiased` its gradient is divided by N times its probability. W* is where the mean gradient vanishes.
    """

    counted: np.ndarray | None = None
    drawn: np.ndarray | None = None
    unbiased: bool = True

    @cached_property
    def chances(self) -> np.ndarray:
        """Probability of each sample, (N,)."""
        drawn = np.ones(len(self.inputs)) if self.drawn is None else self.drawn
        return drawn / drawn.sum()

    @cached_property
    def factors(self) -> np.ndarray:
        """What the gradient of each sample is multiplied by whenever it is drawn, (N,)."""
        counted = np.ones(len(self.inputs)) if self.counted is None else self.counted / self.counted.mean()
        if self.drawn is None or not self.unbiased:
            return counted
        lost = self.chances == 0
        assert not counted[lost].any()
        return counted / np.where(lost, 1, len(self.inputs) * self.chances)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of each batch, (n,)."""
        each = np.prod(self.chances[self.batches], axis=1)
        return each / each.sum() if self.sampling == "without_replacement" else each

    @cached_property
    def optimum(self) -> np.ndarray:
        """W*, (c, d), of the sum of chance x factor x loss."""
        root = np.sqrt(self.chances * self.factors)[:, None]
        rows = np.vstack([root * self.inputs, np.sqrt(self.weight_decay) * np.eye(self.inputs.shape[1])])
        targets = np.vstack([root * self.targets, np.zeros((self.inputs.shape[1], self.outputs))])
        return np.linalg.lstsq(rows, targets, rcond=1e-12)[0].T

    def _gradients(self, weights: np.ndarray) -> np.ndarray:
        x, y, factor = self.inputs[self.batches], self.targets[self.batches], self.factors[self.batches]
        errors = (x @ weights.T - y) * factor[..., None]
        return np.einsum("nbc,nbd->ncd", errors, x) / self.batch_size + self.weight_decay * weights

    @property
    def _rows(self) -> np.ndarray:
        return np.sqrt(self.chances * self.factors)[:, None] * self.inputs

    def _maps(self, first: bool) -> np.ndarray:
        """Times the square root of n x probability: averages over batches are of pairs of maps."""
        root = np.sqrt(len(self.batches) * self.probabilities)
        return super()._maps(first) * root[:, None, None]

    def excess_loss(self, moment: np.ndarray) -> float:
        """E L(W) - L(W*) of the loss that is descended."""
        x, mean, second, share = self.inputs, self.mean(moment), self.covariance(moment), self.chances * self.factors
        residuals = x @ self.optimum.T - self.targets
        squares = np.einsum("ni,ij,nj->n", x, second, x) + 2 * np.sum((x @ mean.T) * residuals, axis=1)
        decay = np.trace(second) + 2 * np.sum(mean * self.optimum)
        return float(0.5 * share @ squares + 0.5 * self.weight_decay * decay)
