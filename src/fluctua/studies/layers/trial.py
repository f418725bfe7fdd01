"""What `verify` does with a two-layer net: the rungs against one set of runs, as statements with roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ..._arrays import Array, Ints
from ..._validate.arguments import door
from ..._validate.values import choice, false_alarm_level, positive_int, resolution_share
from ...errors import InvalidInput
from ...recipe.sgd import SGD
from ...simulation.batches import Rng, seed_sequence
from ...simulation.workers import workers_for
from ...verification.conclusion import StatementVerdict, conclude
from ...verification.equal_time import Progress, silent, verify
from ...verification.significance import bands
from ...verification.statements import KNOWN, Measured, Statement, scaled, stated
from .identity import identity_error
from .ladder import LAYER_RUNGS, LayerRung
from .measurement import LayersMeasurement
from .net import TwoLayer
from .prediction import NODES, LayersPrediction
from .runs import RECORDS, measured_over
from .told import arrays_of, facts_of, sloped, tables_of
from .verbs import predict_net

__all__ = ["verify_net", "windows_of"]

_STRAIGHT = "no second derivative in K"
_SHORTEST, _CHECKED = 20, 200
_EARLY, _MIDDLE = 10, 10


def windows_of(steps: int) -> dict[str, Ints]:
    """Return the windows of a run by name, and its end: early, middle, and the second half without the end."""
    early = np.arange(max(1, steps // 150), max(2, steps // 75 + (steps < 150)))
    middle = np.unique(np.linspace(max(2, steps // 15), max(3, 2 * steps // 15), _MIDDLE).astype(int))
    late = np.arange(steps // 2, steps, max(1, (steps // 2) // (RECORDS - 1)))[:RECORDS]
    return {"early": early[:_EARLY], "middle": middle, "late": late, "end": np.array([steps])}


@verify.register(TwoLayer)
def verify_net(
    problem: TwoLayer,
    sgd: SGD,
    *,
    steps: int = 1500,
    replicas: int = 1024,
    rng: Rng = None,
    theory: LayerRung = "drifting",
    nodes: int = NODES,
    level: float = 0.01,
    resolution: float = 0.05,
    threads: int | None = None,
    name: str = "",
    asked: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> StatementVerdict:
    r"""Run a two-layer net and hold the rungs of its law against the runs.

    The claim is the rung under test, in the second half of the run: excess loss, the trace of each layer, bands of
    modes, the drift of the balance, and the slope of variance on curvature in an early, a middle and the late window.
    It states an error of its own, `LayersPrediction.stated_error`, which is added to that of sampling.

    Parameters
    ----------
    problem : TwoLayer
        The net at its start.
    sgd : SGD
        The recipe: independent batches at a constant rate.
    steps, replicas : int
        Of the runs; at least 20 steps and 16 replicas.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the verdict records it.
    theory : str
        Rung under test.
    nodes : int
        As for `LayersPrediction.after`.
    level : float
        Family-wise probability that a true law is rejected.
    resolution : float
        Relative error of the law that the runs have to reject.
    threads : int, optional
        By default as many as there are cores.
    name : str
        What the data are called.
    asked : mapping, optional
        What repeats the run, for the verdict's identity.
    progress : callable, optional
        Called with the stage and the share of it that is done.

    Returns
    -------
    StatementVerdict
        Claims; mutants: the law times 1 + resolution and 1 - resolution, K without the second derivative of the net,
        and the lower rungs where these runs can tell them.

    Raises
    ------
    InvalidInput
        Before any simulation, for arguments out of range and recipes that are not covered; and where runs diverge.
    UnstableSGD
        Before any simulation, beyond the limit of gradient descent on the net.

    NotConverged
        If a stationary state, which tells the causes of the slope, was not found.

    Warns
    -----
    FarDrift
        Where the balance drifts by more than 5 % of tr B.

    Notes
    -----
    Cost: three times that of `LayersPrediction.after`, and that of the runs.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits", classes=[3, 8])
    >>> steep = data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :6]
    >>> net = layers.TwoLayer(fl.LeastSquares(steep, data.targets), hidden=2)
    >>> fl.verify(net, fl.SGD(lr=0.02, batch_size=8), steps=100, replicas=1024, rng=1)
    StatementVerdict(passed, would catch 3.5 %)
    """
    door(sgd=sgd, staged=progress)
    choice("theory", theory, LAYER_RUNGS)
    count = positive_int("steps", steps, minimum=_SHORTEST)
    runs, workers = positive_int("replicas", replicas, minimum=16), workers_for(threads)
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    prediction, root = predict_net(problem, sgd, theory=theory), seed_sequence(rng)
    report, windows = progress or silent, windows_of(count)
    report("theory", 0.0)
    rungs = _rungs(prediction, windows, positive_int("nodes", nodes), partial(report, "theory"))
    found = measured_over(problem, sgd, [*windows.values()], runs, root, workers, partial(report, "simulation"))
    measured = dict(zip(windows, found, strict=True))
    if measured["end"].diverged:
        raise InvalidInput(
            f"runs at lr = {sgd.lr:g} diverge before step {count}, though the rate is below 2/h_max = "
            f"{problem.edge:.4g} of the start: the noise of small batches carries them off. Use a smaller lr."
        )
    error = identity_error(problem, sgd, min(count, _CHECKED), root)
    trial = _Trial(theory, rungs, measured, level, resolution)
    return conclude(
        "layers",
        f"{name + ', ' if name else ''}{problem.words}, {sgd.words}",
        [*trial.rows, _identity(error)],
        level=level,
        resolution=resolution,
        steps=count,
        replicas=runs,
        entropy=str(root.entropy),
        asked={"recipe": sgd.to_dict(), "net": problem.words, **(asked or {})},
        arrays=arrays_of(rungs[theory], measured),
        tables=tables_of(measured),
        facts=facts_of(rungs, rungs[theory], measured, error),
    )


Predicted = dict[str, LayersPrediction]
"""What a rung says of each window."""


def _rungs(
    prediction: LayersPrediction, windows: Mapping[str, Ints], nodes: int, progress: Callable[[float], None]
) -> dict[str, Predicted]:
    """All rungs over all windows, the one under test first, and last the law without the net's second derivative."""
    names = [prediction.theory, *(rung for rung in LAYER_RUNGS if rung != prediction.theory)]
    laws = {str(rung): replace(prediction.law, rung=rung) for rung in names}
    laws[_STRAIGHT] = replace(prediction.law, bends=False)
    found = {}
    for number, (rung, law) in enumerate(laws.items()):
        over = replace(prediction, law=law).over([each.tolist() for each in windows.values()], nodes=nodes)
        found[rung] = dict(zip(windows, over, strict=True))
        progress((number + 1) / len(laws))
    return found


