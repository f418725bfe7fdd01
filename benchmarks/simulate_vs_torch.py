"""Replica-steps per second of `fluctua.simulate`, beside the two ways in which one would write it in torch.

One training run of a linear model on MNIST (60,000 x 784, 10 outputs, batch 32, lr 0.01), repeated:

(a) loop     DataLoader(RandomSampler with replacement) + nn.Linear + optim.SGD, one run at a time: what people write
(b) bmm      all replicas in one batched product, batches gathered with index_select, nothing recorded
(c) fluctua  fl.simulate, its records and error bars included, one record every 250 steps

They take turns in the same process, and a ratio is taken within its round, so that a machine that slows down slows
all of them. Where other programs hold the cores that is not enough: torch's threads then wait for one another and the
ratios flatter; the script says so. The last ratio is the arithmetic of a replica-step, 4 b c d flops, over the rate of
a large float32 matrix product measured in the same rounds.

    python benchmarks/simulate_vs_torch.py [--rounds 5] [--seconds 4]

The wanted ratios are 20 over (a) and 1.3 over (b). Without MNIST the same shape is filled with random numbers.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import fluctua as fl

SGD = fl.SGD(lr=0.01, batch_size=32)
REPLICAS = 32
BMM_REPLICAS = (4, 8, 16, 32, 64)
STEPS_PER_RECORD = 250
MATRIX = 2048

Engine = Callable[[int], None]
"""Makes that many replica-steps, or somewhat more; `pace` counts what was asked."""


def data() -> tuple[np.ndarray, np.ndarray, str]:
    try:
        mnist = fl.load("mnist")
    except fl.FluctuaError as error:
        rng = np.random.default_rng(0)
        labels = rng.integers(10, size=60_000)
        inputs = rng.random((60_000, 784), dtype=np.float32) * (rng.random((60_000, 784)) < 0.2)
        name = f"random numbers in MNIST's shape, because it could not be read ({type(error).__name__})"
        return inputs, np.eye(10, dtype=np.float32)[labels], name
    return mnist.inputs, mnist.targets, "MNIST"


def torch_loop(inputs: np.ndarray, targets: np.ndarray) -> Engine:
    """Return (a): one run, as in a tutorial."""
    pairs = TensorDataset(torch.from_numpy(inputs), torch.from_numpy(targets))
    model = torch.nn.Linear(inputs.shape[1], targets.shape[1], bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=SGD.lr)

    def run(steps: int) -> None:
        sampler = RandomSampler(pairs, replacement=True, num_samples=steps * SGD.batch_size)
        for x, y in DataLoader(pairs, batch_size=SGD.batch_size, sampler=sampler):
            optimizer.zero_grad()
            loss = 0.5 * (model(x) - y).square().sum() / len(x)
            loss.backward()
            optimizer.step()

    return run


def torch_bmm(inputs: np.ndarray, targets: np.ndarray, replicas: int) -> Engine:
    """Return (b): the gradient by hand, four calls a step for all replicas."""
    x_all, y_all = torch.from_numpy(inputs), torch.from_numpy(targets)
    weights = torch.zeros(replicas, targets.shape[1], inputs.shape[1])
    x = torch.empty(replicas * SGD.batch_size, inputs.shape[1])
    y = torch.empty(replicas * SGD.batch_size, targets.shape[1])
    xs, ys = x.view(replicas, SGD.batch_size, -1), y.view(replicas, SGD.batch_size, -1)

    @torch.inference_mode()
    def run(steps: int) -> None:
        for _ in range(0, steps, 100 * replicas):
            for batch in torch.randint(len(x_all), (100, replicas * SGD.batch_size)):
                torch.index_select(x_all, 0, batch, out=x)
                torch.index_select(y_all, 0, batch, out=y)
                error = torch.baddbmm(ys, xs, weights.transpose(1, 2), beta=-1)
                weights.baddbmm_(error.transpose(1, 2), xs, alpha=-SGD.lr / SGD.batch_size)

    return run


def fluctua(problem: fl.LeastSquares) -> Engine:
    """Return (c)."""

    def run(steps: int) -> None:
        each = -(-steps // REPLICAS)
        fl.simulate(problem, SGD, steps=each, replicas=REPLICAS, records=-(-each // STEPS_PER_RECORD), rng=1)

    return run


def sgemm(size: int) -> Engine:
    """Return the yardstick; its "steps" are floating-point operations."""
    a, b = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    out = np.empty_like(a)

    def run(flops: int) -> None:
        for _ in range(0, flops, 2 * size**3):
            np.matmul(a, b, out=out)

    return run


def pace(engine: Engine, count: int) -> float:
    """Return counts per second."""
    began = time.perf_counter()
    engine(count)
    return count / (time.perf_counter() - began)


def free_cores(engine: Engine, count: int) -> float:
    """Return how many cores the machine gave to an engine that would use them all."""
    began, worked = time.perf_counter(), time.process_time()
    engine(count)
    return (time.process_time() - worked) / (time.perf_counter() - began)


def count_for(engine: Engine, seconds: float, unit: int, first: int) -> int:
    """Return a multiple of `unit` that takes about `seconds`, found on a short run after a warm-up."""
    engine(unit)
    return max(1, round(pace(engine, first * unit) * seconds / unit)) * unit


def best_bmm(inputs: np.ndarray, targets: np.ndarray) -> tuple[int, Engine]:
    """Return (b) at the number of replicas at which it is fastest."""
    engines = {replicas: torch_bmm(inputs, targets, replicas) for replicas in BMM_REPLICAS}
    rates = {r: max(pace(engine, 6400) for _ in range(3)) for r, engine in engines.items()}
    best = max(rates, key=rates.__getitem__)
    return best, engines[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all take their turn (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn (default 4)")
    options = parser.parse_args()

    inputs, targets, name = data()
    problem = fl.LeastSquares(inputs, targets)
    problem.minimum()
    replicas, bmm = best_bmm(inputs, targets)
    cores, product = len(os.sched_getaffinity(0)), 2 * MATRIX**3
    engines = {
        "(a) torch loop": (torch_loop(inputs, targets), 100, 5),
        f"(b) torch bmm, {replicas} replicas": (bmm, 100 * replicas, 64 * 64 // replicas),
        f"(c) fluctua, {REPLICAS} replicas": (fluctua(problem), REPLICAS * STEPS_PER_RECORD, 4),
        "sgemm": (sgemm(MATRIX), product, 10),
    }
    counts = {key: count_for(engine, options.seconds, unit, first) for key, (engine, unit, first) in engines.items()}
    counts["sgemm"] = max(product, counts["sgemm"] // 4 // product * product)
    rates: dict[str, list[float]] = {key: [] for key in engines}
    given = []
    for _, key in itertools.product(range(options.rounds), engines):
        rates[key].append(pace(engines[key][0], counts[key]))
        given.append(free_cores(engines["sgemm"][0], product))

    loop, batched, ours, peak = rates.values()
    flops = 4 * SGD.batch_size * targets.shape[1] * inputs.shape[1]

    def ratio(over: list[float], unit: float = 1.0) -> str:
        each = [unit * mine / other for mine, other in zip(ours, over, strict=True)]
        return f"{statistics.median(each):6.2f}   ({min(each):.2f} to {max(each):.2f})"

    print(f"{name}; {SGD}; {cores} cores; numpy {np.__version__}, torch {torch.__version__}")
    print(f"median of {options.rounds} rounds of about {options.seconds:g} s\n")
    print(f"{'replica-steps per second':34}{'median':>9}   (range)")
    for key in list(rates)[:3]:
        print(f"{key:34}{statistics.median(rates[key]):9,.0f}   ({min(rates[key]):,.0f} to {max(rates[key]):,.0f})")
    print(f"\n{'(c) / (a), wanted 20':34}   {ratio(loop)}")
    print(f"{'(c) / (b), wanted 1.3':34}   {ratio(batched)}")
    print(f"{f'(c) / sgemm {statistics.median(peak) / 1e9:.0f} GFLOP/s':34}   {ratio(peak, flops)}")

    if (share := statistics.median(given)) < 0.9 * cores:
        print(f"\nNOT A QUIET MACHINE: it gave {share:.2f} of {cores} cores; repeat when it is idle.")


if __name__ == "__main__":
    main()
