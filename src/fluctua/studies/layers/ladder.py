"""The ladder of theories of a two-layer net, from the drifting frame down to an isotropic state."""

from __future__ import annotations

from typing import Literal

__all__ = ["ADDITIVE", "LAYER_RUNGS", "LayerRung"]

LayerRung = Literal["drifting", "linear", "discrete", "langevin", "isotropic"]
LAYER_RUNGS: tuple[LayerRung, ...] = ("drifting", "linear", "discrete", "langevin", "isotropic")
ADDITIVE: tuple[LayerRung, ...] = ("discrete", "langevin", "isotropic")
"""The rungs whose noise does not feel the fluctuation."""
