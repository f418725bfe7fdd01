"""Replica-steps per second of `fluctua.simulate`, beside the two ways in which one would write it in torch.

One training run of a linear model on MNIST (60,000 x 784, 10 outputs, batch 32, lr 0.01), repeated:

(a) loop     DataLoader(RandomSampler with replacement) + nn.Linear + optim.SGD, one run at a time: what people write
(b) bmm      all replicas in one batched product, batches gathered with index_select, nothing recorded, at the number of
             replicas at which it is fastest
(c) dense    the steps of fl.simulate, batches drawn, nothing recorded, on MNIST with 1/512 for every zero
(d) sparse   the same on MNIST as it is, 81 % zeros
(e) simulate all of fl.simulate on MNIST, its set-up, records and error bars included, one record in 250 steps

They take turns in the same process, on one thread, and are timed in CPU seconds; a ratio is taken within its round. The
last line is the arithmetic of a replica-step, 4 b c d flops, over the rate of a large float32 matrix product.

    python benchmarks/simulate_vs_torch.py [--rounds 5] [--seconds 1] [--avx2]

--avx2 keeps torch and numba from the wider instructions of AVX-512. Wanted over (b): 1.25 for (c), 1.7 for (d). Without
MNIST the same shape is filled with random numbers, and the record is another one, which is not on the page.
"""

from __future__ import annotations

import os
import sys

import numpy as np
from asked import amount, asking, positive

NARROW = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+lzcnt",
}
REPLICAS = 32
BMM_REPLICAS = (4, 8, 16, 32)
STEPS_PER_RECORD = 250
MATRIX = 2048
RAISED = 1 / 512
REAL = "MNIST"
KEYS = ("loop", "bmm", "dense", "sparse", "simulate")


def data():
    import fluctua as fl

    try:
        mnist = fl.load("mnist")
    except fl.FluctuaError as error:
        rng = np.random.default_rng(0)
        labels = rng.integers(10, size=60_000)
        inputs = rng.random((60_000, 784), dtype=np.float32) * (rng.random((60_000, 784)) < 0.19)
        name = f"random numbers in {REAL}'s shape, because it could not be read ({type(error).__name__})"
        return inputs, np.eye(10, dtype=np.float32)[labels], name
    return mnist.inputs, mnist.targets, REAL


