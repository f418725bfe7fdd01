"""Reports on the command line, and tables on a terminal."""

from __future__ import annotations

import html
import io
import json
import re
import sys

import pytest

import fluctua as fl
from fluctua.cli.tables import show, show_ladder
from helpers.commands import SMALL, check


class Terminal(io.StringIO):
    """Where a person reads."""

    def isatty(self):
        return True


@pytest.fixture
def result(small_problem, tmp_path):
    verdict = fl.verify(small_problem, fl.SGD(lr=0.02, batch_size=4), steps=64, replicas=16, rng=1)
    (tmp_path / "first").mkdir()
    verdict.save(tmp_path / "first")
    return verdict


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_a_saved_result_becomes_a_page_beside_it(run, result, tmp_path):
    del result
    code, out, err = run("report", "first")
    assert (code, out, err) == (0, "first/report.html\n", "")
    assert "What was run" in (tmp_path / "first" / "report.html").read_text()


@pytest.mark.any_seed
@pytest.mark.parametrize("command", ["report", "plot"])
@pytest.mark.usefixtures("curve_alone")
def test_the_files_written_are_told_as_json_too(run, result, tmp_path, command):
    del result
    told = json.loads(run(command, "first", "--json")[1])
    check(told, "files")
    assert all((tmp_path / name).is_file() for name in told["files"])


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_several_results_share_a_page(run, result, tmp_path):
    (tmp_path / "second").mkdir()
    result.save(tmp_path / "second")
    assert run("report", "first", "second/result.npz")[:2] == (0, "report.html\n")
    assert "of 2 verdicts passed" in (tmp_path / "report.html").read_text()
    assert run("report", "first", "second", "--out", "all.html")[1] == "all.html\n"


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "RESULT"),
        (("nowhere",), "no such result"),
        (("first", "nowhere"), "no such result"),
        (("first", "--out", "nowhere/page.html"), "cannot write"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_leaves_nothing(run, result, tmp_path, arguments, message):
    del result
    code, out, err = run("report", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.any_seed
@pytest.mark.usefixtures("coarse", "curve_alone", "undrawn")
def test_verify_writes_a_page_with_an_explorer_unless_told_not_to(run, features, tmp_path):
    run("verify", features, *SMALL, "--report", "--out", "with")
    assert "What if?" in (tmp_path / "with" / "report.html").read_text()
    out = run("verify", features, *SMALL, "--out", "without")[1]
    assert not (tmp_path / "without" / "report.html").exists()
    assert "report.html" not in out


@pytest.mark.any_seed
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--momentum", 0.5, "--nesterov", "--start", "zero", "--weight-decay", 0.01),
        ("--optimizer", "QHM", "--momentum", 0.9, "--nu", 0),
        ("--optimizer", "QHM", "--momentum", 0, "--nu", 0.7),
    ],
)
@pytest.mark.usefixtures("coarse", "curve_alone", "undrawn")
def test_the_command_on_the_page_repeats_the_run(run, features, tmp_path, options):
    run("verify", features, *SMALL, *options, "--report", "--out", "first")
    text = html.unescape((tmp_path / "first" / "report.html").read_text())
    command = re.search(r"<pre>fluctua (verify .*)</pre>", text).group(1)
    assert command.startswith(f"verify {features} ")
    run(*command.split(), "--no-report", "--out", "again")
    first, again = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("first", "again"))
    assert first == again


@pytest.mark.any_seed
@pytest.mark.parametrize("options", [(), ("--optimizer", "QHM", "--momentum", 0.5, "--nu", 0)])
@pytest.mark.usefixtures("undrawn")
def test_the_command_on_the_page_in_time_repeats_the_run(run, features, tmp_path, options):
    asked = ("--steps", 64, "--replicas", 16, "--modes", 3, "--seed", 1, "--level", 1e-4, "--resolution", 0.3, *options)
    run("verify", features, "--dynamic", *asked, "--out", "first")
    text = html.unescape((tmp_path / "first" / "report.html").read_text())
    command = re.search(r"<pre>fluctua (verify .*)</pre>", text).group(1)
    assert command.startswith(f"verify {features} ")
    run(*command.split(), "--no-report", "--out", "again")
    first, again = (json.loads((tmp_path / name / "dynamic.json").read_text()) for name in ("first", "again"))
    assert first == again


@pytest.mark.any_seed
def test_the_ladder_on_a_terminal_is_the_same_in_colour_and_fits_80_columns(result, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    show_ladder(result)
    coloured = sys.stdout.getvalue()
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.split() for line in plain.splitlines()] == [line.split() for line in result.table.splitlines()]
    assert max(map(len, plain.splitlines())) <= 80
    assert max(map(len, result.table.splitlines())) <= 80


