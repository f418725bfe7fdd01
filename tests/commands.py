"""What the tests of the command line share."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema

__all__ = ["SMALL", "check"]

SMALL = ["--steps", "64", "--replicas", "16", "--seed", "1", "--no-report"]
"""Of `fluctua verify`: quick, and the same every time."""


def check(result, name):
    """Hold a result against its published schema."""
    jsonschema.validate(result, json.loads((files("fluctua") / "schemas" / f"{name}.json").read_text()))
