"""Adaptive Langevin steps: the law of the chain against numbers from other code, closed forms and runs.

F100 to F104 (docs/studies/adaptive.md). The tables are of code that shares nothing with this one.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import fluctua as fl
from fluctua.errors import InvalidInput, UnknownName
from fluctua.studies.adaptive import DoubleWell, Harmonic, Langevin, Spring, SpringMonitor, Underdamped, evidence
from fluctua.studies.adaptive.grid import Grid
from fluctua.verification.statements import stated

T = 0.1
TABLE = {
    ("fixed", 1.0): {0.05: (-0.5922557278, 0.7929809947), 0.3: (-0.6992937807, 0.9401179213)},
    ("ip", 1.0): {0.05: (-0.5851619651, 0.7876010686), 0.3: (-0.5990454231, 0.8174082825)},
    ("naive", 1.0): {0.05: (-0.4104543424, 0.6081515214), 0.3: (-0.4368909804, 0.6425914608)},
    ("ip", 0.9): {0.05: (-0.5699485376, 0.7706896276), 0.3: (-0.5846592678, 0.8007031757)},
}
"""E x and E x^2 of the spring, by method and share of the correction, and by step."""
PUBLISHED = {  # after time 100 from 0: a, b, log of the step, method; the paper's moments, and the exact ones
    (1.0, 1.0, -0.5, "fixed"): ((-0.278785, 0.419576), (-0.2841280924, 0.4275357374)),
    (1.0, 1.0, -0.5, "ip"): ((-0.260248, 0.393356), (-0.2646845626, 0.4000577382)),
    (2.75, 0.1, -1.36, "fixed"): ((-0.671987, 0.896585), (-0.6776746565, 0.9040305477)),
    (2.75, 0.1, -3.07, "ip"): ((-0.584303, 0.786466), (-0.5849411303, 0.7872265273)),
}


def spring(lr=0.3, method="ip", correction=1.0):
    return Langevin("spring", lr=lr, temperature=T, method=method, correction=correction)


@pytest.fixture(scope="module")
def right():
    return fl.predict(spring())


@pytest.mark.parametrize(("method", "share"), TABLE)
def test_the_law_at_finite_step_is_that_of_the_table(method, share):
    for lr, moments in TABLE[method, share].items():
        law = fl.predict(spring(lr, method, share))
        assert law.moments[:2] == pytest.approx(moments, abs=1e-8)
        assert law.lost < 1e-11


def test_the_target_and_what_the_naive_chain_keeps():
    law = fl.predict(spring(method="naive"))
    assert law.target.moments[:2] == pytest.approx((-0.5821240441, 0.7824551377), abs=1e-9)
    assert law.kept.moments[:2] == pytest.approx((-0.4053326143, 0.6027714991), abs=1e-9)
    weighted = [law.mean(lambda x, k=k: x**k, weighted=True) for k in (1, 2)]
    assert weighted == pytest.approx((-0.6056584, 0.8142129), abs=6e-8)
    at_less = fl.predict(spring(0.05, "naive"))
    weighted = [at_less.mean(lambda x, k=k: x**k, weighted=True) for k in (1, 2)]
    assert weighted == pytest.approx((-0.5860458, 0.7868785), abs=6e-8)


def test_a_wrong_correction_is_nearer_to_the_target_than_the_right_one(right):
    wrong = fl.predict(spring(correction=0.9))
    assert wrong.total_variation < right.total_variation
    for law, table in ((right, 0.028065), (wrong, 0.020598)):  # table: sums of |.|, which kinks make 1e-5 off
        assert law.total_variation == pytest.approx(table, abs=3e-5)
        fine = np.linspace(law.grid[0], law.grid[-1], 200_001)
        off = CubicSpline(law.grid, law.density - law.target.density)(fine)
        assert law.total_variation == pytest.approx(np.abs(off).sum() * (fine[1] - fine[0]) / 2, abs=1e-7)


@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_published_moments_after_a_time_of_100_have_the_exact_ratio(case):
    (a, b, power, method), (published, exact) = case, PUBLISHED[case]
    one, lr = Spring(a, b), math.exp(power)
    law = fl.predict(Langevin(one, SpringMonitor(one), lr=lr, temperature=T, method=method))
    after = law.after(math.ceil(100 / lr))
    assert after.moments[:2] == pytest.approx(exact, abs=1e-9)
    assert published[1] / published[0] == pytest.approx(exact[1] / exact[0], rel=4e-4)


@pytest.mark.parametrize("method", ["ip", "fixed", pytest.param("naive", marks=pytest.mark.slow)])
def test_the_bias_to_first_order_is_the_slope_of_the_exact_one(method):
    slopes = []
    for lr in (0.04, 0.02, 0.01):
        law = fl.predict(spring(lr, method))
        slopes.append((law.moments - law.kept.moments)[:2] / lr)
        found = [law.bias_slope(lambda x, k=k: x**k) for k in (1, 2)]
    assert found == pytest.approx((8 * slopes[2] - 6 * slopes[1] + slopes[0]) / 3, rel=1e-3)  # off by O(h^3)
    table = {"ip": (-0.060049, 0.101799), "fixed": (-0.180167, 0.187882)}
    if method in table:
        assert slopes[1] == pytest.approx(table[method], abs=1e-6)
    rung = fl.predict(spring(0.01, method), theory="first_order")
    assert rung.moments[:2] == pytest.approx(law.kept.moments[:2] + 0.01 * np.array(found), rel=1e-7)


def test_a_harmonic_chain_has_its_closed_forms():
    chain = Langevin("harmonic", lr=0.3, temperature=2.0, method="fixed")
    law = fl.predict(chain)
    assert law.variance == pytest.approx(2.0 / 0.85, rel=1e-10)  # T/(1 - h/2)
    assert law.moments[0] == pytest.approx(0, abs=1e-12)
    assert law.bias_slope(np.square) == pytest.approx(1.0, rel=1e-8)  # T/2
    assert law.relaxation_steps == pytest.approx(-1 / math.log(0.7), rel=1e-8)
    for steps in (1, 7):
        after = law.after(steps, start=1.5)
        assert after.moments[0] == pytest.approx(1.5 * 0.7**steps, rel=1e-10)
        assert after.variance == pytest.approx(2.0 / 0.85 * (1 - 0.49**steps), rel=1e-10)
    assert law.after(4000, start=1.5).moments[:2] == pytest.approx(law.moments[:2], abs=1e-10)  # by squares


def test_other_grids_and_domains_have_the_same_moments(right):
    other = fl.predict(spring(), domain=(-12.0, 13.0), points=1200)
    assert max(other.error, right.error) < 1e-9
    assert other.moments == pytest.approx(right.moments, rel=1e-9)
    assert right.mean_step == pytest.approx(0.3 * right.mean(right.chain.g), rel=1e-14)
    assert right.mean_step == pytest.approx(0.3 * 1.1956, abs=2e-5)


def test_functions_for_numbers_and_objects_are_the_names(right):
    class OneByOne:
        def __init__(self, whole):
            self.whole = whole

        def value(self, x):
            return math.fsum([float(self.whole.value(np.float64(x)))])

        def slope(self, x):
            return math.fsum([float(self.whole.slope(np.float64(x)))])

    chain = Langevin(OneByOne(Spring()), OneByOne(SpringMonitor()), lr=0.3, temperature=T)
    assert fl.predict(chain).moments == pytest.approx(right.moments, rel=1e-12)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
@pytest.mark.parametrize("method", ["ip", "naive"])
def test_runs_obey_their_own_law_and_reject_the_others(method, monkeypatch):
    """The mutants lie 9 error bars away or more by design of `if_told`; x 1.05 lies 25 away."""
    if method == "naive":
        monkeypatch.setattr(evidence, "OCTAVES", np.zeros(1))
    verdict = fl.verify(spring(method=method), steps=40_000, replicas=256, rng=11, level=1e-6)
    assert verdict.passed, verdict.table
    told = {row.name for row in verdict.mutants}
    assert {"exact x 1.05", "exact x 0.95", "fixed step", "target"} <= told
    assert (method == "naive") == ("with the correction" in told)
    assert (method == "ip") == ({"0.9 of the correction", "no correction"} <= told)
    assert set(verdict.tables) == {"densities", "histogram", "bias", "measured_bias"}
    assert np.interp(0.3, verdict.arrays["lr"], verdict.arrays["bias_ip"]) == pytest.approx(0.0349531448, abs=1e-6)


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_draws_of_other_code_are_held_against_the_law(monkeypatch):
    """A loop of three lines, right and with 0.8 of the correction: 15 error bars apart."""
    monkeypatch.setattr(evidence, "OCTAVES", np.zeros(1))  # no curve
    potential, g = Spring(), SpringMonitor()
    found = {}
    for share in (1.0, 0.8):
        rng, x = np.random.Generator(np.random.PCG64DXSM(5)), np.full(2000, -0.5)
        places = np.empty((2000, 700))
        for k in range(800):
            drift = -g.value(x) * potential.slope(x) + share * T * g.slope(x)
            x = x + 0.3 * drift + np.sqrt(2 * T * g.value(x) * 0.3) * rng.standard_normal(2000)
            places[:, max(k - 100, 0)] = x
        found[share] = fl.verify(spring(), draws=places, level=1e-6)
    assert found[1.0].passed, found[1.0].table
    assert found[0.8].outcome == "failed"
    assert "NOT consistent: exact" in found[0.8].words


@pytest.mark.statistical(alpha=1e-6)
def test_runs_from_a_place_have_the_law_after_so_many_steps(right):
    runs = fl.simulate(spring(), steps=20, replicas=4000, rng=3, start=0.0)
    law = right.after(20)
    claim = stated("after", "claim", dict(zip("ab", law.moments, strict=False)), {"a": runs.final, "b": runs.final**2})
    assert claim.p_value > 1e-6, claim
    assert not stated("now", "rung", {"a": right.after(5).moments[0]}, {"a": runs.final}).consistent


class Bowl:
    """|x|^2/2 in any number of dimensions."""

    def value(self, x):
        return (x**2).sum(axis=-1) / 2

    def slope(self, x):
        return x


class Bell:
    """1/(1 + |x|^2/2)."""

    def value(self, x):
        return 1 / (1 + (x**2).sum(axis=-1) / 2)

    def slope(self, x):
        return -x / (1 + (x**2).sum(axis=-1, keepdims=True) / 2) ** 2


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_in_two_dimensions_the_correction_keeps_the_target_and_its_lack_does_not():
    """lr 0.02: the bias, about h/2, is below the error bar, and without the correction E g is 20 bars off."""
    target = {"E g": 1 * _mean_of_bell()}
    for method, kept in (("ip", True), ("naive", False)):
        chain = Langevin(Bowl(), Bell(), lr=0.02, temperature=1.0, method=method, dimension=2)
        runs = fl.simulate(chain, steps=500, burn_in=200, replicas=2000, rng=4)
        claim = stated("target", "claim", target, runs.replica_means)
        assert (abs(claim.measured - claim.predicted) < 0.01 + 5 * claim.error) == kept, claim
    with pytest.raises(InvalidInput, match="known in one dimension, not in 2"):
        fl.predict(chain)


def _mean_of_bell():
    """E 1/(1 + r^2/2) with r^2/2 exponential: e E1(1)."""
    from scipy.special import exp1

    return math.e * float(exp1(1.0))


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_underdamped_splittings_keep_the_target_and_pi_over_g_without_the_term():
    """T 1, friction 1, h 0.1: the splittings' own bias, O(h^2), is below their error bars; pi/g is 40 bars off."""
    means = {}
    for name, asked in {"B": {"term": "B"}, "O": {"term": "O"}, "none": {"method": "naive"}}.items():
        chain = Underdamped(Spring(1.0, 1.0), SpringMonitor(Spring(1.0, 1.0), m=0.01), lr=0.1, friction=1.0, **asked)
        means[name] = fl.simulate(chain, steps=10_000, replicas=64, rng=9)
    target = fl.predict(chain)
    for name in "BO":
        assert np.abs(means[name].against(target)["z"]).max() < 5.5, means[name]
    assert np.abs(means["B"].against(means["O"])["z"]).max() < 5.5
    assert np.abs(means["none"].against(target)["z"]).max() > 12
    assert np.abs(means["none"].against(target.kept)["z"]).max() < 5.5


