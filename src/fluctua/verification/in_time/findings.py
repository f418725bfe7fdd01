"""What a dynamic verdict is made of: statements, the circulation, entropy production, Yaida's relations."""

from __future__ import annotations

from dataclasses import dataclass

from ..._results import Brief
from ..judgement import Role

__all__ = ["CURRENT", "FDT", "GROUPS", "NONE", "NO_CURRENT", "TURNED", "Circulation", "Entropy", "Statement", "Trace"]

FDT, CURRENT, NO_CURRENT = "correlation = S x response", "circulation", "equilibrium FDT, no current"
NONE, TURNED = "circulation of none", "circulation half turned away"

GROUPS = 32
"""Groups of replicas, at most, whose spread is the error bar of matrices."""


@dataclass(frozen=True, repr=False)
class Statement(Brief):
    """One statement held against the measurement.

    Attributes
    ----------
    name : str
    role : str
        "claim", or wrong on purpose: "mutant", and "unresolved" where these runs cannot tell it.
    p_value : float
        Family-wise, over bands of modes, lags and the current.
    z_rms : float
        Over elements one by one: root mean square of the normal scores.
    detectable : float
        Smallest relative error that these runs would reject with probability `significance.POWER`; infinite where no
        contrast that theory names fluctuates beyond rounding.
    level : float
        Below which it is rejected: a quarter of the verdict's family-wise level, because four statements should hold.
    """

    name: str
    role: Role
    p_value: float
    z_rms: float
    detectable: float
    level: float

    @property
    def consistent(self) -> bool:
        """Not rejected."""
        return bool(self.p_value >= self.level)


@dataclass(frozen=True)
class Circulation:
    """J, the area swept per step, measured and predicted.

    Attributes
    ----------
    elements, resolved : int
        Pairs of modes, and those whose predicted J exceeds three error bars.
    correlation : float
        Of measured and predicted J over the resolved ones; NaN for fewer than three.
    z_rms : float
        Over all pairs.
    ratio, ratio_error : float
        Measured over predicted, all pairs weighted as J is seen best, and its standard error.
    resolvable : bool
        Whether these runs would tell the predicted J from none.
    predicted : float
        The largest predicted |J_pq| over sqrt(S_pp S_qq); 0 where theory has no current.
    tells_none, tells_turned : bool
        Whether these runs would tell the predicted J from that of a theory without any, and from one with half of it
        turned away, though neither says where to look.
    """

    elements: int
    resolved: int
    correlation: float
    z_rms: float
    ratio: float
    ratio_error: float
    resolvable: bool
    predicted: float
    tells_none: bool
    tells_turned: bool


@dataclass(frozen=True)
class Entropy:
    """Entropy production per step, in nats, in the modes looked at: one estimate.

    Attributes
    ----------
    of : str
        "all outputs", or one.
    estimator : str
        "areas": the measured areas one step apart, weighted by theory's force over theory's noise; linear in what is
        measured, so it has no bias. "plug-in": of the Gaussian process with the measured moments, nothing of theory in
        it, its bias removed by leaving groups of replicas out in turn.
    predicted : float
        "areas": averaged over the times looked at; "plug-in": stationary.
    measured, error : float
        And its standard error; NaN where nothing can be resolved.
    resolution : float
        Standard error that was to be expected before the runs; for "plug-in" NaN, it is not known beforehand.
    bias : float
        Expected before the runs, d (d - 1)/n for d weights and n steps seen, and removed.
    """

    of: str
    estimator: str
    predicted: float
    measured: float
    error: float
    resolution: float
    bias: float

    @property
    def resolves(self) -> bool:
        """Whether the error is below a fifth, and the expected bias below a twentieth, of the prediction.

        The error is the larger of the foreseen and the measured one: near the stability limit the fluctuation has
        heavy tails, and the one foreseen from its variance is too small. What is left of a bias when it has been
        removed is of the order of its square.
        """
        known = self.measured == self.measured and self.error == self.error
        error = max(self.error, self.resolution if self.resolution == self.resolution else 0.0)
        return bool(known and error <= 0.2 * self.predicted and self.bias < 0.05 * self.predicted)


@dataclass(frozen=True)
class Trace:
    """One of Yaida's relations, `fluctua.theory.yaida`, measured from the trajectory alone.

    Attributes
    ----------
    name, symbol : str
    work, steps, error : float
        Traces of its two sides, and the standard error of their difference.
    z_rms : float
        Of the difference, over the elements of the matrix.
    """

    name: str
    symbol: str
    work: float
    steps: float
    error: float
    z_rms: float
