"""Held-out data split off: the samples that scikit-learn's train_test_split takes, by label where there are labels."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._arrays import AnyArray, Ints
from .._validate.targets import labels_text, plain
from .._validate.values import positive_int, real_number, shown
from ..errors import InvalidInput

__all__ = ["MOST_SEEDS", "Rng", "Size", "fresh_seed", "held_out_share", "split_rows"]

Rng = np.random.Generator | int | None
Size = float | int
MOST_SEEDS = 2**32
"""From here on scikit-learn takes no number for a seed."""
_LARGEST = 2.0**256  # of a seed: what a result can still spell


def fresh_seed(rng: Rng = None) -> int:
    """Return the seed of a split: the number given, one that a generator draws, or a fresh one of 32 bits."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**32))
    if rng is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return positive_int("rng", rng, minimum=0, maximum=_LARGEST)


def held_out_share(test_size: object) -> Size:
    """Return how many samples are held out: a share between 0 and 1, or a whole number of them."""
    if isinstance(test_size, Integral) and not isinstance(test_size, bool | np.bool_):
        return positive_int("test_size", test_size)
    share = real_number("test_size", test_size, above=0.0)
    if share >= 1:
        raise InvalidInput(
            f"test_size must be a share of the samples, above 0 and below 1, or a whole number of them; got "
            f"{shown(test_size)}."
        )
    return share


def split_rows(samples: int, labels: AnyArray | None, test_size: Size, seed: int) -> tuple[Ints, Ints]:
    """Return the indices of training and of held-out samples, each in the order of the data.

    Raises
    ------
    InvalidInput
        Where a class has a single sample or would be left without one to train on, and where fewer than two samples
        would be left to train on, or fewer than one to each class on either side.
    """
    from sklearn.model_selection import train_test_split

    _refuse_size(samples, test_size)
    if labels is not None:
        _refuse_single(labels)
    try:
        train, test = train_test_split(
            np.arange(samples), test_size=test_size, random_state=_state(seed), stratify=labels
        )
    except ValueError as error:
        raise InvalidInput(
            f"test_size {test_size} cannot be split off {samples:,} samples by label: {str(error).rstrip('.')}. Give "
            f"another test_size, fewer classes, or more samples."
        ) from error
    if labels is not None:
        _refuse_untrained(labels, labels[train], test_size)
    return np.sort(train), np.sort(test)


def _state(seed: int) -> int | np.random.RandomState:
    """The seed as scikit-learn takes it, where it does."""
    if seed < MOST_SEEDS:
        return seed
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))


def _refuse_size(samples: int, test_size: Size) -> None:
    held_out = test_size if isinstance(test_size, int) else int(np.ceil(test_size * samples))
    if samples - held_out < 2:
        raise InvalidInput(
            f"test_size {test_size} holds {held_out:,} of {samples:,} samples out and leaves {samples - held_out:,} to "
            f"train on; a problem needs two. Give a smaller test_size."
        )


def _refuse_single(labels: AnyArray) -> None:
    distinct, counts = np.unique(labels, return_counts=True)
    alone = [plain(label) for label in distinct[counts < 2]]
    if alone:
        raise InvalidInput(
            f"the label{'s' * (len(alone) > 1)} {labels_text(alone)} {'have' if len(alone) > 1 else 'has'} a single "
            f"sample each: held out, it leaves its class untrained, and kept, untested. Leave such classes out "
            f"(classes=, --classes), or hold out a file of your own (--held-out)."
        )


def _refuse_untrained(labels: AnyArray, trained: AnyArray, test_size: Size) -> None:
    lost = [plain(label) for label in np.setdiff1d(labels, trained)]
    if lost:
        raise InvalidInput(
            f"test_size {test_size} leaves no sample of label{'s' * (len(lost) > 1)} {labels_text(lost)} to train on: "
            f"their outputs would stay untrained. Give a smaller test_size, or leave such classes out."
        )
