"""The chain of one dimension takes more than 8 million steps a second on one thread, and its law 0.2 s.

    python benchmarks/adaptive_chain.py

Times of the processor, the best of five, side by side: Euler's chain with the correction, read from splines, the same
loop in NumPy over all chains at once, and the law on 1,200 points with its check on half of them.

One shared core of a Xeon (AVX-512): 25 to 44 million steps a second, NumPy 6 million, the law 0.12 to 0.18 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import fluctua as fl
from fluctua.studies.adaptive import Langevin, Spring, SpringMonitor

STEPS, REPLICAS = 20_000, 256
CHAIN = Langevin("spring", lr=0.3, temperature=0.1)


def compiled() -> None:
    fl.simulate(CHAIN, steps=STEPS, replicas=REPLICAS, rng=1, start=0.0)


def in_numpy() -> None:
    """A twentieth of the steps, of the same number of chains."""
    potential, g, rng = Spring(), SpringMonitor(), np.random.default_rng(1)
    x, first, second = np.zeros(REPLICAS), np.zeros(REPLICAS), np.zeros(REPLICAS)
    for _ in range(STEPS // 20):
        scale = g.value(x)
        first += x
        second += x**2
        drift = -scale * potential.slope(x) + 0.1 * g.slope(x)
        x = x + 0.3 * drift + np.sqrt(2 * 0.1 * scale * 0.3) * rng.standard_normal(REPLICAS)


def law() -> None:
    fl.predict(CHAIN)


def best(work: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the least CPU seconds of five, one after another."""
    found = dict.fromkeys(work, float("inf"))
    for _ in range(5):
        for name, each in work.items():
            began = time.process_time()
            each()
            found[name] = min(found[name], time.process_time() - began)
    return found


if __name__ == "__main__":
    compiled()  # compiles
    seconds = best({"compiled": compiled, "NumPy": in_numpy, "law": law})
    print(f"compiled  {STEPS * REPLICAS / seconds['compiled'] / 1e6:6.1f} million steps a second")
    print(f"NumPy     {STEPS // 20 * REPLICAS / seconds['NumPy'] / 1e6:6.1f} million steps a second")
    print(f"law       {seconds['law']:6.2f} s")
