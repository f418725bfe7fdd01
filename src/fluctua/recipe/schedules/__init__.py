"""Learning-rate schedules: eta_t at every step, with the names and the arithmetic of `torch.optim.lr_scheduler`.

A schedule belongs to a recipe, ``fl.SGD(lr, batch_size, schedule=...)``, and gives the rate of each *step*: that of a
torch loop which calls ``scheduler.step()`` after every ``optimizer.step()``. All other schedules are arrays, `ArrayLR`.
"""

from .base import LARGEST as LARGEST
from .base import Schedule
from .reading import read_schedule
from .shapes import SHAPES, ArrayLR, CosineAnnealingLR, InverseTimeLR, LinearLR, StepLR

__all__ = ["SHAPES", "ArrayLR", "CosineAnnealingLR", "InverseTimeLR", "LinearLR", "Schedule", "StepLR", "read_schedule"]
