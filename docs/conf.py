"""How the documentation is built: `sphinx-build -W docs site`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed
from importlib.util import find_spec
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
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_gallery.gen_gallery",
    "formulas",
    "live_explorer",
    "mathml",
    "offline",
]
exclude_patterns = ["examples", "figures", "README.md"]
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["formulas.css", "tables.css", "frames.css"]
html_theme = "furo"
smartquotes_action = "qe"  # quotes and ellipses: two dashes are an option's
html_title = "fluctua"
html_theme_options = {"footer_icons": []}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
templates_path = ["_templates"]
autosummary_context = {  # what a class's own list of attributes has already, and what is for other rooms
    "excluded": {
        "Prediction": "law, moments, mode_covariance, steps, start, rtol, curve, position, mode_mean, mode_mean_left"
    }
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have them, in numpydoc's words
napoleon_google_docstring = False
napoleon_use_ivar = True
suppress_warnings = [
    "config.cache",  # the gallery sorts by a class
    "ref.python",  # attributes of several classes have one name, which is the point of a vocabulary
]
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "ignore_pattern": "__init__" if find_spec("torch") else "plot_12_flatness",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": "gallery.described",
    "reset_modules": ("matplotlib", "gallery.styled"),
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 60,
    "write_computation_times": False,
}


_properties: dict[str, list[str]] = {}


def _literal(_app: Any, what: str, name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Keep |x| and W* in docstrings what they are: bars and stars of formulas, not of reStructuredText."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            prose = re.split(r"(``.*?``)", line)  # every other piece is literal already
            prose[::2] = [re.sub(r"\||(?<=\bW)\*", r"\\\g<0>", piece) for piece in prose[::2]]
            lines[number] = "".join(prose)
    if what == "property":
        _properties[name] = list(lines)


def _property(_app: Any, what: str, name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Give back what napoleon took for the type of a property: the words before a colon."""
    if what == "property":
        lines[:] = _properties.pop(name)


def _options(_app: Any, _context: Any, lines: list[str]) -> None:
    """Keep |x| in the help of options what it is."""
    lines[:] = [line if line.lstrip().startswith("..") else line.replace("|", r"\|") for line in lines]


def setup(app: Any) -> None:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _literal, priority=100)
    app.connect("autodoc-process-docstring", _property, priority=900)
    app.connect("sphinx-click-process-options", _options)
