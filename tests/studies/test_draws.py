"""Draws that something else made, held against the law of their sampler."""

import json
from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import CorruptData, InvalidInput
from fluctua.report import save_report
from fluctua.report.figures import save_figures
from fluctua.studies.draws.compared import VARIANCES
from fluctua.studies.draws.contrasts import CROSS, MEAN
from fluctua.studies.draws.settled import Used, slowed, worth
from fluctua.verification.conclusion import StatementVerdict
from helpers.commands import check

LR, BATCH, TEMPERATURE, DECAY = 0.2, 4, 0.02, 0.05
RNG = np.random.default_rng(11)
X = RNG.standard_normal((40, 3)) * [1.2, 1.0, 0.8]
Y = X @ [1.0, -1.0, 0.5] + RNG.standard_normal(40)
PROBLEM = fl.LeastSquares(X, Y[:, None])
SAMPLER = fl.SGLD(LR, BATCH, TEMPERATURE, DECAY)
LEVEL = 1e-6  # of every verdict here: chance fails a test once in a million


def own_loop(chains, steps, seed, *, temperature=TEMPERATURE, heat=None, shift=0.0, every=1):
    """SGLD as anyone would write it in NumPy, all chains at once from zero: (chains, steps, d)."""
    rng, w = np.random.default_rng(seed), np.zeros((chains, 3))
    heat = np.eye(3) if heat is None else heat
    draws = np.empty((chains, steps, 3))
    for step in range(steps * every):
        rows = rng.integers(40, size=(chains, BATCH))
        errors = np.einsum("rbd,rd->rb", X[rows], w) - Y[rows]
        gradient = np.einsum("rb,rbd->rd", errors, X[rows]) / BATCH + DECAY * (w - shift)
        w = w - LR * gradient + np.sqrt(2 * LR * temperature) * rng.standard_normal(w.shape) @ heat
        draws[:, step // every] = w
    return draws


@pytest.fixture(scope="module")
def law():
    return fl.predict(PROBLEM, SAMPLER)


@pytest.fixture(scope="module")
def draws():
    return own_loop(128, 1500, 1)


@pytest.fixture(scope="module")
def verdict(law, draws):
    return fl.verify_draws(law, draws, level=LEVEL, resolution=0.06)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # 6 % is 13 standard errors: 5.6 to be rejected and 4.8 for the miss
def test_a_loop_of_ones_own_passes_and_the_theories_below_are_rejected(verdict):
    assert verdict.consistent
    assert verdict.detectable < 0.06
    rejected = {row.name for row in verdict.rows if not row.consistent}
    assert rejected >= {"variances x 1.06", "variances x 0.94", "discrete", "langevin", "full_batch", "target"}
    assert [row.name for row in verdict.claims] == [VARIANCES, CROSS, MEAN]


WRONG = {
    "temperature": {"temperature": 1.3 * TEMPERATURE},
    "a direction": {"heat": np.array([[1.0, 0.5, 0.0], [0.0, 0.8660254, 0.0], [0.0, 0.0, 1.0]]).T},  # variances kept
    "a prior elsewhere": {"shift": 1.5},
}
SEEN_BY = {"temperature": VARIANCES, "a direction": CROSS, "a prior elsewhere": MEAN}


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # each is more than 12 standard errors off
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_sampler_is_rejected_by_the_claim_that_it_breaks(law, wrong):
    found = fl.verify_draws(law, own_loop(128, 1500, 2, **WRONG[wrong]), level=LEVEL)
    assert not found.consistent
    assert not found.row(SEEN_BY[wrong]).consistent
    assert found.row(SEEN_BY[wrong]).p_value < 1e-9


@pytest.mark.statistical(alpha=1e-6)
def test_thinned_draws_finite_times_and_single_draws_are_held_against_their_own_law(law, draws):
    thinned = own_loop(64, 200, 3, every=5)
    assert fl.verify_draws(law, thinned, every=5, level=LEVEL).consistent
    early = fl.verify_draws(law, draws[:, :8], start="zero", level=LEVEL)
    assert early.consistent
    assert not fl.verify_draws(law, draws[:, :8], start="stationary", level=LEVEL).consistent
    some = fl.verify_draws(law.after([2, 6], start="zero"), draws[:, [1, 5]], level=LEVEL)
    assert some.consistent
    assert fl.verify_draws(law.after(6, start="zero"), draws[:, 5], level=LEVEL).consistent
    assert fl.verify_draws(law, draws[:, -1], start="stationary", level=LEVEL).consistent


@pytest.mark.statistical(alpha=1e-6)
def test_two_outputs_and_a_direction_without_data(law):
    del law
    rng = np.random.default_rng(4)
    x = np.column_stack([X[:, :2], X[:, 0]])
    problem = fl.LeastSquares(x, rng.standard_normal((40, 2)))
    sampler, w, kept = fl.SGLD(0.2, None, TEMPERATURE, 0.3), np.zeros((64, 2, 3)), []
    hessian = x.T @ x / 40 + 0.3 * np.eye(3)
    target = problem.targets.T @ x / 40
    for _ in range(1500):
        w = w - 0.2 * (w @ hessian - target) + np.sqrt(0.4 * TEMPERATURE) * rng.standard_normal(w.shape)
        kept.append(w)
    draws = np.stack(kept, axis=1)
    law = fl.predict(problem, sampler)
    right = fl.verify_draws(law, draws, level=LEVEL)
    assert right.consistent
    assert "outside the data" in [each.name for each in right.row(VARIANCES).quantities]
    spoiled = draws + 2 * (rng.standard_normal(draws.shape[:-1])[..., None] * [1.0, 0.0, -1.0]) * np.sqrt(TEMPERATURE)
    assert not fl.verify_draws(law, spoiled, level=LEVEL).consistent


@pytest.mark.statistical(alpha=1e-6)
def test_a_start_where_there_are_no_data_is_in_the_law_at_finite_time():
    """It decays by weight decay alone, and is most of what draws have there."""
    rng, w0 = np.random.default_rng(6), np.array([[2.0, 1.0, -3.0]])
    x = np.column_stack([X[:, :2], X[:, 0]])
    problem, sampler = fl.LeastSquares(x, Y[:, None]), fl.SGLD(0.2, None, TEMPERATURE, 0.3)
    hessian, target = x.T @ x / 40 + 0.3 * np.eye(3), Y @ x / 40
    w, kept = np.repeat(w0, 128, axis=0), []
    for _ in range(20):
        w = w - 0.2 * (w @ hessian - target) + np.sqrt(0.4 * TEMPERATURE) * rng.standard_normal(w.shape)
        kept.append(w)
    draws, law = np.stack(kept, axis=1), fl.predict(problem, sampler)
    assert fl.verify_draws(law, draws, start=w0, level=LEVEL).consistent
    assert fl.verify_draws(law.after([5, 20], start=w0), draws[:, [4, 19]], level=LEVEL).consistent
    assert not fl.verify_draws(law, draws, start="zero", level=LEVEL).consistent


@pytest.mark.statistical(alpha=1e-6)
def test_an_average_of_the_weights_has_a_law_for_draws_and_rungs_without_flows():
    weights, kept = own_loop(64, 400, 7, temperature=0.0), []
    for w in weights.transpose(1, 0, 2):
        kept.append(0.9 * kept[-1] + 0.1 * w if kept else w)
    law = fl.predict(PROBLEM, fl.SGD(LR, BATCH, weight_decay=DECAY), average=fl.EMA(0.9))
    found = fl.verify_draws(law, np.stack(kept, axis=1), start="zero", level=LEVEL)
    assert found.consistent
    assert {"discrete", "langevin"} & {row.name for row in found.rows} == {"discrete"}


@pytest.mark.any_seed
def test_a_sampler_without_a_temperature_is_compared_with_its_own_law():
    law = fl.predict(PROBLEM, replace(SAMPLER, temperature=0.0))
    found = fl.verify_draws(law, own_loop(16, 400, 6, temperature=0.0))
    np.testing.assert_array_equal(found.arrays["target"], law.mode_variances)


@pytest.mark.statistical(alpha=1e-6)
def test_few_long_chains_are_cut_into_stretches(law):
    found = fl.verify_draws(law, own_loop(8, 6000, 5), level=LEVEL)
    assert found.identity["stretches"] > 4
    assert found.replicas[0] == 8 * found.identity["stretches"]
    assert found.consistent


@pytest.mark.any_seed
def test_sgd_too_has_a_law_for_draws_and_no_temperature():
    sgd = fl.SGD(LR, BATCH, weight_decay=DECAY)
    found = fl.verify_draws(fl.predict(PROBLEM, sgd), own_loop(16, 400, 6, temperature=0.0))
    assert not [row.name for row in found.rows if "temperature" in row.name]


@pytest.mark.any_seed
def test_a_temperature_that_these_draws_cannot_tell_is_unresolved(law, draws):
    found = fl.verify_draws(law, draws[:16, :200], resolution=0.01)
    assert found.row("temperature x 1.01").role == "unresolved"
    assert "would have been caught" in found.facts["Temperature"]


BAD = {
    "few chains": (lambda d: d[:7], "has 7 chains, and at least 8"),
    "another width": (lambda d: d[..., :2], r"\(chains, steps, 3\) or \(chains, 3\)"),
    "a number": (lambda d: d[0, 0, 0], "must have the shape"),
    "not finite": (lambda d: np.where(np.arange(3) == 1, np.nan, d), "holds nan in its chain number 0, .*diverged"),
    "infinite": (lambda d: np.concatenate([d[:9], d[:1] + np.inf]), "holds inf in its chain number 9, .*diverged"),
    "one seed": (lambda d: d[[0, 1, 2, 3, 4, 5, 6, 7, 8, 4]], "chains number 4 and 9"),
    "diverged": (lambda d: 1e200 * d, "a chain diverged"),
    "rows of two lengths": (lambda _: [[1.0, 2.0], [3.0]], "differ in length"),
    "nothing": (lambda _: None, "must have the shape"),
    "too short": (lambda d: d[:, :6], "at least .* are needed: by the law the slowest mode relaxes"),
    "one draw": (lambda d: d[:, 5], "law.after"),
    "text": (lambda _: np.array([["a"] * 3] * 8), "real numbers"),
}


@pytest.mark.any_seed
@pytest.mark.parametrize("bad", BAD)
def test_bad_draws_are_refused(law, draws, bad):
    make, words = BAD[bad]
    with pytest.raises(InvalidInput, match=words):
        fl.verify_draws(law, make(draws))


@pytest.mark.any_seed
def test_bad_arguments_are_refused(law, draws):
    with pytest.raises(InvalidInput, match="law must be a prediction"):
        fl.verify_draws(SAMPLER, draws)
    for frozen in (fl.ULA(0.1, 0.0), fl.SGLD(9.0, 4, 0.1)):
        with pytest.raises(InvalidInput, match="no fluctuation"):
            fl.verify_draws(fl.predict(PROBLEM, frozen, check_stability=False), draws)
    with pytest.raises(InvalidInput, match="independent batches"):
        fl.verify_draws(fl.predict(PROBLEM, fl.SGD(0.1, 4, sampling="shuffle")), draws)
    with pytest.raises(InvalidInput, match="every must be at least 1"):
        fl.verify_draws(law, draws, every=0)
    with pytest.raises(InvalidInput, match="given steps already"):
        fl.verify_draws(law.after(3), draws, start="zero")
    with pytest.raises(InvalidInput, match="averaged over 1"):
        fl.verify_draws(law.after(3), draws)
    with pytest.raises(InvalidInput, match="Known: optimum, zero, stationary"):
        fl.verify_draws(law, draws, start="nowhere")


@pytest.mark.any_seed
def test_draws_are_read_from_files(law, draws, tmp_path):
    some = draws[:16, :300].astype(np.float32)
    np.save(tmp_path / "a.npy", some)
    np.savez(tmp_path / "b.npz", draws=some, other=np.zeros(3))
    np.savez(tmp_path / "c.npz", one=some, two=some)
    (tmp_path / "d.npy").write_bytes(b"nothing")
    read = [fl.verify_draws(law, place).to_json() for place in (tmp_path / "a.npy", str(tmp_path / "b.npz"))]
    assert read[0] == read[1] == fl.verify_draws(law, some).to_json()
    with pytest.raises(InvalidInput, match="arrays one, two"):
        fl.verify_draws(law, tmp_path / "c.npz")
    with pytest.raises(CorruptData):
        fl.verify_draws(law, tmp_path / "d.npy")


@pytest.mark.any_seed
def test_a_verdict_on_draws_is_kept_with_its_table_and_figure(verdict, law, tmp_path):
    check(json.loads(verdict.to_json()), "study")
    verdict.save(tmp_path)
    assert StatementVerdict.load(tmp_path).to_json() == verdict.to_json()
    rows = verdict.to_csv(table="modes").splitlines()
    assert rows[0].startswith("mode,curvature,target,measured,error,z,inflation")
    assert len(rows) == 4
    np.testing.assert_allclose(verdict.arrays["target"], law.target)
    np.testing.assert_allclose(verdict.arrays["inflation"], verdict.arrays["measured"] / law.target)
    save_figures(verdict, tmp_path)
    assert {path.name for path in tmp_path.glob("*.svg")} == {"inflation.svg", "statements.svg"}
    page = save_report(StatementVerdict.load(tmp_path), tmp_path / "page.html").read_text()
    assert "Variance along every mode over that of the target" in page


def test_how_many_draws_are_independent_and_when_the_start_is_forgotten():
    relaxation = np.array([2.0, 100.0])
    lags = np.arange(1, 4000)
    exact = 1 / (1 + 2 * np.exp(-2 * 3 * lags[:, None] / relaxation).sum(axis=0))  # of squares, every third step
    np.testing.assert_allclose(worth(relaxation, 3), exact, rtol=1e-9)
    opening = np.full((64, 1, 2), 10.0)
    used = Used.settled(opening, np.ones(2), relaxation, 0.0, 3000, 3)
    left = 10 * np.exp(-used.first * 3 / 100)  # of the mean, in the slowest mode
    assert left <= 0.1 / np.sqrt(64) < left * np.exp(6 / 100)
    with pytest.raises(InvalidInput, match="at least 257 are needed"):
        Used.settled(opening, np.ones(2), relaxation, 0.0, used.first + 10, 3)


def test_near_the_limit_squares_forget_more_slowly():
    """One mode, SGLD: S' = (1 - 2 lr h (1 - share)) S + ..., followed from far off until it is not."""
    lr, share = 0.2, 0.8
    opening, relaxation, kept = np.full((64, 1, 1), 10.0), np.array([-1 / np.log(1 - lr)]), 1 - 2 * lr * (1 - share)
    first = [Used.settled(opening, np.ones(1), relaxation, part, 10_000, 1).first for part in (share, 0.0)]
    left = 99 * kept ** np.array(first) / np.sqrt(2 / 64)  # of the variance, in its standard error
    assert 0.02 < left[0] < 0.1
    assert left[1] > 10
    np.testing.assert_allclose(slowed(relaxation, 0.0), relaxation, rtol=1e-12)


def test_the_temperature_s_sensitivity_is_that_of_the_law(law):
    warmer = fl.predict(PROBLEM, replace(SAMPLER, temperature=1.01 * TEMPERATURE))
    slope = (warmer.mode_variances / law.mode_variances - 1) / 0.01
    assert np.all((slope > 0) & (slope < 1))
