"""Heads with a cross-entropy loss: what the data are, the optimum, and the operators of the local picture there."""
