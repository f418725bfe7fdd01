"""The command `fluctua study coloring`."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from ...errors import InvalidInput
from ...verification.conclusion import StatementVerdict
from ..study import Study
from .asking import PLANTED, made_graph, made_move, words_of
from .states import refuse_many
from .verifying import judge

__all__ = ["STUDY"]


def run(
    *,
    graph: str,
    colors: int | None = None,
    vertices: int | None = None,
    degree: float | None = None,
    batch: float | None = None,
    metropolis: float | None = None,
    shared_batch: bool = False,
    order: str | None = None,
    exact: bool = False,
    sweeps: int | None = None,
    replicas: int | None = None,
    rng: int | None = None,
    **common: Any,
) -> StatementVerdict:
    """Make the graph and the move that were asked for, and verify."""
    if metropolis is not None and (batch is not None or shared_batch):
        raise InvalidInput("--metropolis has a temperature and no batch: leave out --batch and --shared-batch.")
    move = made_move(batch, metropolis, shared_batch, order, graph == PLANTED)
    given = made_graph(graph, colors, vertices, degree, rng)
    if exact:
        refuse_many(given.graph)
    options = {"colors": colors, "vertices": vertices, "degree": degree, "batch": batch, "metropolis": metropolis}
    words = words_of(
        quote(graph), options, {"order": order, "sweeps": sweeps, "replicas": replicas}, shared_batch, exact
    )
    asked = {"command": words}
    return judge(given.graph, move, sweeps=sweeps, replicas=replicas, rng=given.root, asked=asked, **common)


_ROWS: dict[str, dict[str, Any]] = {
    "K222": {"graph": "K222", "colors": 3, "batch": 0.8},
    "planted": {"graph": PLANTED, "vertices": 20_000, "colors": 5, "degree": 19.0, "batch": 0.8, "sweeps": 300},
}

STUDY = Study(
    name="coloring",
    summary="Is SGD without gradients Metropolis' dynamics?",
    help="Vertices of a graph change their colour where a random batch of the edges has no more conflicts for it. What "
    "is the temperature of the batch, and is it really one? On a small graph runs are held against the exact law; on a "
    "large one against Metropolis' at a matched temperature.\n\nGRAPH is a name such as K222, K4, K33, C6 or "
    "'C9(1,2)', a file of edges, or 'planted': a random graph with a planted colouring.",
    parameters=(
        click.Argument(["graph"], metavar="GRAPH"),
        click.Option(["--colors"], type=int, help="q.  [default: 3; 5 where planted]"),
        click.Option(["--vertices"], type=int, help="N of a planted graph.  [default: 20000]"),
        click.Option(["--degree"], type=float, help="Mean degree of a planted graph.  [default: 19]"),
        click.Option(["--batch"], type=float, help="Share B of the edges in a batch.  [default: 0.8]"),
        click.Option(["--shared-batch"], is_flag=True, help="One batch for a sweep, not one for every visit."),
        click.Option(["--metropolis"], type=float, help="Metropolis at this temperature instead."),
        click.Option(
            ["--order"],
            type=click.Choice(["random", "sequential"]),
            help="Of the vertices.  [default: random; sequential, as published, where planted or with --shared-batch]",
        ),
        click.Option(["--exact"], is_flag=True, help="Refuse a graph whose colourings cannot all be listed."),
        click.Option(["--sweeps"], type=int, help="Of each run.  [default: 3e7 visits in all]"),
        click.Option(["--replicas"], type=int, help="Independent runs.  [default: 64; 8 on a large graph]"),
    ),
    run=run,
    examples=(
        "fluctua study coloring K222 --colors 3 --batch 0.8 --exact",
        "fluctua study coloring planted --vertices 20000 --degree 19",
    ),
    rows=_ROWS,
    quick={"K222": {**_ROWS["K222"], "sweeps": 20_000}},
)
