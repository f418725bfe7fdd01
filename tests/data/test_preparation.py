"""Inputs prepared: learned from the training data alone, the same for all others, and undone in the weights."""

import hashlib
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler

import fluctua as fl
from fluctua.data.columns import Columns
from fluctua.data.prepared import preparation_code
from fluctua.errors import InvalidInput

RNG = np.random.default_rng(5)
X = RNG.normal(3, [1, 20, 0.1, 5], (90, 4))
X[:, 3] = 7.1
OTHER = RNG.normal(2, 3, (20, 4))
Y = RNG.choice(["cat", "dog", "emu"], 90)
VALUES = RNG.normal(size=(90, 2))


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "t.npz", X=X, y=Y)
    return tmp_path / "t.npz"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("standardize", [False, True])
def test_columns_are_those_of_scikit_learn(dtype, standardize):
    train, other = X.astype(dtype), OTHER.astype(dtype)
    preparation = fl.Preparation(center=not standardize, standardize=standardize)
    scaler = StandardScaler(with_std=standardize).fit(X.astype(dtype).astype(float))
    for given in (train, other):
        found = preparation.fit(train).transform(given)
        assert found.dtype == dtype
        np.testing.assert_allclose(
            found,
            scaler.transform(given.astype(float)),
            rtol=4 * np.finfo(dtype).eps,
            atol=1e-6 * (dtype == np.float32) + 1e-13,
        )
    assert not preparation.transform(train)[:, 3].any()  # a constant column is exactly zero
    np.testing.assert_allclose(preparation.mean_, scaler.mean_, rtol=1e-14)
    if standardize:
        np.testing.assert_allclose(preparation.scale_, scaler.scale_, rtol=1e-12)
    else:
        assert preparation.scale_ is None


def test_the_bias_comes_last_and_after_centring():
    found = fl.Preparation(bias=True, center=True).fit_transform(X)
    assert found.shape == (90, 5)
    assert (found[:, 4] == 1).all()
    alone = fl.Preparation(bias=True).fit_transform(X)
    np.testing.assert_array_equal(alone[:, :4], X)
    assert fl.Preparation(bias=True).fit(X).mean_ is None


def test_nothing_asked_is_nothing_done():
    assert fl.Preparation().fit_transform(X) is X
    widened = fl.Preparation().fit_transform(X.astype(np.float16))
    assert widened.dtype == np.float32


@pytest.mark.parametrize("switch", ["bias", "center", "standardize"])
def test_float16_becomes_float32_with_moments_in_float64(switch):
    given = RNG.normal(40, 1, (3000, 3)).astype(np.float16)
    found = fl.Preparation(**{switch: True}).fit_transform(given)
    assert found.dtype == np.float32
    if switch != "bias":
        exact = given.astype(float) - given.astype(float).mean(0)
        exact /= exact.std(0) if switch == "standardize" else 1
        np.testing.assert_allclose(found, exact, atol=1e-6)


@pytest.mark.parametrize("offset", [1e9, -1e12, 2.0**40])
def test_a_large_mean_costs_no_digits_beside_a_small_spread(offset):
    """Multiples of 2^-10 beside the offset are exact, so that the right answer is that without it."""
    small = np.round(RNG.normal(size=(4000, 2)) * 2**10) / 2**10
    found = fl.Preparation(standardize=True).fit_transform(small + offset)
    exact = (small - small.mean(0)) / small.std(0)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13)


def test_one_outlier_does_not_cost_the_others_their_digits():
    values = RNG.normal(size=(1000, 1))
    values[0] = 1e12  # its row is the first
    found = fl.Preparation(center=True).fit_transform(values)
    exact = values - np.float64(sum(map(float, values[:, 0])) / 1000)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_a_column_whose_spread_is_rounding_is_constant():
    flickering = np.where(RNG.random(200) < 0.5, 0.3, 0.1 + 0.2)
    found = fl.Preparation(standardize=True).fit_transform(np.c_[flickering, RNG.normal(size=200)])
    assert not found[:, 0].any()


