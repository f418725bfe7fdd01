"""The stated level is kept where variances are skewed and replicas few; near the stability limit the words say not."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import t as student

import fluctua as fl
from fluctua.cli import main
from fluctua.errors import InvalidInput
from fluctua.verification.in_time.verdict import Entropy
from fluctua.verification.near_limit import NEAR, heavy_tails, share_of_limit
from fluctua.verification.significance import bands, detectable_error, family_p_value

SEEDS = 800  # fixed before anything was measured
LEVEL = 0.01


def table() -> fl.LeastSquares:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(12, 3)) * [2, 1, 0.4]
    return fl.LeastSquares(inputs, inputs @ np.ones((3, 2)) + rng.normal(size=(12, 2)))


def recipe(problem, share, **options):
    return fl.SGD(share * fl.max_stable_lr(problem, fl.SGD(1.0, 2, **options)), 2, **options)


@pytest.fixture(scope="module")
def families():
    """Contrasts of single replicas, (R, 3), each over its expectation; cut up, they are many small runs."""
    problem = table()
    sgd = recipe(problem, 0.3)
    run = fl.simulate(problem, sgd, steps=60, records=8, replicas=16 * SEEDS, rng=11)
    law = fl.predict(problem, sgd).after(run.recorded.tolist(), rtol=1e-8)
    ratios = run.replica_variances / law.mode_variances
    columns = [run.replica_excess / law.excess_loss, *(ratios[:, band].mean(axis=1) for band in bands(3))]
    return np.stack(columns, axis=1)


def alarms(families, replicas, test):
    runs = families[: replicas * SEEDS].reshape(SEEDS, replicas, -1)
    return sum(test(run - 1) < LEVEL for run in runs)


def plain(deviations):
    """Student's t and nothing else."""
    error = deviations.std(axis=0, ddof=1) / np.sqrt(len(deviations))
    tails = 2 * student.sf(np.abs(deviations.mean(axis=0) / error), len(deviations) - 1)
    return deviations.shape[1] * tails.min()


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize("replicas", [2, 4, 8, 16])
def test_few_replicas_keep_the_level(families, replicas):
    """800 runs of each size at 1 %, one-sided; three in 100,000 for each size."""
    assert alarms(families, replicas, lambda each: family_p_value(each, relative=True)) <= binom.isf(2e-5, SEEDS, LEVEL)


@pytest.mark.statistical(alpha=1e-9, miss=1e-3)
def test_t_alone_does_not(families):
    """The mutant: at eight and at sixteen replicas together it is twice as often wrong as stated."""
    found = sum(alarms(families, replicas, plain) for replicas in (8, 16))
    assert found > binom.isf(2e-5, 2 * SEEDS, LEVEL)


@pytest.mark.statistical(alpha=1e-4)
@pytest.mark.parametrize(("shape", "replicas"), [(0.5, 32), (2.0, 8), (2.0, 64)])
def test_what_is_said_to_be_caught_is_caught(shape, replicas):
    """Gamma-distributed ratios: wrong by the stated error, up or down, 95 % of 200 runs are rejected at least."""
    runs = np.random.default_rng(3).gamma(shape, 1 / shape, size=(200, replicas, 3))
    for sign in (1, -1):
        caught = tried = 0
        for run in runs:
            error = sign * detectable_error(run, LEVEL, relative=True)
            if np.isfinite(error) and error > -1:
                tried += 1
                caught += family_p_value(run / (1 + error) - 1, relative=True) < LEVEL
        assert caught >= binom.ppf(1e-5, tried, 0.95) if tried else True


@pytest.mark.any_seed
def test_far_off_is_rejected_however_skewed():
    """What is taken out of t never hides a theory that is wrong by a factor."""
    rng = np.random.default_rng(4)
    for shape in (0.3, 1.0):
        run = rng.gamma(shape, 1 / shape, size=(64, 3))
        assert family_p_value(run / 50 - 1, relative=True) < 1e-2
        assert family_p_value(run * 50 - 1, relative=True) < 1e-2
        assert family_p_value(run / 50 - 1) < 1e-12


