"""The parts of the benchmark, each kept as soon as it is there: truth and runs are scratch, the numbers stay."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from . import ours
from .descents import Case
from .ours import Looks

EPOCHS = 256.0
"""Last look of the runs without momentum in least squares; softmax is at rest long before (SOFTMAX_EPOCHS)."""
SOFTMAX_EPOCHS = 64.0


def last_epoch(case: Case, epochs: float) -> float:
    return min(epochs, SOFTMAX_EPOCHS) if case.softmax else epochs


def kept(scratch: Path, what: str, *key: Any) -> Path:
    """Return where a part of these parameters is kept."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    return scratch / f"{what}-{digest}.npz"


def truth(case: Case, epochs: float, scratch: Path) -> np.ndarray:
    """Return the exact mean loss of each epoch of a linear case, (1, epochs)."""
    whole = int(2 * np.ceil(epochs)) + 2
    path = kept(scratch, "truth", case, whole)
    if not path.exists():
        np.savez(path, curve=ours.exact(case, whole))
    return np.asarray(np.load(path)["curve"])


def runs(case: Case, count: int, epochs: float, seed: int, scratch: Path) -> Looks:
    """Return what a monitor keeps of so many runs."""
    path = kept(scratch, "runs", case, count, epochs, seed)
    if not path.exists():
        found = ours.watch(case, count, epochs, seed)
        np.savez(path, products=found.products, floors=found.floors, losses=found.losses)
    parts = np.load(path)
    losses = parts["losses"] if case.softmax else truth(case, epochs, scratch)
    return Looks(case, ours.lengths_to(case, epochs), parts["products"], parts["floors"], losses)


def sizes(case: Case, count: int, epochs: float, seed: int, scratch: Path) -> dict[str, Any]:
    """Return the false alarms at every boundary, those of the mutants, and when the rule fires."""
    found = runs(case, count, last_epoch(case, epochs), seed, scratch)
    ends = [*found.epochs, float("nan")]
    rows = {"rule": ours.RULE, **ours.MUTANTS}
    return {
        "runs": count,
        "boundaries": ours.boundaries(found, ours.RULE),
        "mutants": {name: _mutant(found, rule) for name, rule in ours.MUTANTS.items()},
        "fires": {name: [float(ends[k]) for k in ours.firing(found, rule)] for name, rule in rows.items()},
    }


def _mutant(found: Looks, rule: ours.Rule) -> dict[str, list[int]]:
    rows = ours.boundaries(found, rule)
    return {name: [row[name] for row in rows] for name in ("false_at_gain", "false_at_estimate")}


def machine() -> dict[str, Any]:
    """Return what the numbers were made on: rounding, and so a seed's run, depends on the instruction set."""
    from llvmlite import binding

    import fluctua

    return {
        "cpu": binding.get_host_cpu_name(),
        "avx512": bool(binding.get_host_cpu_features().get("avx512f", False)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "fluctua": fluctua.__version__,
    }


def update(path: Path, part: str, name: str, value: Any) -> None:
    """Set one entry of the results' file."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole.setdefault(part, {})[name] = _plain(value)
    path.write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """JSON has no NaN: what never fires is null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