def test_held_out_data_are_prepared_by_the_training_s_moments():
    preparation = fl.Preparation(standardize=True).fit(X)
    before = preparation.mean_.copy()
    found = preparation.transform(OTHER)
    np.testing.assert_array_equal(preparation.mean_, before)
    np.testing.assert_allclose(found[:, :3], ((OTHER - X.mean(0)) / X.std(0))[:, :3], rtol=1e-12)
    np.testing.assert_allclose(found[:, 3], OTHER[:, 3] - 7.1, rtol=1e-12)  # constant in training: not divided
    assert preparation.transform(OTHER[:1]).shape == (1, 4)


def test_blocks_do_not_show(monkeypatch):
    whole = fl.Preparation(bias=True, standardize=True).fit_transform(X)
    monkeypatch.setattr("fluctua.data.columns._BLOCK_ELEMENTS", 8)
    monkeypatch.setattr("fluctua.data.columns.row_blocks", lambda a: (slice(k, k + 7) for k in range(0, len(a), 7)))
    monkeypatch.setattr("fluctua.data.fitted.row_blocks", lambda a: (slice(k, k + 7) for k in range(0, len(a), 7)))
    np.testing.assert_allclose(fl.Preparation(bias=True, standardize=True).fit_transform(X), whole, atol=1e-12)


def test_labels_are_encoded_as_label_encoder_has_them():
    preparation = fl.Preparation(center=True).fit(X, Y)
    encoder = LabelEncoder().fit(Y)
    assert preparation.classes_ == tuple(encoder.classes_)
    np.testing.assert_array_equal(preparation.encode(Y), np.eye(3)[encoder.transform(Y)])
    assert preparation.encode(["emu"]).tolist() == [[0, 0, 1]]  # a label without a sample keeps its column
    assert fl.Preparation().fit(X.astype(np.float32), Y).encode(Y).dtype == np.float32
    with pytest.raises(InvalidInput, match=r"the label 'fox' \(in 1 of 2 samples\), for which the training data"):
        preparation.encode(["cat", "fox"])


def test_classes_give_the_columns_and_their_order():
    preparation = fl.Preparation(classes=["emu", "cat", "dog"]).fit(X, Y)
    np.testing.assert_array_equal(preparation.encode(Y), (Y[:, None] == ["emu", "cat", "dog"]).astype(float))
    with pytest.raises(InvalidInput, match=r"the label 'emu' .* for which the classes given have no output"):
        fl.Preparation(classes=["cat", "dog"]).fit(X, Y)
    with pytest.raises(InvalidInput, match="classes holds 'fox', and no sample of targets"):
        fl.Preparation(classes=["cat", "dog", "emu", "fox"]).fit(X, Y)
    for wrong in ([1, 1], [], "ab", [1.5], 3):
        with pytest.raises(InvalidInput, match="classes"):
            fl.Preparation(classes=wrong)
    assert fl.Preparation(classes=np.array([1, 0])).classes == (1, 0)


def test_values_are_columns_and_never_centred():
    preparation = fl.Preparation(center=True, bias=True).fit(X, VALUES)
    assert preparation.classes_ is None
    np.testing.assert_array_equal(preparation.encode(VALUES[:3]), VALUES[:3])
    with pytest.raises(InvalidInput, match="targets have 1 columns, and the training's have 2"):
        preparation.encode(VALUES[:, 0])
    whole = np.arange(90) % 7
    assert fl.Preparation(targets_are="values").fit(X, whole).encode(whole).shape == (90, 1)
    with pytest.raises(InvalidInput, match="fit was given no targets"):
        fl.Preparation().fit(X).encode(Y)


