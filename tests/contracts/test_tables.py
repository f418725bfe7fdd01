"""Columns as a frame, as CSV and as HTML; packages that are not there are named with their line of pip."""

import numpy as np
import pytest

from fluctua._optional import needed
from fluctua._tables import csv_text, data_frame, html_table, text_table
from fluctua.errors import FluctuaError, MissingPackage

COLUMNS = {"lr": np.array([0.1, 1 / 3]), "rung <exact>": ["a,b", None]}


def test_csv_keeps_every_digit_and_quotes_what_needs_it():
    assert csv_text(COLUMNS) == 'lr,rung <exact>\n0.1,"a,b"\n0.3333333333333333,\n'


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        csv_text({"a": [1, 2], "b": [1]})


def test_html_escapes_and_says_how_many_rows_are_left():
    page = html_table(COLUMNS, rows=1)
    assert "rung &lt;exact&gt;" in page
    assert "<p>1 more rows</p>" in page
    assert "0.333333" in html_table(COLUMNS)


def test_text_is_as_wide_as_its_longest_cell_and_at_least_as_wide_as_asked():
    rows = [
        ("name", "of", "z", "verdict"),
        ("a", "b", "1", "consistent"),
        ("of seven", "long", "-123456.7", "rejected"),
    ]
    assert text_table(rows, ("<6", "<2", ">4", "<")).splitlines() == [
        "name     of           z  verdict",
        "a        b            1  consistent",
        "of seven long -123456.7  rejected",
    ]
    assert text_table([("lr", "loss"), ("1", "2")], (">4", ">6"), gap="  ") == "  lr    loss\n   1       2"


def test_a_frame_has_the_columns():
    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_series_equal(data_frame(COLUMNS)["lr"], pandas.Series(COLUMNS["lr"], name="lr"))


def test_a_missing_package_is_named_with_its_line_of_pip():
    with pytest.raises(MissingPackage, match="pip install no-such-package") as caught:
        needed("no_such_package.inside", "reading a .none file", install="no-such-package")
    assert isinstance(caught.value, FluctuaError | ImportError)
    assert caught.value.command == "pip install no-such-package"