def _identity(error: float) -> Statement:
    """The identity of the balance: what changes over what it has to be, rounding of 1e-12 allowed."""
    return stated("step identity", "claim", {"Bal": 1.0}, {"Bal": Measured(1.0 + error, 1e-12, KNOWN)})


@dataclass(frozen=True)
class _Trial:
    """The rungs against one measurement."""

    theory: LayerRung
    rungs: Mapping[str, Predicted]
    measured: Mapping[str, LayersMeasurement]
    level: float
    resolution: float

    @property
    def rows(self) -> list[Statement]:
        """The claim, its mutants, and the lower rungs."""
        said = self._said(self.rungs[self.theory])
        claim = stated(self.theory, "claim", said, self.found)
        variances = {name: each for name, each in said.items() if not name.startswith("slope")}
        wrong = [scaled(self.theory, 1 + off, variances, self.found) for off in (self.resolution, -self.resolution)]
        lower = [
            stated(rung, "rung", self._said(over), self.found).if_told(claim, self.level)
            for rung, over in self.rungs.items()
            if rung not in (self.theory, _STRAIGHT)
        ]
        return [claim, *wrong, *lower, *self._straight(claim)]

    def _straight(self, claim: Statement) -> list[Statement]:
        """Without the second derivative of the net its weights never leave the range of H."""
        said = self._said(self.rungs[_STRAIGHT])
        made = stated(_STRAIGHT, "rung", said, self.found).if_told(claim, self.level)
        flat = stated(_STRAIGHT, "mutant", {"flat part": 0.0}, self.found)
        return [replace(made, role="mutant", quantities=(*made.quantities, *flat.quantities))]

    @cached_property
    def found(self) -> dict[str, Array | Measured]:
        """The numbers, replica by replica."""
        late, right = self.measured["late"], self.rungs[self.theory]
        out: dict[str, Array | Measured] = {
            "excess loss": late.replica_excess,
            "layer 1": late.replica_traces[:, 0],
            "layer 2": late.replica_traces[:, 1],
            "drift": self.measured["end"].replica_drifts,
            "flat part": late.replica_flat,
        }
        for number, band in enumerate(bands(late.replica_variances.shape[1])):
            ratios = late.replica_variances[:, band] / right["late"].mode_variances[band]
            out[f"band {number + 1}"] = ratios.mean(axis=1)
        for window in sloped(right):
            out[f"slope {window}"] = self.measured[window].slopes_along(right[window].layer(2))
        return out

    def _said(self, rung: Predicted) -> dict[str, float | Measured]:
        """What a rung says of them, each with the error that the law states of itself."""
        late, right = rung["late"], self.rungs[self.theory]
        said = {"excess loss": late.excess_loss, **{f"layer {each}": late.layer(each).trace for each in (1, 2)}}
        for number, band in enumerate(bands(len(late.curvatures))):
            said[f"band {number + 1}"] = float(np.mean(late.mode_variances[band] / right["late"].mode_variances[band]))
        own = late.stated_error
        out: dict[str, float | Measured] = {name: Measured(value, own * abs(value)) for name, value in said.items()}
        drift = right["end"].balance_drift
        size = float(np.abs(np.linalg.eigvalsh(drift)).sum())
        out["drift"] = Measured(float(np.trace(rung["end"].balance_drift)), own * size)
        for window in sloped(right):
            slope = _slope_along(rung[window], right[window])
            out[f"slope {window}"] = Measured(slope, own)
        return out


def _slope_along(one: LayersPrediction, right: LayersPrediction) -> float:
    """The slope of a rung over the principal directions of the law under test, as the runs are looked at."""
    layer, other = right.layer(2), one.layer(2)
    along = np.einsum("km,kl,lm->m", layer.directions, other.covariance, layer.directions)
    x = np.log(layer.curvatures)
    x = x - x.mean()
    return float(x @ np.log(along) / (x @ x))
