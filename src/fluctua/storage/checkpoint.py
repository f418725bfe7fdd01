"""Who removes a checkpoint, and when: whoever was given its path, once what the run was for is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ResultError
from .paths import kind_of, refuse_irregular
from .shelf import cleared
from .writing import remove

__all__ = ["Checkpoint", "kept_until_done"]


@dataclass(frozen=True)
class Checkpoint:
    """A run's checkpoint in the hands of a caller who removes it when the result is written, not the run.

    Attributes
    ----------
    path : Path
        A file; or a directory, where groups of replicas are kept one by one.
    resume : bool
        Whether to go on with what is there; otherwise it is dropped when the runs begin.
    """

    path: Path
    resume: bool = True

    @property
    def begun(self) -> bool:
        """Whether there is a run to go on with; raises `ResultError` if what is there is no file."""
        refuse_irregular(self.path, ResultError)
        return self.resume and kind_of(self.path, ResultError) == "file"

    def remove(self) -> None:
        """Remove what is kept there; raises `OutputError`."""
        if kind_of(self.path, ResultError) == "directory":
            cleared(self.path)
        else:
            remove(self.path)


@contextmanager
def kept_until_done(checkpoint: Checkpoint | Path | str | None, part: object = None) -> Iterator[Checkpoint | None]:
    """Give the checkpoint to the body; one that came as a path is removed when the body ends, unless it raises.

    That of a part stays, for the others.
    """
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        yield checkpoint
        return
    place = Checkpoint(Path(checkpoint))
    yield place
    if part is None:
        place.remove()