def torch_loop(inputs, targets, sgd):
    """Return (a): one run, as in a tutorial."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler, TensorDataset

    pairs = TensorDataset(torch.from_numpy(inputs), torch.from_numpy(targets))
    model = torch.nn.Linear(inputs.shape[1], targets.shape[1], bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=sgd.lr)

    def run(steps):
        sampler = RandomSampler(pairs, replacement=True, num_samples=steps * sgd.batch_size)
        for x, y in DataLoader(pairs, batch_size=sgd.batch_size, sampler=sampler):
            optimizer.zero_grad()
            loss = 0.5 * (model(x) - y).square().sum() / len(x)
            loss.backward()
            optimizer.step()

    return run


def torch_bmm(inputs, targets, sgd, replicas):
    """Return (b): the gradient by hand, four calls a step for all replicas."""
    import torch

    x_all, y_all = torch.from_numpy(inputs), torch.from_numpy(targets)
    weights = torch.zeros(replicas, targets.shape[1], inputs.shape[1])
    x = torch.empty(replicas * sgd.batch_size, inputs.shape[1])
    y = torch.empty(replicas * sgd.batch_size, targets.shape[1])
    xs, ys = x.view(replicas, sgd.batch_size, -1), y.view(replicas, sgd.batch_size, -1)

    @torch.inference_mode()
    def run(steps):
        for batch in torch.randint(len(x_all), (-(-steps // replicas), replicas * sgd.batch_size)):
            torch.index_select(x_all, 0, batch, out=x)
            torch.index_select(y_all, 0, batch, out=y)
            error = torch.baddbmm(ys, xs, weights.transpose(1, 2), beta=-1)
            weights.baddbmm_(error.transpose(1, 2), xs, alpha=-sgd.lr / sgd.batch_size)

    return run


def best_bmm(inputs, targets, sgd):
    """Return (b) at the number of replicas at which it is fastest, and that number."""
    from timing import in_turns

    engines = {replicas: torch_bmm(inputs, targets, sgd, replicas) for replicas in BMM_REPLICAS}
    for engine in engines.values():
        engine(64)
    rates = in_turns({str(replicas): (engine, 3200) for replicas, engine in engines.items()}, 3)
    best = max(BMM_REPLICAS, key=lambda replicas: max(rates[str(replicas)]))
    return engines[best], best


def stepped(problem, sgd):
    """Return (c) or (d): the steps alone."""
    from fluctua.simulation.batches import Draws, generators, seed_sequence
    from fluctua.simulation.steppers import stepper

    advance = stepper(problem, sgd, "sgd", np.dtype(np.float32))
    draws = Draws(generators(seed_sequence(1), REPLICAS), problem.samples, sgd)
    state = np.zeros((1, REPLICAS, problem.outputs, problem.features), np.float32)

    def run(steps):
        advance(state, draws, -(-steps // REPLICAS), 0)

    return run


def simulated(problem, sgd):
    """Return (e)."""
    import fluctua as fl

    def run(steps):
        each = -(-steps // REPLICAS)
        records = -(-each // STEPS_PER_RECORD)
        fl.simulate(problem, sgd, steps=each, replicas=REPLICAS, records=records, rng=1, threads=1)

    return run


def sgemm():
    """Return the yardstick, whose pieces of work are 1e9 floating-point operations."""
    import torch

    a, b = torch.rand(2, MATRIX, MATRIX)
    out = torch.empty_like(a)

    def run(billions):
        for _ in range(max(1, round(billions * 1e9 / (2 * MATRIX**3)))):
            torch.mm(a, b, out=out)

    return run


def measured(rounds, seconds):
    """Return all that is printed."""
    import torch
    from timing import count_for, in_turns, instruction_set, ratios, spread

    import fluctua as fl

    torch.set_num_threads(1)
    sgd = fl.SGD(lr=0.01, batch_size=32)
    inputs, targets, name = data()
    bmm, replicas = best_bmm(inputs, targets, sgd)
    block = REPLICAS * STEPS_PER_RECORD
    raised = np.where(inputs == 0, np.float32(RAISED), inputs)
    whole, problem = fl.LeastSquares(raised, targets), fl.LeastSquares(inputs, targets)
    engines = {
        "loop": (torch_loop(inputs, targets, sgd), 50, 0.5),
        "bmm": (bmm, 1600, 1.0),
        "dense": (stepped(whole, sgd), block, 1.0),
        "sparse": (stepped(problem, sgd), block, 1.0),
        "simulate": (simulated(problem, sgd), block, 4.0),
        "sgemm": (sgemm(), 17, 0.5),
    }
    counts = {key: (engine, count_for(engine, each * seconds, unit)) for key, (engine, unit, each) in engines.items()}
    rates = in_turns(counts, rounds)
    flops = 4e-9 * sgd.batch_size * targets.shape[1] * inputs.shape[1]
    return {
        "data": f"{name}, {np.count_nonzero(inputs) / inputs.size:.0%} of the numbers not zero",
        "instructions": instruction_set(),
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
        "rounds": rounds,
        "bmm replicas": replicas,
        "replica-steps per CPU second": {key: spread(rates[key]) for key in KEYS},
        "SGEMM, GFLOP/s": spread(rates["sgemm"]),
        "dense over bmm": ratios(rates["dense"], rates["bmm"]),
        "sparse over bmm": ratios(rates["sparse"], rates["bmm"]),
        "simulate over bmm": ratios(rates["simulate"], rates["bmm"]),
        "simulate over loop": ratios(rates["simulate"], rates["loop"]),
        "dense over SGEMM": ratios([flops * rate for rate in rates["dense"]], rates["sgemm"]),
    }


def main():
    parser = asking(__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="rounds in which all take their turn (default 5)")
    parser.add_argument("--seconds", type=amount, default=1.0, help="of CPU time of one turn, about (default 1)")
    parser.add_argument("--avx2", action="store_true", help="without the instructions of AVX-512")
    options = parser.parse_args()
    if options.avx2 and not NARROW.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **NARROW})
    from timing import keep

    found = measured(options.rounds, options.seconds)
    for name, value in found.items():
        print(f"{name:30}  {value}")
    made = "" if str(found["data"]).startswith(REAL) else "random_"  # beside the record of MNIST, which stays
    keep(f"{made}simulate_vs_torch_{str(found['instructions']).lower().replace(' ', '_')}", found)


if __name__ == "__main__":
    main()
