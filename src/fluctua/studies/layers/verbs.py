"""What `predict` and `max_stable_lr` do with a two-layer net."""

from __future__ import annotations

from ..._validate.arguments import door
from ..._validate.values import choice
from ...recipe.averages import Average
from ...recipe.sgd import SGD
from ...theory.answers import predict
from ...theory.stability import max_stable_lr
from ...theory.stable_limit import StableLimit
from .covered import refuse_uncovered, refuse_unstable
from .ladder import LAYER_RUNGS, LayerRung
from .law import LayerLaw
from .net import TwoLayer
from .prediction import LayersPrediction

__all__ = ["limit_of_net", "predict_net"]


@predict.register(TwoLayer)
def predict_net(
    problem: TwoLayer,
    sgd: SGD,
    *,
    theory: LayerRung = "drifting",
    average: Average | None = None,
    check_stability: bool = True,
) -> LayersPrediction:
    r"""Predict the fluctuation of a two-layer linear net about the manifold W2 W1 = W*.

    ==========  ==============================================================================
    drifting    K with the second derivative of the net, and the frame moves with E Bal
    linear      the frame is held at the start
    discrete    K dropped: the noise does not feel the fluctuation
    langevin    and continuous time, H S + S H = eta kappa C
    isotropic   and C replaced by 2 L* H / c: S = tau on the range of H, tau = eta kappa L*/c
    ==========  ==============================================================================

    No rung is exact, since third moments do not close: what "drifting" leaves out is O(eta), `stated_error`.

    Parameters
    ----------
    problem : TwoLayer
        The net at its start.
    sgd : SGD
        The recipe: independent batches at a constant rate, without momentum and weight decay.
    theory : str
        Rung of the ladder, from the table.
    average : None
        Averages of the weights are not covered.
    check_stability : bool
        If False, a rate beyond the limit of gradient descent is not refused; `.after` follows it.

    Returns
    -------
    LayersPrediction
        The quasi-stationary state about the start; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For arguments out of range, and for recipes that are not covered, with the reason.
    UnstableSGD
        Beyond 2/h_max of the net, and, where the quasi-stationary state is asked for, where there is none.

    Notes
    -----
    Cost: one K for each round of the stationary state, 2 N h^2 r^2 multiplications; at finite time see `.after`.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import layers
    >>> data = fl.load("digits", classes=[3, 8])
    >>> steep = data.inputs @ fl.LeastSquares(data.inputs, data.targets).modes[:, :6]
    >>> net = layers.TwoLayer(fl.LeastSquares(steep, data.targets), hidden=2)
    >>> prediction = fl.predict(net, fl.SGD(lr=0.02, batch_size=8))
    >>> print(f"{prediction.excess_loss:.6f}; after 100 steps {prediction.after(100).excess_loss:.6f}")
    0.000872; after 100 steps 0.000842
    """
    door(sgd=sgd, check_stability=check_stability)
    choice("theory", theory, LAYER_RUNGS)
    refuse_uncovered(sgd, average)
    law = LayerLaw(problem, sgd, theory)
    law.kappa  # noqa: B018  (refuses batches larger than the data)
    if check_stability:
        refuse_unstable(problem, sgd)
    return LayersPrediction(law)


@max_stable_lr.register(TwoLayer)
def limit_of_net(problem: TwoLayer, sgd: SGD) -> StableLimit:
    r"""Return the rate up to which the linear rung at the start has a quasi-stationary state (F12, with K of F106).

    Parameters
    ----------
    problem : TwoLayer
        The net at its start.
    sgd : SGD
        The recipe. All of it matters but its lr.

    Returns
    -------
    StableLimit
        Below 2/h_max of the net.

    Raises
    ------
    InvalidInput
        For arguments of other types, and for recipes that are not covered.
    NotConverged
        Where the limit was not found.
    """
    door(sgd=sgd)
    refuse_uncovered(sgd)
    return StableLimit(LayerLaw(problem, sgd, "linear").limit, "local")
