"""Softmax and logistic heads at the door, F71: what labels mean, what is refused, and torch's own loss."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput, MissingBias, TooLarge
from fluctua.problem.softmax.descent import Place
from fluctua.problem.softmax.picture import Picture

X = np.column_stack([np.random.default_rng(0).normal(size=(12, 2)), np.ones(12)])
LABELS = np.arange(12) % 3
GAMMA = 0.1


def bad(label, **changes):
    return pytest.param(changes.pop("match"), changes, id=label)


REFUSED = [
    bad("one class", labels=np.zeros(12, int), match="the one class 0: its probability is 1"),
    bad("negative labels", labels=LABELS - 1, match="labels hold -1 .4 times..*ignore_index=-1"),
    bad("torch's mark", labels=np.where(LABELS == 2, -100, LABELS), match="ignore_index=-100"),
    bad("fractions", labels=LABELS + 0.5, match="labels are whole numbers or text"),
    bad("NaN", labels=np.where(LABELS == 2, np.nan, LABELS), match="labels holds nan"),
    bad("inputs of NaN", inputs=np.where(X[3, 0] == X, np.nan, X), match="inputs holds nan"),
    bad("lengths", labels=LABELS[:-1], match="12 samples and labels 11"),
    bad("sums", labels=np.full((12, 3), 0.4), match="row 0 sums to 1.2"),
    bad("negative chances", labels=np.tile([1.5, -0.5], (12, 1)), match="at least 0; got -0.5 at .0, 1."),
    bad("a class without samples", labels=np.tile([0.5, 0.5, 0.0], (12, 1)), match="class 2 has no sample"),
    bad("sum", reduction="sum", match="reduction must be 'mean'.*lr times the batch size"),
    bad("smoothing", label_smoothing=1.0, match="label_smoothing must be less than 1"),
    bad("negative smoothing", label_smoothing=-0.1, match="label_smoothing must be at least 0"),
    bad("few weights", class_weight=[1.0, 2.0], match="2 weights for 3 classes"),
    bad("a weight of 0", class_weight=[1.0, 0.0, 1.0], match="class_weight must be greater than 0"),
    bad("a weight of NaN", class_weight=[1.0, np.nan, 1.0], match=r"holds nan at index \(1,\): finite numbers"),
    bad("a weight by another name", class_weight={0: 1, 1: 1, 7: 2}, match="it has 7, which no sample is of"),
    bad("a weight that is missing", class_weight={0: 1, 1: 1}, match="it lacks 2"),
    bad("a word", class_weight="even", match="class_weight must be 'balanced'"),
    bad("all ignored", labels=np.ones(12, int), ignore_index=1, match="all 12 labels are ignore_index"),
    bad("an index of text", ignore_index="a", match="ignore_index must be one of the labels"),
    bad("an index of chances", labels=np.full((12, 2), 0.5), ignore_index=1, match="for labels, and these are soft"),
    bad("constant inputs", inputs=np.ones((12, 2)), match="the inputs are constant"),
]


@pytest.mark.parametrize(("match", "changes"), REFUSED)
def test_bad_input_is_refused_by_name(match, changes):
    with pytest.raises(InvalidInput, match=match):
        fl.Softmax(**{"inputs": X, "labels": LABELS, **changes})


def test_a_pair_is_two_classes():
    with pytest.raises(InvalidInput, match="Logistic is for two classes, and labels hold 3"):
        fl.Logistic(X, LABELS)


@pytest.mark.parametrize("head", [fl.Softmax, fl.Logistic])
def test_separable_data_need_weight_decay(head):
    labels = (X[:, 0] > X[:, 1]).astype(int)
    with pytest.raises(InvalidInput, match=r"separable.*weight_decay=1e-0\d") as caught:
        head(X, labels).minimum()
    proposed = float(str(caught.value).rsplit("=", 1)[1].rstrip("."))
    assert head(X, labels).minimum(proposed).accuracy == 1.0


def test_data_that_are_separable_in_part_need_it_too():
    x = np.column_stack([[1.0, 1, 1, 1, 0, 0, 0, 0], [0.0, 0, 0, 0, 1, 1, 1, 1]])  # the first four can be told
    with pytest.raises(InvalidInput, match="some classes can be told apart without an error"):
        fl.Softmax(x, [0, 0, 0, 0, 0, 1, 0, 1]).minimum()


def test_overlapping_classes_have_an_optimum_without_weight_decay():
    minimum = fl.Softmax(X, LABELS).minimum()
    assert minimum.gradient_norm < 1e-13
    assert minimum.curvatures[-1] > 0


def test_weight_decay_is_at_least_0():
    with pytest.raises(InvalidInput, match="weight_decay must be at least 0"):
        fl.Softmax(X, LABELS).minimum(-1.0)


def test_ignored_samples_are_dropped_and_counted():
    labels = np.where(np.arange(12) < 3, -100, LABELS)
    problem = fl.Softmax(X, labels, ignore_index=-100)
    assert (problem.samples, problem.ignored) == (9, 3)
    same = fl.Softmax(X[3:], LABELS[3:])
    np.testing.assert_array_equal(problem.minimum(GAMMA).weights, same.minimum(GAMMA).weights)
    assert "3 ignored" in repr(problem)


def test_text_names_classes():
    named = fl.Softmax(X, np.array(["cat", "dog", "owl"])[LABELS], class_weight={"cat": 1, "dog": 2, "owl": 3})
    assert named.classes == ("cat", "dog", "owl")
    numbered = fl.Softmax(X, LABELS, class_weight=[1, 2, 3])
    np.testing.assert_array_equal(named.minimum(GAMMA).weights, numbered.minimum(GAMMA).weights)


def test_balanced_weights_count_every_class_alike():
    problem = fl.Softmax(X, [0] * 6 + [1] * 4 + [2] * 2, class_weight="balanced")
    assert np.bincount(problem.answers, problem.factors) == pytest.approx([4.0, 4.0, 4.0])


def test_chances_of_the_second_class():
    chances = np.linspace(0.1, 0.9, 12)
    two = fl.Logistic(X, np.column_stack([1 - chances, chances]))
    np.testing.assert_array_equal(fl.Logistic(X, chances).minimum(GAMMA).weights, two.minimum(GAMMA).weights)


def test_a_missing_bias_is_worth_a_warning_where_it_matters():
    labels = [0] * 10 + [1] * 2
    with pytest.warns(MissingBias, match="lower the loss by about") as caught:
        fl.Softmax(X[:, :2], labels).minimum(GAMMA)
    assert caught[0].message.share > 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.Softmax(X, labels).minimum(GAMMA)


def test_verbs_of_least_squares_refuse_a_head_by_name():
    problem, sgd = fl.Softmax(X, LABELS), fl.SGD(0.1, 2, 0.1)
    with pytest.raises(InvalidInput, match=r"got Softmax.*taken by .*fluctua.max_stable_lr.*fluctua.predict"):
        fl.learning_curve(problem, sgd, 3)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_short_numbers_are_read_in_blocks(kind):
    narrow = fl.Softmax(X.astype(kind), LABELS).minimum(GAMMA)
    wide = fl.Softmax(X.astype(kind).astype(float), LABELS).minimum(GAMMA)
    np.testing.assert_allclose(narrow.weights, wide.weights, atol=1e-6)
    assert narrow.loss == pytest.approx(wide.loss, rel=1e-6)


def test_a_head_is_a_line_a_table_and_a_value():
    problem, again = fl.Softmax(X, LABELS), fl.Softmax(X, LABELS)
    assert problem == again
    assert problem != fl.Softmax(X, LABELS, label_smoothing=0.1)
    assert repr(problem) == "Softmax(12 samples, 3 inputs, 3 classes, float64)"
    assert "<table" in problem._repr_html_()
    assert "accuracy" in repr(problem.minimum(GAMMA))


def test_matrices_of_many_modes_are_not_formed(monkeypatch):
    minimum = fl.Softmax(X, LABELS).minimum(GAMMA)
    monkeypatch.setattr("fluctua.problem.softmax.picture.MOST_MODES", 3)
    with pytest.raises(TooLarge, match="and above 3 only leading ones are found"):
        Picture.of(minimum.place)


@pytest.mark.torch
@pytest.mark.parametrize(
    "options",
    [
        *({}, {"class_weight": [1.0, 2.0, 0.5]}, {"label_smoothing": 0.2}, {"ignore_index": 2}),
        {"class_weight": [1.0, 2.0, 0.5], "label_smoothing": 0.2},
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_the_loss_is_torch_s(options, soft):
    torch = pytest.importorskip("torch")
    if soft and "ignore_index" in options:
        pytest.skip("soft targets have no index")
    y = np.random.default_rng(1).dirichlet(np.ones(3), 12) if soft else LABELS
    problem = fl.Softmax(X, y, **options)
    rows = 2 if "ignore_index" in options else 3
    minimum = problem.minimum(GAMMA)
    w = torch.tensor(minimum.weights, requires_grad=True)
    named = {"weight": "class_weight", "label_smoothing": "label_smoothing", "ignore_index": "ignore_index"}
    given = {name: options[own] for name, own in named.items() if own in options}
    if "weight" in given:
        given["weight"] = torch.tensor(given["weight"], dtype=torch.float64)
    logits = torch.tensor(X) @ w.T
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y), **given) + GAMMA / 2 * (w**2).sum()
    loss.backward()
    assert minimum.weights.shape == (rows, 3)
    assert minimum.loss == pytest.approx(loss.item(), rel=1e-13)
    assert float(w.grad.abs().max()) < 1e-14


@pytest.mark.torch
def test_the_logistic_loss_is_torch_s():
    torch = pytest.importorskip("torch")
    y = (LABELS > 0).astype(float)
    problem = fl.Logistic(X, y.astype(int))
    w = np.array([[0.3, -0.2, 0.1]])
    place = Place(problem.minimum(GAMMA).place.head, problem.reduced(w))
    own = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(X @ w[0]), torch.tensor(y))
    assert place.loss == pytest.approx(float(own) + GAMMA / 2 * np.sum(w**2), rel=1e-13)


def test_nothing_but_fluctua_s_errors_at_the_door():
    for strange in (None, "labels", 3, [[1, 2], [3]], object(), np.zeros((12, 0)), np.zeros((12, 3, 2))):
        with pytest.raises(FluctuaError):
            fl.Softmax(X, strange)
        with pytest.raises(FluctuaError):
            fl.Softmax(strange, LABELS)
