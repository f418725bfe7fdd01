"""Learning-rate schedules: eta_t at every step, with the names and the arithmetic of `torch.optim.lr_scheduler`.

A schedule belongs to a recipe, ``fl.SGD(lr, batch_size, schedule=...)``, and gives the rate of each *step*: that of a
torch loop which calls ``scheduler.step()`` after every ``optimizer.step()``. `PerEpoch` is for loops that call it once
an epoch. All other schedules are arrays, `ArrayLR`; `from_torch` makes one of any scheduler of torch.
"""

from .base import LARGEST as LARGEST
from .base import Schedule
from .combined import ChainedScheduler, PerEpoch, SequentialLR
from .cycles import CosineAnnealingWarmRestarts, OneCycleLR
from .decays import ConstantLR, ExponentialLR, MultiStepLR, PolynomialLR
from .reading import read_schedule
from .recorded import from_torch
from .shapes import ArrayLR, CosineAnnealingLR, InverseTimeLR, LinearLR, StepLR
from .usual import PLANNED as PLANNED
from .usual import SHAPES

__all__ = [
    "SHAPES",
    "ArrayLR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "InverseTimeLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PerEpoch",
    "PolynomialLR",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "from_torch",
    "read_schedule",
]
