"""The numbers that `fluctua predict` prints of a prediction."""

from __future__ import annotations

import numpy as np

from ..planning.conditioned import counted
from ..theory.answers import Prediction

__all__ = ["numbers"]


def numbers(prediction: Prediction, limit: float, independent: bool) -> str:
    """The lines on a prediction; whether the limit is that of independent batches."""
    sgd, slow, hot = prediction.law.sgd, prediction.relaxation_steps, prediction.temperatures
    what = "" if (average := prediction.law.average) is None else f", {average.words}"
    share = f", {prediction.excess_loss / prediction.optimum_loss:.3%} of L(W*)" if prediction.optimum_loss else ""
    if reached := prediction.estimated_error:
        known = f"modes to {reached.modes:.0e}, loss to {reached.loss:.0e}, in {reached.passes} passes"
    return "\n".join(
        (
            "",
            f"theory        {prediction.theory}, {prediction.when}{what}",
            f"optimum       L(W*) = {prediction.optimum_loss:.8g}",
            f"excess loss   {prediction.excess_loss:.6g}{_sampled(prediction)}{share}",
            *([f"computed      {known} over the samples, as estimated"] if reached else []),
            f"temperatures  {np.median(hot):.3g} in the median mode, from {hot.min():.3g} to {hot.max():.3g}",
            f"relaxation    {counted(slow.min())} steps in the fastest mode, {counted(np.median(slow))} in the median, "
            f"{counted(slow.max())} in the slowest",
            f"stability     lr is {sgd.lr / limit:.1%} of the largest stable one"
            f"{' for independent batches' if independent else ''}, {limit:.7g}",
        )
    )


def _sampled(prediction: Prediction) -> str:
    """One standard error, where epochs were sampled."""
    return f" +- {prediction.excess_loss_error:.2g}" if prediction.excess_loss_error else ""
