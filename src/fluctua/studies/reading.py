"""Options of a study that reads data: which arrays of a file it takes, and where the files of data sets are."""

from __future__ import annotations

from shlex import quote

import click

__all__ = ["READING", "reading_words"]

READING = (
    click.Option(["--targets"], help="For a file of inputs: the file of their targets, of any format."),
    click.Option(["--inputs-key"], help="The array or columns of a file's inputs.  [default: X, inputs, ...]"),
    click.Option(["--targets-key"], help="The array or column of its targets or labels.  [default: y, label, ...]"),
    click.Option(["--data-dir"], type=str, help="Where the files of data sets are."),
)


def reading_words(targets: str | None, inputs_key: str | None, targets_key: str | None) -> str:
    """Return these options as they were given, for the command that repeats the study, each after a space."""
    given = {"--targets": targets, "--inputs-key": inputs_key, "--targets-key": targets_key}
    return "".join(f" {name} {quote(key)}" for name, key in given.items() if key is not None)
