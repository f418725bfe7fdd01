"""Foreign values for every argument of every public function: an answer, or a `FluctuaError`, in good time."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput
from fluctua.recipe import schedules
from helpers.fuzz import answer

pytestmark = pytest.mark.any_seed


class Nasty:
    """A stranger whose every word is an error."""

    def __repr__(self):
        raise RuntimeError("no")

    __eq__ = __str__ = __len__ = __bool__ = __float__ = __int__ = __index__ = __array__ = __fspath__ = __repr__
    __hash__ = object.__hash__


FOREIGN = {
    "None": None,
    "object": object(),
    "text": "x",
    "no text": "",
    "bytes": b"x",
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "-1": -1,
    "0": 0,
    "1": 1,
    "2.5": 2.5,
    "True": True,
    "1e300": 1e300,
    "1e-320": 1e-320,
    "10^400": 10**400,
    "-10^400": -(10**400),
    "10^5000": 10**5000,
    "2^53+1": 2**53 + 1,
    "a NumPy number": np.float64(3),
    "a NumPy truth": np.bool_(True),
    "0-d": np.array(3),
    "1-d": np.array([1, 2]),
    "empty": np.array([]),
    "letters": np.array(["a"]),
    "objects": np.array([None, {}], dtype=object),
    "dict": {},
    "schedule": {"name": "StepLR"},
    "strange schedule": {"name": "StepLR", "step_size": 3, "more": 1},
    "list": [],
    "tuple": (),
    "[None]": [None],
    "ragged": [[1, 2], [3]],
    "nested": [[[1.0]]],
    "set": {1},
    "function": lambda: 1,
    "class": int,
    "...": ...,
    "complex": 1j,
    "Decimal": Decimal(1),
    "Fraction": Fraction(1, 2),
    "timedelta": np.timedelta64(3, "s"),
    "datetime": np.datetime64("2020-01-01"),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "path": Path("x"),
    "null byte": "a\0b",
    "range": range(3),
    "generator": (i for i in range(2)),
    "longdouble": np.longdouble("1e400"),
    "nasty": Nasty(),
    "nasties": [Nasty()],
    "5000 letters": 5000 * "y",
    "module": np,
    "error": ValueError("x"),
}

LABELLED = np.arange(1000) % 3


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Every public function, with arguments that it takes."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(14, 3)), rng.normal(size=(14, 2))
    folder = tmp_path_factory.mktemp("api")
    np.savez(folder / "f.npz", X=x, y=np.arange(14) % 3)
    problem, sgd = fl.LeastSquares(x, y), fl.SGD(0.05, 2)
    shuffled = fl.SGD(0.02, 2, sampling="shuffle", weight_decay=0.1)
    stationary = fl.predict(problem, sgd)
    found = fl.plan(problem, 12, batch_size=2, momenta=[0.0], schedules=["constant"])
    verdict = fl.verify(problem, sgd, steps=16, replicas=8, rng=1, threads=1)
    noise = fl.gradient_noise(problem, sgd, steps=8, replicas=4, rng=1)
    both = {"problem": problem, "sgd": sgd}
    hot, batches = {"lr": 0.05, "temperature": 0.1}, {"batch_size": 2, "sampling": "with_replacement"}
    samplers: dict[type, dict[str, object]] = {fl.SGLD: batches, fl.ULA: {}}
    samplers |= {kind: {**batches, "friction": 1.0} for kind in (fl.SGHMC, fl.BAOA, fl.BAOAB, fl.ABOBA, fl.OBABO)}
    sampler = fl.SGLD(**hot, **batches)
    head = {"label_smoothing": 0.1, "ignore_index": None, "reduction": "mean"}
    run = {"steps": 12, "replicas": 4, "rng": 1, "threads": 1, "progress": None}
    return {
        fl.SGD: {**vars(sgd)},
        fl.QHM: {**vars(fl.QHM(0.05, 2, 0.5, 0.5))},
        fl.Softmax: {"inputs": x, "labels": np.arange(14) % 3, "class_weight": [1.0, 2.0, 1.0], **head},
        fl.Logistic: {"inputs": x, "labels": np.arange(14) % 2, "class_weight": "balanced", **head},
        **{kind: {**hot, **own, "weight_decay": 0.0, "schedule": None} for kind, own in samplers.items()},
        fl.EMA: {"decay": 0.5},
        fl.RunningAverage: {"start": 0},
        fl.WeightedSampling: {"weights": [1.0, 2.0], "unbiased": True},
        fl.LeadingModes: {"inputs": x, "targets": y, "modes": 2, "targets_are": None},
        fl.LeastSquares.from_batches: {"batches": [(x, y)], "classes": None, "feedback_samples": 8, "progress": None},
        fl.LeastSquares: {"inputs": x, "targets": y, "sample_weight": None},
        schedules.StepLR: {"step_size": 3, "gamma": 0.5},
        schedules.CosineAnnealingLR: {"T_max": 4, "eta_min": 0.0},
        schedules.LinearLR: {"start_factor": 0.5, "end_factor": 1.0, "total_iters": 4},
        schedules.InverseTimeLR: {"half_time": 4.0},
        schedules.ArrayLR: {"factors": [1.0, 0.5]},
        schedules.ExponentialLR: {"gamma": 0.9},
        schedules.MultiStepLR: {"milestones": [2, 3], "gamma": 0.5},
        schedules.PolynomialLR: {"total_iters": 4, "power": 2.0},
        schedules.ConstantLR: {"factor": 0.5, "total_iters": 2},
        schedules.CosineAnnealingWarmRestarts: {"T_0": 4, "T_mult": 2, "eta_min": 0.0},
        schedules.OneCycleLR: {
            "max_lr": 0.1,
            "total_steps": 9,
            "epochs": 3,
            "steps_per_epoch": 3,
            "pct_start": 0.3,
            "anneal_strategy": "cos",
            "cycle_momentum": False,
            "div_factor": 25.0,
            "final_div_factor": 1e4,
            "three_phase": False,
        },
        schedules.SequentialLR: {"schedulers": [schedules.LinearLR(), schedules.StepLR(3)], "milestones": [5]},
        schedules.ChainedScheduler: {"schedulers": [schedules.LinearLR(), schedules.StepLR(3)]},
        schedules.PerEpoch: {"schedule": schedules.StepLR(3), "batches": 4},
        schedules.from_torch: {"build": lambda _optimizer: None, "steps": 4, "lr": 0.1},
        fl.load: {
            "name": folder / "f.npz",
            "subset": None,
            "split": None,
            "classes": None,
            "limit": None,
            "targets": None,
            "data_dir": None,
        },
        fl.predict: {**both, "theory": "exact", "average": None, "check_stability": True, "device": None},
        fl.learned_share: {**both, **run, "new_targets": y[:, 0]},
        fl.learning_curve: {**both, "steps": 5, "start": "zero", "theory": "exact", "average": None, "rtol": 1e-4},
        fl.max_stable_lr: both,
        fl.lr_for_inflation: {"problem": problem, "sampler": sampler, "inflation": 1.5},
        fl.verify_draws: {
            "law": fl.predict(problem, sampler),
            "draws": rng.normal(size=(8, 400, 2, 3)),
            "every": 1,
            "start": None,
            "level": 0.01,
            "resolution": 0.05,
        },
        fl.plan: {
            "problem": problem,
            "steps": 12,
            "batch_size": 2,
            "momenta": [0.0],
            "schedules": ["constant"],
            "weight_decay": 0.0,
            "sampling": "with_replacement",
            "start": "zero",
            "held_out": None,
            "progress": None,
        },
        fl.sweep: {
            **both,
            **run,
            "lr": [0.02],
            "batch_size": [2],
            "momentum": [0.0],
            "samples": None,
            "measure": True,
            "target": 1.05 * problem.minimum().loss,
            "start": "zero",
            "average": None,
            "longest": 100,
            "checkpoint": None,
            "reuse": True,
            "shard": "1/1",
        },
        fl.cluster: {"workers": 1},
        fl.rehearse: {"problem": problem, "found": found, "replicas": 16, "rng": 1, "start": "zero", "progress": None},
        fl.batch_costs: {
            "problem": problem,
            "batch_sizes": [2],
            "target": 1.05 * problem.minimum().loss,
            "weight_decay": 0.0,
            "start": "zero",
            "longest": 100,
            "progress": None,
        },
        fl.conditioning: both,
        fl.Preparation: {
            "bias": True,
            "center": True,
            "standardize": True,
            "classes": [0, 1],
            "pipeline": None,
            "targets_are": None,
        },
        fl.held_out_loss: {"prediction": stationary, "inputs": x, "targets": y},
        fl.expected_accuracy: {
            "prediction": fl.predict(fl.LeastSquares(x, LABELLED[: len(x)]), fl.SGD(0.01, 2)),
            "inputs": x,
            "labels": LABELLED[: len(x)],
            "pairs": True,
            "rtol": 1e-3,
        },
        fl.held_out_curve: {
            **both,
            "steps": [0, 3],
            "inputs": x,
            "targets": y,
            "start": "zero",
            "average": None,
            "rtol": 1e-4,
        },
        fl.loss_spread: {"prediction": stationary, "rtol": 1e-3},
        fl.torch_code: {
            **both,
            "steps": 5,
            "average": None,
            "prediction": stationary.after(5, start="zero"),
            "loss": "half",
            "dtype": "float32",
        },
        fl.simulate: {
            **both,
            **run,
            "start": "optimum",
            "records": 2,
            "dynamics": "sgd",
            "average": None,
            "dtype": np.float32,
            "device": None,
            "batches": None,
            "checkpoint": None,
        },
        fl.verify: {
            **both,
            **run,
            "start": "optimum",
            "theory": None,
            "dynamics": "sgd",
            "average": None,
            "records": 2,
            "level": 0.01,
            "resolution": 0.5,
            "device": None,
            "checkpoint": None,
            "check_stability": True,
        },
        fl.verify_dynamic: {
            **both,
            **run,
            "steps": 16,
            "modes": 2,
            "lags": [1],
            "level": 0.01,
            "resolution": 0.5,
            "entropy": False,
        },
        fl.semi_analytic: {"problem": problem, "sgd": shuffled, "orders": 32, "rng": 1, "threads": 1, "progress": None},
        fl.gradient_noise: {**both, "steps": 8, "replicas": 4, "rng": 1, "level": 0.01, "progress": None},
        stationary.after: {"steps": 3, "start": "optimum", "rtol": 1e-4, "curve": False},
        fl.predict(problem, shuffled).at: {"position": 1},
        stationary.response: {"lag": 2},
        stationary.step_response: {"lag": 2},
        stationary.lagged_covariance: {"lag": 2},
        stationary.effective_temperatures: {"lag": 2},
        stationary.entropy_production_in: {"modes": 2},
        stationary.output_block: {"k": 0, "l": 1},
        problem.minimum: {"weight_decay": 0.0},
        noise.holds: {"statement": "mean"},
        fl.plot.names: {"result": stationary},
        fl.plot.draw: {"result": np.ones(3), "figure": "curve", "ax": None, "figsize": None, "style": None},
        stationary.columns: {"table": "modes"},
        stationary.to_csv: {"path": None, "table": "modes"},
        verdict.save: {"directory": folder},
        verdict.about: {"data": {}},
        verdict.row: {"name": "exact"},
        fl.Verdict.load: {"path": folder},
        fl.DynamicVerdict.load: {"path": folder},
    }


def cases(calls):
    return [(call, options, name, value) for call, options in calls.items() for name in options for value in FOREIGN]


def tried(call, options, name, foreign):
    """Call with one foreign value; the error, if one comes, is a `FluctuaError`, and comes in time."""
    began = time.process_time()
    found = answer(call, **{**options, name: FOREIGN[foreign]})
    assert time.process_time() - began < 10
    return found


def test_every_public_function_is_tried(calls):
    made = {
        "BatchCost",
        "BatchCosts",
        "Candidate",
        "Cell",
        "Conditioned",
        "Conditioning",
        "Dataset",
        "EntropyProduction",
        "ExpectedAccuracy",
        "FluctuaError",
        "GradientNoise",
        "HeadMeasurement",
        "HeldOutLoss",
        "LearnedShare",
        "LeadingPrediction",
        "LocalPrediction",
        "LossSpread",
        "Measurement",
        "Part",
        "Plan",
        "Prediction",
        "Rehearsal",
        "SemiAnalytic",
        "StableLimit",
        "StepForInflation",
        "Sweep",
        "UnstableSGD",
        "DynamicVerdict",
        "Verdict",
        "errors",
        "plot",
        "schedules",
    }
    assert {name for name in fl.__all__ if getattr(fl, name) not in calls} == made


def test_foreign_values_are_answered_or_refused(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every, refused = cases(calls), 0
    for k in np.random.default_rng(3).permutation(len(every))[:500]:
        call, options, name, foreign = every[k]
        try:
            refused += isinstance(tried(call, options, name, foreign), FluctuaError)
        except BaseException as error:
            error.add_note(f"{call.__qualname__}({name}={foreign})")
            raise
    assert refused > 350


@pytest.mark.parametrize(
    "function",
    [
        fl.predict,
        fl.max_stable_lr,
        fl.learning_curve,
        fl.simulate,
        fl.verify,
        fl.verify_dynamic,
        fl.gradient_noise,
        fl.semi_analytic,
        fl.sweep,
    ],
)
def test_problem_and_recipe_are_named(calls, function):
    options = calls[function]
    with pytest.raises(InvalidInput, match=r"problem must be a problem, fluctua\.LeastSquares.*got None"):
        function(**{**options, "problem": None})
    with pytest.raises(InvalidInput, match=r"problem must be a problem.*got SGD"):
        function(**{**options, "problem": options["sgd"]})
    with pytest.raises(InvalidInput, match=r"sgd must be a recipe, fluctua\.SGD.*got LeastSquares"):
        function(**{**options, "sgd": options["problem"]})


@pytest.mark.parametrize(
    ("function", "name", "value", "words"),
    [
        (fl.simulate, "average", "x", "average must be fluctua.EMA"),
        (fl.simulate, "checkpoint", 3, "checkpoint must be a path, got 3"),
        (fl.simulate, "progress", lambda: 1, r"progress must be a function of \(fraction\) or None"),
        (fl.verify, "progress", "x", r"progress must be a function of \(stage, fraction\) or None, got 'x'"),
        (fl.verify, "checkpoint", 3, "checkpoint must be a path"),
        (fl.verify, "threads", 0, "threads must be at least 1, got 0"),
        (fl.verify, "records", 2.5, "records must be a whole number"),
        (fl.plan, "held_out", "abc", r"held_out must be a pair of arrays, \(inputs, targets\), or None; got 'abc'"),
        (fl.plan, "momenta", np.array(3), "momenta must be a sequence of numbers, got array"),
        (fl.load, "classes", np.array(3), "classes must be a sequence of labels"),
        (fl.SGD, "schedule", {}, "unknown schedule 'None'. .*StepLR"),
        (fl.SGD, "schedule", {"name": "StepLR"}, "StepLR needs step_size, gamma"),
        (fl.SGD, "schedule", {"name": "StepLR", "step_size": 2, "gama": 1}, "StepLR has no 'gama'; it has step_size"),
        (fl.SGD, "schedule", [0.0, 0.0], "largest factor of a schedule must be above 0.*got 0"),
        (fl.SGD, "schedule", [1e300], "below 1e.150.*got 1e.300"),
        (fl.SGD, "lr", 10**400, "lr must be a finite number"),
        (fl.SGD, "lr", 1e300, "lr must be less than 1e.150"),
        (fl.SGD, "weight_decay", 1e300, "weight_decay must be less than 1e.150, got 1e.300"),
        (fl.SGD, "nesterov", "no", "nesterov must be True or False, got 'no'"),
        (fl.SGD, "batch_size", np.timedelta64(3, "s"), "batch_size must be a whole number of at least 1, got"),
        pytest.param(
            fl.SGD, "batch_size", 10**5000, "batch_size must be at most 2.53 = 9007199254740992, got a int", id="digits"
        ),
        (fl.verify_dynamic, "modes", 5, r"modes must be at most 3, got 5\."),
        (fl.verify_dynamic, "lags", 3, "lags must be a sequence of steps, got 3"),
        (fl.held_out_loss, "prediction", None, "prediction must be a prediction"),
        (fl.rehearse, "found", {}, "found must be a plan"),
    ],
)
def test_the_argument_is_named_before_any_work(calls, function, name, value, words, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work was begun")

    for place in (
        "verification.equal_time.predict",
        "verification.in_time.verify.predict",
        "simulation.replicas.runs_of",
        "planning.recipes.Search",
    ):
        module, attribute = place.rsplit(".", 1)
        if name != "modes":
            monkeypatch.setattr(sys.modules[f"fluctua.{module}"], attribute, work)
    with pytest.raises(InvalidInput, match=words):
        function(**{**calls[function], name: value})
