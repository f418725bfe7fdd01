"""blackjax's SGLD on Bayesian linear regression, its draws held against the law.

The sampler is blackjax's from end to end: its gradient estimator, by autodiff of a log prior and a log likelihood, its
step, JAX's random numbers. The target is the posterior of scikit-learn's diabetes data, standardised, with noise of
variance 1/2 and a Gaussian prior. blackjax's step size is that of the log posterior: fluctua's lr, of the mean loss,
times the temperature.

    python validation/blackjax_sgld.py [--chains 256] [--steps 20000] [--every 10] [--seed 0] [--temperature-off 0.03]

Prints the verdict; exit code 1 unless it passes. --temperature-off spoils blackjax's step: its noise gets a temperature
off by that share, which the verdict must notice. Needs blackjax; 20,000 steps of 256 chains take a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_diabetes

import fluctua as fl

LR, BATCH_SIZE, NOISE_VARIANCE, WEIGHT_DECAY = 0.05, 8, 0.5, 0.01


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and target, each of mean 0 and variance 1."""
    x, y = load_diabetes(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def draw(chains: int, steps: int, every: int, seed: int, off: float = 0.0) -> np.ndarray:
    """Return every so many draws of blackjax's chains from zero, (chains, steps / every, d)."""
    x, y = map(jnp.asarray, diabetes())
    temperature = NOISE_VARIANCE / len(x)

    def logprior(w):
        return -WEIGHT_DECAY / temperature / 2 * jnp.sum(w**2)

    def loglikelihood(w, row):
        return -((row[1] - row[0] @ w) ** 2) / (2 * NOISE_VARIANCE)

    sgld = blackjax.sgld(blackjax.sgmcmc.gradients.grad_estimator(logprior, loglikelihood, len(x)))

    def one(w, key):
        batch, noise = jax.random.split(key)
        rows = jax.random.randint(batch, (BATCH_SIZE,), 0, len(x))
        return sgld.step(noise, w, (x[rows], y[rows]), LR * temperature, 1.0 + off)

    def stretch(w, key):
        w = jax.lax.scan(lambda at, each: (one(at, each), None), w, jax.random.split(key, every))[0]
        return w, w

    def chain(key):
        return jax.lax.scan(stretch, jnp.zeros(x.shape[1]), jax.random.split(key, steps // every))[1]

    keys = jax.random.split(jax.random.key(seed), chains)
    return np.asarray(jax.jit(jax.vmap(chain))(keys))


def passes(draws: np.ndarray, every: int, level: float) -> bool:
    """Print the verdict on the draws, and return whether they passed."""
    x, y = diabetes()
    sampler = fl.SGLD(LR, BATCH_SIZE, NOISE_VARIANCE / len(x), WEIGHT_DECAY)
    verdict = fl.verify_draws(fl.predict(fl.LeastSquares(x, y[:, None]), sampler), draws, every=every, level=level)
    for name, words in verdict.facts.items():
        print(f"{name:<18} {words}")
    print(f"\n{verdict.table}\n\n{verdict.outcome.upper()}  {verdict.words}")
    return verdict.passed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", type=float, default=1e-4, help="false-alarm probability of the verdict")
    parser.add_argument("--temperature-off", type=float, default=0.0, help="spoil the sampler, to see it noticed")
    options = parser.parse_args(arguments)
    draws = draw(options.chains, options.steps, options.every, options.seed, options.temperature_off)
    return 0 if passes(draws, options.every, options.level) else 1


if __name__ == "__main__":
    sys.exit(main())
