"""fluctua verify DATA --dynamic: correlation against response."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from .._validate.values import shown
from ..errors import InvalidInput
from ..storage.writing import output_directory
from ..verification.formats import shown as number_text
from ..verification.in_time.verdict import DynamicVerdict
from ..verification.in_time.verify import verify_dynamic
from .options import default_out, describe, load_problem, recipe
from .progress import progress_bar
from .report import found_in
from .tables import saved_in, show

__all__ = ["LAGS", "run_dynamic"]

_STEPS = 1000
_OF_THE_OTHER = ("theory", "ema", "tail", "records", "start", "dynamics", "resume", "force")
LAGS = "1,2,4,... up to 32"


def run_dynamic(options: dict[str, Any]) -> int:
    """Verify the theorem in time; `options` are those of `fluctua verify`."""
    began = time.monotonic()
    _refuse_others(options)
    seed, out, as_json, paged = (options.pop(name) for name in ("seed", "out", "as_json", "report"))
    if options["steps"] is None:
        options["steps"] = _STEPS
    options["lags"] = _lags(options["lags"])
    with output_directory(default_out(out, options["data"])) as directory:
        dataset, problem = load_problem(options)
        sgd = recipe(problem, options)
        if not as_json:
            show(describe(dataset, problem, sgd))
        with progress_bar() as progress:
            verdict = verify_dynamic(problem, sgd, rng=seed, progress=progress, **options).about(dataset.about)
        verdict.save(directory)
        with saved_in(directory):
            _draw(verdict, directory)
            if paged:
                _write_page(directory)
    click.echo(verdict.to_json() if as_json else _report(verdict, directory, time.monotonic() - began))
    return 0 if verdict.passed else 1


def _refuse_others(options: dict[str, Any]) -> None:
    """Refuse what only the equal-time verdict knows."""
    for name in _OF_THE_OTHER:
        if options.pop(name):
            raise InvalidInput(
                f"--{name} is of the equal-time verdict, not of --dynamic: correlations and responses are measured "
                f"from W*, for the weights themselves, in SGD's own runs, against the exact theory. Leave one out."
            )


def _lags(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise InvalidInput(f"--lags {shown(given)} must be numbers of steps between commas, such as 1,2,8.") from None


def _report(verdict: DynamicVerdict, directory: Path, seconds: float) -> str:
    run, found = verdict.identity, verdict.circulation
    steps = f"{run['steps']} steps x {run['replicas']} replicas from W*, seen from step {run['opened']} on"
    files = ", ".join(name for name in ("report.html", "dynamic.json", "dynamic.npz") if (directory / name).exists())
    figures = ", ".join(sorted(path.stem for path in directory.glob("*.png")))
    return "\n".join(
        (
            f"run       {steps},\n          {run['modes']} modes, lags up to {run['lags'][-1]}, seed {run['entropy']}",
            "",
            verdict.table,
            "",
            f"current   {found.resolved} of {found.elements} pairs of modes above 3 error bars, correlation with "
            f"theory {number_text(found.correlation, '.4f')};",
            f"          measured over predicted {number_text(found.ratio, '.4f')} +- {found.ratio_error:.4f}",
            "",
            *([verdict.entropy_table, ""] if verdict.entropy else []),
            *([verdict.relations_table, ""] if verdict.relations else []),
            ("PASSED  " if verdict.passed else "FAILED  ") + verdict.words,
            f"{directory}/: {files}, and {figures} as .png and .svg  ({seconds:.0f} s)",
        )
    )


def _draw(verdict: DynamicVerdict, directory: Path) -> None:
    from ..report.figures import save_dynamic_figures

    save_dynamic_figures(verdict, directory)


def _write_page(directory: Path) -> None:
    """Write the page of all that the directory holds: of the verdict at equal times too, where there is one."""
    from ..report import save_report

    save_report(found_in(directory), directory / "report.html")
