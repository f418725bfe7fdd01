"""Groups of replicas that are kept one by one, each under the hash of what fixes its numbers, for whoever asks next.

Jobs that share a directory do so, and runs that leave more than sums. A shard makes its groups and no more. The whole
run reads what is there, makes what is missing, and takes all in the order of the groups: its numbers are those of one
process to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .._arrays import AnyArray
from .._validate.plain import Header, JsonObject
from .._validate.shards import Shard
from ..errors import InvalidInput, ResultError
from ..storage.checkpoint import Checkpoint
from ..storage.paths import kind_of
from ..storage.results import provenance
from ..storage.shelf import Shelf, damaged, emptied, shelf_in
from ..storage.stored import reading
from .batches import kept_seed, seed_sequence

__all__ = ["GROUPS", "Keep", "Pack", "Packs", "asked_part", "current_keep", "is_kept", "keeping", "numbered"]

Pack = tuple[AnyArray, ...]
"""What a group of replicas found."""
Packs = Generator[Pack]
GROUPS = "groups"
"""Name of the directory, beside the results, in which a command keeps them."""
_RUN = {"last": "run"}  # the key that the identity of the run is kept under


def asked_part(shard: str | None, checkpoint: object, rng: object) -> Shard | None:
    """Return the part that is asked for; raises `InvalidInput`.

    One beyond the groups is empty: jobs of an array that is larger than the run have nothing to do.
    """
    if shard is None:
        return None
    part = Shard.read("shard", shard)
    if rng is None:
        raise InvalidInput(
            f"shard = {part} is one of {part.count} jobs, which must have one seed between them: give rng, a whole "
            f"number (--seed)."
        )
    if checkpoint is None:
        raise InvalidInput(
            f"shard = {part} makes groups of replicas for the same call without it, and they must be kept somewhere: "
            f"give checkpoint, a directory that all {part.count} jobs share (--out)."
        )
    return part


@dataclass(frozen=True)
class Keep:
    """Where groups are kept, and for whom.

    Attributes
    ----------
    shelf : Shelf
    part : Shard or None
        The groups to make; None for all.
    """

    shelf: Shelf
    part: Shard | None = None

    def root(self, rng: object) -> np.random.SeedSequence:
        """Return the run's seed; an unseeded run that goes on takes that which is kept."""
        if rng is None and (identity := self._identity()) is not None:
            with reading(partial(damaged, self.shelf.place(_RUN)), ours=True):
                return kept_seed(identity["entropy"], identity["spawn_key"])
        return seed_sequence(rng)  # type: ignore[arg-type]  # (it refuses what is no seed)

    def hold(self, identity: JsonObject) -> None:
        """Say whose groups these are; raises `ResultError` where they are those of another run."""
        kept, asked = self._identity(), json.loads(json.dumps(identity))
        if kept is None or (kept == asked and self.part is not None and not self.shared):
            self.shelf.put(_RUN, {"identity": asked, "shared": self.part is not None})
            kept = self._identity() or {}  # of another job, where two began at once
        if kept != asked:
            changed = [key for key in {**asked, **kept} if kept.get(key) != asked.get(key)]
            raise ResultError(
                f"{self.shelf.directory} holds groups of replicas of another run (different: {', '.join(changed)}). "
                f"Repeat the command with the options that the shards had, choose another --out, or delete the "
                f"directory to start anew."
            )

    def seed(self, asked: JsonObject, rng: int | None) -> int:
        """Return the seed of a run that was asked for: as given, or that of the same run when it was cut.

        What another run left is dropped.
        """
        told, kept = json.loads(json.dumps(asked, default=str)), self._identity()
        if kept is not None and kept.get("asked") == told and (rng is None or kept.get("entropy") == str(rng)):
            with reading(partial(damaged, self.shelf.place(_RUN))):
                return int(kept["entropy"])
        if self.shelf.directory is not None:
            emptied(self.shelf.directory)
        entropy = np.random.SeedSequence().entropy if rng is None else rng
        self.shelf.put(_RUN, {"identity": {"asked": told, "entropy": str(entropy)}})
        return int(str(entropy))

    @property
    def shared(self) -> bool:
        """Whether shards have made groups here."""
        return (self.shelf.get(_RUN) or {}).get("shared") is True

    def _identity(self) -> Header | None:
        kept = self.shelf.get(_RUN)
        if kept is None:
            return None
        with reading(partial(damaged, self.shelf.place(_RUN))):
            return dict(kept["identity"])

    def through(self, keys: Sequence[Header], make: Callable[[list[int]], Packs]) -> Packs:
        """Yield what groups found, in their order: what is kept is read, and the rest is made and kept.

        Of a part what is made is yielded, and nothing is read.
        """
        named = [{"fluctua": provenance().get("fluctua"), **key} for key in keys]
        mine = range(len(named)) if self.part is None else self.part.of(range(len(named)))
        missing = [number for number in mine if not self.shelf.has_arrays(named[number])]
        with closing(make(missing)) as made:
            for number in mine if self.part is None else missing:
                if number in missing:
                    found = next(made)
                    self.shelf.put_arrays(named[number], found)
                    yield found
                else:
                    yield self.shelf.arrays(named[number])


def numbered(fixed: JsonObject, groups: int) -> list[JsonObject]:
    """Return the keys of a run's groups: what fixes its numbers, and each group's number."""
    return [{**fixed, "group": number} for number in range(groups)]


_HANDED: ContextVar[Keep | None] = ContextVar("keep", default=None)


def current_keep() -> Keep | None:
    """Return where groups are kept, if they are."""
    return _HANDED.get()


@contextmanager
def keeping(checkpoint: Checkpoint | None, part: Shard | None = None, *, always: bool = False) -> Iterator[Keep | None]:
    """Keep the groups of the body one by one: those of a part, those of a run whose shards did, or `always`.

    Where nothing is to be gone on with, what one process left is dropped; what shards made never is.

    Raises
    ------
    OutputError
        If it cannot be written, or another run holds it.
    ResultError
        If what is there is damaged.
    """
    if checkpoint is None or not (always or part or is_kept(checkpoint.path)):
        yield None
        return
    with shelf_in(checkpoint.path, alone=part is None) as shelf:
        keep = Keep(shelf, part)
        if part is None and not checkpoint.resume and not keep.shared:
            emptied(checkpoint.path)
        token = _HANDED.set(keep)
        try:
            yield keep
        finally:
            _HANDED.reset(token)
            if part is None and not any(checkpoint.path.glob("*.npz")):  # it was cut before there was a group
                emptied(checkpoint.path)


def is_kept(place: Path) -> bool:
    """Return whether there is a directory in which groups are kept."""
    return kind_of(place, ResultError) == "directory" and Shelf(place).get(_RUN) is not None
