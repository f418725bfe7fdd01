"""Whether a run is worth going on with at its learning rate: work of two windows in units of the noise floor.

NumPy alone: what a training loop or a simulation hands over are means over blocks of steps.
"""