@pytest.mark.any_seed
@pytest.mark.parametrize("width", [60, 40])
def test_a_narrow_terminal_cuts_no_number(result, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", Terminal())
    show_ladder(result)
    ladder = sys.stdout.getvalue()
    said = " ".join(ladder.split())
    for name, loss, off, rms, frobenius, word in result.cells:
        row = f"{name}: excess loss {loss}, off by {off}, z-rms {rms}, Frobenius {frobenius}, verdict {word}"
        assert row in said
    monkeypatch.setattr(sys, "stdout", Terminal())
    text = "statement  z-rms  p  1.6e-06 down to -1.25e-11, 12,425,174 steps  rejected and 0.00935486 of 3.16e-11\n" * 2
    show(text + result.words)
    shown = sys.stdout.getvalue()
    assert shown.split() == (text + result.words).split()
    assert max(map(len, (ladder + shown).splitlines())) <= width


@pytest.mark.any_seed
@pytest.mark.usefixtures("coarse")
def test_nothing_of_an_earlier_run_stays_beside_a_new_result(run, features, tmp_path):
    """Neither its page, nor figures that the new one has not, nor a result in time of another recipe."""
    run("verify", features, *SMALL, "--out", "here")
    in_time = ("--dynamic", "--steps", 64, "--replicas", 8, "--modes", 3, "--seed", 1, "--lr", "0.01")
    run("verify", features, *in_time, "--batch-size", 4, "--out", "here")
    here = tmp_path / "here"
    assert not (here / "result.npz").exists()  # of another recipe
    assert not (here / "modes.png").exists()
    (here / "regression.pdf").write_text("drawn by fluctua plot")
    run("verify", features, *SMALL, "--start", "zero", "--no-report", "--out", "here")
    assert sorted(path.name for path in here.iterdir()) == sorted(
        ["result.json", "result.npz", *(f"{name}.{kind}" for name in ("modes", "curve") for kind in ("png", "svg"))]
    )


@pytest.mark.any_seed
@pytest.mark.usefixtures("undrawn", "coarse", "curve_alone")
def test_results_of_one_recipe_share_a_page_whichever_came_first(run, features, tmp_path):
    recipe = ("--lr", "0.01", "--batch-size", 4, "--steps", 64, "--replicas", 8, "--seed", 1, "--out", "both")
    run("verify", features, *recipe)
    run("verify", features, *recipe, "--dynamic", "--modes", 3)
    first = (tmp_path / "both" / "report.html").read_text()
    run("verify", features, *recipe)
    for text in (first, (tmp_path / "both" / "report.html").read_text()):
        assert "of 2 verdicts passed" in text


@pytest.mark.any_seed
def test_a_draw_that_fails_leaves_no_old_page(run, features, tmp_path, monkeypatch):
    def failing(*_):
        raise fl.errors.OutputError("no room")

    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "report.html").write_text("old")
    monkeypatch.setattr("fluctua.report.figures._save", failing)
    code, _, err = run("verify", features, *SMALL, "--no-report", "--out", "here")
    assert code == 2
    assert "no room" in err
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["result.json", "result.npz"]


def test_a_sentence_is_wrapped_on_a_terminal_and_whole_elsewhere(capsys, monkeypatch):
    sentence = "PASSED  " + "word " * 40 + "end."
    show(sentence)
    assert capsys.readouterr().out == sentence + "\n"
    monkeypatch.setattr(sys, "stdout", Terminal())
    show(sentence)
    lines = sys.stdout.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == " ".join(sentence.split())


@pytest.mark.any_seed
@pytest.mark.usefixtures("curve_alone")
def test_plot_draws_for_a_journals_column(run, tmp_path):
    run("verify", "digits", *SMALL)
    code, out, err = run("plot", "fluctua-digits", "--format", "pdf", "--size", "3.4in", "--figure", "curve")
    assert (code, out.split(), err) == (0, ["fluctua-digits/curve.pdf"], "")
    assert b"/MediaBox [ 0 0 244.8 " in (tmp_path / "fluctua-digits" / "curve.pdf").read_bytes()
    for wrong, word in (
        ("--size=3.4", "with its unit"),
        ("--format=gif", "figure format"),
        ("--figure=curv", "'curve'"),
    ):
        code, out, err = run("plot", "fluctua-digits", wrong)
        assert (code, out) == (2, "")
        assert word in err


def test_the_help_lists_every_command_in_one_line(run):
    out = run("--help")[1]
    commands = out.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert len(commands) == 13
    assert all(line.endswith(".") and "..." not in line for line in commands)
    assert "\n  fluctua verify digits\n" in out


def test_a_fault_of_ours_is_one_line_unless_debugging(run, features, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(fl.LeastSquares, "__init__", broken)
    code, out, err = run("predict", features)
    assert (code, out) == (3, "")
    assert "ZeroDivisionError: by nought" in err
    assert "Traceback" not in err
