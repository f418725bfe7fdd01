"""What the command's options mean: a graph, a move, and the words that repeat them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...data.own import looks_like_path
from ...errors import InvalidInput
from ...simulation.batches import seed_sequence
from .families import named, planted
from .graph import Graph
from .moves import Metropolis, Move, SGDLike

__all__ = ["PLANTED", "Given", "made_graph", "made_move", "words_of"]

PLANTED = "planted"
_PLANTED: dict[str, Any] = {"vertices": 20_000, "degree": 19.0}
_COLORS, _BATCH = {True: 5, False: 3}, 0.8


class Given(NamedTuple):
    """A graph, and the seed of what is run on it."""

    graph: Graph
    root: np.random.SeedSequence


def made_graph(name: str, colors: int | None, vertices: int | None, degree: float | None, rng: int | None) -> Given:
    """Return the graph of a name, of a file, or with a planted colouring, whose seed is apart from that of the runs."""
    root = seed_sequence(rng)
    q = _COLORS[name == PLANTED] if colors is None else colors
    asked = {key: value for key, value in {"vertices": vertices, "degree": degree}.items() if value is not None}
    if name == PLANTED:
        drawn, runs = (np.random.SeedSequence(root.entropy, spawn_key=(k,)) for k in range(2))
        return Given(planted(**{**_PLANTED, **asked}, colors=q, rng=drawn), runs)
    if asked:
        raise InvalidInput(f"--{next(iter(asked))} is of a planted graph, and {name} has its own. Leave it out.")
    return Given(Graph(name, q) if looks_like_path(name) else named(name, colors=q), root)


def made_move(
    batch: float | None, metropolis: float | None, shared: bool, order: str | None, planted_one: bool
) -> Move:
    """Return the move of the options; one batch for a sweep, and planted graphs, go with vertices in order."""
    if metropolis is not None:
        return Metropolis(metropolis, order=order or ("sequential" if planted_one else "random"))
    usual = "sequential" if shared or planted_one else "random"
    return SGDLike(_BATCH if batch is None else batch, "sweep" if shared else "visit", order or usual)


def words_of(graph: str, options: Mapping[str, Any], more: Mapping[str, Any], shared: bool, exact: bool) -> str:
    """Return the command that repeats the study."""
    given = {**options, **more}
    said = [
        f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"
        for name, value in given.items()
        if value is not None
    ]
    return " ".join(
        ["coloring", graph, *said, *(["--shared-batch"] if shared else []), *(["--exact"] if exact else [])]
    )
