"""How the documentation is built: `sphinx-build -W docs site`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "fluctua"
author = "The fluctua developers"
copyright = "the fluctua developers. MIT licence"  # noqa: A001  (Sphinx's name)
version = release = installed("fluctua")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "formulas",
    "mathml",
]
exclude_patterns = ["examples", "figures", "README.md"]
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["formulas.css", "tables.css"]
html_theme = "furo"
html_title = "fluctua"
html_theme_options = {"footer_icons": []}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have them, in numpydoc's words
napoleon_google_docstring = False
napoleon_use_ivar = True
suppress_warnings = ["config.cache"]  # the gallery sorts by a class
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 60,
    "write_computation_times": False,
}


def _literal(_app: Any, _what: str, _name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Keep |x| and W* in docstrings what they are: bars and stars of formulas, not of reStructuredText."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            prose = re.split(r"(``.*?``)", line)  # every other piece is literal already
            prose[::2] = [re.sub(r"\||(?<=\bW)\*", r"\\\g<0>", piece) for piece in prose[::2]]
            lines[number] = "".join(prose)


def setup(app: Any) -> None:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _literal, priority=100)