@pytest.mark.statistical(alpha=1e-6, miss=1e-6)
def test_baoab_has_the_exact_variance_of_a_harmonic_place_and_not_of_its_momentum():
    """Var q = T/k at any step; var p = T (1 - h^2 k/4), 20 error bars from T at h 0.8."""
    chain = Underdamped("harmonic", lr=0.8, temperature=1.0, method="fixed", friction=1.0)
    means = fl.simulate(chain, steps=10_000, replicas=64, rng=2).replica_means
    law = {"E q^2": 1.0, "E p^2": 1 - 0.8**2 / 4}
    assert stated("exact", "claim", law, means).p_value > 1e-6
    assert stated("no bias", "mutant", {"E p^2": 1.0}, means).p_value < 1e-12


class Slipped(SpringMonitor):
    """A square that is missing, as in published code: sqrt(w^-2 + m) in g, and m^2 in g'."""

    def slope(self, x):
        u = x - 0.5
        w = 0.1 / (0.1 / 2.75 + u**2)
        dw = -2 * u * w**2 / 0.1
        return -(self.value(x) ** 2) * dw / (w * np.sqrt(w**-2 + self.m**2)) ** 3


class Himmelblau:
    """(x^2 + y - 4)^2 and more, with another constant in one gradient, as in published code."""

    constant = 4

    def value(self, x):
        return (x[..., 1] + x[..., 0] ** 2 - 4) ** 2 + (x**2).sum(axis=-1)

    def slope(self, x):
        inner = x[..., 1] + x[..., 0] ** 2
        return np.stack([4 * x[..., 0] * (inner - self.constant), 2 * (inner - 4)], axis=-1) + 2 * x


