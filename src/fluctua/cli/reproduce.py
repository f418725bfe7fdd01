"""fluctua reproduce: the source paper's claim on all its data sets, in one command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import click

from .._validate.values import choice
from ..report import save_report
from ..storage.writing import output_directory, save_text
from ..studies.reproduction import SETS, Bench, Cell, cells, machine, run_cell, summary
from ..verification.formats import caught
from ..verification.verdict import Verdict
from .helped import command
from .options import data_dir_option, json_option
from .place import Place
from .progress import progress_bar
from .tables import show

__all__ = ["reproduce"]

Found = list[tuple[Cell, Verdict]]


@command(
    short_help="Test the source paper's claim on all its data sets.",
    group="Run",
    examples=("fluctua reproduce --quick", "fluctua reproduce --data mnist --data-dir ~/data"),
)
@click.option("--quick", is_flag=True, help="digits, and 4,000 images of MNIST, in shorter runs: minutes.")
@click.option("--data", "names", multiple=True, help=f"May be repeated: {', '.join(SETS)}.  [default: all; quick: two]")
@click.option("--seed", type=int, default=1, show_default=True, help="Every cell draws its own seed from this one.")
@data_dir_option
@click.option("--out", type=Place(), default="fluctua-reproduction", show_default=True, help="Directory of results.")
@json_option("All verdicts as JSON (schema: fluctua schema reproduction).")
def reproduce(*, quick: bool, names: tuple[str, ...], seed: int, data_dir: str | None, out: str, as_json: bool) -> int:
    """Test SGD's fluctuation-dissipation theorem on the source paper's data sets, with several recipes each.

    Three learning rates, three batch sizes, with and without replacement, momentum, and shuffled epochs except on
    CIFAR-10. Writes summary.md, report.html, and a directory per cell. Repeated, the command goes on with the cells
    that are missing. Exit code 0 if all passed, 1 if not.
    """
    asked = names or (("digits", "mnist") if quick else tuple(SETS))
    plan = cells([choice("data set", name, SETS) for name in asked], quick=quick, seed=seed)
    began = time.monotonic()
    with output_directory(out) as directory:
        found = _compute(plan, directory, Bench(data_dir), (lambda _: None) if as_json else show)
        _save(found, directory, f"Seed {seed}{', --quick' if quick else ''}.")
    if as_json:
        click.echo(json.dumps({"kind": "reproduction", "cells": [_json(*one) for one in found]}, indent=2))
    else:
        show(_words(found, directory, time.monotonic() - began))
    return 0 if all(verdict.passed for _, verdict in found) else 1


def _compute(plan: list[Cell], directory: Path, bench: Bench, say: Callable[[str], None]) -> Found:
    """Run the cells that are missing; tell how to go on when it is interrupted."""
    try:
        return _run(plan, directory, bench, say)
    except KeyboardInterrupt:
        click.echo(f"finished cells and replicas are kept in {directory}; repeat the command to go on.", err=True)
        raise


def _save(found: Found, directory: Path, asked: str) -> None:
    """Write the summary and the page."""
    save_text(directory / "summary.md", f"{summary(found)}\n{machine()}. {asked}\n")
    brief = [i for i, (cell, _) in enumerate(found) if not cell.base]
    with progress_bar() as progress:
        progress("page", 0.0)
        save_report([verdict for _, verdict in found], directory / "report.html", brief=brief)


def _words(found: Found, directory: Path, seconds: float) -> str:
    return (
        f"{sum(verdict.passed for _, verdict in found)} of {len(found)} verdicts passed  ({seconds:.0f} s)\n"
        f"{directory}/: report.html, summary.md, and a directory of each cell"
    )


def _run(plan: list[Cell], directory: Path, bench: Bench, say: Callable[[str], None]) -> Found:
    found: Found = []
    with progress_bar() as progress:
        for number, cell in enumerate(plan):
            progress("all cells", number / len(plan))
            began = time.monotonic()

            def within(stage: str, fraction: float, number: int = number) -> None:
                if stage == "simulation":
                    progress("all cells", (number + fraction) / len(plan))

            verdict, kept = run_cell(cell, directory / "cells", bench, within)
            found.append((cell, verdict))
            took = "kept" if kept else f"{time.monotonic() - began:.0f} s"
            say(f"{cell.data:<8} {cell.recipe:<20} {_brief(verdict)}  ({took})")
        progress("all cells", 1.0)
    return found


def _brief(verdict: Verdict) -> str:
    word = "passed" if verdict.passed else verdict.outcome.upper()
    return f"{word}  z-rms {verdict.tested.comparison.z_rms:4.2f}, catches {caught(verdict.detectable)}"


def _json(cell: Cell, verdict: Verdict) -> dict[str, object]:
    return {"data": cell.data, "recipe": cell.recipe, "verdict": verdict.to_dict()}
