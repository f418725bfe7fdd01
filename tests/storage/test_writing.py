"""Files appear whole or not at all, where they were asked for, and replace nothing but files."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fluctua.errors import OutputError
from fluctua.storage.locking import lock, locked
from fluctua.storage.results import load_arrays, save_arrays
from fluctua.storage.writing import (
    check_writable,
    output_directory,
    remove,
    save_text,
    save_with,
    stage_in,
    writable_directory,
)

posix = pytest.mark.skipif(os.name == "nt", reason="FIFOs, links, modes and devices are POSIX's")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def null(tmp_path):
    """A private node of what /dev/null is: the machine's own is never touched."""
    node = tmp_path / "null"
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        node.write_bytes(b"")
    except (OSError, AttributeError):
        pytest.skip("no device nodes can be made and opened here")
    return node


@posix
def test_a_character_device_takes_the_bytes_and_stays(null, tmp_path):
    check_writable(null)
    save_text(null, "text")
    save_arrays(null, {}, {"x": np.zeros(3)})
    assert stat.S_ISCHR(null.stat().st_mode)
    (tmp_path / "link").symlink_to(null)
    save_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_ISCHR(null.stat().st_mode)
    remove(tmp_path / "link")
    remove(null)
    assert names(tmp_path) == ["link", "null"]


@posix
def test_a_block_device_a_socket_and_a_directory_are_refused(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(tmp_path / "socket"))
        (tmp_path / "folder").mkdir()
        for name, kind in (("socket", "a socket"), ("folder", "a directory")):
            with pytest.raises(OutputError, match=kind):
                save_text(tmp_path / name, "text")
            with pytest.raises(OutputError, match=kind):
                check_writable(tmp_path / name)
    try:
        os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 255))
    except OSError:
        pytest.skip("no device nodes can be made here")
    with pytest.raises(OutputError, match="a block device"):
        save_text(tmp_path / "disk", "text")
    assert stat.S_ISBLK((tmp_path / "disk").stat().st_mode)


