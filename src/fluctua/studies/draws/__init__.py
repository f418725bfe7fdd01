"""The test of draws that another library made: are they what the law of their sampler says?"""

from __future__ import annotations

from .oracle import verify_draws

__all__ = ["verify_draws"]
