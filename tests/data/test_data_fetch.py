"""Fetching, against a server on this machine: mirrors, hashes, archives, and nothing kept by halves."""

import gzip
import hashlib
import io
import socket
import struct
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fluctua import data
from fluctua.data import download
from fluctua.data.archive import extract
from fluctua.data.registry import REGISTRY, Download
from fluctua.errors import CorruptData, DataUnavailable, InvalidInput, OutputError, UnknownName
from helpers.fuzz import answer, flipped


class Server:
    """Serves `pages` (path -> bytes) over HTTP/1.1 and remembers what was asked for."""

    def __init__(self):
        self.pages, self.asked, self.failures, self.drops = {}, [], {}, set()
        self.lengths = {}  # said instead of the true ones
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler):
        self.asked.append(handler.path)
        body = self.pages.get(handler.path)
        if self.failures.get(handler.path, 0) > 0:
            self.failures[handler.path] -= 1
            body = None
        handler.send_response(503 if body is None else 200)
        handler.send_header("Content-Length", self.lengths.get(handler.path, str(len(body or b"busy"))))
        handler.end_headers()
        handler.close_connection = handler.path in self.lengths  # nobody knows where such a body ends
        if handler.path in self.drops:
            body, handler.close_connection = body[:9], True
        handler.wfile.write(body or b"busy")

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    started = Server()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("FLUCTUA_DATA", raising=False)
    monkeypatch.setenv("FLUCTUA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    return tmp_path / "cache"


def idx(array):
    array = np.asarray(array, np.uint8)
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def md5(content):
    return hashlib.md5(content).hexdigest()


def dead_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


MNIST_FILES = {
    f"{part}-{kind}.gz": gzip.compress(idx(array))
    for part, count in (("train", 3), ("t10k", 2))
    for kind, array in (("images-idx3-ubyte", np.ones((count, 2, 2))), ("labels-idx1-ubyte", range(count)))
}


@pytest.fixture
def mnist(server, monkeypatch):
    """MNIST in small, offered by two mirrors."""
    downloads = []
    for name, content in MNIST_FILES.items():
        server.pages[f"/a/{name}"] = server.pages[f"/b/{name}"] = content
        downloads.append(Download(name, (server.url(f"/a/{name}"), server.url(f"/b/{name}")), md5(content)))
    source = replace(REGISTRY["mnist"], downloads=tuple(downloads))
    monkeypatch.setitem(REGISTRY, "mnist", source)
    return source


@pytest.mark.usefixtures("mnist")
def test_load_fetches_once_into_the_cache(server, cache, capfd):
    assert data.load("mnist").labels.tolist() == [0, 1, 2]
    assert files_under(cache) == sorted(f"mnist/{name}" for name in MNIST_FILES)
    asked = len(server.asked)
    assert data.load("mnist", subset="test").labels.tolist() == [0, 1]
    assert data.fetch("mnist") == cache / "mnist"
    assert len(server.asked) == asked == 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("mnist")
def test_progress_is_shown_on_stderr_when_asked(capfd):
    data.fetch("mnist", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "train-images-idx3-ubyte.gz" in err


@pytest.mark.usefixtures("mnist")
def test_the_second_mirror_is_asked_when_the_first_is_down(server, cache):
    for path in [path for path in server.pages if path.startswith("/a/")]:
        del server.pages[path]
    assert data.fetch("mnist") == cache / "mnist"
    assert len(files_under(cache)) == 4


def test_a_dead_first_mirror(mnist, monkeypatch, cache):
    dead = dead_address()
    downloads = tuple(replace(item, urls=(dead + item.file, item.urls[1])) for item in mnist.downloads)
    monkeypatch.setitem(REGISTRY, "mnist", replace(mnist, downloads=downloads))
    data.fetch("mnist")
    assert len(files_under(cache)) == 4


@pytest.mark.usefixtures("mnist")
def test_a_busy_server_is_asked_again(server):
    path = "/a/train-images-idx3-ubyte.gz"
    server.failures = {path: 1, path.replace("/a/", "/b/"): 1}
    data.fetch("mnist")
    assert server.asked[:3] == [path, path.replace("/a/", "/b/"), path]


@pytest.mark.usefixtures("mnist")
def test_a_dropped_connection_passes_to_the_next_mirror(server, cache):
    server.drops = {path for path in server.pages if path.startswith("/a/")}
    data.fetch("mnist")
    assert len(files_under(cache)) == 4
    assert len(server.asked) == 8


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize("length", ["zzz", "-5", "²", "1e3", "9" * 5000])
def test_a_length_that_is_none_passes_to_the_next_mirror(server, cache, length):
    server.lengths = {path: length for path in server.pages if path.startswith("/a/")}
    data.fetch("mnist", progress=True)
    assert len(files_under(cache)) == 4


@pytest.mark.usefixtures("mnist")
def test_a_body_cut_short_is_not_kept(server, cache):
    for path, content in list(server.pages.items()):
        if "train-images" in path:
            server.pages[path] = content[:-3]
    with pytest.raises(CorruptData, match="md5"):
        data.fetch("mnist")
    assert files_under(cache) == []


def test_a_wrong_hash_is_corrupt_and_names_both_hashes(server, mnist, cache):
    page = b"<html>sign in to the network</html>"
    server.pages = dict.fromkeys(server.pages, page)
    with pytest.raises(CorruptData) as caught:
        data.load("mnist")
    for words in (md5(page), mnist.downloads[0].md5, "FLUCTUA_DATA"):
        assert words in str(caught.value)
    assert files_under(cache) == []


@pytest.mark.usefixtures("mnist")
def test_a_wrong_hash_outweighs_a_silent_mirror(server):
    for path in list(server.pages):
        server.pages[path] = b"wrong"
        if path.startswith("/b/"):
            del server.pages[path]
    with pytest.raises(CorruptData):
        data.fetch("mnist")


def test_no_network_names_addresses_reason_and_the_way_by_hand(mnist, monkeypatch, cache):
    dead = dead_address()
    downloads = tuple(replace(item, urls=(dead + item.file,)) for item in mnist.downloads)
    monkeypatch.setitem(REGISTRY, "mnist", replace(mnist, downloads=downloads))
    with pytest.raises(DataUnavailable) as caught:
        data.load("mnist")
    text = str(caught.value)
    assert dead + "train-images-idx3-ubyte.gz" in text
    assert "refused" in text
    assert "DIR/mnist/" in text
    assert "FLUCTUA_DATA=DIR" in text
    assert files_under(cache) == []


@pytest.mark.usefixtures("mnist")
def test_an_interrupt_leaves_whole_files_only(monkeypatch, cache):
    import pooch

    real = pooch.HTTPDownloader.__call__

    def interrupted(self, url, output_file, *rest):
        if "t10k" in url:
            Path(output_file).write_bytes(b"half")
            raise KeyboardInterrupt
        return real(self, url, output_file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.fetch("mnist")
    assert files_under(cache) == ["mnist/train-images-idx3-ubyte.gz", "mnist/train-labels-idx1-ubyte.gz"]
    data.fetch("mnist")
    assert len(files_under(cache)) == 4


@pytest.mark.usefixtures("mnist")
def test_files_that_are_there_are_not_touched(server, tmp_path, monkeypatch):
    monkeypatch.setenv("FLUCTUA_DATA", str(tmp_path / "mine"))
    mine = tmp_path / "mine" / "mnist" / "train-images-idx3-ubyte"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(idx(np.zeros((3, 2, 2))))
    with pytest.raises(DataUnavailable, match="fluctua data fetch mnist"):
        data.load("mnist")
    assert server.asked == []
    assert data.fetch("mnist") == mine.parent
    assert not any("train-images" in path for path in server.asked)
    assert data.load("mnist").inputs.max() == 0


@pytest.mark.usefixtures("mnist")
def test_fetch_goes_where_it_is_told(tmp_path, cache):
    assert data.fetch("mnist", data_dir=tmp_path / "there") == tmp_path / "there" / "mnist"
    assert len(data.load("mnist", data_dir=tmp_path / "there").labels) == 3
    assert not cache.exists()


@pytest.mark.usefixtures("mnist")
def test_a_directory_that_cannot_be_written(cache):
    cache.mkdir()
    (cache / "mnist").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        data.fetch("mnist")


@pytest.mark.usefixtures("mnist")
def test_a_full_disk_is_an_output_error(monkeypatch, cache):
    import pooch

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(OutputError, match="No space left"):
        data.fetch("mnist")
    assert files_under(cache) == []


def test_nothing_to_fetch():
    with pytest.raises(InvalidInput, match="comes with scikit-learn"):
        data.fetch("digits")
    with pytest.raises(UnknownName, match="Did you mean 'cifar10'"):
        data.fetch("cifar")


# Archives

CIFAR_MEMBERS = REGISTRY["cifar10"].downloads[0].members
RECORD = bytes([3]) + bytes(range(256)) * 12


def tar_of(entries):
    """Return a .tar.gz; an entry's content is bytes, or the target of a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            if isinstance(content, str):
                info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def offer(server, monkeypatch, name, content, limit=10**6):
    """Offer `content` as the archive of the data set `name`."""
    old = REGISTRY[name].downloads[0]
    server.pages[f"/{old.file}"] = content
    new = replace(old, urls=(server.url(f"/{old.file}"),), md5=md5(content), extracted_limit=limit)
    monkeypatch.setitem(REGISTRY, name, replace(REGISTRY[name], downloads=(new,)))


GOOD_TAR = [*((name, RECORD) for name in CIFAR_MEMBERS), ("cifar-10-batches-bin/readme.html", b"<p>")]


def good_zip():
    for member in REGISTRY["emnist"].downloads[0].members:
        array = np.ones((2, 3, 3)) if "images" in member else [1, 2]
        yield member, gzip.compress(idx(array))
    yield "gzip/emnist-letters-mapping.txt", b"1 65 97"


def test_cifar10_is_unpacked_and_the_archive_dropped(server, monkeypatch, cache):
    offer(server, monkeypatch, "cifar10", tar_of(GOOD_TAR))
    loaded = data.load("cifar10")
    assert loaded.labels.tolist() == [3] * 5
    assert files_under(cache) == sorted(f"cifar10/{name}" for name in CIFAR_MEMBERS)


def test_emnist_is_unpacked(server, monkeypatch, cache):
    offer(server, monkeypatch, "emnist", zip_of(good_zip()))
    assert data.load("emnist", split="letters").class_names[:2] == ("A", "B")
    assert len(files_under(cache)) == 24
    assert data.load("emnist", split="balanced", subset="train").targets.shape == (2, 47)
    assert len(server.asked) == 1


def test_only_missing_members_are_written(server, monkeypatch, cache):
    offer(server, monkeypatch, "cifar10", tar_of(GOOD_TAR))
    mine = cache / "cifar10" / "cifar-10-batches-bin" / "data_batch_2.bin"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(bytes([7]) + RECORD[1:])
    assert data.load("cifar10").labels.tolist() == [3, 7, 3, 3, 3]


BAD_TARS = {
    "path escape": ([*GOOD_TAR, ("cifar-10-batches-bin/../../../evil.bin", RECORD)], "outside"),
    "absolute path": ([*GOOD_TAR, ("/tmp/evil.bin", RECORD)], "outside"),
    "symbolic link": ([(CIFAR_MEMBERS[0], "/etc/passwd"), *GOOD_TAR[1:]], "data_batch_1.bin is not a regular file"),
    "member missing": (GOOD_TAR[1:], "it lacks cifar-10-batches-bin/data_batch_1.bin"),
    "too large": ([*GOOD_TAR[:5], (CIFAR_MEMBERS[5], RECORD * 400), GOOD_TAR[6]], "test_batch.bin is larger"),
}


@pytest.mark.parametrize("case", BAD_TARS)
def test_a_suspicious_tar_is_refused_whole(server, monkeypatch, cache, tmp_path, case):
    entries, words = BAD_TARS[case]
    offer(server, monkeypatch, "cifar10", tar_of(entries))
    with pytest.raises(CorruptData, match=words):
        data.fetch("cifar10")
    assert files_under(tmp_path) == []
    assert not list(cache.rglob(".fetch-*"))


@pytest.mark.parametrize("case", ["path escape", "backslashes", "symbolic link", "member missing"])
def test_a_suspicious_zip_is_refused_whole(server, monkeypatch, tmp_path, case):
    good = list(good_zip())
    entries, words = {
        "path escape": ([*good, ("gzip/../../evil", b"x")], "outside"),
        "backslashes": ([*good, ("..\\evil", b"x")], "outside"),
        "symbolic link": ([(good[0][0], "/etc/passwd"), *good[1:]], "is not a regular file"),
        "member missing": (good[1:], "it lacks gzip/emnist-byclass-test-images"),
    }[case]
    offer(server, monkeypatch, "emnist", zip_of(entries))
    with pytest.raises(CorruptData, match=words):
        data.fetch("emnist")
    assert files_under(tmp_path) == []


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ["cifar10", "emnist"])
def test_flipped_bytes_of_an_archive_are_its_fault(tmp_path, name):
    entries = GOOD_TAR if name == "cifar10" else list(good_zip())
    whole = tar_of(entries) if name == "cifar10" else zip_of(entries)
    path = tmp_path / ("a.tar.gz" if name == "cifar10" else "a.zip")
    members = [each for each, _ in entries][:3]
    for number, (_, spoiled) in enumerate(flipped(whole, 80, seed=6)):
        path.write_bytes(spoiled)
        (folder := tmp_path / str(number)).mkdir()
        found = answer(extract, path, members, folder, 10**6)
        assert isinstance(found, list | CorruptData)


def test_a_disk_that_is_full_is_not_the_archives_fault(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of([("one", b"content")]))
    with pytest.raises(OSError, match="No such file or directory"):
        extract(path, ["one"], tmp_path / "nowhere", 100)


@pytest.mark.parametrize("name", ["cifar10", "emnist"])
@pytest.mark.parametrize("damage", ["truncated", "not an archive"])
def test_a_broken_archive_with_the_right_hash(server, monkeypatch, tmp_path, name, damage):
    whole = tar_of(GOOD_TAR) if name == "cifar10" else zip_of(good_zip())
    offer(server, monkeypatch, name, whole[:-40] if damage == "truncated" else b"nothing of the kind")
    with pytest.raises(CorruptData, match="archive cannot be read"):
        data.fetch(name)
    assert files_under(tmp_path) == []
