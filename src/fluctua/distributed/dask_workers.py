"""Workers of a cluster, by Dask: a client's scheduler hands pieces to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .._optional import needed
from ..errors import FluctuaError, InvalidInput, WorkersLost
from ..simulation.executors import Work
from .pool import Piece, Pool
from .remote import Answer, code

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskWorkers", "connected"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_WAIT = 10  # seconds for the scheduler to answer, and for a worker to be there
_SILENT = 30.0  # seconds without a scheduler after which it is gone


def connected(address: str) -> Client:
    """Return a client of the scheduler at an address.

    Raises
    ------
    MissingPackage
        Without dask.distributed.
    InvalidInput
        If nothing answers there, or something else.
    """
    dask = needed("distributed", "a cluster", install="'fluctua[dask]'")
    try:
        client: Client = dask.Client(address, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise InvalidInput(
            f"no Dask scheduler answers at {address!r} ({_reason(problem)}). Give the address that it printed when it "
            f"began, such as tcp://10.0.0.1:8786; `dask scheduler` begins one."
        ) from problem
    return client


class DaskWorkers(Pool):
    """Workers that a client reaches.

    Parameters
    ----------
    client : distributed.Client

    Raises
    ------
    InvalidInput
        If there is no worker, or one of another fluctua.
    """

    same_files = False

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client, self._since = client, time.monotonic()
        self._where = str(client.scheduler.address) if client.scheduler is not None else "its address"
        self._refuse_none()
        self._refuse_others()
        self._executor = client.get_executor(pure=False)

    def share(self, shared: Any) -> Future:
        """Bring it to every worker, so that it outlives each of them."""
        return self.client.scatter(shared, broadcast=True, hash=False)

    def release(self, handle: Any) -> None:
        """Let the workers forget it."""
        handle.release()

    def submit(self, how: Callable[..., Answer], work: Work[Item, Result], handle: Any, item: Item) -> Piece:
        """Hand a piece to the scheduler."""
        piece: Piece = self._executor.submit(_worked, code(), how, work, handle, item)
        return piece

    def lost(self) -> str | None:
        """Say so where the scheduler is gone; a connection that comes back in time is none that was lost."""
        if self.client.status == "running":
            self._since = time.monotonic()
            return None
        if self.client.status == "connecting" and time.monotonic() - self._since < _SILENT:
            return None
        return f"the Dask scheduler at {self._where} does not answer any more:"

    def wide(self) -> int:
        """Return the threads of all workers."""
        return max(1, sum(int(each["nthreads"]) for each in self._workers().values()))

    def explained(self, problem: BaseException, finished: int, asked: int) -> WorkersLost | None:
        """Tell a worker that died again and again from an error of the work."""
        from distributed import KilledWorker

        if isinstance(problem, KilledWorker):
            what = (
                "a piece of the work ended each worker that it was given to, most likely for lack of memory (give "
                "workers more, or fewer threads):"
            )
            return WorkersLost(what, finished, asked)
        if isinstance(problem, FluctuaError):
            return None
        return WorkersLost(f"{what}:", finished, asked) if (what := _of_dask(problem)) else None

    def _workers(self) -> dict[str, Any]:
        return dict(self.client.scheduler_info(n_workers=-1)["workers"])

    def _refuse_none(self) -> None:
        from distributed import TimeoutError as Late

        try:
            self.client.wait_for_workers(1, timeout=_WAIT)
        except Late as problem:
            raise InvalidInput(
                f"the Dask scheduler at {self._where} has no worker, and none came within {_WAIT} s. Begin some: "
                f"`dask worker {self._where}`."
            ) from problem

    def _refuse_others(self) -> None:
        """Refuse workers whose numbers would be others: what differs in their versions is named."""
        ours = code()
        for address, theirs in self.client.run(code, on_error="return").items():
            refuse_other(ours, theirs, address)


def refuse_other(ours: dict[str, str], theirs: Any, address: str) -> None:
    """Raise `InvalidInput` where a worker is not of the same versions, or has no fluctua."""
    if isinstance(theirs, BaseException):
        raise InvalidInput(
            f"the worker at {address} cannot import fluctua ({_reason(theirs)}). Install the same version there, or "
            f"begin the worker in the same environment."
        ) from theirs
    differ = [
        f"{name} {theirs.get(name)} there and {mine} here" for name, mine in ours.items() if theirs.get(name) != mine
    ]
    if differ:
        raise InvalidInput(
            f"the worker at {address} is not the same as this process: {', '.join(differ)}. Its numbers would not be "
            f"those of here to the last bit. Begin the workers in the same environment."
        )


def _worked(ours: dict[str, str], how: Callable[..., Answer], work: Any, shared: Any, item: Any) -> Answer:
    """Do a piece of work on a worker, with the worker's threads."""
    from distributed import get_worker

    worker = get_worker()
    refuse_other(ours, code(), worker.address)
    return how(work, worker.state.nthreads, shared, item)


def _of_dask(problem: BaseException) -> str:
    """Return the words of an error that is the network's and not the work's; otherwise nothing."""
    from distributed.comm import CommClosedError

    return f"the connection to the cluster broke ({_reason(problem)})" if isinstance(problem, CommClosedError) else ""


def _reason(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
