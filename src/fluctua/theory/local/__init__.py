"""The local picture of a loss that is not quadratic: rungs, their validity, and what they say of a head."""

from .heads import limit_of_head, predict_head
from .prediction import LocalPrediction

__all__ = ["LocalPrediction", "limit_of_head", "predict_head"]
