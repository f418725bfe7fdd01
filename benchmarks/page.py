"""Write docs/benchmarks.md from what the other scripts kept in benchmarks/results.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
RATIOS = ("dense over bmm", "sparse over bmm", "simulate over bmm", "simulate over loop", "dense over SGEMM")

HEAD = """# Benchmarks

Every claim about speed has a script of its own in `benchmarks/`, and what the script measured is kept in
`benchmarks/results/` with the machine's name. This page is made of those files by `nox -s bench`, which runs the scripts
first; `python benchmarks/page.py` makes the page alone. Nothing here is a test: a time says nothing of whether the
numbers are right.

Times are CPU seconds of one thread. A ratio is of two engines that take turns in one process, and is taken within a
round; given are the median of the rounds and, in brackets, their range.
"""

TORCH = """
## Replica-steps beside torch

Wanted are 1.25 times as many replica-steps a second as a loop over `torch.baddbmm` that was batched by hand, and 1.7
times where the inputs are sparse. The script is `benchmarks/simulate_vs_torch.py`: a linear model on MNIST (60,000 x
784, 10 outputs, batches of 32). *Sparse* is the steps on MNIST as it is; *dense* is MNIST with 1/512 for every zero;
*simulate* has records and set-up too; *loop* is what one writes in torch for one run. The machine was quiet.
"""

GROWTH = """
## Growth

The claim: time and memory grow as the arithmetic says. The script is `benchmarks/growth.py`: random data, one size at a
time from its base to four times that, and the slope of log time over log size. The base is {base}. A replica-step takes
4 b c d operations, so that the exponents of `simulate` in d, c, b, replicas and steps are at most 1, and less where what a
run does once, or what does not depend on the size, is a part of it; in N only the memory's reach grows. `predict` holds
a few matrices of d x d, and passes over the N rows a few times.
"""

SOAK = """
## Memory of long runs

The claim: memory does not grow with the length of a run. The script is `benchmarks/soak.py`.
"""


def kept(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def ranged(each: dict[str, float], form: str = ".3g") -> str:
    return f"{each['median']:{form}} ({each['least']:{form}} to {each['most']:{form}})"


# ruff: noqa: E501
def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def beside_torch() -> str:
    found = [kept(path.stem) for path in sorted((HERE / "results").glob("simulate_vs_torch_*.json"))]
    rows = [
        [f"{key}, replica-steps a second"]
        + [ranged(each["replica-steps per CPU second"][key], ",.0f") for each in found]
        for key in ("loop", "bmm", "dense", "sparse", "simulate")
    ]
    rows += [["SGEMM, GFLOP/s"] + [ranged(each["SGEMM, GFLOP/s"]) for each in found]]
    rows += [[name] + [ranged(each[name]) for each in found] for name in RATIOS]
    said = "".join(
        f"\n{each['instructions']}: {each['machine']}; torch {each['torch']}; {each['data']}; {each['rounds']} rounds.\n"
        for each in found
    )
    return TORCH + table(["", *(each["instructions"] for each in found)], rows) + said


def growth() -> str:
    found = kept("growth")
    rows = [
        [
            f"`{verb}`",
            name,
            f"{each['from']:,} to {each['to']:,}",
            ranged(each["exponent of time"], ".2f"),
            " to ".join(f"{value:.3g}" for value in each["CPU seconds"]),
            f"{each['exponent of memory']:.2f}",
            " to ".join(f"{value:.3g}" for value in each["MB"]),
        ]
        for verb in ("simulate", "predict")
        for name, each in found[verb].items()
    ]
    base = ", ".join(f"{name} = {value:,}" for name, value in found["base"].items())
    head = ["", "size", "from, to", "exponent of time", "CPU seconds", "exponent of memory", "MB"]
    return GROWTH.format(base=base) + table(head, rows) + f"\n{found['machine']}, {found['instructions']}.\n"


def soak() -> str:
    found = kept("soak")
    run, curve = found["simulate"], found["learning_curve"]
    along = run["MB at each tenth and after"]
    return SOAK + (
        f"\n`simulate`: {run['replica-steps']:,} replica-steps took {run['CPU seconds']:.0f} s of CPU time. The process held "
        f"{along[0]:.1f} MB after a tenth of them and {along[-1]:.1f} MB at the end, "
        f"{run['MB grown from the first tenth']:+.2f} MB.\n"
        f"\n`learning_curve`: {curve['steps']:,} steps at finite time, whose answer alone has {8e-6 * curve['steps']:.0f} MB, "
        f"took {curve['MB grown by all']:.1f} MB more.\n"
        f"\n{found['machine']}, {found['instructions']}.\n"
    )


def text() -> str:
    long = soak() if (HERE / "results" / "soak.json").exists() else ""
    return HEAD + beside_torch() + growth() + long


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
