"""The loops in torch that a command prints, each after the lines that give it the samples of the prediction."""

from __future__ import annotations

from collections.abc import Iterable

from .._validate.plain import Keywords
from ..data.dataset import Dataset
from ..data.prepared import preparation_code
from .asking import PLACES, labels_of

__all__ = ["loops", "selection"]


def selection(options: Keywords) -> str:
    """Return the line of Python that selects the samples, as a comment; nothing where all of DATA are meant."""
    if options["classes"] is None and options["limit"] is None:
        return ""
    given = {name: value for name in PLACES[1:] if name != "data_dir" and (value := options[name]) is not None}
    given |= {"classes": labels_of(options["classes"])} if options["classes"] else {}
    said = "".join(f", {name}={value!r}" for name, value in given.items())
    return (
        "# The prediction is of some of the samples, which this line selects:\n"
        f"# data = fluctua.load({options['data']!r}{said}); inputs, targets = data.inputs, data.targets\n"
    )


def loops(selected: str, dataset: Dataset, codes: Iterable[str]) -> list[str]:
    """Return the loops, each after what selects and prepares their samples."""
    before = selected + preparation_code(dataset.preparation, dataset.labels is not None)
    return [before + code for code in codes]
