"""Expectation against finding: a dynamic verdict from its statements and its estimates."""

from __future__ import annotations

from ..._validate.plain import Header
from ...simulation.agenda import Found
from ...storage.results import provenance
from .estimators import Estimates
from .expectation import Expectation
from .statements import Statements
from .verdict import DynamicVerdict

__all__ = ["verdict_of"]


def verdict_of(
    expected: Expectation, found: Found, level: float, resolution: float, identity: Header
) -> DynamicVerdict:
    """Return every statement, the mutants, the circulation and the entropy production."""
    statements = Statements(expected, found, level, resolution)
    estimates = Estimates(statements)
    return DynamicVerdict(
        level=level,
        resolution=resolution,
        rows=tuple(statements.rows()),
        circulation=statements.circulation,
        entropy=tuple(estimates.entropy()),
        relations=tuple(estimates.relations()),
        identity=identity,
        provenance=provenance(),
        arrays=estimates.arrays(),
    )
