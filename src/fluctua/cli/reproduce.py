"""fluctua reproduce: the source paper's claim on all its data sets, in one command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from .._validate.shards import Shard
from .._validate.values import choice
from ..report import save_report
from ..storage.writing import output_directory, save_text
from ..studies import names as study_names
from ..studies import show as show_figures
from ..studies.cells import Keyed, finished
from ..studies.reproduction import SETS, Cell, Posed, cells, machine, posed, summary
from ..studies.rows import StudyCell, study_cells, study_summary
from ..verification.conclusion import StatementVerdict
from ..verification.formats import caught
from ..verification.verdict import Verdict
from .helped import command
from .options import data_dir_option, json_option
from .place import Place
from .progress import progress_bar
from .spread_out import kept_in, shard_of, shard_option, spread_out, workers_options
from .tables import show

__all__ = ["reproduce"]

Found = list[tuple[Cell, Verdict]]
Studied = list[tuple[StudyCell, StatementVerdict]]
Say = Callable[[str], None]
_WIDE = 8, 20  # columns of a line on a cell, at least
_KEPT = "finished cells and replicas are kept in {}; repeat the command to go on."


@command(
    group="Run",
    examples=(
        "fluctua reproduce --quick",
        "fluctua reproduce --data mnist --data-dir ~/data",
        "fluctua reproduce --shard 2/8 --out shared",
    ),
)
@click.option("--quick", is_flag=True, help="digits, and 4,000 images of MNIST, in shorter runs: minutes.")
@click.option("--data", "names", multiple=True, help=f"May be repeated: {', '.join(SETS)}.  [default: all; quick: two]")
@click.option("--study", "studies", multiple=True, help="May be repeated: a name of `fluctua study`.  [default: all]")
@click.option("--seed", type=int, default=1, show_default=True, help="Every cell draws its own seed from this one.")
@data_dir_option
@workers_options
@shard_option
@click.option("--out", type=Place(), default="fluctua-reproduction", show_default=True, help="Directory of results.")
@json_option("All verdicts as JSON (schema: fluctua schema reproduction).")
def reproduce(
    *,
    quick: bool,
    names: tuple[str, ...],
    studies: tuple[str, ...],
    seed: int,
    data_dir: str | None,
    dask: str | None,
    processes: int | None,
    shard: str | None,
    out: str,
    as_json: bool,
) -> int:
    """Test SGD's fluctuation-dissipation theorem on the source paper's data sets, with several recipes each.

    Three learning rates, three batch sizes, with and without replacement, momentum, and shuffled epochs except on
    CIFAR-10; then the rows of the studies. With --data or --study only what is named is run. Writes summary.md,
    report.html, and a directory per cell. Repeated, the command goes on with the cells that are missing. With --shard
    it makes its cells and no page. Exit code 0 if all passed, 1 if not.
    """
    every = not names and not studies
    asked = names or (() if not every else ("digits", "mnist") if quick else tuple(SETS))
    plan = cells([choice("data set", name, SETS) for name in asked], quick=quick, seed=seed)
    known = study_names()
    rows = study_cells([choice("study", each, known) for each in (known if every else studies)], quick=quick, seed=seed)
    part = shard_of(shard)
    mine, others = (plan, rows) if part is None else _of_shard(part, plan, rows)
    began, say = time.monotonic(), (lambda _: None) if as_json else show
    with output_directory(out, alone=part is None) as directory:
        with kept_in(directory / "cells", _KEPT.format(directory)), spread_out(dask, processes):
            for name in dict.fromkeys(cell.study for cell in others):
                show_figures(name)
            found, studied = (_run(each, directory, data_dir, say) for each in (mine, others))
        if part is None:
            _save(found, studied, directory, f"Seed {seed}{', --quick' if quick else ''}.")
    verdicts = _verdicts(found, studied)
    if as_json:
        click.echo(json.dumps(_json(found, studied), indent=2))
    else:
        show(_words(verdicts, directory, time.monotonic() - began, part))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _of_shard(part: Shard, plan: list[Cell], rows: list[StudyCell]) -> tuple[list[Cell], list[StudyCell]]:
    """Return a shard's cells, counted through both; one beyond them has none."""
    mine = part.of([*plan, *rows])
    return [each for each in mine if isinstance(each, Cell)], [each for each in mine if isinstance(each, StudyCell)]


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


def _words(verdicts: Sequence[Verdict | StatementVerdict], directory: Path, seconds: float, part: Shard | None) -> str:
    files = "report.html, summary.md, and a directory of each cell"
    if part is not None:
        files = f"the cells of shard {part}; when all shards have ended, repeat without --shard for the page"
    if not verdicts:
        return f"shard {part}: nothing to do, there are fewer cells than shards\n{directory}/: {files}"
    passed = sum(verdict.passed for verdict in verdicts)
    return f"{passed} of {len(verdicts)} verdicts passed  ({seconds:.0f} s)\n{directory}/: {files}"


def _run(plan: Sequence[Keyed], directory: Path, data_dir: str | None, say: Say) -> list[tuple[Any, Any]]:
    """Make the cells that are missing, data set after data set; the others are read."""
    found: dict[int, Any] = {}
    of, apart = (max(least, *(len(cell.label[k]) for cell in plan), 0) for k, least in enumerate(_WIDE))
    with progress_bar() as progress:
        for first, some in _parts(plan):
            whole = partial(_within, progress, first / len(plan), len(some) / len(plan))
            for done in finished(some, directory / "cells", partial(_shared, data_dir), whole):
                found[first + done.number] = done.verdict
                took = done.seconds
                word = "kept" if took is None else f"{took:.0f} s"
                name, row = some[done.number].label
                say(f"{name:<{of}} {row:<{apart}} {_brief(done.verdict)}  ({word})")
        progress("all cells", 1.0)
    return [(cell, found[number]) for number, cell in enumerate(plan)]


def _parts(plan: Sequence[Keyed]) -> Iterator[tuple[int, list[Keyed]]]:
    """Cells that share their data, and the number of the first; studies share nothing."""
    first = 0
    for _, some in groupby(plan, lambda cell: cell.data if isinstance(cell, Cell) else None):
        part = list(some)
        yield first, part
        first += len(part)


def _shared(data_dir: str | None, cell: Keyed) -> Posed | None:
    return posed(cell, data_dir) if isinstance(cell, Cell) else None


def _within(progress: Callable[[str, float], None], begin: float, share: float, fraction: float) -> None:
    progress("all cells", begin + share * fraction)


def _brief(verdict: Verdict | StatementVerdict) -> str:
    z_rms = verdict.tested.comparison.z_rms if isinstance(verdict, Verdict) else verdict.claims[0].z_rms
    word = "passed" if verdict.passed else verdict.outcome.upper()
    return f"{word}  z-rms {z_rms:4.2f}, catches {caught(verdict.detectable)}"


def _json(found: Found, studied: Studied) -> dict[str, object]:
    cells = [{"data": cell.data, "recipe": cell.recipe, "verdict": verdict.to_dict()} for cell, verdict in found]
    rows = [{"study": cell.study, "row": cell.row, "verdict": verdict.to_dict()} for cell, verdict in studied]
    return {"kind": "reproduction", "cells": cells, "studies": rows}
