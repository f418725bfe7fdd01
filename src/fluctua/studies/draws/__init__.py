"""The test of draws that another library made, against the law of their sampler."""

from __future__ import annotations

from .oracle import verify_draws

__all__ = ["verify_draws"]
