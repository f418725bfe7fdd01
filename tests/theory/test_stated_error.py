"""What a rung of a head says that it may be off by, against derivatives and cumulants found otherwise."""

import itertools

import numpy as np
import pytest

import fluctua as fl
from fluctua.problem.softmax.logits import fourth
from fluctua.theory.local.own_error import _of_skewness


def _log_sum(logits):
    return float(np.log(np.exp(logits).sum()))


def _fourth_along(z, a, b, step):
    """d^2/da^2 d^2/db^2 of log sum exp, from nine points."""
    weights = {-1: 1.0, 0: -2.0, 1: 1.0}
    pairs = itertools.product(weights, weights)
    return sum(weights[i] * weights[j] * _log_sum(z + step * (i * a + j * b)) for i, j in pairs) / step**4


def test_fourth_derivatives_are_those_of_finite_differences():
    rng = np.random.default_rng(2)
    z, moves = rng.normal(size=5), rng.normal(size=(3, 5))
    pairs = list(itertools.product(moves, moves))
    coarse, fine = (sum(_fourth_along(z, a, b, step) for a, b in pairs) for step in (0.04, 0.02))
    p = np.exp(z) / np.exp(z).sum()
    found = fourth(p[None], (moves.T @ moves)[None])
    assert found[0] == pytest.approx((4 * fine - coarse) / 3, rel=1e-4)


@pytest.mark.parametrize("head", [fl.Softmax, fl.Logistic])
def test_the_skewness_of_the_noise_is_that_of_all_tensors(head):
    rng = np.random.default_rng(5)
    x = np.c_[rng.standard_t(4, size=(40, 2)), np.ones(40)]
    labels = (np.arange(40) % 9 == 0) + (0 if head is fl.Logistic else 2 * (np.arange(40) % 5 == 1))
    problem = head(x, labels, class_weight="balanced")
    minimum = problem.minimum(0.05)
    modes, h, r = minimum.modes, minimum.curvatures, minimum.residuals
    gradients = np.einsum("nc,nd->ncd", r, x).reshape(40, -1) @ modes
    gradients -= gradients.mean(axis=0)
    push = np.einsum("np,nq,nr->pqr", *[gradients] * 3) / 40
    cumulant = -push / (h[:, None, None] + h[:, None] + h)
    p = minimum.probabilities[:, -r.shape[1] :]
    c = p.shape[1]
    eye, factors = np.eye(c), problem.factors
    own = np.einsum("na,ab,ac->nabc", p, eye, eye)
    paired = np.einsum("na,ab,nc->nabc", p, eye, p)
    bent = own - paired - paired.transpose(0, 1, 3, 2) - paired.transpose(0, 3, 1, 2)
    bent = bent + 2 * np.einsum("na,nb,nc->nabc", p, p, p)
    moved = np.einsum("nd,cdm->ncm", x, modes.reshape(c, 3, -1))
    third = np.einsum("n,nabc,nap,nbq,ncr->pqr", factors, bent, moved, moved, moved, optimize=True) / 40
    assert _of_skewness(minimum.picture) == pytest.approx((third * cumulant).sum() / 6, rel=0.02)


def test_a_meter_that_cancels_is_not_all_that_is_stated():
    rng = np.random.default_rng(3)
    x = np.c_[rng.standard_normal((200, 4)), np.ones(200)]
    problem = fl.Softmax(x, rng.integers(0, 12, 200))
    sgd = fl.SGD(lr=1.15, batch_size=4, weight_decay=0.05)
    predictions = {name: fl.predict(problem, sgd, theory=name) for name in ("discrete", "multiplicative", "anharmonic")}
    assert predictions["discrete"].stated_error == 0.0
    assert abs(predictions["anharmonic"].anharmonicity) < 0.02
    assert 0.03 < predictions["anharmonic"].stated_error == predictions["multiplicative"].stated_error
    assert predictions["anharmonic"].to_dict()["stated_error"] == predictions["anharmonic"].stated_error


def test_nothing_is_stated_where_nothing_fluctuates():
    x = np.c_[np.arange(6.0), np.ones(6)]
    whole = fl.SGD(lr=0.1, batch_size=6, weight_decay=0.1, sampling="without_replacement")
    assert fl.predict(fl.Logistic(x, [0, 0, 1, 0, 1, 1]), whole).stated_error == 0.0


@pytest.mark.slow
@pytest.mark.statistical(alpha=1e-6, miss=1e-6)  # 8 and 11 standard errors
def test_at_the_edge_of_the_bowl_all_terms_count():
    """A class of 5 %, half the crossover: off by 29 %, of which u says 21 and the skewness of the noise 10."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(400, 4))
    labels = (x[:, 0] + rng.normal(size=400) > 2.4).astype(int)
    head, sgd = fl.Logistic(np.c_[x, np.ones(400)], labels), fl.SGD(lr=2.8, batch_size=4, weight_decay=1e-2)
    run = fl.simulate(head, sgd, steps=2000, replicas=2048, rng=1, control="quadratic", start="optimum")
    late = (run.watched > 600) & np.isin(run.watched, run.recorded)
    beyond = (run.replica_losses[:, late] - run.twin.replica_losses[:, late]).mean(axis=1)
    floor = fl.predict(head, sgd, theory="multiplicative").excess_loss + beyond.mean()
    found = fl.predict(head, sgd)
    off, error = abs(found.excess_loss / floor - 1), found.excess_loss / floor**2 * beyond.std() / 2048**0.5
    assert off < found.stated_error + 5 * error
    assert off > abs(found.anharmonicity) + 5 * error  # the mutant: the largest term alone
