"""`verify_draws`: the law of a sampler against draws that anything made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..._validate.values import false_alarm_level, instance, positive_int, resolution_share
from ...errors import InvalidInput
from ...theory.answers import Prediction
from ...verification.conclusion import StatementVerdict
from . import figures  # noqa: F401  (says how the verdict is shown)
from .reading import read_draws, refuse_copies
from .trial import Trial

__all__ = ["verify_draws"]


def verify_draws(
    law: Prediction,
    draws: ArrayLike | Path | str,
    *,
    every: int = 1,
    start: ArrayLike | str | None = None,
    level: float = 0.01,
    resolution: float = 0.03,
) -> StatementVerdict:
    r"""Hold draws of any library against the law of the sampler that should have made them.

    Three claims share the family-wise `level`. *Variances*: the excess loss, bands of modes, and the mean over modes
    that a wrong temperature moves most. *Cross terms* between the modes. *Mean*: W*. Each chain gives one number of
    each, and their spread is the error bar; chains much longer than the slowest relaxation are cut into stretches.
    In the same verdict the law made wrong must be rejected: all variances by `resolution` in either direction, and the
    temperature, where these draws can tell it.

    Parameters
    ----------
    law : Prediction
        `predict(problem, sampler)`, or that `.after(steps)`: then draws holds these steps of every chain, in their
        order, and every chain begins at the start of the law.
    draws : array_like or path
        Weights W of independent chains, (chains, steps, d), of c > 1 outputs (chains, steps, c, d), at least 8 chains;
        the steps' axis may be left out where there is one. Or the .npy or .npz file of such an array.
    every : int
        Steps of the sampler from one draw to the next, if the draws were thinned.
    start : "optimum", "zero", array_like (c, d), "stationary" or None
        Where every chain began, `every` steps before its first draw: the draws are then held against the law at finite
        time. None: not known, and what the chains need to forget it is left out. "stationary": they had forgotten it.
    level : float
        Family-wise false-alarm probability.
    resolution : float
        Relative error of all variances that the draws must be able to reject to count as sharp.

    Returns
    -------
    StatementVerdict
        Its statements, tables "modes" and "statements", figures, `.passed`, `.save`, `.to_json`.

    Raises
    ------
    InvalidInput
        For draws of another shape, with a value that is not finite, of fewer than 8 chains, with a chain that is a copy
        of another, or shorter than the slowest relaxation; the text says how many are needed.
    CorruptData
        For a file that holds no such array.
    DataUnavailable
        For a file that may not be read.
    NotConverged
        If the law at finite time, or of a rung, was not found to the accuracy stated.

    Notes
    -----
    What the start leaves, and how many draws are independent, follows from the law under test: a mode forgets in
    `law.relaxation_steps`, its square in half of it. A sampler that forgets more slowly than its law is not what the
    law says, and is rejected as such. Cost: some passes over the draws, and a copy of them in float64.

    Examples
    --------
    >>> import numpy as np
    >>> import fluctua as fl
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((200, 3))
    >>> problem = fl.LeastSquares(x, x @ [[1.0], [2.0], [3.0]] + rng.standard_normal((200, 1)))
    >>> sampler = fl.SGLD(lr=0.1, batch_size=8, temperature=0.005)
    >>> draws = np.zeros((64, 2000, 3))
    >>> w = np.zeros((64, 3))
    >>> for step in range(2000):
    ...     rows = rng.integers(200, size=(64, 8))
    ...     errors = np.einsum("rbd,rd->rb", x[rows], w) - problem.targets[rows, 0]
    ...     gradient = np.einsum("rb,rbd->rd", errors, x[rows]) / 8
    ...     w = w - 0.1 * gradient + np.sqrt(2 * 0.1 * 0.005) * rng.standard_normal(w.shape)
    ...     draws[:, step] = w
    >>> verdict = fl.verify_draws(fl.predict(problem, sampler), draws, level=1e-6)
    >>> verdict.consistent
    True
    """
    instance("law", law, Prediction, "a prediction, fluctua.predict(problem, sampler)")
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    every = positive_int("every", every)
    law.law.sgd.refuse_epochs("the times in which draws forget are those of independent batches")
    if not (np.isfinite(law.mode_variances).all() and np.all(law.mode_variances > 0)):
        raise InvalidInput(
            "law has no fluctuation that draws could have: a variance of its modes is 0 or infinite. Use a "
            "temperature, or batches, that move every mode, and a step that is stable."
        )
    shaped = read_draws(draws, law.law.problem)
    if law.law.sgd.step.temperature:
        refuse_copies(shaped)
    return Trial(law, shaped, every, start, level, resolution).verdict()
