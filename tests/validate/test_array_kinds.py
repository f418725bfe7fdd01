"""Arrays of other kinds and libraries: taken as what their owner would compute with, or refused with what to call."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import fluctua as fl
from fluctua.errors import FluctuaError, InvalidInput

RNG = np.random.default_rng
X = RNG(0).normal(size=(60, 3))
Y = X[:, 0] + RNG(1).normal(size=60)
LABELS = RNG(2).integers(0, 3, 60)
WORDS = np.array(["pea", "bean", "leek"])[LABELS]
MASKED = np.ma.array(X, mask=np.arange(180).reshape(60, 3) == 40)
SGD = fl.SGD(0.05, 4)


def overflowing(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 7, np.longdouble("1e400"), array)


LARGE = np.finfo(np.longdouble).max > 1e308
REFUSED = {
    "masked": (MASKED, r"1 of 180 entries masked.*\.filled\("),
    "rows masked": (list(MASKED), r"masked.*\.filled\("),
    "masked constant": ([[1.0, np.ma.masked, 2.0], *X[1:].tolist()], "masked"),
    "csr array": (sp.csr_array(X), r"sparse csr_array.*\.toarray\(\)"),
    "coo matrix": (sp.coo_matrix(X), r"sparse coo_matrix.*\.toarray\(\)"),
    "complex": (X + 0j, r"real numbers, got dtype complex128; take \.real"),
    "objects": (X.astype(object), r"dtype object.*\.astype\(float\)"),
    "a hole": (np.where(X > 2, None, X), r"entry at index \(\d+, \d\) is None.*fill what is missing"),
    "dates": (np.arange(180).reshape(60, 3).astype("M8[s]"), r"datetime64\[s\]; subtract an origin and divide"),
    "durations": (np.arange(180).reshape(60, 3).astype("m8[s]"), r"timedelta64\[s\]; divide it by"),
    "text": (X.astype(str), r"dtype <U.*\.astype\(float\)"),
    "fields": (np.zeros(60, [("a", float), ("b", float)]), "structured_to_unstructured"),
    "generator": ((row for row in X), "a generator is no array"),
    "mapping": ({"a": X}, "a dict is no array"),
    "function": (lambda: X, "a function is no array"),
    "a number without end": ([[10**400, 1, 2], *X[1:].tolist()], r"dtype object.*float"),
    **({"longdouble": (overflowing(X), r"inf at index \(2, 1\).*rescale")} if LARGE else {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_inputs_that_cannot_be_used_are_refused_with_what_to_call(name):
    given, words = REFUSED[name]
    with pytest.raises(InvalidInput, match=f"inputs.*{words}"):
        fl.LeastSquares(given, Y)


DOORS = {
    "targets": lambda bad: fl.LeastSquares(X, bad),
    "start": lambda bad: fl.predict(fl.LeastSquares(X, X), SGD).after(5, start=bad),
    "curve": lambda bad: fl.learning_curve(fl.LeastSquares(X, X), SGD, 5, start=bad),
    "simulate": lambda bad: fl.simulate(fl.LeastSquares(X, X), SGD, steps=5, replicas=2, rng=0, start=bad),
    "plan": lambda bad: fl.plan(fl.LeastSquares(X, X), 5, start=bad),
    "held-out inputs": lambda bad: fl.held_out_loss(fl.predict(fl.LeastSquares(X, X), SGD), bad, X),
    "held-out targets": lambda bad: fl.held_out_loss(fl.predict(fl.LeastSquares(X, X), SGD), X, bad),
    "held-out curve": lambda bad: fl.held_out_curve(fl.LeastSquares(X, X), SGD, [5], X, bad),
    "planned held-out": lambda bad: fl.plan(fl.LeastSquares(X, X), 5, held_out=(X, bad)),
    "schedule": lambda bad: fl.SGD(0.1, 4, schedule=bad),
    "rates": fl.schedules.ArrayLR,
}


@pytest.mark.any_seed
@pytest.mark.parametrize("name", ["masked", "csr array", "complex", "objects", "dates", "fields"])
@pytest.mark.parametrize("door", DOORS)
def test_every_door_for_arrays_refuses_them(door, name):
    given, words = REFUSED[name]
    with pytest.raises(InvalidInput, match=words):
        DOORS[door](given)


def test_steps_and_labels_under_a_mask_are_refused():
    steps = np.ma.array([1, 5], mask=[False, True])
    with pytest.raises(InvalidInput, match="masked"):
        fl.predict(fl.LeastSquares(X, Y), SGD).after(steps)
    with pytest.raises(InvalidInput, match="masked"):
        fl.LeastSquares(X, np.ma.array(LABELS, mask=LABELS == 1))
    with pytest.raises(InvalidInput, match="masked"):
        fl.load("digits", classes=np.ma.array([3, 8], mask=[False, True]))


def same(problem, inputs=X, targets=Y[:, None]):
    np.testing.assert_array_equal(problem.inputs, inputs)
    np.testing.assert_array_equal(problem.targets, targets)


def test_a_mask_that_hides_nothing_hides_nothing():
    same(fl.LeastSquares(np.ma.array(X), np.ma.array(Y, mask=False)))
    assert np.shares_memory(fl.LeastSquares(np.ma.array(X, copy=False), Y).inputs, X)


def test_text_of_any_kind_is_labels():
    one_hot = WORDS[:, None] == ["bean", "leek", "pea"]
    for given in (WORDS, WORDS.astype(object), WORDS.tolist(), WORDS.astype("S"), WORDS[:, None]):
        problem = fl.LeastSquares(X, given)
        same(problem, targets=one_hot)
        assert problem.coding.classes == ("bean", "leek", "pea")
    with pytest.raises(InvalidInput, match=r"entry at index \(\d+, 0\) is None"):
        fl.LeastSquares(X, np.where(LABELS == 1, None, WORDS))


@pytest.mark.skipif(not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"), reason="NumPy before 2")
def test_text_of_variable_length_is_labels():
    problem = fl.LeastSquares(X, WORDS.astype(np.dtypes.StringDType()))
    assert problem.coding.classes == ("bean", "leek", "pea")
    holes = np.array([None, "pea"] * 30, dtype=np.dtypes.StringDType(na_object=None))
    with pytest.raises(InvalidInput, match=r"entry at index \(0, 0\) is None"):
        fl.LeastSquares(X, holes)


def test_numbers_beside_text_are_not_spelled():
    """NumPy makes text of all of a list of 0, 1, 2 and "?"; a series is refused for that, and so is a list."""
    with pytest.raises(InvalidInput, match=r"entry at index \(3, 0\) is '\?', a str"):
        fl.LeastSquares(X, [0, 1, 2, "?"] * 15)


def test_labels_beyond_int64_do_not_wrap():
    high = LABELS.astype(np.uint64) + np.uint64(2**64 - 3)
    problem = fl.LeastSquares(X, high)
    assert problem.coding.classes == tuple(2**64 - 3 + k for k in range(3))
    same(problem, targets=np.eye(3)[LABELS])


@pytest.mark.skipif(not LARGE, reason="longdouble is float64 here")
def test_what_leaves_the_range_of_floats_prints_no_warning_of_numpys():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for arrays in ((overflowing(X), Y), (X, overflowing(Y))):
            with pytest.raises(InvalidInput, match="inf at index"):
                fl.LeastSquares(*arrays)


SCHEDULES = {
    "function": (lambda step: 0.9**step, r"numpy\.array\(\[f\(t\) for t in range\(steps\)\]\)"),
    "ufunc": (np.sqrt, r"range\(steps\)"),
    "name": ("cosine", r"fluctua\.schedules\.CosineAnnealingLR"),
    "class": (fl.schedules.StepLR, r"call fluctua\.schedules\.StepLR"),
    "generator": ((0.5 for _ in range(3)), "a generator is no array"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_that_are_code_are_refused_with_what_to_call(name):
    given, words = SCHEDULES[name]
    with pytest.raises(FluctuaError, match=words):
        fl.SGD(0.1, 4, schedule=given)


@pytest.mark.torch
class TestTorch:
    """Tensors are taken as they are computed with; schedulers are refused."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def test_tensors_of_any_kind_are_taken(self, torch):
        grad = torch.tensor(X, requires_grad=True)
        same(fl.LeastSquares(grad, torch.tensor(Y, requires_grad=True)))
        same(fl.LeastSquares(torch.nn.Parameter(grad.detach()), list(torch.tensor(Y, requires_grad=True))))
        assert np.shares_memory(fl.LeastSquares(torch.from_numpy(X), Y).inputs, X)
        same(fl.LeastSquares(X, torch.tensor(LABELS)), targets=np.eye(3)[LABELS])

    @pytest.mark.parametrize("name", ["bfloat16", "float16", "float8_e5m2"])
    def test_small_floats_are_widened(self, torch, name):
        small = torch.tensor(X).to(getattr(torch, name))
        problem = fl.LeastSquares(small, torch.tensor(Y).to(getattr(torch, name)))
        same(problem, small.double().numpy(), torch.tensor(Y).to(getattr(torch, name)).double().numpy()[:, None])

    def test_tensors_without_values_are_refused(self, torch):
        for given, words in (
            (torch.tensor(X).to_sparse(), r"\.to_dense\(\)"),
            (torch.empty(60, 3, device="meta"), "meta tensor"),
            (torch.tensor(X) + 0j, r"complex128; take \.real"),
        ):
            with pytest.raises(InvalidInput, match=words):
                fl.LeastSquares(given, Y)

    def test_tensors_pass_the_other_doors(self, torch):
        problem = fl.LeastSquares(X, Y)
        weights, rates = torch.ones(1, 3, requires_grad=True), torch.linspace(1, 0.5, 5).bfloat16()
        one, two = (
            fl.learning_curve(problem, fl.SGD(0.1, 4, schedule=factors), 5, start=start)
            for factors, start in ((rates, weights), (rates.float().numpy(), np.ones((1, 3))))
        )
        np.testing.assert_array_equal(one, two)
        floor = fl.predict(problem, SGD)
        held = [fl.held_out_loss(floor, x, y) for x, y in ((torch.tensor(X), torch.tensor(Y)), (X, Y))]
        assert held[0] == held[1]
        assert fl.load("digits", classes=torch.tensor([3, 8])).classes == (3, 8)

    @pytest.mark.parametrize(
        ("name", "options", "words"),
        [
            ("CosineAnnealingLR", {"T_max": 5}, r"call fluctua\.schedules\.CosineAnnealingLR"),
            ("OneCycleLR", {"max_lr": 0.1, "total_steps": 5}, r"call fluctua\.schedules\.OneCycleLR"),
            ("LambdaLR", {"lr_lambda": lambda step: 0.9**step}, r"from_torch\(lambda optimizer: LambdaLR"),
            ("ReduceLROnPlateau", {}, "train without ReduceLROnPlateau, which follows the loss"),
        ],
    )
    def test_schedulers_are_refused(self, torch, name, options, words):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        scheduler = getattr(torch.optim.lr_scheduler, name)(optimiser, **options)
        with pytest.raises(FluctuaError, match=words):
            fl.SGD(0.1, 4, schedule=scheduler)


