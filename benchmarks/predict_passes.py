"""`Prediction.after` costs some passes over the samples, however many steps it predicts.

Long runs, with momentum and with a schedule: passes over the samples, CPU time in units of one pass (that of
`problem.feedback(S)`, the median of five), the errors that the prediction states of itself, and those of the worst mode
and of the excess loss against rtol 1e-8.

    python benchmarks/predict_passes.py            # digits
    python benchmarks/predict_passes.py embeddings # 16,000 x 512, made up; without the reference: embeddings --fast
    python benchmarks/predict_passes.py mnist      # mnist --fast takes a minute or two, the reference an hour

    python benchmarks/predict_passes.py mnist-6200 # the first 6,200: what stands for all beside rtol 1e-8, in minutes

MNIST (rank 712), one quiet core (AVX-512), one thread of BLAS, passes and time in passes, from the optimum and from
zero: 8,000 plain steps 3 and 4 passes, 5.9 and 7.1; momentum 7 and 9, 15.0 and 20.0; cosine with momentum 6 and 12,
19.4 and 35.3. Of the first 6,200, of an earlier version, beside rtol 1e-7: plain 3 and 4 passes, modes 6e-7 and 2e-5
off, the loss 7e-10 and 1e-7; momentum 5 and 6 passes, modes 3e-6 and 7e-6, the loss 2e-7.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from asked import asking, positive

import fluctua as fl

REFERENCE = 1e-8


def recipes(name: str) -> dict[str, tuple[fl.SGD, int]]:
    """Return what is predicted, and for how many steps."""
    lr = {"mnist": 0.01, "embeddings": 0.02}.get(name.partition("-")[0], 0.05)
    cosine = fl.schedules.CosineAnnealingLR(2000)
    return {
        "plain, 8,000 steps": (fl.SGD(lr, 32), 8000),
        "momentum 0.9, 2,000 steps": (fl.SGD(lr, 32, momentum=0.9), 2000),
        "cosine, momentum 0.9, 2,000": (fl.SGD(lr, 32, momentum=0.9, schedule=cosine), 2000),
    }


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count passes over the samples."""
    calls: list[int] = []
    scatter: Callable[..., np.ndarray] = fl.LeastSquares.scatter
    fl.LeastSquares.scatter = lambda *args, **given: (calls.append(1), scatter(*args, **given))[1]  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        fl.LeastSquares.scatter = scatter  # type: ignore[method-assign]


def one_pass(problem: fl.LeastSquares) -> float:
    """Return the CPU seconds that a pass takes."""
    state, seconds = np.diag(1 / problem.curvatures), []
    for _ in range(6):
        began = time.process_time()
        problem.feedback(state)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds[1:])


def measure(problem: fl.LeastSquares, sgd: fl.SGD, steps: int, start: str, exact: bool) -> str:
    """Return a line on one prediction; the law alone, without its stationary state."""
    bare = fl.predict(problem, sgd, check_stability=False)  # the stationary state is not asked for
    unit = one_pass(problem)
    with counted() as calls:
        began = time.process_time()
        found = bare.after(steps, start=start)
        seconds = time.process_time() - began
    stated = found.estimated_error
    line = (
        f"{len(calls):4} passes {seconds:7.2f} s {seconds / unit:6.1f} in passes"
        f"   stated {stated.modes:.0e} {stated.loss:.0e}"
    )
    if not exact:
        return line
    truth = bare.after(steps, start=start, rtol=REFERENCE)
    worst = np.abs(found.mode_variances / truth.mode_variances - 1).max()
    return f"{line}   worst mode {worst:.1e}   loss {abs(found.excess_loss / truth.excess_loss - 1):.1e}"


def embeddings() -> fl.LeastSquares:
    """Return 16,000 rows of 512 features with variances 10/k and norms that vary by 30 %, and ten classes of them."""
    rng = np.random.default_rng(16)
    x = rng.standard_normal((16_000, 512)) * np.sqrt(10 / np.arange(1, 513))
    x *= np.exp(0.3 * rng.standard_normal((16_000, 1)))
    scores = x @ rng.standard_normal((512, 10)) + 3 * rng.standard_normal((16_000, 10))
    return fl.LeastSquares(x.astype(np.float32), scores.argmax(axis=1))


def named(text: str) -> str:
    """Return the name of a problem whose number of samples, where one is given, is one."""
    name, dash, first = text.partition("-")
    return f"{name}-{positive(first)}" if dash else text


def loaded(name: str) -> fl.LeastSquares:
    """Return a problem by its name, of the first samples where a number follows it."""
    if name == "embeddings":
        return embeddings()
    name, _, first = name.partition("-")
    data, rows = fl.load(name), slice(int(first) if first else None)
    return fl.LeastSquares(data.inputs[rows], data.targets[rows])


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("name", nargs="?", type=named, default="digits", help="embeddings or a data set, as mnist-6200")
    parser.add_argument("--fast", action="store_true", help="without the reference")
    options = parser.parse_args()
    name = options.name
    problem = loaded(name)
    _ = problem.minimum().noise
    print(f"{name}: {problem.samples:,} samples, rank {problem.rank}, a pass {one_pass(problem):.3g} s")
    for title, (sgd, steps) in recipes(name).items():
        for start in ("optimum", "zero"):
            print(f"{title:30} from {start:8} {measure(problem, sgd, steps, start, not options.fast)}", flush=True)


if __name__ == "__main__":
    main()