def test_slips_in_gradients_are_refused_with_the_place_and_both_values():
    with pytest.raises(InvalidInput, match=r"monitor.slope is not .* x = 0\.4\d+ it is -0\.9\d+, and the .* -0\.90\d+"):
        Langevin("spring", Slipped(), lr=0.3, temperature=T)
    wrong = Himmelblau()
    Langevin(wrong, Bell(), lr=0.01, temperature=1.0, dimension=2)
    wrong.constant = 1
    with pytest.raises(InvalidInput, match=r"potential.slope is not .* along axis 0"):
        Langevin(wrong, Bell(), lr=0.01, temperature=1.0, dimension=2)


class Sinks(Harmonic):
    def value(self, x):
        return super().value(x) - 0.5


class Flat(Harmonic):
    def value(self, x):
        return 0 * x

    slope = value


class Bend:
    """Anything, times cosh x."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def value(self, x):
        return self.factor * np.cosh(x)

    def slope(self, x):
        return self.factor * np.sinh(x)


class Broken(Harmonic):
    def value(self, x):
        return np.where(np.abs(x) < 0.1, np.nan, super().value(x))


ASKED = {"potential": "spring", "lr": 0.3, "temperature": T}


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"monitor": Sinks()}, "monitor must be above 0, got -0"),
        ({"temperature": 0}, "temperature must be greater than 0"),
        ({"temperature": -1}, "temperature must be greater than 0"),
        ({"temperature": math.nan}, "temperature must be a finite number"),
        ({"lr": 0}, "lr must be greater than 0"),
        ({"lr": "0.3"}, "lr must be a finite number"),
        ({"correction": math.inf}, "correction must be a finite number"),
        ({"potential": Flat(), "method": "fixed"}, "cannot be normalised"),
        ({"potential": Broken(), "method": "fixed"}, r"potential.value is nan at x"),
        ({"potential": abs}, r"potential must be a name, or an object with functions .value"),
        ({"potential": Bend()}, "monitor is missing"),
        ({"potential": Bend(1j), "method": "fixed"}, "must return real numbers .* it is complex"),
        ({"potential": Bend("x"), "method": "fixed"}, "potential.value must return real numbers in the shape"),
        ({"dimension": 2}, "is in one dimension, and 2 were asked for"),
        ({"dimension": 0}, "dimension must be at least 1"),
    ],
)
def test_what_is_no_chain_is_refused_at_the_door(asked, match):
    with pytest.raises(InvalidInput, match=match):
        Langevin(**{**ASKED, **asked})


@pytest.mark.parametrize(
    ("asked", "near"),
    [({"potential": "sprnig"}, "spring"), ({"method": "naif"}, "naive"), ({"monitor": "sprin"}, "spring")],
)
def test_names_are_refused_with_the_nearest(asked, near):
    with pytest.raises(UnknownName, match=f"Did you mean '{near}'"):
        Langevin(**{**ASKED, **asked})


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"domain": (-2, 2)}, r"loses .* of the mass in a step, more than 1e-09. Give a wider one"),
        ({"domain": (2, -2)}, "low < high"),
        ({"domain": 3}, r"domain must be \(low, high\)"),
        ({"points": 60}, r"It needs \d+ points"),
        ({"points": 2.5}, "points must be a whole number"),
    ],
)
def test_domains_and_grids_that_would_be_wrong_are_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        fl.predict(spring(), **asked)


def test_the_number_of_points_that_it_needs_is_enough():
    with pytest.raises(InvalidInput) as refusal:
        fl.predict(spring(0.01), points=100)
    needed = int(str(refusal.value).split("It needs ")[1].split(" ")[0].replace(",", ""))
    assert fl.predict(spring(0.01), points=needed).lost < 1e-9
    with pytest.raises(InvalidInput, match="It needs"):
        fl.predict(spring(0.01), points=needed - 1)


def test_a_chain_that_runs_away_has_no_law():
    with pytest.raises(InvalidInput, match=r"runs away from its tails .* smaller lr"):
        fl.predict(Langevin(DoubleWell(1.0), lr=0.2, temperature=1.0, method="fixed"))
    with pytest.raises(InvalidInput, match="6,000 are the most"):
        fl.predict(spring(1e-5))
    with pytest.raises(InvalidInput, match="runs away from its tails"):
        fl.predict(Langevin("harmonic", lr=2.5, method="fixed"))
    near = fl.predict(Langevin("harmonic", lr=1.9, method="fixed"))
    assert near.variance == pytest.approx(1 / 0.05, rel=1e-8)


def test_a_law_on_both_sides_of_a_barrier_that_is_never_crossed_is_not_determined():
    with pytest.raises(InvalidInput, match=r"crosses a barrier so rarely .* higher temperature"):
        fl.predict(Langevin("double-well", lr=0.1, temperature=0.006), points=800)
    crossed = fl.predict(Langevin("double-well", lr=0.1, temperature=0.05), points=800)
    assert crossed.moments[0] == pytest.approx(0, abs=1e-7)


def test_places_and_averages_that_are_none_are_refused(right):
    with pytest.raises(InvalidInput, match="start = 30 is outside the domain"):
        right.after(3, start=30.0)
    with pytest.raises(InvalidInput, match="steps must be at least 1"):
        right.after(0)
    with pytest.raises(InvalidInput, match="f must be a function"):
        right.mean(3)
    with pytest.raises(InvalidInput, match="f is"):
        right.mean(lambda x: 1 / (x - x))
    with pytest.raises(UnknownName, match="'exact'"):
        fl.predict(spring(), theory="exakt")


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"draws": np.zeros((7, 900))}, "draws hold 7 chains, and at least 8"),
        ({"draws": np.zeros((8, 20))}, "fewer than twice the slowest relaxation"),
        ({"draws": np.full((8, 900), np.nan)}, "draws holds nan"),
        ({"draws": np.zeros(900)}, r"shape \(chains, steps\)"),
        ({"replicas": 7}, "replicas must be at least 8"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"level": 2}, "level must be less than 1"),
        ({"resolution": 0}, "resolution must be greater than 0"),
        ({"law": 3}, "law must be a ChainLaw"),
        ({"progress": 3}, "progress must be a function"),
    ],
)
def test_runs_and_draws_that_tell_nothing_are_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        fl.verify(spring(), **asked)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"friction": 0}, "friction must be greater than 0"),
        ({"friction": -1}, "friction must be greater than 0"),
        ({"term": "A"}, "unknown term 'A'"),
        ({"lr": 20.0}, r"does not contract at x = .* Give an lr below"),
        ({"dimension": 2, "potential": Bowl(), "monitor": Bell()}, "in one dimension, not in 2"),
    ],
)
def test_what_is_no_underdamped_chain_is_refused(asked, match):
    with pytest.raises(InvalidInput, match=match):
        Underdamped(**{**ASKED, **asked})


def test_a_law_that_is_not_known_is_refused_by_name():
    chain = Underdamped("spring", lr=0.1, temperature=T)
    with pytest.raises(InvalidInput, match="of an underdamped chain the target alone is known"):
        fl.predict(chain, theory="exact")
    with pytest.raises(
        InvalidInput,
        match=r"Underdamped is not taken by fluctua.verify. It is taken by fluctua.predict, fluctua.simulate",
    ):
        fl.verify(chain)
    with pytest.raises(InvalidInput, match=r"Langevin is taken by fluctua.predict, fluctua.simulate, fluctua.verify"):
        fl.sweep(spring(), fl.SGD(0.1, 8), lr=[0.1], batch_size=[8])


@pytest.mark.any_seed
def test_what_a_user_holds_is_a_line_and_a_table(right):
    runs = fl.simulate(spring(), steps=50, replicas=8, rng=1)
    for one in (right, runs, spring()):
        assert len(repr(one)) <= 120
        assert type(one).__name__ in one._repr_html_()
        assert one == copy.deepcopy(one)
    assert right.columns()["quantity"][0] == "E x"
    assert right != fl.predict(spring(0.2))
    assert fl.simulate(spring(), steps=50, replicas=8, rng=1) == runs
    assert Grid(spring(), right.grid).dx == pytest.approx(right.grid[1] - right.grid[0])


class Away:
    """A parabola about a place that is far from 0."""

    def value(self, x):
        return 0.5 * (x - 1000.0) ** 2

    def slope(self, x):
        return x - 1000.0


@pytest.mark.parametrize(
    ("chain", "centre"),
    [
        (Langevin(Away(), lr=0.5, method="fixed"), 1000.0),
        (Langevin("harmonic", lr=1.8, method="fixed"), 0.0),  # whose grid is 34 standard deviations wide
    ],
)
def test_tails_do_not_swallow_the_bias_to_first_order(chain, centre):
    law = fl.predict(chain, theory="first_order")
    assert law.bias_slope(lambda x: (x - centre) ** 2) == pytest.approx(0.5, rel=1e-9)  # T/2
    assert law.bias_slope(lambda x: x - centre) == pytest.approx(0, abs=1e-12)
    assert law.variance == pytest.approx(1 + chain.lr / 2, rel=1e-9)
