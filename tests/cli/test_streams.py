"""Standard output whose reader has gone, that was closed, or that is full; errors that nobody can hear."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

from fluctua.cli import main
from fluctua.cli.progress import progress_bar
from helpers.commands import SMALL

pytestmark = [pytest.mark.any_seed, pytest.mark.skipif(os.name == "nt", reason="pipes and devices of POSIX")]
QUICK = [*SMALL, "--lr", "0.05", "--resolution", "0.9"]


def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    return open("/dev/full", "w")  # noqa: PTH123


def code_of(arguments, monkeypatch, *, stdout=None, stderr=None):
    """Call the command line with these streams; closing them afterwards, as Python does at its end, must not fail."""
    with monkeypatch.context() as patch:
        if stdout is not None:
            patch.setattr(sys, "stdout", None if stdout == "closed" else stdout)
        if stderr is not None:
            patch.setattr(sys, "stderr", None if stderr == "closed" else stderr)
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
    for stream in (stdout, stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.close()
    return stopped.value.code


@pytest.fixture
def here(tmp_path, monkeypatch, features):
    import_module("fluctua.cli.verify")
    monkeypatch.setattr(import_module("fluctua.cli.verify"), "save_figures", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    return features


@pytest.mark.parametrize("resolution", [0.9, 0.001])
@pytest.mark.parametrize("make", [broken_pipe, lambda: "closed"])
def test_a_reader_that_has_gone_changes_no_verdict(here, monkeypatch, capsys, make, resolution):
    arguments = ["verify", here, *QUICK, "--resolution", resolution, "--out"]
    expected = code_of([*arguments, "heard"], monkeypatch)
    capsys.readouterr()
    assert code_of([*arguments, "unheard"], monkeypatch, stdout=make()) == expected
    assert capsys.readouterr() == ("", "")
    heard, unheard = (json.loads((here.parent / name / "result.json").read_text()) for name in ("heard", "unheard"))
    assert unheard == heard


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cite"],
        ["--version"],
        ["--help"],
        ["verify", "--help"],
        ["data", "list"],
        ["schema", "verdict"],
        ["predict", "features.npz"],
    ],
)
@pytest.mark.usefixtures("here")
def test_every_command_lives_with_its_output(monkeypatch, capsys, arguments):
    assert code_of(arguments, monkeypatch, stdout=broken_pipe()) == 0
    assert code_of(arguments, monkeypatch, stdout="closed") == 0
    assert capsys.readouterr().err == ""
    assert code_of(arguments, monkeypatch, stdout=full()) == 2
    assert "cannot write to the standard output: No space left" in capsys.readouterr().err


def test_a_full_output_is_told_before_the_runs(here, monkeypatch):
    monkeypatch.setattr(import_module("fluctua.cli.verify"), "run", None)
    assert code_of(["verify", here, *QUICK], monkeypatch, stdout=full()) == 2
    assert not (here.parent / "fluctua-features").exists()


@pytest.mark.parametrize("make", [broken_pipe, full, lambda: "closed"])
def test_errors_that_nobody_hears_keep_their_code(here, monkeypatch, make):
    assert code_of(["verify", "nowhere.npz"], monkeypatch, stderr=make()) == 2
    assert code_of(["verify", here, *QUICK, "--resume"], monkeypatch, stderr=make()) in (0, 1)
    assert code_of(["--nonsense"], monkeypatch, stderr=make()) == 2


def test_the_streams_are_given_back(here, monkeypatch, capsys):
    before = sys.stdout, sys.stderr
    code_of(["predict", here], monkeypatch)
    assert (sys.stdout, sys.stderr) == before
    print("still open")  # noqa: T201
    assert capsys.readouterr().out.endswith("still open\n")


def test_letters_that_the_output_cannot_hold_are_spelt(monkeypatch, here):
    strange = here.with_name("数据.npz")
    strange.write_bytes(here.read_bytes())
    taken = io.BytesIO()
    assert code_of(["predict", strange], monkeypatch, stdout=io.TextIOWrapper(taken, "latin-1")) == 0


def test_a_real_pipe_to_head(here):
    """The whole way, with the shell's own exit codes."""
    command = f"set -o pipefail; {sys.executable} -m fluctua predict {here} | head -1; echo $?"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["0"]
    assert done.stderr == ""


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_stage_pulses_until_its_share_is_known_and_lines_go_to_the_output(monkeypatch, capsys):
    terminal = _Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar() as report:
        report("theory", 0.0)
        first = terminal.getvalue()
        print("a line")  # noqa: T201  (sent to a file while the bar is on the terminal)
        report("simulation", 0.25)
    assert capsys.readouterr().out == "a line\n"
    assert "a line" not in terminal.getvalue()
    assert "%" not in first
    assert "25 %" in terminal.getvalue()
    assert "100 %" in terminal.getvalue()  # theory, which is done when another stage begins


def test_a_stage_that_tells_nothing_for_long_is_told_of(monkeypatch, capsys):
    for name, seconds in {"_FIRST": 0.05, "_AGAIN": 60.0, "_LOOK": 0.01}.items():
        monkeypatch.setattr(f"fluctua.cli.progress.{name}", seconds)
    with progress_bar() as report:
        report("limit", 0.0)
        time.sleep(0.5)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("limit after ")
    assert not [thread for thread in threading.enumerate() if "watch" in thread.name]


def test_what_takes_long_says_so_where_there_is_no_terminal(monkeypatch, capsys):
    now = iter([0.0, 9.9, 10.1, 15.0, 20.0, 21.0])
    monkeypatch.setattr("fluctua.cli.progress.time.monotonic", lambda: next(now))
    with progress_bar() as report:
        for stage, fraction in (("plan", 0.0), ("plan", 0.25), ("plan", 0.3), ("plan", 0.5), ("check", 0.0)):
            report(stage, fraction)
    said = capsys.readouterr()
    assert said.err.splitlines() == ["plan, 25% after 10 s, about 1 s left", "check after 21 s"]
    assert said.out == ""
