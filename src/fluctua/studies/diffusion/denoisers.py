"""What may stand in the place of the best linear denoiser: one that SGD has trained, or the score of another law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ..._results import Brief
from ..._validate.values import instance
from ...errors import InvalidInput

if TYPE_CHECKING:
    from ...verification.conclusion import StatementVerdict
    from .gaussian import GaussianData
    from .prediction import DiffusionPrediction
    from .sampler import DDIM

__all__ = ["Denoiser", "denoiser_of", "hold_alone"]


class Denoiser(Brief, ABC):
    """What `denoiser=` of the verbs takes; each says itself what is predicted, simulated and verified of it."""

    @abstractmethod
    def predicted(self, data: GaussianData, sampler: DDIM, theory: str) -> DiffusionPrediction:
        """Return what a theory says of the samples.

        Parameters
        ----------
        data : GaussianData
            What is sampled.
        sampler : DDIM
            Steps, noise, grid and solver.
        theory : str
            Rung of the ladder.

        Returns
        -------
        DiffusionPrediction
            Of the samples, averaged over what is random in the denoiser.
        """

    @abstractmethod
    def simulated(self, data: GaussianData, sampler: DDIM, **run: Any) -> Any:
        """Return samples, or trainings.

        Parameters
        ----------
        data : GaussianData
            What is sampled.
        sampler : DDIM
            Steps, noise, grid and solver.
        **run
            Their number, `samples`, and `root`, `threads` and `progress`.

        Returns
        -------
        ScoredSamples or TrainedRuns
            What was drawn.
        """

    @abstractmethod
    def verified(self, data: GaussianData, sampler: DDIM, **run: Any) -> StatementVerdict:
        """Return a verdict on it.

        Parameters
        ----------
        data : GaussianData
            What is sampled.
        sampler : DDIM
            Steps, noise, grid and solver.
        **run
            As for `simulated`, and `level`, `resolution`, `name` and `asked`.

        Returns
        -------
        StatementVerdict
            The claim, its mutants and rungs.
        """


def denoiser_of(value: object) -> Denoiser:
    """Return a denoiser; anything else is refused."""
    expected = "a fluctua.studies.diffusion.Trained(sgd), ClassMixture(inputs, labels) or TrainingSet(inputs)"
    return instance("denoiser", value, Denoiser, expected)


def hold_alone(step: object) -> None:
    """Refuse a step of the user's beside a denoiser."""
    if step is not None:
        raise InvalidInput(
            "step and denoiser are given at once: a step of your own is verified with the best linear denoiser, whose "
            "law is known. Give one of them."
        )
