"""Replica-steps per second of `fluctua.simulate(..., device=)`, against the time that reading its samples takes.

MNIST (60,000 x 784, 10 outputs), batch 32, lr 0.01, batches drawn on the device, 64 to 4,096 replicas. A rate is that
of the steps between a run and one of twice the length with as many looks: what is sent and recorded is in both. The
floor of a replica-step is b rows of the inputs over the device's bandwidth, measured in the same run: what it takes to
read each sample of the batch once from memory. The column "of floor" is the floor over the time taken; half is wanted
on a GPU. The script first holds the device's trajectories against the compiled loop's.

    python benchmarks/simulate_on_device.py [--device cuda] [--replicas 64 256] [--rounds 5] [--verify cifar10]

With --verify it also times a whole `fluctua.verify` of a data set on the device, Gram matrix, modes and K included.
Rows are kept in benchmarks/results/simulate_on_device.json under the device's name; another device adds its own. On a
CPU times are those of the process on one core, so that a busy machine does not show. No GPU was at hand when the kept
row was made: what the engine does on one is untested and unmeasured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from asked import amount, asking, at_least, positive

import fluctua as fl
from fluctua._validate.devices import Device, device_of

SGD = fl.SGD(lr=0.01, batch_size=32)
REPLICAS = (64, 256, 1024, 4096)
FEWEST = 64  # steps
REAL = "MNIST"
RESULTS = Path(__file__).parent / "results" / "simulate_on_device.json"


def problem() -> tuple[fl.LeastSquares, str]:
    """Return MNIST, or random numbers in its shape."""
    try:
        mnist = fl.load("mnist")
    except fl.FluctuaError:
        rng = np.random.default_rng(0)
        inputs = rng.random((60_000, 784), dtype=np.float32) * (rng.random((60_000, 784)) < 0.2)
        return fl.LeastSquares(inputs, np.eye(10, dtype=np.float32)[rng.integers(10, size=60_000)]), f"{REAL}'s shape"
    return fl.LeastSquares(mnist.inputs, mnist.targets), REAL


class Clock:
    """Seconds of the device's work: of the process on a CPU, of the wall, once all is done, on a GPU."""

    def __init__(self, device: Device) -> None:
        self.cpu = device.kind == "cpu"
        self.now = time.process_time if self.cpu else time.perf_counter

    def __call__(self, work) -> float:
        began = self._settled()
        work()
        return self._settled() - began

    def _settled(self) -> float:
        if not self.cpu:
            torch.cuda.synchronize()
        return self.now()


def bandwidth(device: Device, clock: Clock, size: int = 2**28) -> float:
    """Return bytes a second, read and written, of copying so many; the best of ten."""
    source = torch.zeros(size, dtype=torch.uint8, device=device.handle)
    out = torch.empty_like(source)
    return max(2 * size / clock(lambda: out.copy_(source)) for _ in range(10))


def simulated(posed: fl.LeastSquares, device: Device, replicas: int, steps: int) -> None:
    fl.simulate(posed, SGD, steps=steps, replicas=replicas, records=1, rng=1, device=device.handle)


def hold_trajectories(posed: fl.LeastSquares, device: Device) -> float:
    """Return the largest difference from the compiled loop's losses on the same batches, in float64, relative."""
    asked = {"steps": 20, "replicas": 8, "rng": 1, "dtype": "float64"}
    here = fl.simulate(posed, SGD, **asked).replica_losses
    there = fl.simulate(posed, SGD, **asked, device=device.handle, batches="numpy").replica_losses
    return float(np.abs(there - here).max() / np.abs(here).max())


def pace(posed: fl.LeastSquares, device: Device, replicas: int, steps: int) -> float:
    """Return replica-steps per second, of the second half of a run."""
    clock = Clock(device)
    half, whole = (clock(partial(simulated, posed, device, replicas, n * steps)) for n in (1, 2))
    return replicas * steps / (whole - half)


def paces(posed: fl.LeastSquares, device: Device, options: argparse.Namespace) -> dict[int, float]:
    """Return the medians over rounds in which all numbers of replicas take their turn."""
    found = {replicas: [] for replicas in options.replicas}
    for _, replicas in itertools.product(range(options.rounds), options.replicas):
        steps = max(FEWEST, int(options.work / replicas))
        found[replicas].append(pace(posed, device, replicas, steps))
    return {replicas: statistics.median(rates) for replicas, rates in found.items()}


def verified(name: str, device: Device) -> float:
    """Return the seconds of a whole `verify` of a data set."""
    data = fl.load(name)
    posed = fl.LeastSquares(data.inputs, data.targets)
    lr = 0.25 * 2 / float(np.linalg.norm(data.inputs, axis=1).max() ** 2)
    return Clock(device)(lambda: fl.verify(posed, fl.SGD(lr=lr, batch_size=8), rng=1, device=device.handle))


def kept(row: dict) -> None:
    """Keep a device's row beside the others', and one of made-up data beside that of MNIST."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    name = row["device"] if row["data"] == REAL else f"{row['device']}, {row['data']}"
    RESULTS.write_text(json.dumps({**rows, name: row}, indent=1) + "\n")


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--replicas", type=at_least(2), nargs="+", default=REPLICAS)
    parser.add_argument(
        "--rounds", type=positive, default=5, help="rounds in which all sizes take their turn (default 5)"
    )
    parser.add_argument("--work", type=amount, help="replica-steps of a turn (default 5e6, on a CPU 6e4)")
    parser.add_argument("--verify", metavar="DATA", help="also time a whole verify of a data set, such as cifar10")
    options = parser.parse_args()
    device = device_of(options.device)
    if device.kind == "cpu":
        torch.set_num_threads(1)
    options.work = options.work or (6e4 if device.kind == "cpu" else 5e6)

    posed, name = problem()
    print(f"{name}; {SGD}; device {device}; torch {torch.__version__}")
    print(f"trajectories are the compiled loop's to {hold_trajectories(posed, device):.1e}")
    speed = bandwidth(device, Clock(device))
    floor = speed / (SGD.batch_size * posed.features * posed.inputs.dtype.itemsize)
    rates = paces(posed, device, options)
    print(
        f"bandwidth {speed / 1e9:,.0f} GB/s; floor {floor:,.0f} replica-steps/s\n\nreplicas  replica-steps/s  of floor"
    )
    for replicas, rate in rates.items():
        print(f"{replicas:8,}  {rate:15,.0f}  {rate / floor:8.2f}")
    row = {"device": str(device), "torch": torch.__version__, "data": name, "bandwidth": speed, "floor": floor}
    row |= {"replica-steps per second": rates, "of floor": {r: rate / floor for r, rate in rates.items()}}
    if device.kind == "cpu":
        row["note"] = "one core of a shared machine, in seconds of the process; no GPU was at hand"
    if options.verify:
        row["verify"] = {options.verify: verified(options.verify, device)}
        print(f"\nverify {options.verify}: {row['verify'][options.verify]:,.0f} s")
    kept(row)


if __name__ == "__main__":
    main()
