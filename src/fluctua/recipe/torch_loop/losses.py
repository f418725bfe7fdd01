"""The loss of a loop in torch: this package's, half the squared error summed over outputs, or `nn.MSELoss`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..mse_loss import for_mse_loss
from ..sgd import Recipe

__all__ = ["LOSSES", "Loss"]


def _same(sgd: Recipe, outputs: int) -> Recipe:
    del outputs
    return sgd


@dataclass(frozen=True)
class Loss:
    """A loss of torch's beside that of `LeastSquares`.

    Attributes
    ----------
    lines : tuple of str
        What defines `loss_of(output, target)`.
    weighted : tuple of str
        The same of samples with factors, `loss_of(output, target, factor)`.
    recipe : callable
        From the recipe for L, and the number of outputs, to that with which this loss takes the same steps.
    times : callable
        From the number of outputs to this loss in units of L.
    """

    lines: tuple[str, ...]
    weighted: tuple[str, ...]
    recipe: Callable[[Recipe, int], Recipe]
    times: Callable[[int], float]


LOSSES = {
    "half": Loss(
        lines=(
            "",
            "",
            "def loss_of(output, target):",
            '    """Half the squared error: sum over outputs, mean over samples."""',
            "    return 0.5 * ((output - target) ** 2).sum(dim=1).mean()",
            "",
            "",
        ),
        weighted=(
            "",
            "",
            "def loss_of(output, target, factor):",
            '    """Half the squared error: sum over outputs, weighted mean over samples."""',
            "    return (factor * 0.5 * ((output - target) ** 2).sum(dim=1)).mean()",
            "",
            "",
        ),
        recipe=_same,
        times=lambda _outputs: 1.0,
    ),
    "mse": Loss(
        lines=("loss_of = torch.nn.MSELoss()", ""),
        weighted=(
            "",
            "",
            "def loss_of(output, target, factor):",
            '    """MSELoss with a factor for each sample."""',
            "    return (factor * ((output - target) ** 2).mean(dim=1)).mean()",
            "",
            "",
        ),
        recipe=for_mse_loss,
        times=lambda outputs: 2 / outputs,
    ),
}
"""By the names that `torch_code` takes."""
