"""Mathematics as MathML, converted when the pages are built: nothing is fetched or run when they are read."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.logging import getLogger

_log = getLogger(__name__)
_MATHML, _PRIME = "{http://www.w3.org/1998/Math/MathML}", "\u2032"
_UPRIGHT = re.compile(r"\\(?:mathrm|operatorname)\{([A-Za-z]+)\}")  # MathML sets text upright, and letters never
_SIGNS = {  # what the converter takes for a variable, or would space as a relation
    "<mi>&#x027E8;</mi>": '<mo form="prefix" stretchy="false">&#x027E8;</mo>',
    "<mi>&#x027E9;</mi>": '<mo form="postfix" stretchy="false">&#x027E9;</mo>',
    '<mo stretchy="false">&#x0007C;</mo>': '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>',
    "<mo>&#x0007C;</mo>": '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>',
    "<mo>&#x022A4;</mo>": "<mi>&#x022A4;</mi>",
}


def mathml(latex: str, display: str = "inline") -> str:
    """Return LaTeX as well-formed MathML that carries its source for screen readers."""
    found = convert(_UPRIGHT.sub(r"\\text{\1}", latex.replace("{aligned}", "{split}")), display=display)
    for wrong, right in _SIGNS.items():
        found = found.replace(wrong, right)
    tree = ElementTree.fromstring(found)  # raises: the converter lets through what it does not know
    for scripted in [*tree.iter(f"{_MATHML}msup"), *tree.iter(f"{_MATHML}msubsup")]:
        _lower_prime(scripted)
    tree.set("alttext", " ".join(latex.split()))
    return ElementTree.tostring(tree, encoding="unicode")


def _lower_prime(scripted: ElementTree.Element) -> None:
    """Put a prime beside its letter: fonts have it raised already, and as a superscript it would leave the line."""
    base, *rest = scripted
    above = rest[-1]
    prime = above[0] if above.tag == f"{_MATHML}mrow" and len(above) else above
    if prime.text != _PRIME:
        return
    beside = ElementTree.Element(f"{_MATHML}mrow")
    beside.extend([base, ElementTree.Element(f"{_MATHML}mo", {"lspace": "0", "rspace": "0"})])
    beside[1].text = _PRIME
    scripted[0] = beside
    if prime is above:
        scripted.remove(above)
        scripted.tag = f"{_MATHML}{'msub' if len(rest) > 1 else 'mrow'}"
    else:
        above.remove(prime)


ElementTree.register_namespace("", _MATHML.strip("{}"))


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
