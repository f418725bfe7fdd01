"""Leading modes give the numbers of thousands of inputs within bounds, at a fraction of the time and the memory.

Made-up embeddings with a power-law spectrum, N x d, ten outputs; or CIFAR-10. CPU time and the peak of this process, so
that one way is run at a time:

    python benchmarks/leading_modes.py leading 20000 5000 256
    python benchmarks/leading_modes.py dense 20000 5000
    FLUCTUA_DATA=DIR python benchmarks/leading_modes.py leading cifar10 256
    FLUCTUA_DATA=DIR python benchmarks/leading_modes.py dense cifar10

benchmarks/results/scale.md has what was measured.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from asked import asking, positive

import fluctua as fl

SGD = fl.SGD(0.0005, 32)


def embeddings(samples: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs whose curvatures fall as p^-1.5, turned, and the targets that they are to tell."""
    rng = np.random.default_rng(0)
    x = np.empty((samples, features), np.float32)
    scales = (np.arange(1, features + 1) ** -0.75).astype(np.float32)
    for start in range(0, samples, 1000):
        rows = slice(start, min(start + 1000, samples))
        x[rows] = rng.standard_normal((rows.stop - start, features), np.float32) * scales
    y = np.tanh(x[:, :10]) + 0.3 * rng.standard_normal((samples, 10), np.float32)
    mirror = rng.standard_normal(features).astype(np.float32)  # a reflection turns them at the cost of one pass
    mirror /= np.linalg.norm(mirror)
    for start in range(0, samples, 1000):
        rows = slice(start, start + 1000)
        x[rows] -= 2 * np.outer(x[rows] @ mirror, mirror)
    return x, y


def main() -> None:
    """Print the numbers, the CPU seconds up to each, and the peak of memory."""
    parser = asking(__doc__)
    parser.add_argument("way", choices=("leading", "dense"))
    parser.add_argument("sizes", nargs="+", metavar="N d [modes] | cifar10 [modes]")
    options = parser.parse_args()
    made = options.sizes[0] != "cifar10"
    try:
        sizes = [positive(each) for each in options.sizes[not made :]]
    except argparse.ArgumentTypeError as problem:
        parser.error(f"a size {problem}")
    if not 2 * made <= len(sizes) <= 2 * made + 1:
        parser.error("the sizes are N, d and, if you like, the number of modes; or cifar10 and that number")
    way, modes = options.way, (*sizes, 256)[2 * made]
    if made:
        (x, y), sgd = embeddings(*sizes[:2]), fl.SGD(0.05, 32)
    else:
        data = fl.load("cifar10")
        (x, y), sgd = (data.inputs, data.targets), SGD
    began = time.process_time()

    def say(*words: object) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(*words, f"  ({time.process_time() - began:.1f} s, {peak:.2f} GB)", flush=True)

    say(f"inputs of {x.nbytes / 2**30:.2f} GB")
    problem = fl.LeastSquares(x, y) if way == "dense" else fl.LeadingModes(x, y, modes=modes)
    say(f"{len(problem.curvatures):,} modes")
    prediction = fl.predict(problem, sgd)
    say(prediction)
    say(repr(fl.max_stable_lr(problem, sgd)))
    if way != "dense":
        say(f"variances of the leading modes to {prediction.covariance_error:.2%}")


if __name__ == "__main__":
    main()
