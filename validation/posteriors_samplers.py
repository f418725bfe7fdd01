"""posteriors' SGLD, SGHMC and BAOA on Bayesian linear regression, their draws held against the law.

The samplers are posteriors' from end to end: autograd's gradient of a log posterior, its transforms, torch's random
numbers. All chains are one parameter of shape (chains, inputs), each with its own batches. The log posterior is minus
the mean loss, so that posteriors' lr and temperature are fluctua's. Data and prior are those of `blackjax_sgld.py`.

    python validation/posteriors_samplers.py [--method sgld|sghmc|baoa] [--chains 256] [--steps 20000] [--every 10]
        [--seed 0] [--temperature-off 0.03]

Prints the verdict; exit code 1 unless it passes. --temperature-off spoils the sampler: the verdict must notice. Needs
posteriors.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes

import fluctua as fl

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import posteriors

BATCH_SIZE, NOISE_VARIANCE, WEIGHT_DECAY, FRICTION = 8, 0.5, 0.01, 1.0
RATES = {"sgld": 0.05, "sghmc": 0.1, "baoa": 0.2}


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and target, each of mean 0 and variance 1."""
    x, y = load_diabetes(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def transform(method: str, temperature: float) -> Any:
    """Return posteriors' transform of chains in one parameter."""

    def log_posterior(w, batch):
        x, y = batch
        errors = (x @ w[:, :, None])[:, :, 0] - y
        loss = 0.5 * errors.square().mean(dim=1).sum() + 0.5 * WEIGHT_DECAY * w.square().sum()
        return -loss, torch.tensor([])

    given = {"lr": RATES[method], "temperature": temperature}
    if method == "sgld":
        return posteriors.sgmcmc.sgld.build(log_posterior, **given)
    return getattr(posteriors.sgmcmc, method).build(log_posterior, alpha=FRICTION, momenta=0.0, **given)


def draw(method: str, chains: int, steps: int, every: int, seed: int, off: float = 0.0) -> np.ndarray:
    """Return every so many draws of the chains from zero, (chains, steps / every, d)."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = map(torch.tensor, diabetes())
    sampler = transform(method, (1 + off) * NOISE_VARIANCE / len(x))
    weights = torch.zeros(chains, x.shape[1], dtype=x.dtype)
    state, kept = sampler.init(weights), np.empty((chains, steps // every, x.shape[1]), np.float32)
    for step in range(1, every * kept.shape[1] + 1):
        rows = torch.randint(len(x), (chains, BATCH_SIZE))
        state = sampler.update(state, (x[rows], y[rows]))[0]
        if step % every == 0:
            kept[:, step // every - 1] = state.params
    return kept


def law(method: str) -> fl.Prediction:
    """What fluctua says of the sampler."""
    x, y = diabetes()
    lr, temperature = RATES[method], NOISE_VARIANCE / len(x)
    shared = {"batch_size": BATCH_SIZE, "temperature": temperature, "weight_decay": WEIGHT_DECAY}
    kinetic = {"sghmc": fl.SGHMC, "baoa": fl.BAOA}
    sampler = fl.SGLD(lr, **shared) if method == "sgld" else kinetic[method](lr, FRICTION, **shared)
    return fl.predict(fl.LeastSquares(x, y[:, None]), sampler)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=RATES, default="sgld")
    parser.add_argument("--chains", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", type=float, default=1e-4, help="false-alarm probability of the verdict")
    parser.add_argument("--temperature-off", type=float, default=0.0, help="spoil the sampler, to see it noticed")
    options = parser.parse_args(arguments)
    given = options.method, options.chains, options.steps, options.every, options.seed, options.temperature_off
    verdict = fl.verify_draws(law(options.method), draw(*given), every=options.every, level=options.level)
    for name, words in verdict.facts.items():
        print(f"{name:<18} {words}")
    print(f"\n{verdict.table}\n\n{verdict.outcome.upper()}  {verdict.words}")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
