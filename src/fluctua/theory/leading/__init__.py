"""What `predict` and `max_stable_lr` say of least squares in its leading modes: bounds that hold the exact numbers."""

from ...problem.leading.leading_modes import LeadingModes
from . import verbs as _verbs  # noqa: F401  (registers what the verbs do with them)
from .prediction import LeadingPrediction

__all__ = ["LeadingModes", "LeadingPrediction"]
