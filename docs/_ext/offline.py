"""Pages ask nothing of any network: a page that would fetch a script, a style or a picture is a warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.util.logging import getLogger

_log = getLogger(__name__)
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"https?:[^\"]*|<link\b[^>]*stylesheet[^>]*https?:[^\"]*"
)


def _check(app: Any, fault: Exception | None) -> None:
    pages = [] if fault else sorted(Path(app.outdir).rglob("*.html"))
    for page in pages:
        for found in _FETCHED.findall(page.read_text(encoding="utf-8")):
            _log.warning("%s fetches %s", page.relative_to(app.outdir), found)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
