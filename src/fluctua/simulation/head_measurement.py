"""What the runs of a head found, and what their twins did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path

from .._arrays import Array
from .._validate.plain import Header
from ..errors import InvalidInput
from ..storage.results import save_arrays
from ..storage.stored import reading
from .identity import EqualTimeRun
from .measurement import Measurement
from .records import Window
from .resumed import arrays_of_run, damaged
from .tally import Chunk, Tally

__all__ = ["HeadMeasurement", "HeadRun", "HeadTally"]

_TWIN = "twin_"


@dataclass(frozen=True)
class HeadRun(EqualTimeRun):
    """What fixes the numbers of the runs of a head.

    Attributes
    ----------
    loss : str
        "softmax" or "logistic".
    control : str or None
        What runs beside each replica.
    burn_in : int
        Steps before the recorded ones, at least.
    """

    loss: str
    control: str | None
    burn_in: int


@dataclass(frozen=True, eq=False, repr=False)
class HeadMeasurement(Measurement):
    """Fluctuation of a head's V = W - W* over independent replicas; made by `simulate`.

    Modes are those of H in flattened weights, so that there is one output of as many modes as directions that data can
    move (of a large head the steepest). Losses are all of L(W) - L(W*), not their quadratic part.

    Attributes
    ----------
    identity : dict
        Recipe, loss, control, steps, entropy: everything that fixes the numbers.
    recorded, watched : ndarray
        Steps, as of a `Measurement`.
    opened, chunks : int
        As of a `Measurement`.
    replica_variances, replica_losses : ndarray, (R, r) and (R, m)
        As of a `Measurement`.
    mode_means, mode_covariance, window_covariance : ndarray, (m, 1, r) and (r, r)
        As of a `Measurement`, of one output.
    covariance_error : float
        As of a `Measurement`.
    balance, balance_error : None
        F0 is of least squares.
    twin : Measurement or None
        Of the twins that follow the quadratic, with `control`; their losses are the quadratic's.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits", limit=300)
    >>> problem = fl.Softmax(data.inputs, data.labels)
    >>> sgd = fl.SGD(lr=0.2, batch_size=8, weight_decay=0.01)
    >>> run = fl.simulate(problem, sgd, steps=200, replicas=8, rng=1, control="quadratic")
    >>> run.excess_loss_error > 3 * run.beyond_twin[1]
    True
    """

    twin: Measurement | None = None

    @cached_property
    def run(self) -> HeadRun:
        """The identity, read: recipe, steps, replicas, seed and the rest."""
        return HeadRun.of(self.identity)

    @property
    def beyond_twin(self) -> tuple[float, float]:
        """Mean excess loss less that of the twins, and its standard error: what is not quadratic in it."""
        assert self.twin is not None
        found = replace(self, replica_losses=self.replica_losses - self.twin.replica_losses, twin=None)
        return found.excess_loss, found.excess_loss_error

    def controlled(self, losses: Array, variances: Array) -> HeadMeasurement:
        """Return the same runs with what their twins did by chance taken out.

        Parameters
        ----------
        losses : ndarray, (m,)
            What the law of the quadratic expects of the twins' excess loss at the watched steps.
        variances : ndarray, (r,)
            And of their mode variances, averaged over the recorded steps.

        Returns
        -------
        HeadMeasurement
            Every replica's losses and variances less its twin's, plus what is expected of the twin: the same means in
            expectation, with smaller error bars. A replica's variance may then be below 0.

        Raises
        ------
        InvalidInput
            For runs without twins.
        """
        if self.twin is None:
            raise InvalidInput("these runs have no twins: simulate with control='quadratic'.")
        return replace(
            self,
            replica_losses=self.replica_losses - self.twin.replica_losses + losses,
            replica_variances=self.replica_variances - self.twin.replica_variances + variances,
            twin=None,
        )


@dataclass
class HeadTally:
    """Running sums over chunks of replicas and, with a control, over those of their twins."""

    runs: Tally
    twins: Tally | None

    @classmethod
    def empty(cls, window: Window, *, twins: bool) -> HeadTally:
        """Return the sums before the first chunk."""
        made = [Tally(window.recorded, window.opened, window.watched) for _ in range(2)]
        return cls(made[0], made[1] if twins else None)

    @property
    def chunks(self) -> int:
        """Groups of replicas so far."""
        return self.runs.chunks

    def _both(self) -> Iterable[tuple[str, Tally]]:
        return [("", self.runs), *([] if self.twins is None else [(_TWIN, self.twins)])]

    def add(self, chunks: tuple[Chunk, Chunk | None], gap: Array | None) -> None:
        """Take in a chunk and that of its twins."""
        for (_, tally), chunk in zip(self._both(), chunks, strict=False):
            assert chunk is not None
            tally.add(chunk, gap)

    def save(self, path: Path, identity: Header) -> None:
        """Keep the sums so far in a checkpoint file."""
        arrays = {f"{prefix}{name}": each for prefix, tally in self._both() for name, each in tally.arrays().items()}
        save_arrays(path, {"identity": identity}, arrays)

    def loaded(self, path: Path, identity: Header, outputs: int, rank: int) -> HeadTally:
        """Read a checkpoint of the run `identity`; raises `ResultError` if it belongs to another."""
        arrays = arrays_of_run(path, identity)
        with reading(partial(damaged, path)):
            of_twins = {name: arrays.pop(name) for name in list(arrays) if name.startswith(_TWIN)}
            runs = self.runs.of(arrays, identity["replicas"], outputs, rank)
            if self.twins is None:
                return HeadTally(runs, None)
            named = {name.removeprefix(_TWIN): each for name, each in of_twins.items()}
            return HeadTally(runs, self.twins.of(named, identity["replicas"], outputs, rank))

    def measurement(self, identity: Header, gap: Array | None) -> HeadMeasurement:
        """Turn the sums into averages and error bars."""
        found = self.runs.measurement(identity, gap)
        twin = None if self.twins is None else self.twins.measurement(identity, gap)
        return HeadMeasurement(**{each.name: getattr(found, each.name) for each in fields(found)}, twin=twin)