@pytest.mark.parametrize("switches", [{}, {"bias": True}, {"center": True}, {"bias": True, "standardize": True}])
def test_the_raw_features_weights_and_bias_give_the_same_outputs(switches):
    preparation = fl.Preparation(**switches)
    prepared = preparation.fit_transform(X)
    weights = RNG.normal(size=(5, 3, prepared.shape[1]))
    raw, bias = preparation.unprepared(weights)
    assert raw.shape == (5, 3, 4)
    for given in (X, OTHER):
        outputs = np.einsum("kci,ni->knc", weights, preparation.transform(given))
        np.testing.assert_allclose(np.einsum("kci,ni->knc", raw, given) + bias[:, None], outputs, atol=1e-12)


def test_a_bias_that_stands_apart_is_undone_too():
    preparation = fl.Preparation(bias=True, standardize=True)
    prepared = preparation.fit_transform(X)
    weights = RNG.normal(size=(3, 5))
    for apart, together in zip(
        preparation.unprepared(weights[:, :4], weights[:, 4]), preparation.unprepared(weights), strict=True
    ):
        np.testing.assert_array_equal(apart, together)
    assert prepared.shape == (90, 5)
    for wrong in (
        (weights[:, :3], None),
        (weights[0], None),
        (weights[:, :4], [1.0]),
        (weights, weights[:, 0]),
        ("x", None),
    ):
        with pytest.raises(InvalidInput, match=r"weights|bias"):
            preparation.unprepared(*wrong)


def test_weights_that_diverged_are_refused():
    with pytest.raises(InvalidInput, match="weights holds numbers that are not finite: has the training diverged"):
        fl.Preparation(center=True).fit(X).unprepared(np.full((2, 4), np.nan))


@pytest.mark.torch
def test_a_linear_layer_of_torch_is_undone():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(4, 3, dtype=torch.float64)
    preparation = fl.Preparation(center=True).fit(torch.tensor(X))
    raw, bias = preparation.unprepared(layer.weight, layer.bias)
    expected = layer(torch.tensor(preparation.transform(torch.tensor(OTHER)))).detach().numpy()
    np.testing.assert_allclose(OTHER @ raw.T + bias, expected, atol=1e-12)


def test_the_optimum_beside_a_bias_is_ridge_s_without_decay():
    """Centred beside a bias, W* without weight decay is scikit-learn's, whose intercept is free."""
    preparation = fl.Preparation(bias=True, center=True)
    problem = fl.LeastSquares(preparation.fit_transform(X), VALUES)
    raw, bias = preparation.unprepared(problem.minimum().weights)
    fitted = Ridge(alpha=0, solver="svd").fit(X, VALUES)
    np.testing.assert_allclose(raw[:, :3], fitted.coef_[:, :3], atol=1e-10)
    np.testing.assert_allclose(X @ raw.T + bias, fitted.predict(X), atol=1e-10)


def test_data_sets_keep_their_labels_and_say_what_was_done(path):
    data = fl.load(path)
    preparation = fl.Preparation(bias=True, standardize=True)
    prepared = preparation.fit_transform(data)
    assert isinstance(prepared, fl.Dataset)
    np.testing.assert_array_equal(prepared.targets, data.targets)
    np.testing.assert_array_equal(prepared.inputs, fl.Preparation(bias=True, standardize=True).fit_transform(X))
    record = prepared.about["preparation"]
    assert record | {"sha256": ""} == {
        "bias": True,
        "center": True,
        "standardize": True,
        "pipeline": None,
        "features": 4,
        "constant": 1,
        "sha256": "",
    }
    columns = Columns.of(X)
    learned = columns.origin.tobytes() + columns.rest.tobytes() + columns.deviation.tobytes()
    assert record["sha256"] == hashlib.sha256(learned).hexdigest()
    assert prepared.sha256 != data.sha256
    assert "preparation" not in data.about
    assert repr(prepared).endswith("prepared)")
    with pytest.raises(InvalidInput, match=r"t\.npz is prepared already"):
        preparation.transform(prepared)
    with pytest.raises(InvalidInput, match="is prepared already"):
        preparation.fit(prepared)
    with pytest.raises(InvalidInput, match="has its own targets"):
        preparation.fit(data, Y)


