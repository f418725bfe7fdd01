"""How each sampling is done in torch: the lines that make a `loader`, and how a run of T steps reads from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from ..samplers import Distinct, Epochs, Sampler
from ..sampling import WeightedSampling

__all__ = ["Draws", "chances", "loader"]

ONE_BY_ONE = "loader"
"""A loader that ends with the run."""
IN_EPOCHS = "itertools.islice(epochs, {steps})"
"""Epoch after epoch, cut where the run ends."""


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
def loader(sampler: Sampler, draws: Draws) -> tuple[list[str], str]:
    """Return the lines that make the batches, and what the loop iterates over; `data` is a TensorDataset."""
    del sampler
    size = draws.batch_size
    return [
        "# batches drawn with replacement",
        "sampler = RandomSampler(",
        f"    data, replacement=True, num_samples={size} * {draws.steps}",
        ")",
        f"loader = DataLoader(data, batch_size={size}, sampler=sampler)",
    ], ONE_BY_ONE


@loader.register
def _(_: WeightedSampling, draws: Draws) -> tuple[list[str], str]:
    size = draws.batch_size
    return [
        "# batches drawn with replacement, in proportion to the weights",
        f"sampler = WeightedRandomSampler(weights, num_samples={size} * {draws.steps})",
        f"loader = DataLoader(data, batch_size={size}, sampler=sampler)",
    ], ONE_BY_ONE


@loader.register
def _(_: Distinct, draws: Draws) -> tuple[list[str], str]:
    return [
        "# every batch drawn anew, its samples distinct",
        "batches = (",
        f"    torch.randperm(len(data))[:{draws.batch_size}].tolist()",
        f"    for _ in range({draws.steps})",
        ")",
        "loader = DataLoader(data, batch_sampler=batches)",
    ], ONE_BY_ONE


@loader.register
def _(sampler: Epochs, draws: Draws) -> tuple[list[str], str]:
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
    ], IN_EPOCHS.format(steps=draws.steps)


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
