"""How each sampling is done in torch: the lines that make the batches of a run of T steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from ..samplers import Distinct, Epochs, Sampler
from ..sampling import WeightedSampling
from .layout import assigned

__all__ = ["Draws", "batches", "chances"]


@dataclass(frozen=True)
class Draws:
    """What a loader needs to know.

    Attributes
    ----------
    batch_size, steps : int
    drop_last : bool
    """

    batch_size: int
    steps: int
    drop_last: bool


@singledispatch
def batches(sampler: Sampler, draws: Draws) -> list[str]:
    """Return the lines that make `batches`, which end with the run, of `data`, a TensorDataset."""
    del sampler
    size = draws.batch_size
    return [
        "# batches drawn with replacement",
        *assigned(f"sampler = RandomSampler(data, replacement=True, num_samples={size} * {draws.steps})"),
        f"batches = DataLoader(data, batch_size={size}, sampler=sampler)",
    ]


@batches.register
def _(_: WeightedSampling, draws: Draws) -> list[str]:
    size = draws.batch_size
    return [
        "# batches drawn with replacement, in proportion to the weights",
        *assigned(f"sampler = WeightedRandomSampler(weights, num_samples={size} * {draws.steps})"),
        f"batches = DataLoader(data, batch_size={size}, sampler=sampler)",
    ]


@batches.register
def _(_: Distinct, draws: Draws) -> list[str]:
    return [
        "# every batch drawn anew, its samples distinct",
        "sampler = (",
        f"    torch.randperm(len(data))[:{draws.batch_size}].tolist()",
        f"    for _ in range({draws.steps})",
        ")",
        "batches = DataLoader(data, batch_sampler=sampler)",
    ]


@batches.register
def _(sampler: Epochs, draws: Draws) -> list[str]:
    dropped = ", drop_last=True" if draws.drop_last else ""
    fresh = ", shuffle=True" if np.isinf(sampler.shuffles) else ""
    once = ["# one random order for all epochs", "order = torch.randperm(len(data)).tolist()"]
    once += ["data = torch.utils.data.Subset(data, order)"]
    order = "a fresh random order each" if fresh else "one order"
    return [
        *(once if sampler.shuffles == 1 else []),
        f"# epochs, {order}, until the steps are done",
        f"loader = DataLoader(data, batch_size={draws.batch_size}{fresh}{dropped})",
        "epochs = itertools.chain.from_iterable(itertools.repeat(loader))",
        f"batches = itertools.islice(epochs, {draws.steps})",
    ]


@singledispatch
def chances(sampler: Sampler, weighted: bool) -> list[str]:
    """Return the lines that make N p_i, called `share`, and change the factors `w` of the samples' losses by it."""
    del sampler, weighted
    return []


@chances.register
def _(sampling: WeightedSampling, weighted: bool) -> list[str]:
    lines = ["weights = np.asarray(weights, np.float64)", "share = torch.tensor(weights / weights.mean()).to(x)"]
    if not sampling.unbiased:
        return lines if weighted else [*lines, "w = torch.ones_like(share)"]
    return [*lines, "w = (w / share).nan_to_num(nan=0.0)" if weighted else "w = 1 / share"]
