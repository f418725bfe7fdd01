"""What was done to data before they became a problem, in words and as options: read from what a result says of them."""

from __future__ import annotations

from collections.abc import Iterator

from .._validate.plain import Header, Keywords

__all__ = ["preparation_options", "preparation_words"]

_SWITCHES = ("bias", "center", "standardize")
_LONG = 60  # characters of a pipeline that are shown


def preparation_words(record: Header) -> str:
    """Return what was done in a line; nothing where nothing was."""
    return "; ".join(part for part in (", ".join(_steps(record)), _split(record)) if part)


def preparation_options(record: Header) -> Keywords:
    """Return the options of a command that does the same, without the seed; a pipeline has none."""
    switches = {name: True for name in _SWITCHES if record.get(name)}
    return switches | ({"test_size": record["test_size"]} if "test_size" in record else {})


def _steps(record: Header) -> Iterator[str]:
    if record.get("pipeline"):
        text = str(record["pipeline"])
        yield text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
    if record.get("center"):
        constant = record.get("constant") or 0
        still = f" ({constant:,} constant column{'s' * (constant > 1)} at 0)" if constant else ""
        yield ("centred, standardised" if record.get("standardize") else "centred") + still
    if record.get("bias"):
        yield "a column of ones"
    elif record.get("center"):
        yield "no bias"


def _split(record: Header) -> str:
    if "test_size" not in record:
        return ""
    size = record["test_size"]
    share = f"{size:,} samples" if isinstance(size, int) else f"{100 * size:.3g} %"
    return f"{share} held out, seed {record['seed']}"
