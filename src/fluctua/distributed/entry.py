"""The door: what `fl.cluster` takes, and the executor that it hands in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from .._validate.values import positive_int
from ..errors import InvalidInput
from ..simulation.executors import handed_in
from .dask_workers import DaskWorkers, connected
from .pool import Pool
from .processes import Processes

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster"]


def cluster(workers: Client | str | int) -> AbstractContextManager[None]:
    """Let other processes or machines do the independent pieces of what is computed in the body of a `with`.

    Those are the cells of `sweep`, and the replicas of `simulate` and of all that simulates by it. The numbers are
    those of this process to the last bit, where BLAS has as many threads and processors are of a kind.

    Parameters
    ----------
    workers : distributed.Client, str or int
        A client of a Dask cluster, or the address of its scheduler; or a number of processes of this machine, which
        joblib begins.

    Returns
    -------
    context manager
        For `with`; nothing is bound.

    Raises
    ------
    InvalidInput
        If nothing answers at the address, if there is no worker, or if one has other versions of Python, NumPy, SciPy,
        numba or fluctua.
    MissingPackage
        For a cluster without dask.distributed.
    WorkersLost
        From the body: the scheduler is gone, or a piece of the work ended each worker that it was given to. A worker
        that ends is replaced by the others, and what it had in hand is done again.

    Notes
    -----
    A worker does one cell at a time, with as many threads as the worker has, or one group of replicas in each thread.
    Results come back to this process, which writes them; workers need no files. What the pieces share, the data above
    all, is sent to each worker once. Cost: about 12 ms of the processor for each piece that is handed out.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", classes=[3, 8], limit=100)
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> with fl.cluster(2):  # or a distributed.Client, or "tcp://10.0.0.1:8786"
    ...     sweep = fl.sweep(problem, fl.SGD(lr=0.02, batch_size=8), lr=[0.01, 0.02], steps=100)
    >>> print(f"{sweep.best.loss:.4f}")
    0.0321
    """
    if isinstance(workers, int) and not isinstance(workers, bool):
        return _doing(Processes(positive_int("workers", workers)))
    if isinstance(workers, str):
        return _by_dask(workers)
    if not all(callable(getattr(workers, name, None)) for name in ("scatter", "get_executor", "wait_for_workers")):
        raise InvalidInput(
            f"workers must be a distributed.Client, the address of a Dask scheduler or a number of processes, got "
            f"{type(workers).__name__}. With dask.distributed: Client(address), then cluster(client)."
        )
    return _doing(DaskWorkers(workers))


@contextmanager
def _by_dask(address: str) -> Iterator[None]:
    with connected(address) as client, _doing(DaskWorkers(client)):
        yield


@contextmanager
def _doing(pool: Pool) -> Iterator[None]:
    try:
        with handed_in(pool):
            yield
    finally:
        pool.forget()
