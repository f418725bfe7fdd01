"""The figures of the study, from the arrays of a verdict alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...report.figures.sheet import Sheet
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__: list[str] = []
