"""The verdict as a whole, on digits: what passes, what is rejected, what is refused, what is saved."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import InvalidInput, ResultError, UnknownName
from fluctua.simulation.records import Window
from fluctua.verification.equal_time import default_replicas
from helpers.thinning import thinned

SGD = fl.SGD(lr=0.05, batch_size=8)


@pytest.fixture(scope="module")
def verdict(digits_problem):
    return fl.verify(digits_problem, SGD, steps=1000, replicas=320, rng=20211104, level=1e-6)


@pytest.mark.statistical(alpha=2e-4)
def test_the_exact_theory_passes_on_digits(verdict):
    assert verdict.row("exact").comparison.p_value > 2e-4
    assert verdict.sharp
    assert verdict.detectable < 0.03


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
@pytest.mark.parametrize("name", ["equilibrium", "hessian", "langevin", "discrete", "exact, stationary"])
def test_the_lower_rungs_are_rejected_by_the_same_run(verdict, name):
    assert not verdict.row(name).consistent


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_a_theory_five_per_cent_wrong_is_rejected_by_the_same_run(verdict):
    assert not verdict.row("exact x 1.05").consistent
    assert not verdict.row("exact x 0.95").consistent


@pytest.mark.statistical(alpha=1e-3, miss=1e-4)
def test_dissipation_balances_fluctuation_element_by_element(verdict):
    """z-rms over 1,891 correlated elements from 8 chunks; its spread between seeds is about 0.05."""
    assert abs(verdict.balance.z_rms - 1) < 0.25
    assert verdict.balance.correlation > 0.999
    mutant = 1.05 * verdict.arrays["dissipation"] - verdict.arrays["fluctuation"]
    diagonal = slice(0, 61)
    assert np.sqrt(np.mean((mutant / verdict.arrays["dissipation_error"])[diagonal] ** 2)) > 1.25


@pytest.mark.statistical(alpha=1e-4)
def test_from_zero_the_whole_learning_curve_is_predicted(digits_problem):
    verdict = fl.verify(
        digits_problem, fl.SGD(0.05, 8, weight_decay=0.01), steps=200, replicas=64, rng=5, start="zero", level=1e-4
    )
    assert verdict.consistent
    curve = fl.learning_curve(digits_problem, fl.SGD(0.05, 8, weight_decay=0.01), 200)
    np.testing.assert_allclose(
        np.interp(200, verdict.arrays["curve_steps"], verdict.arrays["curve"]), curve[-1], rtol=1e-3
    )


@thinned(2, ("sampling", ["without_replacement", "with_replacement"]))
@pytest.mark.statistical(alpha=1e-4, miss=1e-4)
def test_large_batches_pass_under_both_samplings_and_the_other_sampling_is_told_apart(digits_problem, sampling):
    sgd = fl.SGD(lr=0.1, batch_size=512, sampling=sampling)
    run = fl.simulate(digits_problem, sgd, steps=400, replicas=128, rng=9)
    other = "without_replacement" if sampling == "with_replacement" else "with_replacement"
    from fluctua.verification.significance import compare

    for tested, passes in ((sampling, True), (other, False)):
        theory = fl.predict(digits_problem, fl.SGD(0.1, 512, sampling=tested)).after(run.recorded)
        assert (compare(run, theory.excess_loss, theory.mode_covariance, 1e-4).p_value >= 1e-4) == passes


@pytest.mark.statistical(alpha=1e-6)
def test_the_words_say_both_parts(verdict):
    assert (
        "consistent: no deviation beyond sampling at family-wise level 0.0001 %; sharp: would have caught"
        in verdict.words
    )
    dull = replace(verdict, resolution=0.001)
    assert not dull.passed
    assert "NOT sharp" in dull.words


@pytest.mark.any_seed
def test_a_verdict_survives_its_file(verdict, tmp_path):
    verdict.save(tmp_path)
    again = fl.Verdict.load(tmp_path)
    assert again.to_json() == verdict.to_json() == (tmp_path / "result.json").read_text().rstrip("\n")
    for name, array in verdict.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


@pytest.mark.any_seed
def test_the_json_follows_the_published_schema(verdict):
    schema = json.loads((files("fluctua") / "schemas" / "verdict.json").read_text())
    jsonschema.validate(json.loads(verdict.to_json()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**verdict.to_dict(), "detectable": "small"}, schema)


@pytest.mark.any_seed
def test_an_unknown_row_names_those_there_are(verdict):
    with pytest.raises(KeyError, match="langevin"):
        verdict.row("langevni")


def test_beyond_the_limit_nothing_is_simulated(digits_problem):
    def fail(stage, _fraction):
        assert stage == "theory", "the simulation started"

    with pytest.raises(fl.UnstableSGD) as caught:
        fl.verify(digits_problem, fl.SGD(lr=0.25, batch_size=8), progress=fail)
    assert caught.value.lr == 0.25
    assert caught.value.max_stable_lr == pytest.approx(fl.max_stable_lr(digits_problem, SGD))


@pytest.mark.any_seed
def test_a_forced_run_beyond_the_limit_reports_divergence(digits_problem, tmp_path):
    verdict = fl.verify(
        digits_problem, fl.SGD(lr=0.5, batch_size=8), steps=1000, replicas=4, rng=1, check_stability=False
    )
    assert verdict.diverged_at is not None
    assert not verdict.passed
    assert verdict.words.startswith("diverged")
    verdict.save(tmp_path)
    assert fl.Verdict.load(tmp_path).to_json() == verdict.to_json()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"theory": "exakt"}, UnknownName),
        ({"dynamics": "gd"}, InvalidInput),
        ({"dynamics": "langevni"}, UnknownName),
        ({"replicas": 1}, InvalidInput),
        ({"steps": 0}, InvalidInput),
        ({"level": 0.0}, InvalidInput),
        ({"resolution": -1.0}, InvalidInput),
        ({"start": "one"}, UnknownName),
    ],
)
def test_bad_arguments_are_refused(digits_problem, arguments, error):
    with pytest.raises(error):
        fl.verify(digits_problem, SGD, **{"steps": 10, "replicas": 4, **arguments})


def test_a_full_batch_without_replacement_has_nothing_to_verify(digits_problem):
    with pytest.raises(InvalidInput, match="does not fluctuate"):
        fl.verify(digits_problem, fl.SGD(0.05, 1797, sampling="without_replacement"))


@pytest.mark.parametrize("content", [b"", b"PK not a zip", b"\x93NUMPY"])
def test_a_damaged_result_is_named_as_such(tmp_path, content):
    (tmp_path / "result.npz").write_bytes(content)
    with pytest.raises(ResultError, match=r"result\.npz"):
        fl.Verdict.load(tmp_path)


def test_a_missing_result_is_named_as_such(tmp_path):
    with pytest.raises(ResultError, match="no such result"):
        fl.Verdict.load(tmp_path / "nothing")


def test_the_default_number_of_replicas_falls_with_their_cost(digits_problem):
    assert default_replicas(digits_problem, SGD, steps=2000) == 512
    assert default_replicas(digits_problem, SGD, steps=10**6) == 32


SHUFFLED = fl.SGD(lr=0.05, batch_size=32, sampling="shuffle", drop_last=True)


@pytest.fixture(scope="module")
def shuffled(digits_problem):
    return fl.verify(digits_problem, SHUFFLED, steps=200, replicas=128, rng=20211104, level=1e-6)


@pytest.mark.statistical(alpha=3e-4)
def test_the_law_of_shuffled_epochs_passes_on_digits(shuffled):
    assert shuffled.tested.comparison.p_value > 3e-4
    assert shuffled.sharp
    assert shuffled.detectable < 0.03


@pytest.mark.statistical(alpha=1e-6, miss=1e-4)
@pytest.mark.parametrize(
    "name", ["equilibrium", "discrete", "independent batches", "exact, stationary", "exact x 0.95"]
)
def test_what_does_not_know_the_epoch_or_its_noise_is_rejected_by_the_same_run(shuffled, name):
    assert not shuffled.row(name).consistent


@pytest.mark.any_seed
def test_shuffled_epochs_have_no_rungs_in_continuous_time_and_no_balance(shuffled):
    assert [row.name for row in shuffled.rows] == [
        "equilibrium",
        "discrete",
        "exact",
        "independent batches",
        "exact, stationary",
        "exact x 1.05",
        "exact x 0.95",
    ]
    assert shuffled.balance is None
    schema = json.loads((files("fluctua") / "schemas" / "verdict.json").read_text())
    jsonschema.validate(json.loads(shuffled.to_json()), schema)


@pytest.mark.statistical(alpha=1e-4)
def test_a_schedule_in_shuffled_epochs_passes_and_independent_batches_do_not(digits_problem):
    """With momentum, two epochs and a half from zero, at rates that move with every step."""
    schedule = fl.schedules.CosineAnnealingLR(140)
    recipe = replace(SHUFFLED, lr=0.01, momentum=0.9, weight_decay=1e-3, schedule=schedule)
    verdict = fl.verify(digits_problem, recipe, steps=140, replicas=256, rng=5, start="zero", level=1e-4)
    assert verdict.row("exact").consistent
    for name in ("independent batches", "discrete", "exact x 1.05", "exact x 0.95"):
        assert not verdict.row(name).consistent


@pytest.mark.any_seed
def test_independent_batches_are_the_same_recipe_without_replacement(shuffled, digits_problem):
    steps = Window.of(200, None, 61, 56).recorded.tolist()
    independent = fl.SGD(lr=0.05, batch_size=32, sampling="without_replacement")
    expected = fl.predict(digits_problem, independent).after(steps, rtol=1e-2)
    assert shuffled.row("independent batches").excess_loss == pytest.approx(expected.excess_loss, rel=1e-12)
    np.testing.assert_allclose(shuffled.arrays["predicted_independent batches"], expected.mode_variances)


@pytest.mark.any_seed
def test_the_curve_of_epochs_has_all_steps(small_problem):
    """Nine steps an epoch: the loss falls to less than half at its end, where all samples have been seen."""
    sgd = fl.SGD(lr=0.02, batch_size=7, sampling="shuffle")
    arrays = fl.verify(small_problem, sgd, steps=500, replicas=4, rng=1).arrays
    assert arrays["curve_steps"].tolist() == list(range(501))
    epochs = arrays["curve"][-90:].reshape(10, 9)
    assert (epochs.min(axis=1) < 0.5 * epochs.max(axis=1)).all()
    expected = fl.learning_curve(small_problem, sgd, 500, start="optimum")
    np.testing.assert_allclose(arrays["curve"], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"sampling": "single_shuffle"}, "periodic orbit"), ({"sampling": "sequential"}, "periodic orbit")],
)
def test_epochs_without_a_law_are_refused_before_any_simulation(small_problem, options, message):
    def fail(stage, _fraction):
        assert stage == "theory", "the simulation started"

    with pytest.raises(InvalidInput, match=message):
        fl.verify(small_problem, fl.SGD(0.02, 6, **options), steps=50, replicas=4, progress=fail)
