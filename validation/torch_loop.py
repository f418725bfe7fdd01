"""The excess loss of a training loop written in torch, beside fluctua's finite-time prediction.

The loop is torch's from end to end: autograd's gradient, optim.SGD's step, batches from torch's generator. Many runs
at once, as one parameter of shape (runs, outputs, inputs); each has its own batches, so they are independent and
their spread is the error bar. They start at W*, found by torch.linalg.lstsq.

    python validation/torch_loop.py [--runs 1024] [--steps 400] [--seed 0] [--wrong-by 0.02]

Prints both numbers and their difference in error bars; exit code 1 beyond 4.4 of them, which chance does once in 1e5.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch

import fluctua as fl

LIMIT = 4.4
LR, BATCH_SIZE, GAP = 0.05, 8, 20


def train(runs: int, steps: int, seed: int) -> np.ndarray:
    """Return each run's loss above the optimum's, averaged over every 20th step, (runs,)."""
    torch.set_num_threads(1)  # small products: more threads only wait for one another
    generator = torch.Generator().manual_seed(seed)
    digits = fl.load("digits")
    x, y = (torch.tensor(a, dtype=torch.float64) for a in (digits.inputs, digits.targets))
    optimum = torch.linalg.lstsq(x, y, driver="gelsd").solution.T
    weights = torch.nn.Parameter(optimum.repeat(runs, 1, 1))
    optimizer = torch.optim.SGD([weights], lr=LR)
    excess = torch.zeros(runs, dtype=x.dtype)
    for step in range(1, steps + 1):
        batch = torch.randint(len(x), (runs, BATCH_SIZE), generator=generator)
        optimizer.zero_grad()
        error = x[batch] @ weights.transpose(1, 2) - y[batch]
        loss = 0.5 * error.square().sum() / BATCH_SIZE  # summed over runs: each gets its own gradient
        loss.backward()
        optimizer.step()
        if step % GAP == 0:
            with torch.no_grad():
                excess += full_loss(weights, x, y) - full_loss(optimum[None], x, y)
    return (excess / (steps // GAP)).numpy()


def full_loss(weights: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([0.5 * (x @ w.T - y).square().sum() / len(x) for w in weights])


def agree(runs: np.ndarray, steps: int, wrong_by: float = 0.0) -> bool:
    """Print the runs' mean beside the prediction, spoiled by `wrong_by`, and return whether they agree."""
    digits = fl.load("digits")
    stationary = fl.predict(fl.LeastSquares(digits.inputs, digits.targets), fl.SGD(lr=LR, batch_size=BATCH_SIZE))
    predicted = (1 + wrong_by) * stationary.after(range(GAP, steps + 1, GAP)).excess_loss
    measured, error = runs.mean(), runs.std(ddof=1) / np.sqrt(len(runs))
    z = (measured - predicted) / error
    print(f"digits, lr {LR}, b {BATCH_SIZE}, {len(runs)} runs from W*, every {GAP}th of {steps} steps")
    print(f"  torch      {measured:.7f} +- {error:.7f}")
    print(f"  fluctua    {predicted:.7f}")
    print(f"  difference {measured - predicted:+.7f}, z = {z:+.2f}, {'agree' if abs(z) < LIMIT else 'DISAGREE'}\n")
    return bool(abs(z) < LIMIT)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong-by", type=float, default=0.0, help="spoil the prediction, to see it noticed")
    options = parser.parse_args(arguments)
    return 0 if agree(train(options.runs, options.steps, options.seed), options.steps, options.wrong_by) else 1


if __name__ == "__main__":
    sys.exit(main())
