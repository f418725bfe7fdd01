"""Answers that a server may give: none is without an end, and none but the publisher's bytes is kept."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fluctua import data
from fluctua.data import download
from fluctua.data.registry import REGISTRY, Download
from fluctua.errors import CorruptData, DataUnavailable

GOOD, LIMIT = b"the publisher's bytes", 1000


def answers(handler):
    """Send what the path asks for."""
    kind = handler.path.strip("/")
    handler.send_response(200)
    if kind == "chunked-without-end":
        handler.send_header("Transfer-Encoding", "chunked")
    elif kind not in ("endless", "none"):
        handler.send_header(
            "Content-Length",
            {"good": str(len(GOOD)), "huge": str(10**15), "digits": "9" * 5000, "two": f"{len(GOOD)}, 7"}.get(
                kind, kind
            ),
        )
    handler.end_headers()
    handler.close_connection = True
    try:
        if kind == "chunked-without-end":
            for _ in range(10**6):
                handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        elif kind in ("endless", "huge"):
            for _ in range(10**6):
                handler.wfile.write(b"x" * 1024)
                handler.server.sent += 1024
        else:
            handler.wfile.write(GOOD)
    except OSError:
        handler.server.hung_up.set()


@pytest.fixture
def server():
    handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answers, "log_message": lambda *_: None})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.sent, made.hung_up = 0, threading.Event()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def fetched(server, monkeypatch, tmp_path):
    """Fetch a file from mirrors that answer in these ways."""
    import hashlib

    monkeypatch.delenv("FLUCTUA_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "_PAUSE", 0.0)

    def fetch(*kinds, progress=False):
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{kind}" for kind in kinds)
        offered = Download("train-labels-idx1-ubyte.gz", urls, hashlib.md5(GOOD).hexdigest(), size_limit=LIMIT)
        monkeypatch.setitem(REGISTRY, "mnist", replace(REGISTRY["mnist"], downloads=(offered,)))
        data.fetch("mnist", data_dir=tmp_path, progress=progress)
        return (tmp_path / "mnist" / offered.file).read_bytes()

    return fetch


@pytest.mark.parametrize("first", ["zzz", "-5", "endless", "huge", "digits", "chunked-without-end", "1e3", "0x15"])
@pytest.mark.parametrize("progress", [True, False])
def test_the_next_mirror_is_asked(fetched, first, progress, tmp_path):
    assert fetched(first, "good", progress=progress) == GOOD
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == ["train-labels-idx1-ubyte.gz"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib3 leaves that connection open
def test_two_lengths_at_once(fetched):
    assert fetched("two", "good") == GOOD
    gc.collect()


def test_a_length_that_is_no_number_is_not_needed(fetched):
    assert fetched("none") == GOOD


@pytest.mark.parametrize(("kind", "words"), [("endless", "sent more than 1,000 bytes"), ("huge", "announced 1,000,0")])
def test_an_answer_without_an_end_has_one(fetched, server, tmp_path, kind, words):
    with pytest.raises((CorruptData, DataUnavailable), match=words):
        fetched(kind)
    assert server.hung_up.wait(5)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_every_download_of_the_register_has_a_limit_above_what_the_publisher_says():
    said = {"mnist": 12e6, "emnist": 562e6, "cifar10": 170e6}
    for name, size in said.items():
        limits = [each.size_limit for each in REGISTRY[name].downloads]
        assert sum(limits) > size
        assert max(limits) < 8 * size
