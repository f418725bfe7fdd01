"""What a cell costs its worker, and what it costs those who hand it out: seconds of the processor, on 1 and 2 workers.

    python benchmarks/cluster.py

A sweep of 48 cells of digits is predicted and measured here, by one Dask worker and by two, on loopback, each from the
beginning; the table has the seconds of the processor (not of the clock, which on a shared machine says little) of the
workers, of the scheduler, and of the process that asks. Then moments of 16 chunks are summed: seconds for a chunk, and
for merging its d^2 numbers. From these follows how many workers are kept busy.

Measured on two cores that eight people shared, two workers on loopback: a piece of work of 82 ms here costs a worker
112 ms, and those who hand it out 12 ms (15 ms with one worker). A chunk of 4,096 samples costs 0.07, 0.32 and 0.88 s
for d = 256, 1,024 and 2,048, drawing the samples included, and 8 ms to merge at 2,048.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from distributed import Client, LocalCluster

import fluctua as fl
from fluctua.distributed import moments
from fluctua.problem.streaming import StreamingMoments

SIZES, RATES, STEPS = [2, 8, 32, 128], np.geomspace(0.001, 0.15, 12).tolist(), 500
CHUNK, CHUNKS = 4096, 16


def swept() -> fl.Sweep:
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    return fl.sweep(
        problem, fl.SGD(0.01, 8), lr=RATES, batch_size=SIZES, steps=STEPS, measure=True, replicas=32, rng=1, threads=1
    )


def spent(client: Client) -> np.ndarray:
    """Seconds of the processor so far: of the workers together, and of this process, which has the scheduler too."""
    return np.array([sum(client.run(time.process_time).values()), time.process_time()])


def on(workers: int, work: Callable[[], object]) -> tuple[np.ndarray, object]:
    """What a piece of work costs on so many workers, the second time: the first imports and compiles."""
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        fl.cluster(client),
    ):
        work()
        before = spent(client)
        found = work()
        return spent(client) - before, found


def cells() -> None:
    swept()
    before = time.process_time()
    here = swept()
    alone, pieces = time.process_time() - before, len(RATES) * len(SIZES) + len(SIZES)
    pieces += sum(cell.measured is not None for cell in here.cells)
    print(f"{pieces} pieces\nworkers  work  scheduler and caller  same numbers")
    print(f"{'none':>7}{alone:6.2f}")
    for workers in (1, 2):
        (work, caller), found = on(workers, swept)
        print(f"{workers:>7}{work:6.2f}{caller:22.2f}  {found == here}")
        handing = caller / pieces
        print(f"         {1e3 * handing:.1f} ms to hand out a piece of {1e3 * work / pieces:.0f} ms")


def chunks(features: int) -> None:
    import dask.array as da

    x = da.random.default_rng(1).normal(size=(CHUNK * CHUNKS, features), chunks=(CHUNK, features))
    y = x[:, :10]
    (work, caller), found = on(2, lambda: moments(x, y))
    one = StreamingMoments(features, 10).add(np.ones((CHUNK, features)), np.ones((CHUNK, 10)))
    before = time.process_time()
    for _ in range(5):
        StreamingMoments(features, 10).merge(one)
    merge = (time.process_time() - before) / 5
    print(
        f"d = {features:>5}: {work / CHUNKS:.2f} s a chunk of {CHUNK:,}, made and summed and merged, {merge:.3f} s to "
        f"merge; scheduler and caller {caller / CHUNKS:.3f} s; {found.gram.nbytes / 2**20:.1f} MiB each"
    )


if __name__ == "__main__":
    cells()
    for size in (256, 1024, 2048):
        chunks(size)
