"""The ladder of theories, from exact down to equilibrium: a rung keeps less than the one above it."""

from __future__ import annotations

from typing import Literal

__all__ = ["FLOWS", "RUNGS", "Rung"]

Rung = Literal["exact", "discrete", "langevin", "hessian", "equilibrium"]
RUNGS: tuple[Rung, ...] = ("exact", "discrete", "langevin", "hessian", "equilibrium")
FLOWS: tuple[Rung, ...] = ("langevin", "hessian")
"""The rungs in continuous time."""
