"""Which arrays belong to the header of a result, and in which shapes."""

from __future__ import annotations

import numpy as np

from .._arrays import Arrays
from .._validate.plain import Header
from ..simulation.identity import EqualTimeRun, InTimeRun
from ..storage.layout import hold_arrays
from ..theory.local.ladder import LOCAL_RUNGS

__all__ = ["hold_equal_time", "hold_in_time"]

_EQUAL_TIME = {
    **dict.fromkeys(("curvatures", "measured_variances", "measured_errors"), "f r"),
    "watched": "i m",
    **dict.fromkeys(("loss_mean", "loss_error", "loss_low", "loss_high"), "f m"),
    "curve_steps": "i n",
    "curve": "f n",
}
_BALANCE = {**dict.fromkeys(("dissipation", "dissipation_error", "fluctuation"), "f e"), "element": "i 2 e"}
_SURVEY = {
    "explorer_samples": "i",
    "explorer_outputs": "i",
    "explorer_limit": "f",
    "explorer_floor": "f",
    "explorer_miss": "f",
    "explorer_noise": "f g r",
    **dict.fromkeys(("explorer_curvatures", "explorer_signal", "explorer_relaxation_steps"), "f r"),
    **dict.fromkeys(("explorer_weight_decays", "explorer_optimum_losses"), "f g"),
}
_EXACT = {
    "explorer_exact_curvatures": "f a",
    "explorer_exact_images": "f j u",
    "explorer_exact_products": "f j j",
    "explorer_exact_noises": "f q u",
    "explorer_exact_noise_shares": "f g q",
    "explorer_exact_weight_decays": "f g",
    "explorer_exact_samples": "i",
    **dict.fromkeys((f"explorer_exact_{name}" for name in ("match", "limit_error", "floor_error")), "f"),
    "explorer_exact_checks": "i",
}
_FLOORS = {
    **dict.fromkeys(("floor_lr", "floor_anharmonicity"), "f k"),
    **dict.fromkeys((f"floor_{name}" for name in LOCAL_RUNGS), "f k"),
}
_TARGET = {"target": "f r"}
_EPOCHS = {
    "explorer_epochs_shares": "f s",
    "explorer_epochs_batch_sizes": "f b",
    "explorer_epochs_factors": "f s b",
    **dict.fromkeys((f"explorer_epochs_{name}" for name in ("match", "error")), "f"),
}
_IN_TIME = {
    "curvatures": "f m",
    "lags": "i k",
    "decay": "f x m",
    "dense_responses": "f y m",
    "plane": "i 2",
    **dict.fromkeys(("covariance", "measured_covariance", "covariance_error", "current_errors"), "f m m"),
    **dict.fromkeys(
        ("lagged", "measured_lagged", "lagged_error", "by_response", "by_response_error", "fdt_error"), "f k m m"
    ),
    **dict.fromkeys(("share_error", "responses", "measured_responses", "response_error"), "f k m"),
}
_FLOW = {
    **dict.fromkeys(("places", "current", "measured_current", "current_error"), "f z 2"),
    **dict.fromkeys(("density", "measured_density"), "f z"),
}


def hold_equal_time(header: Header, arrays: Arrays) -> None:
    """Of a verdict at equal times."""
    run = EqualTimeRun.of(header["identity"])
    rungs = {name.removeprefix("predicted_") for name in arrays if name.startswith("predicted_")} | {header["theory"]}
    rows = [row["name"] for row in header["rows"]]
    promised = rungs if run.recipe.schedule else {*rungs, f"{header['theory']}, stationary"}
    if missing := sorted(promised.difference(rows)):
        raise ValueError(f"it has no row {', '.join(missing)}")
    layout = {**_EQUAL_TIME, **dict.fromkeys((f"predicted_{name}" for name in rungs), "f r")}
    if header["balance"] is not None:
        layout |= _BALANCE
    hold_arrays(arrays, layout, {}, together=(_SURVEY, _EXACT, _EPOCHS, _FLOORS, _TARGET))
    _ascending(arrays, "watched", "curve_steps")
    modes = len(arrays["curvatures"])
    if "element" in layout:
        _below(arrays, "element", modes)
        if not np.array_equal(arrays["element"][:, :modes], np.array([np.arange(modes)] * 2)):
            raise ValueError("its array element does not begin with the diagonal")


def hold_in_time(header: Header, arrays: Arrays) -> None:
    """Of a verdict in time."""
    run = InTimeRun.of(header["identity"])
    hold_arrays(arrays, _IN_TIME, {"m": run.modes, "k": len(run.lags)}, together=(_FLOW,))
    if arrays["lags"].tolist() != list(run.lags):
        raise ValueError("its array lags has others than the run")
    _ascending(arrays, "lags")
    _below(arrays, "plane", run.modes)
    if min(len(arrays[name]) for name in ("decay", "dense_responses")) <= run.lags[-1]:
        raise ValueError("its arrays decay and dense_responses end before the longest lag")
    fields = len(arrays.get("places", ()))
    if round(np.sqrt(fields)) ** 2 != fields:
        raise ValueError(f"its array places has {fields} fields, no square")


def _ascending(arrays: Arrays, *names: str) -> None:
    for name in names:
        steps = arrays[name]
        if not len(steps) or steps[0] < 0 or np.any(np.diff(steps) <= 0):
            raise ValueError(f"its array {name} holds no steps in order")


def _below(arrays: Arrays, name: str, modes: int) -> None:
    if np.any((arrays[name] < 0) | (arrays[name] >= modes)):
        raise ValueError(f"its array {name} names modes beyond the {modes} there are")