@posix
def test_a_fifo_is_written_if_anyone_reads_and_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    check_writable(tmp_path / "fifo")  # which must not end what a reader reads
    with pytest.raises(OutputError, match="nobody reads"):
        save_text(tmp_path / "fifo", "text")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    save_text(tmp_path / "fifo", "text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


@posix
def test_a_link_stays_and_its_target_is_written(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "one").symlink_to(tmp_path / "a" / "two")
    (tmp_path / "a" / "two").symlink_to("../b/file")
    for text in ("new", "again"):
        save_text(tmp_path / "a" / "one", text)
        assert (tmp_path / "b" / "file").read_text() == text
    assert (tmp_path / "a" / "one").is_symlink()
    assert (tmp_path / "a" / "two").is_symlink()
    assert names(tmp_path / "b") == ["file"]
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(OutputError, match="Too many levels"):
        save_text(tmp_path / "x", "text")
    remove(tmp_path / "a" / "one")
    assert names(tmp_path / "b") == []


@posix
@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002])
def test_modes_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        with output_directory(tmp_path / "a" / "b") as folder:
            save_text(folder / "text", "text")
            save_arrays(folder / "arrays.npz", {}, {"x": np.zeros(2)})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666 & ~mask}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o777 & ~mask}


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    told, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (told.append("sync"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *names, **more: (told.append("name"), replace(*names, **more)))
    save_text(tmp_path / "file", "text")
    assert told == ["sync", "name", "sync"] if os.name == "posix" else told[:2] == ["sync", "name"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    save_text(tmp_path / "file", "old")

    def broken(handle):
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        save_with(tmp_path / "file", broken)
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_name_may_be_as_long_as_the_system_lets_it(tmp_path):
    save_text(tmp_path / ("n" * 250 + ".html"), "text")
    save_text(tmp_path / ("名" * 80), "text")
    with pytest.raises(OutputError, match="too long"):
        save_text(tmp_path / ("n" * 300), "text")
    with pytest.raises(OutputError, match="null"):
        save_text(tmp_path / "a\0b", "text")


@pytest.mark.parametrize("there", ["", "a", "a/b"])
def test_no_directory_stays_that_was_made_for_nothing(tmp_path, there):
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = {str(path) for path in tmp_path.rglob("*")}
    with pytest.raises(ZeroDivisionError), output_directory(tmp_path / "a" / "b" / "c"):
        raise ZeroDivisionError
    with output_directory(tmp_path / "a" / "b" / "c"):
        pass
    assert {str(path) for path in tmp_path.rglob("*")} == before
    with output_directory(tmp_path / "a" / "b" / "c") as folder:
        save_text(folder / "kept", "text")
    assert names(folder) == ["kept"]


def test_what_is_in_the_way_leaves_nothing(tmp_path):
    save_text(tmp_path / "file", "text")
    with pytest.raises(OutputError, match="--out"), output_directory(tmp_path / "file" / "sub" / "sub"):
        pass
    with pytest.raises(OutputError, match="--out"):
        writable_directory(tmp_path / "file")
    assert names(tmp_path) == ["file"]


@posix
def test_a_directory_is_for_one_run_at_a_time(tmp_path):
    with output_directory(tmp_path / "out") as folder:
        with pytest.raises(OutputError, match="in use"), output_directory(folder):
            pass
        assert folder.is_dir()
        with output_directory(tmp_path / "other"):
            pass
    with output_directory(tmp_path / "out"):
        pass


@posix
def test_a_directory_that_may_be_written_and_not_read_is_used(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o300)
    with output_directory(tmp_path / "out") as folder:
        save_text(folder / "file", "text")
    (tmp_path / "out").chmod(0o700)
    assert names(tmp_path / "out") == ["file"]


HOLDS = """
import sys, time
from pathlib import Path
from fluctua.storage.writing import output_directory, save_with, stage_in
def slow(handle):
    handle.write(b"half")
    handle.flush()
    with stage_in(Path(sys.argv[1]) / "staged") as stage:
        (stage / "file").write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(60)
with output_directory(sys.argv[1]) as folder:
    (folder / "staged").mkdir()
    save_with(folder / "file", slow)
"""


@posix
def test_a_lock_and_what_a_killed_run_left_end_with_it(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "out")], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    with pytest.raises(OutputError, match="in use"), output_directory(tmp_path / "out"):
        pass
    check_writable(tmp_path / "out" / "other")  # clears, but not what a living run holds
    assert len(names(tmp_path / "out")) == 2
    child.send_signal(signal.SIGKILL)
    child.communicate()
    mine = [".notes.npz.12345678", ".result.npz.1234567x.fluctua", "file.fluctua"]
    for name in mine:
        (tmp_path / "out" / name).write_text("a user's own")
    assert len(names(tmp_path / "out" / "staged")) == 1
    with output_directory(tmp_path / "out") as folder, stage_in(folder / "staged"):
        assert names(folder) == sorted([*mine, "staged"])
        assert len(names(folder / "staged")) == 1
    assert names(folder / "staged") == []


@posix
def test_nothing_is_taken_for_a_leftover_while_it_is_written(tmp_path):
    """Writers and clearers at once, many times: every write succeeds and every reader finds a whole file."""
    ended = threading.Event()

    def clear():
        while not ended.is_set():
            check_writable(tmp_path / "other")

    clearers = [threading.Thread(target=clear) for _ in range(2)]
    for each in clearers:
        each.start()
    try:
        began = time.monotonic()
        while time.monotonic() - began < 1:
            save_arrays(tmp_path / "file.npz", {}, {"x": np.arange(5)})
            assert load_arrays(tmp_path / "file.npz")[1]["x"].tolist() == [0, 1, 2, 3, 4]
    finally:
        ended.set()
        for each in clearers:
            each.join()
    assert names(tmp_path) == ["file.npz"]


@posix
def test_a_lock_says_who_has_it(tmp_path):
    (tmp_path / "file").write_text("")
    with locked(tmp_path / "file") as first, locked(tmp_path / "file") as second:
        assert (first, second) == (True, False)
    with locked(tmp_path / "file") as again:
        assert again
    assert lock(10**6) is None  # no such file: no locks to be had


def test_the_programs_own_output_is_written_into(tmp_path):
    """--out /dev/stdout, sent to a file, a pipe or a reader: the file is not replaced under the shell's feet."""
    if not Path("/dev/stdout").exists():
        pytest.skip("no /dev/stdout")
    code = "from fluctua.storage.writing import save_text; save_text('/dev/stdout', 'text'); print('after', flush=True)"
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before ")
        log.flush()
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before textafter\n"
