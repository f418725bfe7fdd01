"""torch's `nn.MSELoss` beside this loss: the recipe under which it makes the same run."""

from __future__ import annotations

from dataclasses import replace

from .sgd import Recipe

__all__ = ["for_mse_loss", "mse_words"]


def for_mse_loss(sgd: Recipe, outputs: int) -> Recipe:
    r"""Return the recipe with which a run on `nn.MSELoss` takes the steps that `sgd` takes on this package's loss.

    MSELoss is the mean over samples *and* over the c outputs, without a half: 2/c times L. So its gradient is 2/c times
    ours, and lr must be c/2 times as much; weight decay, which torch adds to the gradient whatever the loss, must be
    2/c times as much, so that their product stays. Rates that a schedule has of its own, an `eta_min` or a `max_lr`, go
    with lr. Momentum, dampening and the factors of a schedule stay.

    Parameters
    ----------
    sgd : SGD
        The recipe for L.
    outputs : int
        Number of outputs, c.
    """
    schedule = None if sgd.schedule is None else sgd.schedule.times(outputs / 2)
    return replace(sgd, lr=sgd.lr * outputs / 2, weight_decay=sgd.weight_decay * 2 / outputs, schedule=schedule)


def mse_words(sgd: Recipe, outputs: int) -> str:
    """Return both losses in torch, and the numbers for either in full, in three lines."""
    there, over = for_mse_loss(sgd, outputs), f", mean over {outputs} outputs too" if outputs > 1 else ""
    return (
        f"0.5 * ((out - y) ** 2).sum(1).mean(): lr {sgd.lr:.15g}, weight_decay {sgd.weight_decay:.15g}\n"
        f"          nn.MSELoss(){over}: lr {there.lr:.15g}, weight_decay {there.weight_decay:.15g}\n"
        f"          (c/2 = {outputs / 2:g} times the lr, 2/c = {2 / outputs:.4g} times the weight decay)"
    )
