"""The public API and the start-up are promises: changing them is a decision, not an accident."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fluctua as fl
import fluctua.report
import fluctua.report.explorer.ranges

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
PUBLIC = {
    "batch_costs",
    "cluster",
    "conditioning",
    "BatchCost",
    "BatchCosts",
    "Candidate",
    "Conditioned",
    "Conditioning",
    "Cell",
    "Dataset",
    "DynamicVerdict",
    "EMA",
    "EntropyProduction",
    "errors",
    "expected_accuracy",
    "ExpectedAccuracy",
    "FluctuaError",
    "gradient_noise",
    "GradientNoise",
    "HeadMeasurement",
    "held_out_curve",
    "held_out_loss",
    "HeldOutLoss",
    "learned_share",
    "LearnedShare",
    "learning_curve",
    "LeadingModes",
    "LeadingPrediction",
    "LeastSquares",
    "LocalPrediction",
    "Logistic",
    "load",
    "loss_spread",
    "LossSpread",
    "lr_for_inflation",
    "max_stable_lr",
    "Measurement",
    "Part",
    "plan",
    "Plan",
    "plot",
    "predict",
    "Prediction",
    "Preparation",
    "Rehearsal",
    "rehearse",
    "RunningAverage",
    "schedules",
    "semi_analytic",
    "SemiAnalytic",
    "ABOBA",
    "BAOA",
    "BAOAB",
    "OBABO",
    "QHM",
    "SGD",
    "SGHMC",
    "SGLD",
    "simulate",
    "Softmax",
    "StableLimit",
    "StepForInflation",
    "torch_code",
    "sweep",
    "Sweep",
    "ULA",
    "UnstableSGD",
    "Verdict",
    "verify",
    "verify_draws",
    "verify_dynamic",
    "WeightedSampling",
}
SIGNATURES = {
    fl.SGD: [
        "lr",
        "batch_size",
        "weight_decay",
        "sampling",
        "momentum",
        "dampening",
        "nesterov",
        "schedule",
        "drop_last",
    ],
    fl.LeadingModes: ["inputs", "targets", "modes", "targets_are"],
    fl.LeastSquares.from_batches: ["batches", "classes", "feedback_samples", "progress"],
    fl.LeastSquares: ["inputs", "targets", "targets_are", "sample_weight"],
    fl.Softmax: ["inputs", "labels", "class_weight", "label_smoothing", "ignore_index", "reduction"],
    fl.WeightedSampling: ["weights", "unbiased"],
    fl.load: [
        *("name", "subset", "split", "classes", "limit", "targets", "inputs_key", "targets_key", "data_dir"),
        *("targets_are", "like"),
    ],
    fl.predict: ["problem", "sgd", "theory", "average", "check_stability", "device"],
    fl.Prediction.after: ["self", "steps", "start", "rtol", "curve"],
    fl.learning_curve: ["problem", "sgd", "steps", "start", "theory", "average", "rtol"],
    fl.max_stable_lr: ["problem", "sgd"],
    fl.plan: [
        "problem",
        "steps",
        "batch_size",
        "momenta",
        "schedules",
        "weight_decay",
        "sampling",
        "start",
        "held_out",
        "progress",
    ],
    fl.sweep: [
        "problem",
        "sgd",
        "lr",
        "batch_size",
        "momentum",
        "steps",
        "samples",
        "measure",
        "target",
        "start",
        "average",
        "replicas",
        "rng",
        "longest",
        "threads",
        "checkpoint",
        "reuse",
        "shard",
        "progress",
        "others",
    ],
    fl.cluster: ["workers"],
    fl.rehearse: ["problem", "found", "replicas", "rng", "start", "progress"],
    fl.batch_costs: ["problem", "batch_sizes", "target", "weight_decay", "start", "longest", "progress"],
    fl.held_out_loss: ["prediction", "inputs", "targets"],
    fl.expected_accuracy: ["prediction", "inputs", "labels", "pairs", "rtol"],
    fl.held_out_curve: ["problem", "sgd", "steps", "inputs", "targets", "start", "average", "rtol"],
    fl.loss_spread: ["prediction", "rtol"],
    fl.simulate: [
        "problem",
        "sgd",
        "steps",
        "replicas",
        "rng",
        "start",
        "records",
        "dynamics",
        "average",
        "dtype",
        "threads",
        "control",
        "burn_in",
        "device",
        "batches",
        "checkpoint",
        "shard",
        "progress",
    ],
    fl.verify: [
        "problem",
        "sgd",
        "steps",
        "replicas",
        "rng",
        "start",
        "theory",
        "dynamics",
        "average",
        "records",
        "level",
        "resolution",
        "dtype",
        "threads",
        "device",
        "checkpoint",
        "shard",
        "check_stability",
        "progress",
    ],
    fl.verify_draws: ["law", "draws", "every", "start", "level", "resolution"],
    fl.verify_dynamic: [
        "problem",
        "sgd",
        "steps",
        "replicas",
        "rng",
        "modes",
        "lags",
        "level",
        "resolution",
        "entropy",
        "threads",
        "checkpoint",
        "shard",
        "progress",
    ],
    fluctua.report.render: ["verdicts", "brief"],
    fluctua.report.save_report: ["verdicts", "path", "brief"],
    fluctua.report.explorer.ranges.surveyed: ["verdict", "problem"],
    fl.semi_analytic: ["problem", "sgd", "steps", "start", "orders", "rng", "threads", "progress"],
    fl.gradient_noise: ["problem", "sgd", "steps", "replicas", "rng", "level", "resolution", "progress"],
}
PREDICTED = {
    "excess_loss",
    "covariance",
    "mode_variances",
    "curvatures",
    "modes",
    "temperatures",
    "output_covariance",
    "optimum",
    "relaxation_steps",
    "after",
    "lagged_covariance",
    "response",
    "step_response",
    "circulation",
    "entropy_production",
    "entropy_production_in",
    "detailed_balance_violation",
    "effective_temperatures",
    "bath_temperatures",
}
HEAVY = ("torch", "matplotlib", "scipy", "sklearn", "rich", "jinja2", "pooch", "joblib")


def test_the_public_names_are_the_pinned_ones():
    assert set(fl.__all__) == PUBLIC


@pytest.mark.parametrize(("callable_", "names"), SIGNATURES.items(), ids=lambda item: getattr(item, "__qualname__", ""))
def test_the_signatures_are_the_pinned_ones(callable_, names):
    assert list(inspect.signature(callable_).parameters) == names


def test_a_prediction_has_the_promised_quantities():
    assert set(dir(fl.Prediction)) >= PREDICTED


def test_importing_fluctua_imports_nothing_heavy():
    code = f"import sys, fluctua; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("option", ["--version", "--help", "--cite"])
def test_the_command_line_answers_within_a_second(option):
    """Of processor time, in one of three: the claim is about the program, not about what else the machine is doing."""

    def seconds():
        before = os.times()
        subprocess.run([sys.executable, "-m", "fluctua", option], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert any(seconds() < 1.0 for _ in range(3))


def test_every_public_object_has_a_docstring_with_an_example_or_says_what_it_holds():
    for name in PUBLIC - {"errors", "plot"}:
        assert len(inspect.getdoc(getattr(fl, name)) or "") > 60, name


def test_each_public_name_has_its_page_in_the_reference():
    listed = {line.strip() for line in REFERENCE.read_text(encoding="utf-8").splitlines()}
    assert set(fl.__all__) - {"errors", "schedules", "plot"} <= listed
    assert {f"plot.{name}" for name in fl.plot.__all__} <= listed
    assert set(fl.errors.__all__) <= listed
    assert set(fl.schedules.__all__) - {"SHAPES", "Schedule", "read_schedule"} <= listed
