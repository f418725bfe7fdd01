"""False alarms of the equilibrium monitor stay below their level at every boundary; others fire early or never.

    python benchmarks/detectors.py [--runs 500] [--only sizes rivals costs figure] [--case NAME] [--tiny]

The ground truth is linear learning, where `fluctua.learning_curve` is the exact relaxation; for softmax it is the mean
loss of the runs themselves. Real runs on digits from zero, with and without momentum, shuffled and with replacement:

sizes   For every look by itself, 500 runs: how many are called equilibrated where delta is exactly the true gain, and
        where delta is the mean of the rule's own estimate. Both against the 99 % point of the binomial law of the level
        of the look. Six mutants of the rule have to be caught by the one or the other.
rivals  When each detector fires, in 40 of the runs, and the true gain that is lost there.
costs   Time of the processor that each adds to a step, side by side, and copies of the weights that ours keeps.
figure  docs/figures/detectors.png.

Numbers are kept in benchmarks/results/detectors.json with the instruction set of the machine; runs in --scratch, so
that what was interrupted goes on. All of it takes 25 minutes of one core. physfdt and thermoclaw
are measured where they are installed (`pip install physfdt thermoclaw`).
`--tiny` takes seconds, and its numbers mean nothing.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from asked import asking, positive, to_write
from detection import parts
from detection.descents import CASES, Case

RESULTS = Path(__file__).parent / "results" / "detectors.json"
PICTURE = Path(__file__).parents[1] / "docs" / "figures" / "detectors.png"
SEED, RIVALS_SEED, RIVAL_RUNS = 20261126, 20261127, 40
PARTS = ["sizes", "rivals", "costs", "figure"]


def show_sizes(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}, {found['runs']} runs: false alarms at each boundary (allowed), mutants at the worst boundary")
    heads = {"epoch": 7, "gain": 9, "2.3 W/F": 9, "sd": 8, "bar": 8, "level": 9, "at gain": 9, "at 2.3 W/F": 12}
    print("".join(f"{head:>{width}}" for head, width in (heads | {"allowed": 9}).items()))
    for row in found["boundaries"]:
        print(
            f"{row['epoch']:7.1f}{row['gain']:9.4f}{row['estimate']:9.4f}{row['estimate_sd']:8.4f}{row['error_bar']:8.4f}"
            f"{row['level']:9.5f}{row['false_at_gain']:9d}{row['false_at_estimate']:12d}{row['allowed']:9d}"
        )
    for mutant, counts in found["mutants"].items():
        print(f"  {mutant}: {verdict(found, counts)}; fires {spread(found['fires'][mutant])}")
    print(f"  the rule fires {spread(found['fires']['rule'])}")


def over(found: dict[str, Any], counts: dict[str, list[int]]) -> list[str]:
    """Return where false alarms are more than allowed."""
    rows = found["boundaries"]
    return [
        f"{row['epoch']:.0f} ({count})"
        for which in ("false_at_gain", "false_at_estimate")
        for row, count in zip(rows, counts[which], strict=True)
        if count > row["allowed"]
    ]


def verdict(found: dict[str, Any], counts: dict[str, list[int]]) -> str:
    places = over(found, counts)
    return f"caught at {len(places)} boundaries, first {places[0]}" if places else "no more false alarms than allowed"


def consistent(found: dict[str, Any]) -> bool:
    """Whether the rule itself stays within its level at every boundary of both kinds."""
    own = {which: [row[which] for row in found["boundaries"]] for which in ("false_at_gain", "false_at_estimate")}
    return not over(found, own)


def spread(epochs: list[float]) -> str:
    values = np.array(epochs, float)
    fired = values[np.isfinite(values)]
    if not len(fired):
        return f"never in {len(values)} runs"
    some = "" if len(fired) == len(values) else f", in {len(fired)} of {len(values)} runs"
    return f"at epoch {np.median(fired):.3g} [{fired.min():.3g}, {fired.max():.3g}]{some}"


def rivals(case: Case, runs: int, epochs: float, scratch: Path) -> dict[str, Any]:
    """Return when each detector fires, ours among them, and the true gain there."""
    from detection.ours import RULE, firing, gain
    from detection.rivals import fired

    found = parts.runs(case, runs, epochs, RIVALS_SEED, scratch)
    ends = np.array([*found.epochs, np.nan])
    when = {"ours": list(ends[firing(found, RULE)]), **fired(case, runs, epochs, RIVALS_SEED)}
    floor = float(np.mean(found.floors[:, -1]))

    def lost(t: float) -> float:
        return float(gain(found.losses, max(t, 2.0))[0] / floor) if np.isfinite(t) else float("nan")

    grid = np.geomspace(4, epochs, 60)
    return {
        "fires": when,
        "lost": {name: [lost(t) for t in values] for name, values in when.items()},
        "truth": {"epochs": list(grid), "gain": [lost(t) for t in grid]},
        "ours": {
            "epochs": found.epochs,
            "mean": [float(found.estimate(k).mean()) for k in range(len(found.lengths))],
            "low": [float(np.quantile(found.estimate(k), 0.05)) for k in range(len(found.lengths))],
            "high": [float(np.quantile(found.estimate(k), 0.95)) for k in range(len(found.lengths))],
        },
    }


def show_rivals(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: when each fires, and the true gain there, in floors: median (worst)")
    for detector, values in found["fires"].items():
        lost = np.array(found["lost"][detector])
        some = np.isfinite(lost).any()
        gain = f"{np.nanmedian(lost):.3f} ({np.nanmax(lost):.3f})" if some else "-"
        print(f"  {detector:20}{spread(values):50}{gain}")


def show_costs(found: dict[str, Any]) -> None:
    for model, engines in found["time"].items():
        print(f"\n{model}; ours keeps {found['memory'][model]:.1f} copies of the weights")
        for engine, row in engines.items():
            print(
                f"  {engine:18}{row['microseconds']:9.1f} us a step {row['added']:+8.1%} "
                f"({row['added_min']:+.1%} to {row['added_max']:+.1%})"
            )


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--runs", type=positive, default=500)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="default: all")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "fluctua-detectors")
    parser.add_argument("--out", type=to_write, default=RESULTS)
    parser.add_argument("--tiny", action="store_true", help="3 runs of 60 epochs in two cases")
    options = parser.parse_args()
    runs, epochs, few, turns = options.runs, parts.EPOCHS, RIVAL_RUNS, (9, 400)
    cases = [case for case in CASES if case.name in (options.case or [case.name])]
    if options.tiny:
        runs, epochs, few, turns = 3, 60.0, 2, (1, 20)
        cases = [case for case in cases if not case.shuffled and not case.softmax]
        options.scratch = Path(tempfile.mkdtemp())
        options.out = options.scratch / "detectors.json"
    options.scratch.mkdir(parents=True, exist_ok=True)
    parts.update(options.out, "about", "machine", parts.machine())
    if "sizes" in options.only:
        for case in cases:
            found = parts.sizes(case, runs, epochs, SEED, options.scratch)
            parts.update(options.out, "sizes", case.name, found)
            show_sizes(case.name, found)
            print("  consistent" if consistent(found) else "  NOT CONSISTENT", flush=True)
    if "rivals" in options.only:
        for case in (case for case in cases if not case.softmax):
            found = rivals(case, few, epochs, options.scratch)
            parts.update(options.out, "rivals", case.name, found)
            show_rivals(case.name, found)
    if "costs" in options.only:
        from detection.costs import costs, memory

        found = {"time": costs(*turns), "memory": memory()}
        for key, value in found.items():
            parts.update(options.out, "costs", key, value)
        show_costs(found)
    if "figure" in options.only:
        from detection.figure import draw

        draw(json.loads(options.out.read_text()), options.scratch / "detectors.png" if options.tiny else PICTURE)


if __name__ == "__main__":
    main()
