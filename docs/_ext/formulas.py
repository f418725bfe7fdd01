r"""Numbered formulas: the directive `formula`, their table, and the numbers in prose as links.

    ```{formula} F2
    :function: fluctua.kernels.constant.Kernel.phi
    :test: tests/theory/test_stationary.py
    :figure: gallery/plot_01_modes
    S_{pq} = \Phi_{pq}\,\kappa\,(C + K[S])_{pq}
    ```

gives the formula, its number at the right, an anchor of that name, and under it what computes it, tests it and shows it
(one or several of each). What is not there is a warning: a function that cannot be imported, the file of a test or a
figure, a number cited in prose. So is a number given twice. Cited numbers become links. `formula-table` lists all.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode

import fluctua

_log = getLogger(__name__)
_CITED = re.compile(r"\b(F(?:\d{1,2}|1\d\d))\b")


def _resolve(path: str) -> Any:
    """Return what a dotted path means, attributes of the longest module in it; None if nothing."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name, None)
        return found
    return None


class FormulaDirective(SphinxDirective):
    """A formula with its number and anchor, and what computes, tests and shows it."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = dict.fromkeys(("function", "test", "figure"), str.split)

    def run(self) -> list[nodes.Node]:
        """Return the formula, warn of what is missing, and note it for the table."""
        (number,) = self.arguments
        if not _CITED.fullmatch(number):
            raise self.error(f"a formula's number is F0 to F199, not {number}")
        formula = {name: self.options.get(name, []) for name in self.option_spec}
        for fault in self._faults(number, formula):
            _log.warning("formula %s: %s", number, fault, location=self.get_location())
        _formulas(self.env)[number] = {**formula, "page": self.env.docname}
        latex = "\n".join(self.content)
        label = nodes.paragraph("", "", nodes.reference("", number, refuri=f"#{number}"), classes=["formula-number"])
        row = nodes.container("", nodes.math_block(latex, latex, number=None), label, classes=["formula-row"])
        held = [node for kind in formula for node in _named(kind, formula[kind], titles=True)]
        dotted = [node for each in held for node in (nodes.Text(" · "), each)][1:]
        caption = nodes.paragraph("", "", *dotted, classes=["formula-held"])
        return [nodes.container("", row, caption, ids=[number], classes=["formula"])]

    def _faults(self, number: str, formula: dict[str, list[str]]) -> list[str]:
        faults = [f"there is no {path}" for path in formula["function"] if _resolve(path) is None]
        root = Path(self.env.srcdir)
        files = [root.parent / path for path in formula["test"]] + [_source(root, path) for path in formula["figure"]]
        faults += [f"there is no file {path.relative_to(root.parent)}" for path in files if not path.exists()]
        faults += [f"names no {name}" for name in ("function", "test") if not formula[name]]
        if number in _formulas(self.env):
            faults.append(f"the number is taken, on {_formulas(self.env)[number]['page']}")
        return faults


class FormulaTable(SphinxDirective):
    """A table of all formulas: number and heading, function, test, figure."""

    def run(self) -> list[nodes.Node]:
        """Return a place for the table, which is filled when all pages are read."""
        self.env.metadata[self.env.docname]["formulas"] = "table"  # so that it is written anew with any other page
        return [nodes.container(classes=["formula-table"])]


class Links(SphinxPostTransform):
    """Fill the table, and make links of the numbers cited in prose."""

    default_priority = 5  # before references are resolved, those in the table among them

    def run(self, **_: Any) -> None:
        """Change the page in place."""
        for place in [node for node in self.document.findall(nodes.container) if "formula-table" in node["classes"]]:
            place.replace_self(_table(self.env))
        for text in [node for node in self.document.findall(nodes.Text) if _CITED.search(node) and _prose(node)]:
            text.parent.replace(text, [self._linked(piece, text) for piece in _CITED.split(text) if piece])

    def _linked(self, piece: str, text: nodes.Text) -> nodes.Node:
        if not _CITED.fullmatch(piece):
            return nodes.Text(piece)
        if piece not in _formulas(self.env):
            _log.warning("there is no formula %s", piece, location=text.parent)
            return nodes.Text(piece)
        page = _formulas(self.env)[piece]["page"]
        return make_refnode(self.app.builder, self.env.docname, page, piece, nodes.inline("", piece))


def _prose(text: nodes.Text) -> bool:
    """Whether the text stands in prose, where a number is a citation and may become a link."""
    other = (nodes.literal, nodes.FixedTextElement, nodes.title, nodes.math, nodes.reference, addnodes.pending_xref)
    node: Any = text
    while node is not None and not isinstance(node, other):
        node = node.parent
    return node is None


def _formulas(env: Any) -> dict[str, dict[str, Any]]:
    """Return the formulas of all pages read, by number."""
    env.formulas = getattr(env, "formulas", {})
    return env.formulas


def _public(path: str) -> str:
    """Return the name under which the reference has what a path means, or the path."""
    parts = path.split(".")
    for length in range(len(parts), 1, -1):
        found = _resolve(".".join(parts[:length]))
        for name in fluctua.__all__:
            if getattr(fluctua, name) is found:
                return ".".join(["fluctua", name, *parts[length:]])
    return path


def _source(root: Path, figure: str) -> Path:
    """Return the file of a figure; of a page of the gallery the example, which is there before the gallery is."""
    return root / (f"examples/{figure.removeprefix('gallery/')}.py" if figure.startswith("gallery/") else figure)


def _named(kind: str, names: list[str], *, titles: bool = False) -> list[nodes.Node]:
    """Return functions, tests or figures by name, linked where they have a page; its title is that of an example."""
    found: list[nodes.Node] = []
    for name in names:
        text = nodes.literal("", name.removeprefix("gallery/"))
        link = {"refdomain": "py", "reftype": "obj", "reftarget": _public(name)}
        if name.startswith("gallery/"):
            link = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{name}", "refexplicit": not titles}
        linked = kind == "function" or name.startswith("gallery/")
        found.append(addnodes.pending_xref("", text, refwarn=False, **link) if linked else text)
    return found


def _table(env: Any) -> nodes.table:
    """Return the table of all formulas, in the order of their numbers."""
    titles = ("formula", "function", "test", "figure")
    head = nodes.row("", *(nodes.entry("", nodes.paragraph("", title)) for title in titles))
    rows = []
    for number, formula in sorted(_formulas(env).items(), key=lambda item: int(item[0][1:])):
        cells: list[list[nodes.Node]] = [[nodes.Text(f"{number}: {formula['heading']}")]]
        cells += [_named(kind, formula[kind]) for kind in titles[1:]]
        entries = [nodes.entry("", *(nodes.paragraph("", "", each) for each in cell)) for cell in cells]
        rows.append(nodes.row("", *entries))
    columns = [nodes.colspec(colwidth=width) for width in (17, 36, 33, 14)]
    group = nodes.tgroup("", *columns, nodes.thead("", head), nodes.tbody("", *rows), cols=len(columns))
    return nodes.table("", group, classes=["formula-table", "colwidths-given"])


def _read(app: Any, doctree: nodes.document) -> None:
    """Note under which heading each formula stands."""
    for section in doctree.findall(nodes.section):  # outer ones first
        for formula in section.findall(nodes.container):
            if "formula" in formula["classes"]:
                _formulas(app.env)[formula["ids"][0]]["heading"] = section.next_node(nodes.title).astext()


def _purge(_app: Any, env: Any, page: str) -> None:
    env.formulas = {number: formula for number, formula in _formulas(env).items() if formula["page"] != page}


def _merge(_app: Any, env: Any, _pages: Any, other: Any) -> None:
    env.formulas = _formulas(env) | _formulas(other)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("formula", FormulaDirective)
    app.add_directive("formula-table", FormulaTable)
    app.add_post_transform(Links)
    app.connect("doctree-read", _read)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("env-updated", lambda _app, env: [page for page in env.metadata if "formulas" in env.metadata[page]])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
