"""What a plan says of each combination of batch size, momentum and schedule: how it ends, or why it was not tried."""

from __future__ import annotations

from dataclasses import dataclass

from .._validate.plain import Json
from ..recipe.sgd import SGD

__all__ = ["EDGE_WORDS", "Candidate", "Skipped"]

EDGE_WORDS = (
    "at the edge of the search, where the loss still falls: a larger rate may end lower. So near the limit variances "
    "are heavy-tailed, and `verify` rejects a true theory more often than its level says."
)


@dataclass(frozen=True)
class Candidate:
    """A recipe at its best learning rate, and the loss it is predicted to end with; made by `plan`.

    Attributes
    ----------
    sgd : SGD
        The recipe.
    shape : str
        Name of its schedule.
    loss : float
        Expected loss after the budget, of the training data with weight decay or of the held-out data.
    exact : bool
        Whether the loss is that of the law; otherwise it was estimated, see `plan`.
    at_edge : bool
        Whether the loss still falls at the largest learning rate that is tried: a larger one may end lower.

    Examples
    --------
    >>> import fluctua as fl
    >>> one = fl.Candidate(fl.SGD(lr=0.1, batch_size=8), shape="constant", loss=0.15, exact=True)
    >>> one.sgd.words
    'lr 0.1, batches of 8 with replacement'
    """

    sgd: SGD
    shape: str
    loss: float
    exact: bool
    at_edge: bool = False

    def to_dict(self) -> dict[str, Json]:
        """Return everything as plain JSON types."""
        recipe = self.sgd.to_dict()
        return {"recipe": recipe, "shape": self.shape, "loss": self.loss, "exact": self.exact, "at_edge": self.at_edge}


@dataclass(frozen=True)
class Skipped:
    """A combination that a plan did not try.

    Attributes
    ----------
    shape : str
        Name of its schedule.
    momentum : float
    reason : str
        Why not.
    """

    shape: str
    momentum: float
    reason: str

    @property
    def words(self) -> str:
        """The combination and the reason, in words."""
        return f"{self.shape}, momentum {self.momentum:g}: {self.reason}"

    def to_dict(self) -> dict[str, Json]:
        """Return everything as plain JSON types."""
        return {"shape": self.shape, "momentum": self.momentum, "reason": self.reason}
