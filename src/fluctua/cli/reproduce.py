"""fluctua reproduce: the source paper's claim on all its data sets, in one command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from .._validate.values import choice
from ..report import save_report
from ..storage.writing import output_directory, save_text
from ..studies import names as study_names
from ..studies import show as show_figures
from ..studies.reproduction import SETS, Bench, Cell, cells, machine, run_cell, summary
from ..studies.rows import StudyCell, run_study, study_cells, study_summary
from ..verification.conclusion import StatementVerdict
from ..verification.formats import caught
from ..verification.verdict import Verdict
from .helped import command
from .options import data_dir_option, json_option
from .place import Place
from .progress import progress_bar
from .tables import show

__all__ = ["reproduce"]

Found = list[tuple[Cell, Verdict]]
Studied = list[tuple[StudyCell, StatementVerdict]]
Done = TypeVar("Done")
Say = Callable[[str], None]


@command(
    short_help="Test the source paper's claim on all its data sets.",
    group="Run",
    examples=("fluctua reproduce --quick", "fluctua reproduce --data mnist --data-dir ~/data"),
)
@click.option("--quick", is_flag=True, help="digits, and 4,000 images of MNIST, in shorter runs: minutes.")
@click.option("--data", "names", multiple=True, help=f"May be repeated: {', '.join(SETS)}.  [default: all; quick: two]")
@click.option("--study", "studies", multiple=True, help="May be repeated: a name of `fluctua study`.  [default: all]")
@click.option("--seed", type=int, default=1, show_default=True, help="Every cell draws its own seed from this one.")
@data_dir_option
@click.option("--out", type=Place(), default="fluctua-reproduction", show_default=True, help="Directory of results.")
@json_option("All verdicts as JSON (schema: fluctua schema reproduction).")
def reproduce(
    *,
    quick: bool,
    names: tuple[str, ...],
    studies: tuple[str, ...],
    seed: int,
    data_dir: str | None,
    out: str,
    as_json: bool,
) -> int:
    """Test SGD's fluctuation-dissipation theorem on the source paper's data sets, with several recipes each.

    Three learning rates, three batch sizes, with and without replacement, momentum, and shuffled epochs except on
    CIFAR-10; then the rows of the studies. With --data or --study only what is named is run. Writes summary.md,
    report.html, and a directory per cell. Repeated, the command goes on with the cells that are missing. Exit code 0 if
    all passed, 1 if not.
    """
    every = not names and not studies
    asked = names or (() if not every else ("digits", "mnist") if quick else tuple(SETS))
    plan = cells([choice("data set", name, SETS) for name in asked], quick=quick, seed=seed)
    known = study_names()
    rows = study_cells([choice("study", each, known) for each in (known if every else studies)], quick=quick, seed=seed)
    began, say = time.monotonic(), (lambda _: None) if as_json else show
    with output_directory(out) as directory:
        found = _compute(directory, lambda: _run(plan, directory, Bench(data_dir), say))
        studied = _compute(directory, lambda: _study(rows, directory, say))
        _save(found, studied, directory, f"Seed {seed}{', --quick' if quick else ''}.")
    verdicts = _verdicts(found, studied)
    if as_json:
        click.echo(json.dumps(_json(found, studied), indent=2))
    else:
        show(_words(verdicts, directory, time.monotonic() - began))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _compute(directory: Path, run: Callable[[], Done]) -> Done:
    """Run the cells that are missing; tell how to go on when it is interrupted."""
    try:
        return run()
    except KeyboardInterrupt:
        click.echo(f"finished cells and replicas are kept in {directory}; repeat the command to go on.", err=True)
        raise


def _save(found: Found, studied: Studied, directory: Path, asked: str) -> None:
    """Write the summary and the page."""
    text = (summary(found) if found else "") + study_summary(studied)
    save_text(directory / "summary.md", f"{text.lstrip()}\n{machine()}. {asked}\n")
    brief = [i for i, (cell, _) in enumerate(found) if not cell.base]
    with progress_bar() as progress:
        progress("page", 0.0)
        save_report(_verdicts(found, studied), directory / "report.html", brief=brief)


def _verdicts(found: Found, studied: Studied) -> list[Verdict | StatementVerdict]:
    return [*(verdict for _, verdict in found), *(verdict for _, verdict in studied)]


def _words(verdicts: Sequence[Verdict | StatementVerdict], directory: Path, seconds: float) -> str:
    return (
        f"{sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} verdicts passed  ({seconds:.0f} s)\n"
        f"{directory}/: report.html, summary.md, and a directory of each cell"
    )


def _study(rows: list[StudyCell], directory: Path, say: Say) -> Studied:
    found: Studied = []
    for cell in rows:
        show_figures(cell.study)
        began = time.monotonic()
        with progress_bar() as progress:
            verdict, kept = run_study(cell, directory / "cells", progress)
        found.append((cell, verdict))
        took = "kept" if kept else f"{time.monotonic() - began:.0f} s"
        say(f"{cell.study:<8} {cell.row:<20} {_brief(verdict, verdict.claims[0].z_rms)}  ({took})")
    return found


def _run(plan: list[Cell], directory: Path, bench: Bench, say: Say) -> Found:
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
            say(f"{cell.data:<8} {cell.recipe:<20} {_brief(verdict, verdict.tested.comparison.z_rms)}  ({took})")
        progress("all cells", 1.0)
    return found


def _brief(verdict: Verdict | StatementVerdict, z_rms: float) -> str:
    word = "passed" if verdict.passed else verdict.outcome.upper()
    return f"{word}  z-rms {z_rms:4.2f}, catches {caught(verdict.detectable)}"


def _json(found: Found, studied: Studied) -> dict[str, object]:
    cells = [{"data": cell.data, "recipe": cell.recipe, "verdict": verdict.to_dict()} for cell, verdict in found]
    rows = [{"study": cell.study, "row": cell.row, "verdict": verdict.to_dict()} for cell, verdict in studied]
    return {"kind": "reproduction", "cells": cells, "studies": rows}
