"""What was done to data before they became a problem, in words and as options: read from what a result says of them."""

from __future__ import annotations

from collections.abc import Iterator

from .._validate.plain import Header, Keywords
from .splitting import MOST_SEEDS

__all__ = ["preparation_code", "preparation_options", "preparation_words"]

_SWITCHES = ("bias", "center", "standardize")
_LONG = 60  # characters of a pipeline that are shown


def preparation_words(record: Header) -> str:
    """Return what was done in a line; nothing where nothing was."""
    return "; ".join(part for part in (", ".join(_steps(record)), _split(record)) if part)


def preparation_options(record: Header) -> Keywords:
    """Return the options of a command that does the same, without the seed; a pipeline has none."""
    switches = {name: True for name in _SWITCHES if record.get(name)}
    return switches | ({"test_size": record["test_size"]} if "test_size" in record else {})


def preparation_code(record: Header, labelled: bool) -> str:
    """Return lines of Python that do the same to the NumPy arrays `inputs` and `targets`; nothing where nothing was.

    Held-out samples are left as `test_inputs` and `test_targets`, and a pipeline has no lines.
    """
    lines = [*_split_code(record, labelled), *_steps_code(record)]
    if not lines:
        return ""
    given = "# given, as NumPy arrays: inputs, targets; prepared as the data of the prediction were"
    return "\n".join(["import numpy as np", *_imports(record), "", given, *lines, "", ""])


def _imports(record: Header) -> list[str]:
    return ["from sklearn.model_selection import train_test_split"] if "test_size" in record else []


def _split_code(record: Header, labelled: bool) -> Iterator[str]:
    if "test_size" in record:
        seed = int(record["seed"])
        many = f"np.random.RandomState(np.random.MT19937(np.random.SeedSequence({seed})))"
        yield "rows, test_rows = train_test_split("
        yield f"    np.arange(len(targets)), test_size={record['test_size']},"
        yield f"    random_state={seed if seed < MOST_SEEDS else many}, stratify={'targets' if labelled else None},"
        yield ")"
        yield "rows, test_rows = np.sort(rows), np.sort(test_rows)"
        yield "test_inputs, test_targets = inputs[test_rows], targets[test_rows]"
        yield "inputs, targets = inputs[rows], targets[rows]"


def _steps_code(record: Header) -> Iterator[str]:
    both = ["inputs", "test_inputs"] if "test_size" in record else ["inputs"]
    if record.get("center"):
        yield "mean = inputs.mean(axis=0, dtype=np.float64)"
        if record.get("standardize"):
            yield "scale = inputs.std(axis=0, dtype=np.float64)"
            yield "scale[np.ptp(inputs, axis=0) == 0] = 1  # columns that are constant"
        yield from (f"{name} = ({name} - mean){' / scale' if record.get('standardize') else ''}" for name in both)
    if record.get("bias"):
        yield from (f"{name} = np.column_stack([{name}, np.ones(len({name}))])" for name in both)


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