class TestPandas:
    """Frames and series, wherever pandas is."""

    @pytest.fixture
    def pd(self):
        return pytest.importorskip("pandas")

    def test_frames_and_series_are_taken(self, pd):
        frame = pd.DataFrame(X, columns=list("abc"), index=np.arange(60)[::-1])
        same(fl.LeastSquares(frame, pd.Series(Y)))
        same(fl.LeastSquares(frame.convert_dtypes(), pd.DataFrame({"y": Y})))
        mixed = pd.DataFrame({"count": LABELS, "flag": LABELS > 1, "x": Y})
        same(fl.LeastSquares(mixed, Y), inputs=np.c_[LABELS, LABELS > 1, Y])

    def test_series_of_labels_are_taken(self, pd):
        for given in (pd.Series(LABELS), pd.Series(LABELS).astype("Int64"), pd.DataFrame({"y": LABELS})):
            same(fl.LeastSquares(X, given), targets=np.eye(3)[LABELS])
        one_hot = WORDS[:, None] == ["bean", "leek", "pea"]
        for given in (pd.Series(WORDS), pd.Series(WORDS, dtype="string"), pd.Series(WORDS).astype("category")):
            same(fl.LeastSquares(X, given), targets=one_hot)

    def test_missing_values_are_refused(self, pd):
        holes = pd.DataFrame(X, columns=list("abc")).convert_dtypes()
        holes.iloc[3, 1] = pd.NA
        missing = pd.Series([None, *WORDS[1:]])
        for given, y in (
            (holes, Y),
            (X, pd.Series(LABELS).astype("Int64").where(LABELS > 0)),
            (X, missing),
            (X, missing.astype("category")),
        ):
            with pytest.raises(InvalidInput, match=r"nan|NA|None"):
                fl.LeastSquares(given, y)

    def test_columns_that_are_no_numbers_are_refused(self, pd):
        for column, words in ((WORDS, "'pea'|'bean'|'leek'"), (pd.date_range("2020", periods=60), "object|datetime64")):
            with pytest.raises(InvalidInput, match=words):
                fl.LeastSquares(pd.DataFrame({"a": column, "x": Y}), Y)


class Stranger:
    """What another library might give: an array for NumPy, or an error of its own."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


def test_anything_that_numpy_reads_is_taken_and_its_errors_become_ours():
    same(fl.LeastSquares(Stranger(X), Stranger(Y)))
    for error in (TypeError("no"), RuntimeError("device"), KeyError("x"), ValueError("shape")):
        with pytest.raises(InvalidInput, match=r"inputs"):
            fl.LeastSquares(Stranger(error), Y)
