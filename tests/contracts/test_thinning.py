"""What a plain run leaves out of a product of parameters is slow, not lost; and any two values still meet in it."""

from itertools import combinations, product

from helpers.thinning import thinned

AXES = (("one", "abcd"), ("two", range(5)), ("three", [None, 1.5, "x"]))


def parted(one_in):
    """All cases, and those of a plain run."""
    names, cases = thinned(one_in, *AXES).args
    assert names == "one, two, three"
    return [case.values for case in cases], [case.values for case in cases if not case.marks]


def test_no_combination_is_lost():
    for one_in in (1, 2, 3):
        everything, _ = parted(one_in)
        assert everything == list(product(*(values for _, values in AXES)))


def test_every_case_left_out_is_slow():
    _, cases = thinned(3, *AXES).args
    assert {mark.name for case in cases for mark in case.marks} == {"slow"}


def test_any_two_values_of_two_axes_meet_in_a_plain_run():
    everything, plain = parted(3)
    assert len(plain) == len(everything) / 3
    for first, second in combinations(range(3), 2):
        assert {(case[first], case[second]) for case in plain} == {(case[first], case[second]) for case in everything}
