"""`fluctua.verify` of a graph: runs against the exact law where there is one, elsewhere against Metropolis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._validate.arguments import door
from ..._validate.plain import Header
from ..._validate.values import false_alarm_level, positive_int, resolution_share
from ...simulation.batches import Rng, seed_sequence
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress, silent
from .asked import hold_move, usual_theory
from .graph import Graph
from .large import large_trial
from .moves import Move, refuse_full_batch
from .small import small_trial
from .trial import Asked

__all__ = ["judge", "verify_graph"]


def verify_graph(
    graph: Graph,
    move: Move,
    *,
    sweeps: int | None = None,
    replicas: int | None = None,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.05,
    threads: int | None = None,
    progress: Progress | None = None,
) -> StatementVerdict:
    """Hold runs of a move on a graph against what is known of it; `fluctua.verify` of a `Graph`.

    Where all colourings can be listed the claim is the exact law: <E>, Var E, currents between kinds of moves, and the
    entropy production, in runs that draw the flag of every edge. Wrong are exp(-E/T_E), temperatures off by
    `resolution`, moves that are accepted only if the energy falls, the other order of the vertices, and the other kind
    of batch.

    On larger graphs SGD and Metropolis run on the same graph. The claims are that Metropolis at a matched temperature
    has SGD's energy, and that flags accept as acc(n, m) says. Wrong are temperatures off by `resolution`, T0, the other
    order, the other kind of batch, and T_1 = T_2 = T_3, which an equilibrium would have. Of Metropolis itself the
    claims are its acceptances and that the order of the vertices does not matter.

    Each that is wrong has to be rejected where these runs can tell it from the claim.

    Parameters
    ----------
    graph : Graph
        What is coloured.
    move : SGDLike or Metropolis
        The dynamics.
    sweeps, replicas : int, optional
        Of each run; by default some 30 million visits in all.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it either way.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of the energy that the runs must be able to reject, and of the wrong temperatures.
    threads : int, optional
        Worker threads; by default the cores this process may use.
    progress : callable, optional
        Called with the name of the stage and the fraction of it done.

    Returns
    -------
    StatementVerdict
        The statements.

    Raises
    ------
    InvalidInput
        Before any run, for arguments out of range and for a full batch; after runs whose energy is that of no finite
        temperature.
    TooLarge
        For runs that would not end.
    NotConverged
        Where a stationary vector was not found.

    Notes
    -----
    Cost: some 30 million visits of each kind of run, of which there are four on a small graph and six on a large one.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import coloring
    >>> graph, move = coloring.named("K4"), coloring.SGDLike(batch=0.8)
    >>> verdict = fl.verify(graph, move, sweeps=5000, replicas=64, rng=1, level=1e-6)
    >>> verdict.consistent, [row.name for row in verdict.claims]
    (True, ['exact'])
    """
    return judge(
        graph,
        move,
        sweeps=sweeps,
        replicas=replicas,
        rng=rng,
        level=level,
        resolution=resolution,
        threads=threads,
        progress=progress,
    )


def judge(
    graph: Graph,
    move: Move,
    *,
    sweeps: int | None = None,
    replicas: int | None = None,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.05,
    threads: int | None = None,
    progress: Progress | None = None,
    asked: Header | None = None,
) -> StatementVerdict:
    """Return the verdict; `asked` is the command that repeats it."""
    door(staged=progress)
    hold_move(move)
    refuse_full_batch(move)
    listed = usual_theory(graph, move) == "exact"
    root = seed_sequence(rng)
    trial = Asked(
        graph,
        move,
        None if sweeps is None else positive_int("sweeps", sweeps),
        positive_int("replicas", (64 if listed else 8) if replicas is None else replicas, minimum=2),
        root,
        false_alarm_level(level),
        resolution_share(resolution),
        threads,
        progress or silent,
    )
    found = (small_trial if listed else large_trial)(trial)
    from . import figures  # noqa: F401, PLC0415  (how the verdict is shown)

    return conclude(
        "coloring",
        f"{graph.name}, {graph.colors} colours, {move!r}",
        found.rows,
        level=level,
        resolution=resolution,
        steps=found.sweeps,
        replicas=trial.replicas,
        entropy=str(root.entropy),
        asked={**_graph_words(graph), "move": repr(move), "spawn_key": list(root.spawn_key), **(asked or {})},
        arrays=found.arrays,
        tables=found.tables,
        facts=found.facts,
    )


def _graph_words(graph: Graph) -> Mapping[str, Any]:
    return {"graph": graph.name, "colors": graph.colors, "vertices": int(graph.vertices), "edges": len(graph.edges)}
