"""`fluctua.predict` of a graph."""

from __future__ import annotations

from ..._validate.values import choice, instance
from ...errors import InvalidInput
from .graph import Graph
from .moves import Metropolis, Move, SGDLike, refuse_full_batch
from .prediction import THEORIES, ColoringPrediction, Theory
from .shared import affordable
from .states import States, fits, refuse_many

__all__ = ["hold_move", "predict_graph", "usual_theory"]


def hold_move(move: object) -> Move:
    """Return the move, or refuse what is none."""
    return instance(
        "move", move, (SGDLike, Metropolis), "coloring.SGDLike(batch=...) or coloring.Metropolis(temperature)"
    )


def usual_theory(graph: Graph, move: Move) -> Theory:
    """Return the highest rung that there is for a move on a graph."""
    if fits(graph) and not (move.shared and affordable(States(graph), move)):
        return "exact"
    return "zero" if move.shared else "tree"


def predict_graph(graph: Graph, move: Move, *, theory: Theory | None = None) -> ColoringPrediction:
    """Predict the stationary state of a move on a graph; `fluctua.predict` of a `Graph`.

    =====  ==========================================================================================
    exact  F122: all colourings are listed, and the stationary vector is solved for; up to 200,000
    tree   F123: conflicts are independent as on a tree; batches drawn anew at every visit
    zero   exp(-E/T0) with T0 = -1/ln(1 - B), which moves with n = 0 or m = 0 obey (F121)
    =====  ==========================================================================================

    Parameters
    ----------
    graph : Graph
        What is coloured.
    move : SGDLike or Metropolis
        The dynamics.
    theory : str, optional
        Rung of the ladder, from the table; by default the highest that there is.

    Returns
    -------
    ColoringPrediction
        Energy, temperatures and entropy production.

    Raises
    ------
    InvalidInput
        For a full batch, whose temperature is 0, for more colourings than can be listed, and for what a rung does not
        cover, with the reason.
    NotConverged
        Where the stationary vector was not found.

    Notes
    -----
    Cost: exact, q^3N/3 multiplications up to 1,024 colourings and some hundred N (q - 1) q^N beyond; tree, 10 ms.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import coloring
    >>> graph = coloring.planted(20_000, colors=5, degree=19, rng=1)
    >>> law = fl.predict(graph, coloring.SGDLike(batch=0.8))
    >>> print(f"T(B) {law.temperature:.8f}, E/N {law.energy_per_vertex:.8f}, T0 {law.zero_temperature:.8f}")
    T(B) 0.85779985, E/N 0.68673328, T0 0.62133493
    """
    hold_move(move)
    chosen = usual_theory(graph, move) if theory is None else choice("theory", theory, THEORIES)
    refuse_full_batch(move)
    if chosen == "exact":
        refuse_many(graph)
        if move.shared and (reason := affordable(States(graph), move)):
            raise InvalidInput(f"{reason}.")
    if chosen == "tree" and move.shared:
        raise InvalidInput(
            "theory='tree' is of batches that are drawn anew at every visit: one batch for a sweep joins what "
            "neighbours do, and is colder. Use batches='visit', theory='zero', or theory='exact' on a small graph."
        )
    found = ColoringPrediction(graph, move, chosen)  # type: ignore[arg-type]
    found.energy  # noqa: B018  (what cannot be solved for is refused here)
    return found
