"""Memory does not grow with the length of a run: 1e8 replica-steps of `fluctua.simulate`, 1e6 of a learning curve.

The resident memory of the process is read at every tenth of the runs, and once more after them. A list that is kept for
every step or batch would take 100 MB at one byte a replica-step.

    python benchmarks/soak.py [--steps 1e8] [--curve 1e6]
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from asked import asking, at_least, positive
from timing import instruction_set, keep

import fluctua as fl

REPLICAS = 64


def resident() -> float:
    """Return the megabytes that the process holds in memory."""
    fields = Path("/proc/self/status").read_text(encoding="utf-8").split("VmRSS:")[1]
    return int(fields.split()[0]) / 1024


def problem() -> fl.LeastSquares:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4))
    return fl.LeastSquares(x, x @ rng.standard_normal(4) + rng.standard_normal(64))


def simulated(steps: int) -> dict[str, object]:
    """Return the memory along one run of all the replicas."""
    seen: list[float] = []

    def look(done: float) -> None:
        if done >= 0.1 * (len(seen) + 1):
            seen.append(resident())

    each = -(-steps // REPLICAS)
    began = time.process_time()
    fl.simulate(
        problem(), fl.SGD(lr=0.01, batch_size=2), steps=each, replicas=REPLICAS, rng=1, threads=1, progress=look
    )
    seconds = time.process_time() - began
    seen.append(resident())
    return {
        "replica-steps": each * REPLICAS,
        "MB at each tenth and after": [round(each, 1) for each in seen],
        "MB grown from the first tenth": round(seen[-1] - seen[0], 2),
        "CPU seconds": round(seconds, 1),
    }


def curve(steps: int) -> dict[str, object]:
    """Return the memory of an exact learning curve of so many steps, beside one of a tenth of them."""
    grown = []
    for count in (steps // 10, steps):
        before = resident()
        found = fl.learning_curve(problem(), fl.SGD(lr=0.01, batch_size=2), steps=count, start="zero")
        grown.append(round(resident() - before, 2))
        del found
    return {"steps": steps, "MB grown by a tenth of the steps": grown[0], "MB grown by all": grown[1]}


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--steps", type=positive, default=10**8, help="replica-steps (default 1e8)")
    parser.add_argument("--curve", type=at_least(10), default=10**6, help="steps of the learning curve (default 1e6)")
    options = parser.parse_args()
    fl.simulate(problem(), fl.SGD(lr=0.01, batch_size=2), steps=100, replicas=2, rng=1, threads=1)  # compiles
    found: dict[str, object] = {"instructions": instruction_set()}
    found |= {"simulate": simulated(options.steps), "learning_curve": curve(options.curve)}
    for name, value in found.items():
        print(f"{name:16}  {value}")
    keep("soak", found)


if __name__ == "__main__":
    main()
