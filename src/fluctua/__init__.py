"""Predict, before training, how far SGD will fluctuate on your data, and prove the prediction."""

from .problem import LeastSquares
from .sgd import SGD
from .stability import max_stable_lr
from .theory import learning_curve, predict
