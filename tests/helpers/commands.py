"""What the tests of the command line share."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema

__all__ = ["SMALL", "check"]

SMALL = ["--steps", "64", "--replicas", "16", "--seed", "1", "--level", "1e-6", "--no-report"]
"""Of `fluctua verify`: quick, the same every time, and alarmed by chance once in a million."""


def check(result, name):
    """Hold a result against its published schema."""
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / f"{name}.json").read_text()))
