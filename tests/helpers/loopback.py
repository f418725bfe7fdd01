"""A Dask scheduler and its workers, processes of their own on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Loopback"]

_LONGEST = 60.0  # seconds for a process to be there


class Loopback:
    """A scheduler, and workers that come and are killed.

    Parameters
    ----------
    folder : Path
        For what the processes write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, []
        self.file = folder / "scheduler.json"
        self.scheduler = self._begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self.file)
        _until(lambda: self.file.exists() and self.file.stat().st_size > 0)
        self.ready(0)  # it listens before it answers

    @property
    def address(self) -> str:
        """That of the scheduler."""
        return json.loads(self.file.read_text())["address"]

    def ready(self, workers: int) -> None:
        """Wait until so many workers are there, however busy the machine is."""
        from distributed import Client

        with Client(self.address, timeout=_LONGEST, set_as_default=False) as client:
            if workers:
                client.wait_for_workers(workers, timeout=_LONGEST)

    def worker(self, threads=1, path=None):
        """Begin a worker, which finds fluctua at `path`."""
        place = self.folder / f"worker-{len(self.workers)}"
        options = "--nthreads", str(threads), "--no-nanny", "--local-directory", place, "--name", place.name
        self.workers.append(self._begin("worker", "--scheduler-file", self.file, *options, path=path))
        return self.workers[-1]

    def kill(self, process) -> None:
        """End a process as the system does that has no memory left."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End all."""
        for each in (*self.workers, self.scheduler):
            if each.poll() is None:
                self.kill(each)

    def _begin(self, kind, *options, path=None):
        where = {} if path is None else {"PYTHONPATH": str(path)}
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *map(str, options)]
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env={**os.environ, **where}
        )


def _until(there) -> None:
    began = time.monotonic()
    while not there():
        assert time.monotonic() - began < _LONGEST
        time.sleep(0.05)
