"""How far the loss of one run may be from the expected one: its variance between runs, in the Gaussian closure."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from .._results import Brief
from .._validate.values import instance, real_number
from ..errors import UncertainSpread
from .answers import Prediction
from .heavy_tails import share_of_heavy_tails
from .output_pairs import pairs_of
from .pair_limits import refuse_pairs

__all__ = ["LossSpread", "loss_spread"]


@dataclass(frozen=True, repr=False)
class LossSpread(Brief):
    """Mean and spread of L(W) - L(W*) between runs that differ in their batches alone; made by `loss_spread`.

    Attributes
    ----------
    mean : float
        E L(W) - L(W*): exact.
    std : float
        Standard deviation between runs: of weights that are Gaussian with their exact mean and covariance. Infinite
        where no stationary state exists.
    uncertain : bool
        Whether `std` may be more than 1.5 times too small, because the learning rate is near the limit of stability:
        where `loss_spread` warns.

    Examples
    --------
    >>> import fluctua as fl
    >>> fl.LossSpread(mean=0.25, std=0.125).relative
    0.5
    """

    mean: float
    std: float
    uncertain: bool = False

    @property
    def relative(self) -> float:
        """Share std/mean of the mean; NaN where nothing is left of either."""
        return self.std / self.mean if self.mean else float("nan")


def loss_spread(prediction: Prediction, *, rtol: float = 1e-4) -> LossSpread:
    r"""Return by how much the excess loss differs from run to run, at one step or in the stationary state.

    L(W) - L(W*) = 1/2 sum_k v_k H v_k^T is quadratic in the output rows v_k of V = W - W*, so its mean needs their
    second moments, which are known exactly, and its variance their fourth, which are not. *Gaussian closure*: V is
    taken as Gaussian with its exact mean m_k = E v_k and exact covariances S_kl = Cov(v_k, v_l); then (F60)

    Var L = 1/2 sum_kl tr(H S_kl H S_kl^T) + sum_kl m_k H S_kl H m_l^T.

    Assumption: that closure and nothing else. V is a sum of many batches' noise, so it is good where many modes and
    many steps add up. Where single steps are large, multiplicative noise gives V heavier tails than a Gaussian's and at
    last an infinite fourth moment: on digits the spread is low by 2 to 4 % at b = 8 and 32 up to half the largest
    stable learning rate, by 10 to 20 % at b = 1, by up to 30 % at 0.9 of the limit. On wine it was 2.5 times too small
    at 0.8 of the limit, with momentum, and a warning says where that may be. Where few samples make noise of lighter
    tails it is high: 0.9 to 1.5 times the measured one with 12 samples, b = 1, half the limit (docs/spread.md).

    In shuffled epochs the covariances are exact where all epochs are listed. Elsewhere, and in a stationary average,
    the mean is the law's, outputs and modes fluctuate together as in independent batches, and each mode by as much as
    epochs leave of it: off by less than 1 % on wine, by up to 15 % at 0.2 modes to a sample. The stationary variance is
    averaged over the positions of the epoch; `Prediction.at` gives one.

    Parameters
    ----------
    prediction : Prediction
        On the rung "exact", "discrete" or "langevin"; stationary, or after one number of steps from any start; of the
        weights or of their average.
    rtol : float
        Relative accuracy of the covariances; on digits that of `std` was 1e-5 at worst with 1e-3.

    Returns
    -------
    LossSpread
        Mean and standard deviation, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For a rung that models the sum over outputs only, for a prediction averaged over several steps, for the
        stationary state of epochs that are not listed beyond the limit of independent batches, and for more steps than
        fit into memory, with weight decay or from elsewhere than W*.
    NotConverged
        If a balance was not solved to the accuracy stated.

    Warns
    -----
    UncertainSpread
        Where the learning rate is above half the largest stable one of independent batches, of the smallest size that
        an epoch has: the spread may be more than 1.5 times too small.

    Notes
    -----
    Cost: c(c + 1)/2 balances of one output each, as `predict` or `after` solves them, and memory for c + 3 matrices
    (r, r): S_kl + S_kl^T is what v_k + v_l has beyond v_k and v_l, and a sum of outputs is an output. The
    antisymmetric part of S_kl obeys a law without a sum over the data (F61), elementwise in the modes. It is 0 from W*
    without weight decay; otherwise, at finite time, it costs an update of up to four (r, r) matrices in every step.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> spread = fl.loss_spread(fl.predict(problem, fl.SGD(lr=0.05, batch_size=8)))
    >>> print(f"{spread.mean:.5f} +- {spread.std:.5f}")
    0.00935 +- 0.00377
    """
    instance("prediction", prediction, Prediction, "a prediction, fluctua.predict(problem, sgd)")
    tolerance = real_number("rtol", rtol, above=0.0)
    refuse_pairs(prediction, "the spread of the loss")
    if not np.isfinite(prediction.mode_covariance).all():
        return LossSpread(prediction.excess_loss, float(np.abs(prediction.mode_covariance).max()))  # or NaN
    share_of_limit = share_of_heavy_tails(prediction)
    if share_of_limit is not None:
        warnings.warn(UncertainSpread(share_of_limit), stacklevel=2)
    h, looks, variance = prediction.curvatures, pairs_of(prediction, tolerance), 0.0
    for (k, l), blocks in looks.pairs:  # noqa: E741  (output indices, F6)
        for share, mean, block in zip(looks.shares, h * looks.means, blocks, strict=True):
            both = 0.5 * float(h @ block**2 @ h) + float(mean[k] @ block @ mean[l])
            variance += share * (both if k == l else 2 * both)
    return LossSpread(prediction.excess_loss, float(np.sqrt(max(variance, 0.0))), share_of_limit is not None)
