"""Print the table of docs/spread.md: the spread of the loss between runs, predicted over measured.

    python docs/figures/spread.py [NAME]

For each batch size, at three shares of the largest stable learning rate, 8,192 runs of 1,000 steps are made from W*.
The loss is that of the last step alone; its prediction is for that step.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

import fluctua as fl

BATCH_SIZES, SHARES = (1, 8, 32), (0.25, 0.5, 0.9)
STEPS, REPLICAS = 1000, 8192


def spread(losses: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard deviation between runs and its standard error, from the runs' own fourth moment."""
    away = (losses - losses.mean()) ** 2
    std = float(np.sqrt(away.sum() / (len(losses) - 1)))
    return std, float(away.std(ddof=1) / np.sqrt(len(losses)) / (2 * std))


def row(problem: fl.LeastSquares, batch_size: int, share: float) -> str:
    sgd = fl.SGD(share * fl.max_stable_lr(problem, fl.SGD(1.0, batch_size)), batch_size)
    found = fl.loss_spread(fl.predict(problem, sgd).after(STEPS))
    run = fl.simulate(problem, sgd, steps=STEPS, replicas=REPLICAS, records=1, rng=1)
    losses = run.replica_losses[:, -1]
    std, error = spread(losses)
    mean, slack = losses.mean() / found.mean, losses.std(ddof=1) / np.sqrt(REPLICAS) / found.mean
    ratio = found.std / std
    return (
        f"| {batch_size} | {share:g} | {sgd.lr:.4g} | {found.mean:.4g} | {mean:.4f} ± {slack:.4f} | {found.std:.4g} "
        f"| {std:.4g} | {ratio:.3f} ± {ratio * error / std:.3f} |"
    )


def main() -> None:
    data = fl.load(sys.argv[1] if len(sys.argv) > 1 else "digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    print(
        "| b | lr / limit | lr | mean, predicted | measured / predicted | std, predicted | measured | "
        "predicted / measured |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for batch_size in BATCH_SIZES:
        for share in SHARES:
            print(row(problem, batch_size, share), flush=True)


if __name__ == "__main__":
    main()
