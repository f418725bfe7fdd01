"""Samples that are made on the fly, never all in memory: 10^7 x 512 of float32 are 20 GB, predicted within 2 GB.

    python benchmarks/out_of_core.py              # 1,000,000 samples
    python benchmarks/out_of_core.py 10000000     # 367 s of CPU, 0.49 GB at most

Two passes for W*, the modes and the noise, one that picks the 20,000 samples which K is averaged over. Time is of the
CPU and grows in proportion to the samples; memory beyond the blocks is that of targets and residuals, 24 bytes a sample
with one output. Progress is told on stderr, with the time left. benchmarks/results/scale.md has what was measured.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
from asked import asking, at_least

import fluctua as fl

FEATURES, ROWS = 512, 16_384
SCALES = (np.arange(1, FEATURES + 1) ** -0.75).astype(np.float32)


class Made:
    """Chunks that are the same ones each time, made from their number."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return (self.samples + ROWS - 1) // ROWS

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(len(self)):
            rng, rows = np.random.default_rng(number), min(ROWS, self.samples - number * ROWS)
            x = rng.standard_normal((rows, FEATURES), np.float32) * SCALES
            yield x, np.tanh(x[:, :1]) + 0.3 * rng.standard_normal((rows, 1), np.float32)


class Told:
    """Says on stderr how far a pass is, and what is left of it, every ten seconds."""

    def __init__(self) -> None:
        self.stage, self.since, self.due = "", 0.0, 0.0

    def __call__(self, stage: str, share: float) -> None:
        """Take in how far it is."""
        now = time.monotonic()
        if stage != self.stage:
            self.stage, self.since, self.due = stage, now, now + 10
        if now >= self.due and share:
            self.due = now + 10
            print(f"{stage}: {share:.0%}, {(now - self.since) * (1 / share - 1):.0f} s left", file=sys.stderr)


def main() -> None:
    """Print the prediction, CPU seconds, and the peak of memory."""
    parser = asking(__doc__)
    parser.add_argument("samples", type=at_least(2), nargs="?", default=1_000_000)
    samples = parser.parse_args().samples
    began, sgd = time.process_time(), fl.SGD(lr=0.02, batch_size=32)
    problem = fl.LeastSquares.from_batches(Made(samples), feedback_samples=20_000, progress=Told())
    prediction, limit = fl.predict(problem, sgd), fl.max_stable_lr(problem, sgd)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{samples:,} x {FEATURES} float32, {4 * samples * FEATURES / 2**30:.1f} GB")
    error = prediction.excess_loss_error  # none where K is averaged over all samples
    print(f"excess loss {prediction.excess_loss:.6g}{f' +- {error:.1g}' if error else ''}, limit {limit!r}")
    print(f"{seconds:.0f} s of CPU, {1e6 * seconds / samples:.1f} us a sample; peak {peak:.2f} GB")


if __name__ == "__main__":
    main()
