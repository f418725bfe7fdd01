"""`fluctua.predict` of a chain."""

from __future__ import annotations

from ..._validate.values import choice
from ...errors import InvalidInput
from ...theory.answers import predict
from .chain import Langevin
from .grid import grid_of
from .law import THEORIES, ChainLaw

__all__ = ["predict_chain"]


@predict.register(Langevin)
def predict_chain(
    chain: Langevin, *, theory: str = "exact", domain: tuple[float, float] | None = None, points: int | None = None
) -> ChainLaw:
    """Predict the law of a chain's places: exactly, to first order in the step, or as continuous time has it.

    Parameters
    ----------
    chain : Langevin
        In one dimension.
    theory : str
        "exact" (F101), "first_order" (F102), or "target": exp(-V/T), which the chain should keep.
    domain : (float, float), optional
        Where it lives; chosen and checked if not given.
    points : int, optional
        Of the grid; by default 1,200, or more where steps are short.

    Returns
    -------
    ChainLaw
        Moments, averages, density and total variation; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For a chain in more than one dimension, a domain that loses more than 1e-9 of the mass in a step, and points
        further apart than 0.6 of the shortest step's standard deviation.

    Notes
    -----
    Cost: 2/3 n^3 flops for n points, 0.1 s for 1,200.
    """
    choice("theory", theory, THEORIES)
    if chain.dimension > 1:
        raise InvalidInput(
            f"the law of a chain is known in one dimension, not in {chain.dimension}: there fluctua.simulate runs it, "
            f"and the target exp(-V/T) is what to compare with."
        )
    held = grid_of(chain, domain, points)
    law = ChainLaw(chain, "exact", held.x, held.stationary, held.lost(held.stationary), held=held)
    return law if theory == "exact" else law.rung(theory)
