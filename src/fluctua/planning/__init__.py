"""Which learning rate, momentum, schedule and batch size; knows no run but those of a rehearsal."""

from . import head_plan as _heads  # noqa: F401  (says what `plan` does with them)
