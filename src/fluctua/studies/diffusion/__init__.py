"""Diffusion: the samplers of diffusion models as linear stochastic maps (docs/studies/diffusion.md).

The framework is that of Han, arXiv:2408.07285; formulas and numbers are our own.
"""

from __future__ import annotations

from .gaussian import GaussianData
from .sampler import DDIM
from .schedule import Grid

__all__ = ["DDIM", "GaussianData", "Grid"]
