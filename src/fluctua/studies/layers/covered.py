"""What the laws of two layers cover, and why they do not cover the rest."""

from __future__ import annotations

from ...errors import InvalidInput, UnstableSGD
from ...recipe.averages import Average
from ...recipe.sampling import WeightedSampling
from ...recipe.sgd import SGD, Recipe
from .net import TwoLayer

__all__ = ["refuse_uncovered", "refuse_unstable"]


def refuse_uncovered(sgd: Recipe, average: Average | None = None) -> None:
    """Refuse a recipe for which nothing has been derived, with the reason."""
    if not isinstance(sgd, SGD):
        raise InvalidInput(f"a net of two layers is followed under fluctua.SGD alone, got {sgd!r}.")
    _refuse_inertia(sgd)
    sgd.refuse_epochs("the laws of two layers, the balance of its layers among them, are of independent batches")
    if isinstance(sgd.sampling, WeightedSampling):
        raise InvalidInput("weighted sampling is not covered for two layers: draw samples alike, 'with_replacement'.")
    if average is not None:
        raise InvalidInput(f"average = {average!r}: averages of the weights are not covered for two layers.")


def _refuse_inertia(sgd: SGD) -> None:
    if sgd.momentum:
        raise InvalidInput(
            f"momentum = {sgd.momentum:g} is not covered for two layers: the buffer holds gradients of "
            f"earlier weights, whose products with the weights do not cancel, so that W2^T W2 - W1 W1^T changes to "
            f"first order in lr and the frame's drift is another one. Use momentum=0."
        )
    if sgd.weight_decay:
        raise InvalidInput(
            f"weight_decay = {sgd.weight_decay:g} is not covered for two layers: it holds |W1|^2 + |W2|^2 down, which "
            f"shrinks the singular values of the product, so that the optimum is another one, <r x^T> does not vanish "
            f"there, and H has a term of the residuals. Use weight_decay=0."
        )
    if sgd.schedule is not None:
        raise InvalidInput("a schedule is not covered for two layers: the laws are of a constant lr. Leave it out.")


def refuse_unstable(net: TwoLayer, sgd: Recipe) -> None:
    """Refuse a rate beyond the limit of gradient descent on the net."""
    if sgd.lr >= net.edge:
        raise UnstableSGD(sgd.lr, net.edge, larger_batch=False)