@pytest.mark.any_seed
def test_no_positive_mean_no_sharpness():
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(64, 2))
    assert detectable_error(noise - noise.mean(axis=0) - 0.1, 0.01) == float("inf")
    one = np.hstack([noise - noise.mean(axis=0) - 0.1, 1 + 0.01 * noise[:, :1]])
    assert 0 < detectable_error(one, 0.01) < 0.05


@pytest.mark.statistical(alpha=1e-6)
def test_at_a_tiny_rate_nothing_is_caught_and_nothing_negative_said():
    problem = table()
    found = fl.verify_dynamic(problem, recipe(problem, 1e-5), steps=100, replicas=64, rng=1, level=1e-6)
    assert found.consistent
    assert all(row.detectable > 0 for row in found.rows)
    assert not found.sharp
    assert "would have caught -" not in found.words


# ------------------------------------------------------------------ near the limit


@pytest.mark.any_seed
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_from_seventy_per_cent_of_the_limit_the_words_say_that_tails_are_heavy(options):
    problem = table()
    for share in (0.6, 0.85):
        sgd = recipe(problem, share, **options)
        for found in (
            fl.verify(problem, sgd, steps=20, replicas=4, rng=1),
            fl.verify_dynamic(problem, sgd, steps=16, replicas=4, rng=1, entropy=False),
        ):
            assert ("85 % of the largest stable learning rate tails are heavy" in found.words) == (share > NEAR)
            assert json.loads(found.to_json())["words"] == found.words
            said = found.identity["share_of_limit"]
            assert said is None or said == pytest.approx(share, rel=1e-6)


@pytest.mark.any_seed
def test_far_below_the_limit_it_need_not_be_found(monkeypatch):
    problem = table()
    monkeypatch.setattr("fluctua.verification.near_limit.max_stable_lr", lambda *_: pytest.fail("the bound settles it"))
    assert share_of_limit(problem, fl.SGD(1e-3, 2), 10) is None
    assert heavy_tails({}) == heavy_tails({"share_of_limit": None}) == heavy_tails({"share_of_limit": 0.7}) == ""


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("resolution", "error", "resolves"),
    [
        (0.01, 0.01, True),
        (0.3, 0.01, False),
        (0.01, 0.3, False),
        (float("nan"), 0.1, True),
        (float("nan"), 0.3, False),
        (0.01, float("nan"), False),
    ],
)
def test_entropy_production_is_resolved_by_the_larger_error(resolution, error, resolves):
    assert Entropy("output 0", "areas", 1.0, 1.1, error, resolution, 0.0).resolves is resolves


# ------------------------------------------------------------------ the door


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("level", 5e-324, "at least 1e-12"),
        ("level", 1e-13, "at least 1e-12"),
        ("level", 0.0, "greater than 0"),
        ("level", 1.0, "less than 1"),
        ("level", 2, "less than 1"),
        ("level", float("nan"), "finite"),
        ("resolution", 0.0, "greater than 0"),
        ("resolution", 1.0, "less than 1"),
        ("resolution", -0.1, "greater"),
    ],
)
def test_a_level_or_a_resolution_without_meaning_is_refused_before_any_work(monkeypatch, name, value, message):
    for module in ("equal_time", "in_time.verify", "noise"):
        monkeypatch.setattr(
            sys.modules[f"fluctua.verification.{module}"], "predict", lambda *_, **__: pytest.fail("work began")
        )
    problem, sgd = table(), fl.SGD(0.01, 2)
    for verb in (fl.verify, fl.verify_dynamic, *([fl.gradient_noise] if name == "level" else [])):
        with pytest.raises(InvalidInput, match=message):
            verb(problem, sgd, steps=20, replicas=4, **{name: value})


@pytest.mark.any_seed
@pytest.mark.parametrize("verb", [fl.verify, fl.verify_dynamic])
def test_the_smallest_level_has_a_verdict(verb):
    found = verb(table(), fl.SGD(0.02, 2), steps=20, replicas=2, rng=1, level=1e-12)
    assert found.detectable > 0


@pytest.mark.any_seed
def test_the_command_line_refuses_them_with_exit_code_2(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", X=rng.normal(size=(30, 3)), y=rng.normal(size=30))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["verify", "f.npz", "--level", "5e-324", "--lr", "0.01", "--batch-size", "4"])
    assert stopped.value.code == 2
    assert "level must be at least 1e-12" in capsys.readouterr().err
