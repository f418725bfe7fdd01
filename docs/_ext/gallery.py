"""The gallery: figures in the project's own style, and for those who do not see them the words in the example.

    # sphinx_gallery_alt = "Variance falls with the curvature of the mode; "
    # sphinx_gallery_alt = "the exact law and the discrete one lie together."

Lines that follow one another describe one figure. A figure without words is a warning.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from sphinx.util.logging import getLogger
from sphinx_gallery.scrapers import matplotlib_scraper

from fluctua.report.figures.frame import STYLE

_log = getLogger(__name__)
_WORDS = re.compile(r'# sphinx_gallery_alt = "(.*)"$')
_ALT = re.compile(r"(?m)(?<=:alt: ).*$")


def styled(_conf: Any, _file: Any) -> None:
    """Set the style before each example."""
    import matplotlib as mpl  # noqa: PLC0415  (the gallery's build alone draws)

    mpl.rcParams.update(STYLE)


def described(block: Any, block_vars: Any, conf: Any, **more: Any) -> str:
    """Scrape Matplotlib's figures, and give each the words of its example."""
    found = matplotlib_scraper(block, block_vars, conf, **more)
    count = len(_ALT.findall(found))
    last = len(block_vars["image_path_iterator"])
    words = _words(Path(block_vars["src_file"]))[last - count : last]
    if len(words) < count:
        _log.warning("%s: a figure has no sphinx_gallery_alt", Path(block_vars["src_file"]).name)
        return str(found)
    left = iter(words)
    return _ALT.sub(lambda _: next(left), found)


def _words(example: Path) -> list[str]:
    """Return what an example says of each of its figures."""
    matches = (_WORDS.match(line) for line in example.read_text(encoding="utf-8").splitlines())
    groups = groupby(matches, key=lambda match: match is not None)
    return ["".join(match[1] for match in group if match) for said, group in groups if said]
