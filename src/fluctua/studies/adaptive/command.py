"""The command `fluctua study adaptive`."""

from __future__ import annotations

from typing import Any

import click

from ..._validate.values import choice
from ...errors import InvalidInput
from ...verification.conclusion import StatementVerdict
from ..study import Study
from .chain import METHODS, Langevin
from .potentials import POTENTIALS
from .verified import verify_chain

__all__ = ["STUDY"]


def run(
    *, potential: str, method: str, lr: float, temperature: float, no_correction: bool, **asked: Any
) -> StatementVerdict:
    """Verify the chain that was asked for."""
    if no_correction and choice("method", method, METHODS) != "ip":
        raise InvalidInput(f"--no-correction is for --method ip, which has one to leave out; {method!r} has none.")
    correction = 0.0 if no_correction else 1.0
    chain = Langevin(potential, lr=lr, temperature=temperature, method=method, correction=correction)
    return verify_chain(chain, **asked)


_ROWS: dict[str, dict[str, Any]] = {
    "IP": {"method": "ip"},
    "naive": {"method": "naive"},
    "fixed step": {"method": "fixed"},
    "no correction": {"method": "ip", "no_correction": True},
}
_USUAL: dict[str, Any] = {"potential": "spring", "lr": 0.3, "temperature": 0.1, "no_correction": False}

STUDY = Study(
    name="adaptive",
    summary="Langevin dynamics with a step that adapts.",
    help="Does an adaptive step keep its measure? Runs of the chain are held against its exact law at finite step.\n\n"
    "POTENTIAL is " + ", ".join(POTENTIALS) + ". Rejected in the same run have to be the chain with 0.9 of the "
    "correction T g', without it, with a fixed step, and the target exp(-V/T), wherever the runs can tell them.",
    parameters=(
        click.Argument(["potential"], metavar="POTENTIAL"),
        click.Option(["--method"], default="ip", show_default=True, help=f"One of {', '.join(METHODS)}."),
        click.Option(["--lr"], type=float, default=0.3, show_default=True, help="Step in the fictitious time."),
        click.Option(["--temperature"], type=float, default=0.1, show_default=True, help="T of exp(-V/T)."),
        click.Option(["--no-correction"], is_flag=True, help="Leave out T g', which keeps the measure."),
        click.Option(["--steps"], type=int, default=40_000, show_default=True, help="Steps of each run."),
        click.Option(["--replicas"], type=int, default=256, show_default=True, help="Independent runs."),
    ),
    run=run,
    examples=("fluctua study adaptive spring", "fluctua study adaptive spring --lr 0.1 --no-correction"),
    rows={name: {**_USUAL, **options, "steps": 300_000} for name, options in _ROWS.items()},
    quick={"IP": {**_USUAL, "method": "ip"}},
)
