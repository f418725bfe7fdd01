"""Predict, before training, how far SGD will fluctuate on your data, and prove the prediction."""