def test_a_held_out_data_set_has_the_training_s_outputs(path, tmp_path):
    np.savez(tmp_path / "other.npz", X=OTHER, y=np.array(["emu", "cat"] * 10))
    preparation = fl.Preparation(center=True).fit(fl.load(path))
    other = preparation.transform(fl.load(tmp_path / "other.npz"))
    assert other.classes == ("cat", "dog", "emu")
    np.testing.assert_array_equal(other.targets[:2], [[0, 0, 1], [1, 0, 0]])
    np.savez(tmp_path / "other.npz", X=OTHER, y=np.array(["emu", "fox"] * 10))
    with pytest.raises(InvalidInput, match=r"other\.npz holds the label 'fox'"):
        preparation.transform(fl.load(tmp_path / "other.npz"))
    turned = fl.Preparation(classes=["emu", "dog", "cat"]).fit_transform(fl.load(path))
    np.testing.assert_array_equal(turned.targets, fl.load(path).targets[:, ::-1])
    assert turned.class_names == ("emu", "dog", "cat")


class Doubled(TransformerMixin, BaseEstimator):
    """A transformer with parameters of scikit-learn's kind, that may be made wrong."""

    def __init__(self, how="as asked"):
        self.how = how

    def fit(self, inputs, targets=None):
        del targets
        self.seen_ = inputs
        if self.how == "raises":
            raise RuntimeError("no such\nthing")
        return self

    def transform(self, inputs):
        made = 2.0 * np.asarray(inputs)
        return {"nan": made * np.nan, "rows": made[1:], "text": made.astype(str), "flat": made[:, 0]}.get(
            self.how, made
        )


class Bare:
    """A transformer without parameters, without fit_transform."""

    def fit(self, inputs, targets=None):
        del targets
        self.mean = np.asarray(inputs).mean(0)

    def transform(self, inputs):
        return np.asarray(inputs) - self.mean


def test_a_pipeline_is_fitted_on_the_training_data_alone_and_before_the_switches():
    pipeline = make_pipeline(StandardScaler(), PCA(2))
    preparation = fl.Preparation(pipeline=pipeline, bias=True, standardize=True)
    found = preparation.fit_transform(X)
    inner = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    np.testing.assert_allclose(found[:, :2], StandardScaler().fit_transform(inner.transform(X)), atol=1e-12)
    other = StandardScaler().fit(inner.transform(X)).transform(inner.transform(OTHER))
    np.testing.assert_allclose(preparation.transform(OTHER)[:, :2], other, atol=1e-12)
    assert not hasattr(pipeline[-1], "components_")  # the user's own is left alone
    assert preparation.n_features_in_ == 2


def test_pipelines_of_other_kinds():
    by_label = fl.Preparation(pipeline=SelectKBest(k=2)).fit_transform(X[:, :3], Y)
    np.testing.assert_array_equal(by_label, SelectKBest(k=2).fit_transform(X[:, :3], Y))
    np.testing.assert_allclose(fl.Preparation(pipeline=Bare()).fit_transform(X), X - X.mean(0))
    text = ["red fish", "blue fish", "red bird", "one bird"]
    encoded = fl.Preparation(pipeline=make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0)), bias=True)
    assert encoded.fit_transform(text).shape == (4, 3)
    assert encoded.transform(text[:1]).shape == (1, 3)
    half = fl.Preparation(pipeline=StandardScaler()).fit_transform(X.astype(np.float16))
    assert half.dtype == np.float32


def test_masked_entries_are_not_learned_from():
    for pipeline in (None, PCA(2)):
        with pytest.raises(InvalidInput, match="inputs is a masked array"):
            fl.Preparation(pipeline=pipeline, bias=True).fit(np.ma.masked_array(X, X > 4))


def test_a_preparation_is_kept_in_a_file():
    preparation = fl.Preparation(pipeline=PCA(2), bias=True, standardize=True).fit(X, Y)
    again = pickle.loads(pickle.dumps(preparation))
    np.testing.assert_array_equal(again.transform(OTHER), preparation.transform(OTHER))
    np.testing.assert_array_equal(again.encode(Y), preparation.encode(Y))


