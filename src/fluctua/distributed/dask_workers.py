"""Workers of a cluster, by Dask: a client's scheduler hands pieces to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from .._optional import needed
from ..errors import InvalidInput, WorkersLost
from ..simulation.executors import Work
from .pool import Piece, Pool
from .remote import Answer, code

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskWorkers", "connected"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_WAIT = 10  # seconds for the scheduler to answer, at first and again, and for a worker to be there


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
        _spelled(address)
        client: Client = dask.Client(address, timeout=_WAIT, set_as_default=False)
    except (OSError, ValueError) as problem:
        raise InvalidInput(
            f"no Dask scheduler answers at {address!r} ({_reason(problem)}). Give the address that it printed when it "
            f"began, such as tcp://10.0.0.1:8786; `dask scheduler` begins one."
        ) from problem
    return client


def _spelled(address: str) -> None:
    """Raise ValueError for what is no address: a client of that would wait at its end for what it never had."""
    from distributed.comm import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    scheme, place = parse_address(address)
    get_backend(scheme)
    parse_host_port(place)


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
        self.client = client
        self._where = str(client.scheduler.address) if client.scheduler is not None else "its address"
        try:
            self._refuse_none()
            self._refuse_others()
        except OSError as problem:  # CommClosedError is one
            raise InvalidInput(
                f"the connection to the Dask scheduler at {self._where} broke at once ({_reason(problem)}). Look "
                f"whether it is still there, and call again."
            ) from problem
        self._executor = client.get_executor(pure=False)

    def share(self, shared: Any) -> Future:
        """Bring it to every worker, so that it outlives each of them."""
        from distributed.comm import CommClosedError

        try:
            (handle,) = self.client.scatter([shared], broadcast=True, hash=False)  # it takes a tuple apart
        except OSError as problem:  # as while it tries to connect again
            raise CommClosedError(str(problem)) from problem
        return handle

    def release(self, handle: Any) -> None:
        """Let the workers forget it."""
        handle.release()

    def submit(self, how: Callable[..., Answer], work: Work[Item, Result], handle: Any, item: Item) -> Piece:
        """Hand a piece to the scheduler."""
        piece: Piece = self._executor.submit(_worked, code(), how, work, handle, item)
        return piece

    def lost(self) -> str | None:
        """Say so where the scheduler is gone; the client tries to connect again for as long as its timeout."""
        if self.client.status in ("running", "connecting"):
            return None
        return self._silent

    @property
    def _silent(self) -> str:
        return f"the Dask scheduler at {self._where} does not answer any more:"

    def drop(self, pieces: Iterable[Piece]) -> None:
        """Cancel what is under way, where that can be said to someone."""
        if self.client.status == "running":
            super().drop(pieces)

    def wide(self) -> int:
        """Return the threads of all workers."""
        with suppress(OSError):  # who does not answer is noticed where it matters
            return max(1, sum(map(int, self.client.nthreads().values())))
        return 1

    def explained(self, problem: BaseException, finished: int, asked: int) -> WorkersLost | None:
        """Tell a worker that died again and again from an error of the work."""
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        if isinstance(problem, CommClosedError):
            return WorkersLost(self._silent, finished, asked)
        if isinstance(problem, KilledWorker):
            what = (
                "a piece of the work ended each worker that it was given to, most likely for lack of memory (give "
                "workers more, or fewer threads):"
            )
            return WorkersLost(what, finished, asked)
        return None

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


def _reason(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
