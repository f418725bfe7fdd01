"""What verbs return for which noun, for type checkers alone: `fluctua` takes its verbs from here while they look.

A verb dispatches when it is called (`_validate/nouns`), and a type checker sees no more of that than the function for
least squares. Here each noun stands once beside its result. Least squares and heads keep the parameters that their
functions have; nouns of studies take any. `tests/contracts/test_typed_verbs.py` holds it to what is registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, cast, overload

if TYPE_CHECKING:
    from ._validate.nouns import Verb
    from .planning.candidates import Plan
    from .planning.head_plan import plan_head
    from .planning.recipes import plan as _plan
    from .problem.least_squares import LeastSquares
    from .problem.softmax.base import Head
    from .simulation.head_measurement import HeadMeasurement
    from .simulation.measurement import Measurement
    from .simulation.parts import InParts, Part
    from .simulation.replicas import simulate as _simulate
    from .studies.adaptive.chain import Langevin
    from .studies.adaptive.law import ChainLaw
    from .studies.adaptive.runs import ChainRuns
    from .studies.adaptive.underdamped import Underdamped
    from .studies.coloring.graph import Graph
    from .studies.coloring.prediction import ColoringPrediction
    from .studies.coloring.runs import ColoringRuns
    from .studies.diffusion.budget import DiffusionPlan
    from .studies.diffusion.gaussian import GaussianData
    from .studies.diffusion.noising import LinearNoising
    from .studies.diffusion.prediction import DiffusionPrediction
    from .studies.diffusion.sde import LinearSDE
    from .studies.layers.measurement import LayersMeasurement
    from .studies.layers.net import TwoLayer
    from .studies.layers.prediction import LayersPrediction
    from .studies.learning.activity import Activity
    from .studies.learning.network import RateNetwork
    from .studies.learning.prediction import LearningPrediction
    from .theory.answers import Prediction
    from .theory.answers import predict as _predict
    from .theory.leading import LeadingModes, LeadingPrediction
    from .theory.local import LocalPrediction, predict_head
    from .torch.network_prediction import NetworkPrediction
    from .torch.networks import LocalNetwork
    from .verification.conclusion import StatementVerdict
    from .verification.equal_time import verify as _verify
    from .verification.heads import verify_head
    from .verification.verdict import Verdict

__all__ = ["Planning", "Predicting", "Simulating", "Verifying"]

P = ParamSpec("P")
Q = ParamSpec("Q")


class Predicting(Protocol[P, Q]):
    """`predict`."""

    @overload
    def __call__(self, problem: LeastSquares, *args: P.args, **kwargs: P.kwargs) -> Prediction: ...
    @overload
    def __call__(self, problem: Head, *args: Q.args, **kwargs: Q.kwargs) -> LocalPrediction: ...
    @overload
    def __call__(self, problem: LeadingModes, *args: Any, **kwargs: Any) -> LeadingPrediction: ...
    @overload
    def __call__(self, problem: LocalNetwork, *args: Any, **kwargs: Any) -> NetworkPrediction: ...
    @overload
    def __call__(self, problem: Langevin | Underdamped, *args: Any, **kwargs: Any) -> ChainLaw: ...
    @overload
    def __call__(self, problem: Graph, *args: Any, **kwargs: Any) -> ColoringPrediction: ...
    @overload
    def __call__(self, problem: GaussianData, *args: Any, **kwargs: Any) -> DiffusionPrediction: ...
    @overload
    def __call__(self, problem: LinearSDE, *args: Any, **kwargs: Any) -> LinearNoising: ...
    @overload
    def __call__(self, problem: TwoLayer, *args: Any, **kwargs: Any) -> LayersPrediction: ...
    @overload
    def __call__(self, problem: RateNetwork, *args: Any, **kwargs: Any) -> LearningPrediction: ...


class Simulating(Protocol[P]):
    """`simulate`."""

    @overload  # a shard alone gives a part
    def __call__(  # type: ignore[overload-overlap]
        self, problem: LeastSquares | Head, sgd: Any, *, shard: str, **options: Any
    ) -> Part: ...
    @overload
    def __call__(self, problem: LeastSquares, *args: P.args, **kwargs: P.kwargs) -> Measurement: ...
    @overload
    def __call__(self, problem: Head, *args: P.args, **kwargs: P.kwargs) -> HeadMeasurement: ...
    @overload
    def __call__(self, problem: Langevin | Underdamped, *args: Any, **kwargs: Any) -> ChainRuns: ...
    @overload
    def __call__(self, problem: Graph, *args: Any, **kwargs: Any) -> ColoringRuns: ...
    @overload
    def __call__(self, problem: GaussianData, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def __call__(self, problem: TwoLayer, *args: Any, **kwargs: Any) -> LayersMeasurement: ...
    @overload
    def __call__(self, problem: RateNetwork, *args: Any, **kwargs: Any) -> Activity: ...


class Verifying(Protocol[P, Q]):
    """`verify`."""

    @overload  # a shard alone gives a part
    def __call__(  # type: ignore[overload-overlap]
        self, problem: LeastSquares | Head, sgd: Any, *, shard: str, **options: Any
    ) -> Part: ...
    @overload
    def __call__(self, problem: LeastSquares, *args: P.args, **kwargs: P.kwargs) -> Verdict: ...
    @overload
    def __call__(self, problem: Head, *args: Q.args, **kwargs: Q.kwargs) -> Verdict: ...
    @overload
    def __call__(
        self, problem: Langevin | Graph | GaussianData | TwoLayer | RateNetwork, *args: Any, **kwargs: Any
    ) -> StatementVerdict: ...


class Planning(Protocol[P, Q]):
    """`plan`."""

    @overload
    def __call__(self, problem: LeastSquares, *args: P.args, **kwargs: P.kwargs) -> Plan: ...
    @overload
    def __call__(self, problem: Head, *args: Q.args, **kwargs: Q.kwargs) -> Plan: ...
    @overload
    def __call__(self, problem: GaussianData, *args: Any, **kwargs: Any) -> DiffusionPlan: ...


if TYPE_CHECKING:

    def _predicting(
        verb: Verb[P, Prediction], head: Callable[Concatenate[Head, Q], LocalPrediction]
    ) -> Predicting[P, Q]:
        del head
        return cast("Predicting[P, Q]", verb)

    def _simulating(verb: InParts[P, Measurement]) -> Simulating[P]:
        return cast("Simulating[P]", verb)

    def _verifying(verb: InParts[P, Verdict], head: Callable[Concatenate[Head, Q], Verdict | Part]) -> Verifying[P, Q]:
        del head
        return cast("Verifying[P, Q]", verb)

    def _planning(verb: Verb[P, Plan], head: Callable[Concatenate[Head, Q], Plan]) -> Planning[P, Q]:
        del head
        return cast("Planning[P, Q]", verb)

    predict = _predicting(_predict, predict_head)
    simulate = _simulating(_simulate)
    verify = _verifying(_verify, verify_head)
    plan = _planning(_plan, plan_head)
