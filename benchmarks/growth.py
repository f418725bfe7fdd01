"""How time and memory grow: exponents measured for `fluctua.simulate` and `fluctua.predict`, one size at a time.

Each size is doubled from its base, the others stay. An exponent is the slope of log time over log size by least squares,
in every round; printed are the median of the rounds and their range. Times are CPU seconds on one thread, and include
what a run or a prediction does once: with few steps that is most, which is why an exponent can be below that of the
arithmetic, 4 b c d a replica-step. Memory is the most that Python and NumPy held at once beyond the problem.

    python benchmarks/growth.py [--rounds 5]
"""  # noqa: E501

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from asked import asking, positive
from timing import instruction_set, keep, spread

import fluctua as fl

Sizes = dict[str, int]
Verb = Callable[[fl.LeastSquares, Sizes], Any]

BASE = {"N": 2000, "d": 128, "c": 10, "b": 32, "replicas": 8, "steps": 2000}
FACTORS = (1, 2, 4)


def problem(sizes: Sizes) -> fl.LeastSquares:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((sizes["N"], sizes["d"]), dtype=np.float32)
    noise = rng.standard_normal((sizes["N"], sizes["c"]), dtype=np.float32)
    found = fl.LeastSquares(x, x @ rng.standard_normal((sizes["d"], sizes["c"]), dtype=np.float32) + noise)
    found.minimum()
    return found


def simulate(data: fl.LeastSquares, sizes: Sizes) -> Any:
    sgd = fl.SGD(lr=0.1 / sizes["d"], batch_size=sizes["b"])
    options = {"records": 8, "dtype": "float32", "threads": 1}
    return fl.simulate(data, sgd, steps=sizes["steps"], replicas=sizes["replicas"], rng=1, **options)


def predict(data: fl.LeastSquares, sizes: Sizes) -> Any:
    fresh = fl.LeastSquares(data.inputs, data.targets)  # what a problem keeps once it is known is computed again
    return fl.predict(fresh, fl.SGD(lr=0.1 / sizes["d"], batch_size=sizes["b"])).excess_loss


VERBS: dict[str, tuple[Verb, tuple[str, ...]]] = {
    "simulate": (simulate, tuple(BASE)),
    "predict": (predict, ("N", "d", "c")),
}


def seconds(verb: Verb, data: fl.LeastSquares, sizes: Sizes) -> float:
    began = time.process_time()
    verb(data, sizes)
    return time.process_time() - began


def megabytes(verb: Verb, data: fl.LeastSquares, sizes: Sizes) -> float:
    tracemalloc.start()
    verb(data, sizes)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def exponent(sizes: list[int], values: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def grown(verb: Verb, name: str, rounds: int) -> dict[str, Any]:
    """Return the exponents of one size, and the values at the ends."""
    cases = [{**BASE, name: factor * BASE[name]} for factor in FACTORS]
    problems = [problem(case) for case in cases]
    sizes = [case[name] for case in cases]
    for data, case in zip(problems, cases, strict=True):
        verb(data, case)
    times = [[seconds(verb, data, case) for data, case in zip(problems, cases, strict=True)] for _ in range(rounds)]
    held = [megabytes(verb, data, case) for data, case in zip(problems, cases, strict=True)]
    return {
        "from": sizes[0],
        "to": sizes[-1],
        "CPU seconds": [float(f"{np.median([each[k] for each in times]):.3g}") for k in (0, -1)],
        "exponent of time": spread([exponent(sizes, each) for each in times], 2),
        "MB": [float(f"{held[k]:.3g}") for k in (0, -1)],
        "exponent of memory": float(f"{exponent(sizes, held):.2g}"),
    }


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument(
        "--rounds", type=positive, default=5, help="rounds in which all sizes take their turn (default 5)"
    )
    options = parser.parse_args()
    found: dict[str, Any] = {"instructions": instruction_set(), "base": BASE, "rounds": options.rounds}
    for verb, (run, names) in VERBS.items():
        found[verb] = {}
        for name in names:
            found[verb][name] = grown(run, name, options.rounds)
            print(f"{verb:9} {name:9} {found[verb][name]}", flush=True)
    keep("growth", found)


if __name__ == "__main__":
    main()
