"""The formulas that pages of verdicts carry: taken from the documentation, typeset, and kept in the package.

    python docs/_ext/page_formulas.py

writes them anew; a test holds the file against the documentation.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from mathml import mathml

DOCS = Path(__file__).parents[1]
HELD = DOCS.parent / "src" / "fluctua" / "report" / "page" / "formulas.json"
TITLES = {
    "F0": "Balance at every step: storage and dissipation against fluctuation",
    "F1": "Stationary balance: dissipation equals fluctuation",
    "F2": "The same in the modes of H",
    "F7": "The lower rungs of the ladder",
    "F8": "Excess loss, and temperature of a mode",
    "F9": "The state after t steps",
    "F10": "The step with momentum",
    "F11": "Its kernel",
    "F12": "The largest stable learning rate",
    "F17": "Error bars over replicas",
    "F20": "Correlation and response",
    "F21": "Response from correlation",
    "F22": "Answer to a steady force",
    "F23": "Circulation",
    "F26": "Entropy production",
    "F28": "Its estimate from areas",
    "F29": "Its plug-in estimate",
    "F36": "Yaida's relations",
    "F43": "The balance of shuffled epochs",
    "F44": "Noise that an epoch takes back",
    "F100": "A chain whose step adapts, and what it keeps",
    "F101": "Its stationary law at finite step",
    "F102": "Its bias to first order in the step",
    "F103": "Averages weighted by the monitor",
    "F106": "What the fluctuation of two layers adds to their noise",
    "F107": "The fluctuation of two layers about a moving frame",
    "F108": "The balance of the layers after a step",
    "F110": "Variance against curvature",
    "F112": "Isotropic noise in two layers",
    "F115": "Speed of learning by Hebb's rule",
    "F116": "The response, from fluctuation alone",
    "F117": "The balance of fluctuation and learning",
    "F118": "Learning to a finite strength",
    "F119": "The Gaussian closure",
    "F128": "A step of a sampler, mode by mode",
    "F129": "The cosine law of DDIM",
    "F131": "The most that any grid keeps",
    "F132": "What steps lose, and what noise forgets, to leading order",
    "F133": "The grid that loses least",
    "F135": "Distances of Gaussians",
}
_DIRECTIVE = re.compile(r"^ *```\{formula\} (F\d+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def formulas() -> dict[str, dict[str, str]]:
    """Return number to title, LaTeX and MathML."""
    latex: dict[str, str] = {}
    for page in sorted(DOCS.rglob("*.md")):
        for number, body in _DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            lines = [line.strip() for line in body.splitlines() if not line.strip().startswith(":")]
            latex[number] = "\n".join(lines).strip()
    return {
        number: {"title": title, "latex": latex[number], "mathml": mathml(latex[number], "block")}
        for number, title in TITLES.items()
    }


if __name__ == "__main__":
    HELD.write_text(json.dumps(formulas(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
