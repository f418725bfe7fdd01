"""What is worth saying of a loader: its order, what it repeats or drops, and whether it draws random numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils import data as torch_data

__all__ = ["Dice", "drawn_words", "expected_rows", "is_shuffled", "remarks"]

_RANDOM = ("random", "jitter", "augment", "mixup", "cutmix", "augmix", "noise", "elastic", "erasing")
"""In the names of transforms that draw."""


def expected_rows(loader: Any, first: int, limit: int | None) -> int | None:
    """Return how many samples a loader will give whose first batch has so many; None where it does not say."""
    counted = _length(loader.sampler) if _draws_samples(loader) else _length(loader) * first
    if not counted:
        return limit
    return counted if limit is None else min(counted, limit)


def remarks(loader: Any) -> Iterator[str]:
    """Yield a sentence for each thing about the loader that changes what its samples are."""
    if not isinstance(loader, torch_data.DataLoader):
        return
    if _repeats(loader):
        yield "the loader draws with replacement: some samples came more often than once, and others not at all"
    elif is_shuffled(loader):
        yield "the loader shuffles: the features lie in the order in which they came"
    if loader.drop_last and (left := _length(loader.sampler) % (loader.batch_size or 1)):
        yield f"the loader drops the last batch: {left:,} samples were not seen (drop_last=True)"
    if found := sorted(set(_random_transforms(loader.dataset))):
        yield f"the loader augments ({', '.join(found)}): {_AUGMENTED}"


_AUGMENTED = (
    "every sample was seen as it came once, and a run that augments anew each epoch has other noise than predicted"
)


class Dice:
    """Whether random numbers are drawn between two looks, of torch, NumPy or Python, in this process."""

    def __init__(self) -> None:
        self._before = self._now()

    def look(self) -> None:
        """Remember how the generators stand."""
        self._before = self._now()

    @property
    def rolled(self) -> bool:
        """Whether any of the generators has moved since the last look."""
        return any(not np.array_equal(one, other) for one, other in zip(self._before, self._now(), strict=False))

    @staticmethod
    def _now() -> tuple[Any, ...]:
        name, keys, place, *_ = np.random.get_state()  # noqa: NPY002  (the one that loaders draw from)
        del name
        state = random.getstate()
        devices = [torch.cuda.get_rng_state().numpy()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call, unused-ignore]
        return torch.get_rng_state().numpy(), np.append(keys, place), np.array(state[1], np.uint32), *devices


def drawn_words(loader: bool, model: bool) -> Iterator[str]:
    """Yield what is to be said where random numbers were drawn between batches, or while features were made."""
    if loader:
        yield f"the loader draws random numbers between batches, as one that augments does: {_AUGMENTED}"
    if model:
        yield (
            "the features draw random numbers, though the model is in eval mode: every sample was seen as it came "
            "once, and would have other features the next time"
        )


def is_shuffled(loader: Any) -> bool:
    """Whether a loader of torch gives its samples in a random order."""
    return isinstance(getattr(loader, "sampler", None), torch_data.RandomSampler | torch_data.WeightedRandomSampler)


def _repeats(loader: Any) -> bool:
    sampler = loader.sampler
    weighted = isinstance(sampler, torch_data.WeightedRandomSampler)
    return bool((weighted or isinstance(sampler, torch_data.RandomSampler)) and sampler.replacement)


def _draws_samples(loader: Any) -> bool:
    return isinstance(loader, torch_data.DataLoader) and isinstance(loader.batch_sampler, torch_data.BatchSampler)


def _length(held: Any) -> int:
    try:
        return len(held)
    except (TypeError, NotImplementedError):
        return 0


def _random_transforms(dataset: Any, depth: int = 0) -> Iterator[str]:
    """Names of transforms that draw, of a data set, of those inside it, and of those that are composed."""
    if depth > 8 or dataset is None:
        return
    name = type(dataset).__name__
    if any(word in name.lower() for word in _RANDOM) and callable(dataset):
        yield name
    for inside in ("dataset", "transform", "transforms"):
        held = getattr(dataset, inside, None)
        for each in held if isinstance(held, list | tuple) else [held]:
            if each is not None and each is not dataset:
                yield from _random_transforms(each, depth + 1)
