"""Where the loss may differ between runs by far more than Gaussian weights say: near the stability limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .prediction import Prediction
from .stability import independent_batches, max_stable_lr, surely_stable

__all__ = ["share_of_heavy_tails"]

_HEAVY = 0.5  # of the limit of independent batches, from which the closure was up to 2.5 times too small
_MEMORY = 0.1  # of a run, whose rates its last weights remember


def share_of_heavy_tails(prediction: Prediction) -> float | None:
    """Return the share of the stability limit that a prediction's rate has, where it is so large that tails are heavy.

    The limit is that of independent batches of the sizes of an epoch, the lowest of them: a small last batch is as loud
    as if all were small. The rate is the largest of the last tenth of the run. None where the share is below 0.5, and
    where the noise does not feel the fluctuation.

    Notes
    -----
    Cost: a pass over the inputs for each of four rates where those are surely stable, else that of the limit.
    """
    law = prediction.law
    if not law.feeds_back:
        return None
    rate = law.sgd.lr
    if prediction.steps is not None:
        last = max(prediction.steps)
        rate = float(np.max(law.sgd.rates(np.arange(int((1 - _MEMORY) * last), max(last, 1)))))
    sizes = {law.sgd.batch_size}
    if law.sgd.epochs:
        sizes = set(law.sgd.batch_sizes(law.problem.population).tolist())
    batches = [independent_batches(replace(law.sgd, batch_size=size)) for size in sizes]
    if not rate or all(surely_stable(law.problem, one, rate / _HEAVY) for one in batches):
        return None
    share = rate / min(float(max_stable_lr(law.problem, one)) for one in batches)
    return share if share > _HEAVY else None
