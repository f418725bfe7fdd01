"""explorer.html beside the pages: the explorer of a report on digits, alone, for the index to frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fluctua as fl
from fluctua.report import render
from fluctua.report.explorer.ranges import surveyed

_ALONE = "<style>article > :not(.explorer), footer { display: none } main { padding: 0 }</style></head>"


def _write(app: Any, fault: Exception | None) -> None:
    """Write it where the gallery is drawn too: both take seconds."""
    if fault or not app.config.sphinx_gallery_conf["plot_gallery"] or app.builder.name != "html":
        return
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=500, replicas=64, rng=1).about(data.about)
    page = render(surveyed(verdict, problem), brief=[0])
    (Path(app.outdir) / "explorer.html").write_text(page.replace("</head>", _ALONE, 1), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
