"""Combinations of parameters of which a plain run takes a part: the rest is behind --slow and --rest."""

from __future__ import annotations

from itertools import product

import pytest

__all__ = ["thinned"]


def thinned(one_in, *axes):
    """Parametrise with all combinations of named axes, given as (name, values); all but one in so many are slow.

    Kept in a plain run are those whose places along the axes add up to a multiple of `one_in`, as in a Latin square:
    with three axes and at least `one_in` values on each, any two values of two axes meet in one that is kept.
    """
    names = ", ".join(name for name, _ in axes)
    places = product(*(range(len(values)) for _, values in axes))
    cases = product(*(values for _, values in axes))
    return pytest.mark.parametrize(
        names,
        [
            pytest.param(*case, marks=[pytest.mark.slow] * (sum(place) % one_in > 0))
            for place, case in zip(places, cases, strict=True)
        ],
    )
