"""What `EquilibriumMonitor` adds to a step at its default `every`: time, and memory.

A linear model of 784 inputs and 10 outputs with batches of 32, and a perceptron of a million weights (784-890-320-50-
10) with batches of 64, each with SGD and with momentum 0.9; one thread. Steps with and without the monitor alternate in
pieces of 200, so that whatever else the machine does meets both alike. The pieces begin after the first look, and hold
looks. The overhead is the ratio of all time with the monitor to all time without it, looks and all; the median over the
pieces of the ratio of two neighbours is beside it, which most looks are not in.

    python benchmarks/monitor_overhead.py [pieces]

Measured with CPU time on a quiet core (Zen 4, AVX-512), 40 pieces, and medians whose quartiles are about 1 % away:

linear 784-10  SGD +4.7 % (median +3.7) early, +3.7 % (+3.4) late; momentum +3.9 % (+3.4), +3.6 % (+3.5)
perceptron     SGD +2.2 % (+1.8) early, -2.8 % (-3.6) late; momentum +3.3 % (+3.8), +0.1 % (+0.2)

It is 7 to 10 us a step of the linear model. On a core that takes 142 us for it, and 215 us were taken here, medians
before the last mends were +6.6 and +4.1 %, with momentum +5.4 and +5.9 %.
"""

from __future__ import annotations

import itertools
import time
from itertools import pairwise

import numpy as np
import torch
from asked import asking, positive

from fluctua.torch import EquilibriumMonitor

PIECE = 200
EARLY, LATE = 2080, 10_000
"""Steps before the pieces begin: the first look is behind, or most of the looks are."""


class Run:
    """Training on random data, watched or not."""

    def __init__(self, sizes, batch, watched, **options):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
        between = [each for layer in layers for each in (layer, torch.nn.ReLU())][:-1]
        self.model = torch.nn.Sequential(*between)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, **options)
        self.monitor = EquilibriumMonitor(self.optimizer) if watched else None
        self.inputs, self.targets = torch.randn(4096, sizes[0]), torch.randint(sizes[-1], (4096,))
        self.batch, self.step = batch, 0

    def train(self, steps):
        """Return the seconds of CPU that so many steps take."""
        begun = time.process_time()
        for _ in range(steps):
            place = self.step * self.batch % 4096
            chosen = slice(place, place + self.batch)
            self.optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.model(self.inputs[chosen]), self.targets[chosen]).backward()
            self.optimizer.step()
            self.step += 1
        return time.process_time() - begun

    def kept(self):
        """Bytes that the monitor holds."""
        return held(self.monitor._clock.state())


def held(value):
    """Bytes of the tensors in a state."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(held(each) for each in inside)


def compared(name, sizes, batch, pieces, warm, **options):
    alone, watched = Run(sizes, batch, False, **options), Run(sizes, batch, True, **options)
    for each in (alone, watched):
        each.train(warm)
    times, kept = [], 0
    for piece in range(pieces):
        pair = (alone, watched) if piece % 2 else (watched, alone)
        taken = {each: each.train(PIECE) for each in pair}
        times.append((taken[alone], taken[watched]))
        kept = max(kept, watched.kept())
    first, second = np.array(times).T / PIECE * 1e6
    ratio = second / first - 1
    low, high = np.percentile(ratio, [25, 75])
    weights = sum(each.numel() for each in watched.model.parameters())
    print(
        f"{name:24} from step {warm:>5,} {weights:>9,} weights  "
        f"{np.median(first):7.0f} us a step  {second.sum() / first.sum() - 1:+6.1%}  median {np.median(ratio):+6.1%} "
        f"(quartiles {low:+.1%} to {high:+.1%})  looks {len(watched.monitor.evidence)}  {kept / 2**20:.1f} MiB, "
        f"{kept / 4 / weights:.1f} copies"
    )


def main():
    parser = asking(__doc__)
    parser.add_argument("pieces", type=positive, nargs="?", default=40)
    pieces = parser.parse_args().pieces
    torch.set_num_threads(1)
    for options, warm in itertools.product(({}, {"momentum": 0.9}), (EARLY, LATE)):
        kind = "momentum" if options else "SGD"
        compared(f"linear 784-10, {kind}", (784, 10), 32, pieces, warm, **options)
        compared(f"perceptron, {kind}", (784, 890, 320, 50, 10), 64, max(4, pieces // 4), warm, **options)


if __name__ == "__main__":
    main()
