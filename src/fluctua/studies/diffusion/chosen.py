"""What the command line may put in the place of the best linear denoiser, and how that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..._validate.values import choice, positive_int
from ...errors import InvalidInput

if TYPE_CHECKING:
    from ..._arrays import Array
    from .denoisers import Denoiser
    from .gaussian import GaussianData

__all__ = ["CHOSEN", "chosen_of", "chosen_words", "components_of", "refuse_idle"]

_SCORES = ("mixture", "training")
_LR, _BATCH = 0.1, 8

CHOSEN = (
    click.Option(["--score"], type=click.Choice(_SCORES), help="Sample with a nonlinear score: of a Gaussian for each "
                 "class, or of the training set itself."),
    click.Option(["--trained"], type=int, metavar="STEPS", help="Sample with denoisers that SGD has trained for so "
                 "many steps at each level; --samples are then trainings."),
    click.Option(["--lr"], type=float, default=_LR, show_default=True, help="Learning rate, with --trained."),
    click.Option(["--batch-size"], type=int, default=_BATCH, show_default=True, help="Batch size, with --trained."),
    click.Option(["--components"], type=int, help="Keep only so many principal components of the data."),
)  # fmt: skip
"""Options of the command."""


def chosen_of(
    inputs: Array, labels: Any, *, score: str | None, trained: int | None, lr: float, batch_size: int
) -> Denoiser | None:
    """Return the denoiser that was asked for; None for the best linear one.

    Raises
    ------
    InvalidInput
        For both at once, and for a mixture of classes of data without labels.
    """
    from ...recipe.sgd import SGD  # noqa: PLC0415  (nothing heavy is imported for a list of studies)
    from .scores import ClassMixture, TrainingSet  # noqa: PLC0415
    from .trained import Trained  # noqa: PLC0415

    if score is not None and trained is not None:
        raise InvalidInput("--score and --trained are two denoisers. Give one of them.")
    if trained is not None:
        return Trained(SGD(lr=lr, batch_size=batch_size), steps=trained)
    if score is None:
        return None
    if choice("score", score, _SCORES) == "training":
        return TrainingSet(inputs)
    if labels is None:
        raise InvalidInput("--score mixture needs classes, and the data have no labels. Use --score training.")
    return ClassMixture(inputs, labels)


def refuse_idle(
    samples: int | None, verify: bool, score: str | None, trained: int | None, lr: float, batch_size: int
) -> None:
    """Refuse options that would change nothing."""
    if samples is not None and not verify and score is None and trained is None:
        raise InvalidInput("--samples draws nothing without --verify, --score or --trained. Add one of them.")
    if trained is None and (lr, batch_size) != (_LR, _BATCH):
        raise InvalidInput("--lr and --batch-size are of --trained denoisers, and none is trained. Add --trained.")


def components_of(inputs: Array, data: GaussianData, components: int | None) -> tuple[Array, GaussianData]:
    """Return inputs and their Gaussian along the steepest principal components; all of them if no number is given."""
    from .gaussian import GaussianData, moments_of  # noqa: PLC0415

    if components is None:
        return inputs, data
    count = positive_int("components", components, maximum=data.rank)
    along = inputs @ data.modes[:, :count]
    return along, GaussianData(*moments_of(along), samples=len(along))


def chosen_words(score: str | None, trained: int | None, lr: float, batch_size: int, components: int | None) -> str:
    """Return these options as they were given, each after a space."""
    words = "" if components is None else f" --components {components}"
    words += "" if score is None else f" --score {score}"
    if trained is not None:
        words += f" --trained {trained}" + (f" --lr {lr:g}" if lr != _LR else "")
        words += f" --batch-size {batch_size}" if batch_size != _BATCH else ""
    return words