def test_a_pipeline_sees_the_columns_of_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": X[:, 0], "kind": Y})
    mixed = ColumnTransformer([("n", StandardScaler(), ["age"]), ("k", OneHotEncoder(sparse_output=False), ["kind"])])
    found = fl.Preparation(pipeline=mixed).fit_transform(frame)
    np.testing.assert_array_equal(found[:, 1:], Y[:, None] == ["cat", "dog", "emu"])


REFUSED = {
    "sparse": (OneHotEncoder(), r"sparse .*, of shape \(90, .*sparse_output=False"),
    "not finite": (Doubled("nan"), "the pipeline's output for the training inputs holds nan"),
    "fewer rows": (Doubled("rows"), "made 89 rows of 90"),
    "text": (Doubled("text"), "the pipeline's output for the training inputs must hold real numbers"),
    "one axis": (Doubled("flat"), "must have shape"),
    "an error of its own": (Doubled("raises"), r"does not take the training inputs \(RuntimeError: no such thing\)"),
    "too many components": (PCA(7), "does not take the training inputs"),
    "a classifier": (Pipeline([("s", StandardScaler()), ("c", LogisticRegression())]), "has no transform"),
    "a class": (StandardScaler, r"not its class: StandardScaler\(\)"),
    "no transformer": (3, "has no fit and no transform"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_pipelines_that_are_refused(case):
    pipeline, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words):
        fl.Preparation(pipeline=pipeline).fit(X)


def test_a_refused_fit_leaves_what_was_learned():
    preparation = fl.Preparation(center=True).fit(X)
    with pytest.raises(InvalidInput):
        preparation.fit(np.full((3, 2), np.nan))
    np.testing.assert_array_equal(preparation.transform(X), fl.Preparation(center=True).fit_transform(X))


BAD = {
    "before fit": (lambda p: p.transform(X), "has learned nothing yet"),
    "encode before fit": (lambda p: p.encode(Y), "has learned nothing yet"),
    "undo before fit": (lambda p: p.unprepared(np.eye(4)), "has learned nothing yet"),
    "other columns": (lambda p: p.fit(X).transform(X[:, :3]), "have 3 columns, and the preparation was fitted on 4"),
    "nan": (lambda p: p.fit(X * np.nan), "inputs holds nan"),
    "one axis": (lambda p: p.fit(X[:, 0]), "inputs must have shape"),
    "text": (lambda p: p.fit(X.astype(str)), "must hold real numbers"),
    "targets of another length": (lambda p: p.fit(X, Y[:9]), "each needs its target"),
    "constant": (lambda p: p.fit(np.ones((5, 3))), "all 3 columns of the inputs are constant"),
    "too large": (lambda p: p.fit(np.array([[1e200], [-1e200]])), "variance beyond the range"),
    "beyond float32": (
        lambda p: p.fit(np.float32([[1e-30, 1], [2e-30, 2]])).transform(np.float32([[1e30, 1]])),
        "the prepared inputs holds inf",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, words = BAD[case]
    with pytest.raises(InvalidInput, match=words):
        call(fl.Preparation(standardize=True))


@pytest.mark.parametrize("wrong", [{"bias": 1}, {"center": "yes"}, {"standardize": None}, {"targets_are": "labbels"}])
def test_bad_switches(wrong):
    with pytest.raises(fl.FluctuaError):
        fl.Preparation(**wrong)


@pytest.mark.parametrize("size", [0.2, 30, 0.5])
def test_a_split_is_that_of_train_test_split(path, size):
    data = fl.load(path)
    train, held_out = data.split(size, rng=7)
    kept, left = train_test_split(np.arange(90), test_size=size, random_state=7, stratify=Y)
    np.testing.assert_array_equal(train.inputs, X[np.sort(kept)])
    np.testing.assert_array_equal(held_out.labels, Y[np.sort(left)])
    assert train.classes == held_out.classes == data.classes
    assert train.about["preparation"] == {"test_size": size, "held_out": len(left), "seed": 7}
    assert held_out.name == "t.npz, held out"
    prepared = fl.Preparation(bias=True).fit_transform(train)
    assert prepared.preparation["seed"] == 7
    assert prepared.preparation["bias"]


def test_a_split_of_values_and_other_seeds(tmp_path):
    np.savez(tmp_path / "v.npz", X=X, y=VALUES)
    data = fl.load(tmp_path / "v.npz")
    train, held_out = data.split(rng=2**200)
    assert (len(train.inputs), len(held_out.inputs)) == (72, 18)
    again = data.split(rng=train.preparation["seed"])[1]
    np.testing.assert_array_equal(again.inputs, held_out.inputs)
    for wrong in (-1, 2**300, 1.5, "1"):
        with pytest.raises(InvalidInput, match="rng must be"):
            data.split(rng=wrong)
    fresh = data.split()[0]
    np.testing.assert_array_equal(data.split(rng=fresh.preparation["seed"])[0].inputs, fresh.inputs)
    first, second = (data.split(rng=np.random.default_rng(3))[0] for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)


@pytest.mark.parametrize("size", [0, 1.0, -0.1, 1.5, 0.0, "0.2", True, None, np.nan, 90, 89, 0.999])
def test_sizes_of_a_split_that_are_refused(path, size):
    with pytest.raises(InvalidInput, match="test_size"):
        fl.load(path).split(size, rng=1)


def test_a_split_leaves_no_class_untrained(tmp_path):
    rare = np.array(["a"] * 60 + ["b"] * 28 + ["c"] * 2)
    np.savez(tmp_path / "r.npz", X=X, y=rare)
    with pytest.raises(InvalidInput, match="leaves no sample of label 'c' to train on"):
        fl.load(tmp_path / "r.npz").split(0.9, rng=1)
    rare[-1] = "b"
    np.savez(tmp_path / "r.npz", X=X, y=rare)
    with pytest.raises(InvalidInput, match="the label 'c' has a single sample"):
        fl.load(tmp_path / "r.npz").split(0.2, rng=1)
    with pytest.raises(InvalidInput, match="cannot be split off 89 samples by label"):
        fl.load(tmp_path / "r.npz", classes=["a", "b"]).split(1, rng=1)


def test_scikit_learn_s_own_warnings_are_its_own():
    """Nothing of ours warns beside them."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = fl.Preparation(bias=True, standardize=True).fit(X, Y).transform(OTHER)
    assert heard == []
    expected = (OTHER - X.mean(axis=0))[:, :3] / X[:, :3].std(axis=0)  # the last is constant
    assert np.allclose(found[:, :3], expected)


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "values"])
@pytest.mark.parametrize("seed", [3, 2**40])
def test_the_code_of_a_preparation_does_the_same_to_arrays(labels, seed):
    rng = np.random.default_rng(0)
    inputs = rng.normal([0, 5, 0.1, 0], size=(60, 4))
    inputs[:, 2] = 0.1
    y = rng.integers(3, size=60) if labels else rng.normal(size=60)
    train, held_out = fl.load((inputs, y)).split(0.25, rng=seed)
    preparation = fl.Preparation(bias=True, standardize=True)
    train, held_out = preparation.fit_transform(train), preparation.transform(held_out)
    found = {"inputs": inputs, "targets": y}
    exec(preparation_code(train.preparation, labels), found)
    assert np.allclose(found["inputs"], train.inputs, rtol=0, atol=1e-12)
    assert np.allclose(found["test_inputs"], held_out.inputs, rtol=0, atol=1e-12)
    expected = train.labels if labels else train.targets[:, 0]
    assert np.array_equal(found["targets"], expected)


def test_nothing_done_needs_no_code():
    assert preparation_code({}, True) == ""
