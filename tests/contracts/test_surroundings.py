"""Places that cannot be reached, names that are strange, settings that are broken: exit code two, or no trouble."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.data import locate
from fluctua.errors import DataUnavailable, InvalidInput, OutputError, ResultError
from fluctua.report.figures.frame import legible
from fluctua.storage import locking
from fluctua.storage.paths import absolute, expanded, kind_of, printable, refuse_irregular
from helpers.commands import SMALL

posix = pytest.mark.skipif(os.name == "nt", reason="permissions, FIFOs and removed directories of POSIX")
COMMANDS = ("verify", "predict", "plan", "noise", "plot", "report", "reproduce", "data")


@pytest.fixture
def locked_out(monkeypatch, features, run):
    """A working directory with `noacc`, into which this user must not go; root becomes nobody for the while."""
    for name in COMMANDS:
        import_module(f"fluctua.cli.{name}")
    run("predict", features)  # imports what nobody may not read
    run("plot", features.parent)
    place = Path(tempfile.mkdtemp())
    (place / "noacc").mkdir()
    shutil.copy(features, place / "noacc" / "x.npz")
    monkeypatch.chdir(place)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    place.chmod(0o777)
    (place / "noacc").chmod(0o700 if root else 0)
    if root:
        os.seteuid(65534)
    yield place
    if root:
        os.seteuid(0)
    (place / "noacc").chmod(0o700)
    shutil.rmtree(place)


UNREACHABLE = [
    ("predict", "{}/x.npz"),
    ("predict", "x.npy", "--targets", "{}/y.npy"),
    ("predict", "mnist", "--data-dir", "{}/d"),
    ("data", "list", "--data-dir", "{}/d"),
    ("data", "fetch", "mnist", "--data-dir", "{}/d"),
    ("report", "{}/r"),
    ("report", "{}/r/result.npz"),
    ("plot", "{}/r"),
    ("plot", "{}/r/dynamic.npz"),
    ("verify", "digits", "--out", "{}/x"),
    ("verify", "digits", "--dynamic", "--out", "{}/x/y"),
    ("noise", "digits", "--out", "{}/x"),
    ("reproduce", "--data", "digits", "--out", "{}/r"),
    ("plan", "{}/x.npz", "--budget", "50"),
    ("verify", "x.npy", "--schedule", "{}/s.npy"),
]


@posix
@pytest.mark.parametrize("arguments", UNREACHABLE, ids=" ".join)
def test_what_must_not_be_reached_is_said_to_be_so(run, locked_out, monkeypatch, arguments):
    monkeypatch.chdir(locked_out)
    code, out, err = run(*(part.format("noacc") for part in arguments))
    assert (code, out) == (2, ""), err
    assert "ermission denied" in err or "x.npy does not exist" in err
    assert "fault of fluctua" not in err
    assert sorted(path.name for path in locked_out.iterdir()) == ["noacc"]


@pytest.mark.parametrize("name", ["n" * 300, "l/x", "a\0b"])
@pytest.mark.parametrize("arguments", UNREACHABLE, ids=" ".join)
@posix
def test_a_name_that_the_system_refuses_is_bad_input(run, tmp_path, name, arguments):
    (tmp_path / "l").symlink_to(tmp_path / "l")
    code, out, err = run(*(part.format(name) for part in arguments))
    assert (code, out) == (2, ""), err
    assert "fault of fluctua" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["l"]


@pytest.mark.parametrize(
    "arguments",
    [("predict", "{}/x.npz"), ("data", "list", "--data-dir", "{}/d"), ("data", "path", "--data-dir", "{}/d")],
)
@posix
def test_a_user_that_there_is_not(run, arguments, monkeypatch):
    code, _, err = run(*(part.format("~no-such-user") for part in arguments))
    assert code == 2
    assert "no user has the home directory ~no-such-user" in err
    monkeypatch.setenv("FLUCTUA_DATA", "~no-such-user/d")
    with pytest.raises(InvalidInput, match="no user"):
        fl.load("mnist")


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "x.npz"),
        ("data", "path", "--data-dir", "d"),
        ("report", "r"),
        ("data", "list", "--data-dir", "d"),
        ("plot", "r"),
        ("verify", "digits"),
        ("report", "/", "--out", "x.html"),
    ],
)
def test_a_working_directory_that_is_gone(run, tmp_path, monkeypatch, arguments):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, err = run(*arguments)
    monkeypatch.chdir(tmp_path)
    assert code == 2
    assert "working directory" in err or "no such result" in err
    assert "fault of fluctua" not in err


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "fifo.npz"),
        ("predict", "x.npy", "--targets", "fifo.npy"),
        ("plot", "fifo.npz"),
        ("report", "folder"),
        ("plot", "folder"),
        ("report", "fifo.npz"),
        ("plan", "link.npz", "--budget", "9"),
        ("verify", "features.npz", "--out", "folder", "--resume"),
    ],
)
@pytest.mark.usefixtures("features")
def test_a_fifo_is_no_file_to_read_and_blocks_nobody(run, tmp_path, arguments):
    (tmp_path / "folder").mkdir()
    for name in ("fifo.npz", "fifo.npy", "folder/result.npz", "folder/checkpoint.npz"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link.npz").symlink_to(tmp_path / "fifo.npz")
    np.save(tmp_path / "x.npy", np.eye(3))
    code, _, err = run(*arguments)
    assert code == 2
    assert "is a FIFO" in err
    assert "does not exist" not in err


def test_paths_are_asked_in_one_place(tmp_path):
    assert kind_of(tmp_path) == "directory"
    assert kind_of(tmp_path / "nothing") == "nothing"
    (tmp_path / "file").write_text("")
    assert kind_of(tmp_path / "file") == "file"
    assert kind_of(tmp_path / "file" / "below") == "nothing"
    refuse_irregular(tmp_path / "nothing", ResultError)
    with pytest.raises(ResultError, match="is a directory"):
        refuse_irregular(tmp_path, ResultError)
    with pytest.raises(DataUnavailable, match="too long"):
        kind_of("n" * 300, DataUnavailable)
    assert expanded("~") == Path.home()
    assert absolute("x") == Path.cwd() / "x"
    assert printable(os.fsdecode(b"b\xff.npz")) == "b\ufffd.npz"
    with pytest.raises(InvalidInput, match="is a file"):
        locate.missing(locate.REGISTRY["mnist"], "train", tmp_path / "file", None)


@pytest.mark.any_seed
def test_a_file_of_any_name_is_verified_drawn_and_reported(run, features, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("fluctua.cli.verify"), "with_survey", lambda verdict, *_: verdict)
    monkeypatch.setattr(
        import_module("fluctua.cli.verify"), "save_figures", lambda *_, **__: None
    )  # the page has them too
    name = f"数据 données $x$ <b>&amp; a\tb {os.fsdecode(bytes([0xFF]))} {'n' * 100}"
    try:
        shutil.copy(features, tmp_path / f"{name}.npz")
    except OSError:
        pytest.skip("the file system has no such names")
    code, _, err = run("verify", f"{name}.npz", *SMALL, "--report", "--out", "out")
    assert code in (0, 1), err
    assert err == ""
    assert "<b>&amp; a" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    said = json.loads((tmp_path / "out" / "result.json").read_text())["data"]["name"]
    assert said == f"{name}.npz".replace(os.fsdecode(bytes([0xFF])), "\ufffd")
    assert run("predict", f"{name}.npz")[0] == 0


def test_figures_show_the_letters_that_their_font_has():
    assert legible("données, ±2 %\n数\t\udcff") == "données, ±2 %\n\ufffd\ufffd\ufffd"


@posix
def test_two_runs_into_one_directory_and_the_second_is_refused(run, features, tmp_path):
    (tmp_path / "out").mkdir()
    with locking.only_run_in(tmp_path / "out"):
        for arguments in (
            ("verify", features),
            ("verify", features, "--dynamic"),
            ("noise", features),
            ("reproduce", "--data", "digits"),
        ):
            code, out, err = run(*arguments, "--out", "out")
            assert (code, out) == (2, "")
            assert "in use" in err
    assert run("predict", features)[0] == 0


@pytest.mark.any_seed
def test_a_refused_command_leaves_no_directory_at_any_depth(run, features, tmp_path):
    for arguments in (
        ("verify", features, "--lr", 50),
        ("plot", "nowhere"),
        ("noise", features, "--lr", 50),
        ("verify", features, "--dynamic", "--lr", 50),
        ("verify", "nowhere.npz"),
    ):
        assert run(*arguments, "--out", "a/b/c")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


PLAIN = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.any_seed
def test_settings_of_others_that_are_broken_do_not_matter(run, features, tmp_path):
    """Matplotlib's back end and file, the locale: of processes of their own, since they are read once."""
    run("verify", features, *SMALL, "--out", "out")
    (tmp_path / "settings").write_bytes(b"\xff\xfe\x00 nonsense")

    def reported(**environment):
        code = "import sys; from fluctua.cli import main; main(sys.argv[1:])"
        return subprocess.run(
            [sys.executable, "-c", code, "report", "out"],
            env={**PLAIN, **environment},
            text=True,
            capture_output=True,
            cwd=tmp_path,
            check=False,
        )

    done = reported(MPLBACKEND="nonsense", MATPLOTLIBRC=str(tmp_path / "settings"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert run("report", "out", "--out", "again.html")[0] == 0
    assert (tmp_path / "again.html").read_bytes() == page
    (tmp_path / "settings").rename(tmp_path / "matplotlibrc")  # which Matplotlib reads whatever it is told
    done = reported()
    assert done.returncode == 2
    assert "remove the file matplotlibrc" in done.stderr


def test_a_temporary_directory_is_needed_nowhere(run, features, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(OutputError, match="--out"):
        import_module("fluctua.storage.writing").writable_directory(features)
    assert run("predict", features)[0] == 0
