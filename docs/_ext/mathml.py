"""Mathematics as MathML, converted when the pages are built: nothing is fetched or run when they are read."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.logging import getLogger

_log = getLogger(__name__)
_UPRIGHT = re.compile(r"\\(?:mathrm|operatorname)\{([A-Za-z]+)\}")  # MathML sets text upright, and letters never
_SIGNS = {  # what the converter takes for a variable, or would space as a relation
    "<mi>&#x027E8;</mi>": '<mo form="prefix" stretchy="false">&#x027E8;</mo>',
    "<mi>&#x027E9;</mi>": '<mo form="postfix" stretchy="false">&#x027E9;</mo>',
    '<mo stretchy="false">&#x0007C;</mo>': '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>',
    "<mo>&#x0007C;</mo>": '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>',
    "<mo>&#x022A4;</mo>": "<mi>&#x022A4;</mi>",
    "<mi>&#x02032;</mi>": "<mo>&#x02032;</mo>",
}


def mathml(latex: str, display: str = "inline") -> str:
    """Return LaTeX as well-formed MathML that carries its source for screen readers."""
    found = convert(_UPRIGHT.sub(r"\\text{\1}", latex.replace("{aligned}", "{split}")), display=display)
    for wrong, right in _SIGNS.items():
        found = found.replace(wrong, right)
    ElementTree.fromstring(found)  # raises: the converter lets through what it does not know
    return found.replace("<math ", f'<math alttext="{escape(" ".join(latex.split()))}" ', 1)


def _html(display: str) -> Any:
    """Return the visitor that writes mathematics of this kind."""

    def visit(writer: Any, node: nodes.Element) -> None:
        try:
            found = mathml(node.astext(), display)
            writer.body.append(f'<div class="mathml">{found}</div>' if display == "block" else found)
        except Exception as fault:
            _log.warning("this is not LaTeX that can be typeset: %s", fault, location=node)
        raise nodes.SkipNode

    return visit


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (_html("inline"), None), (_html("block"), None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
