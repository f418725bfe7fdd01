"""Labels and values: one rule for arrays and files, said; held-out labels by the training's outputs."""

import warnings

import numpy as np
import pytest

import fluctua as fl
from fluctua.cli import main
from fluctua.errors import AmbiguousTargets, IndexColumn, InvalidInput

RNG = np.random.default_rng
CENTRES = 1.5 * RNG(99).normal(size=(10, 6))
LABELS = RNG(5).integers(0, 3, 60)
X = RNG(6).normal(size=(60, 4))


def blobs(samples, labels, seed):
    """Samples about the centre of their label, with a constant column, drawn evenly from `labels`."""
    rng = RNG(seed)
    y = np.array(labels)[rng.integers(0, len(labels), samples)]
    return np.c_[CENTRES[y] + rng.normal(size=(samples, 6)), np.ones(samples)], y


def by_label(train, test, classes):
    """Held-out loss at W*, each label scored in its own column: lstsq and an identity, nothing of fluctua's."""
    (x, y), (z, t) = train, test
    columns = np.array([np.eye(10)[list(classes)].T[label] for label in range(10)])
    weights = np.linalg.lstsq(x, columns[y], rcond=None)[0]
    return 0.5 * np.mean(np.sum((z @ weights - columns[t]) ** 2, axis=1))


def saved(folder, name, x, y):
    np.savez(folder / name, X=x, y=y)
    return str(folder / name)


@pytest.fixture
def files(tmp_path):
    data = {
        "train": blobs(400, [0, 1, 2], 1),
        "lacks": blobs(200, [0, 2], 2),
        "unseen": blobs(200, [0, 2, 3], 2),
        "one": blobs(50, [1], 3),
    }
    return data, {name: saved(tmp_path, f"{name}.npz", *arrays) for name, arrays in data.items()}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    return left.value.code, *capsys.readouterr()


PLAN = ("--budget", 50, "--batch-size", 16, "--schedule", "constant", "--momentum", 0)


@pytest.mark.parametrize(("name", "loss"), [("lacks", 0.09772), ("one", None)])
def test_a_test_set_may_lack_a_class(files, capsys, name, loss):
    data, paths = files
    truth = by_label(data["train"], data[name], [0, 1, 2])
    assert loss is None or truth == pytest.approx(loss, abs=5e-6)
    for command in (("plan", paths["train"], *PLAN), ("predict", paths["train"], "--lr", 0.05)):
        code, out, err = run(capsys, *command, "--held-out", paths[name])
        assert (code, err) == (0, "")
        assert f"{truth:.6g}" in out


def test_an_unknown_class_is_refused_by_name(files, capsys):
    _, paths = files
    for command in (("plan", paths["train"], *PLAN), ("predict", paths["train"])):
        code, out, err = run(capsys, *command, "--held-out", paths["unseen"])
        assert (code, out) == (2, "")
        assert "holds the label 3 (in 63 of 200 samples)" in err
        assert "they know 0, 1, 2" in err


def test_classes_apply_to_both(files, capsys):
    data, paths = files
    z, t = data["unseen"]
    known = (z[t < 3], t[t < 3])
    code, out, _ = run(capsys, "predict", paths["train"], "--classes", "0,1,2", "--held-out", paths["unseen"])
    assert code == 0
    assert f"{by_label(data['train'], known, [0, 1, 2]):.6g} at W*" in out
    code, out, _ = run(capsys, "predict", paths["train"], "--classes", "2,1", "--held-out", paths["lacks"])
    x, y = data["train"]
    z, t = data["lacks"]
    assert f"{by_label((x[y > 0], y[y > 0]), (z[t > 0], t[t > 0]), [2, 1]):.6g} at W*" in out


def test_the_functions_score_by_label_too(files):
    data, _ = files
    x, y = data["train"]
    problem, sgd = fl.LeastSquares(x, y), fl.SGD(0.05, 8)
    floor = fl.predict(problem, sgd)
    for name in ("lacks", "one"):
        truth = by_label(data["train"], data[name], [0, 1, 2])
        assert fl.held_out_loss(floor, *data[name]).optimum == pytest.approx(truth, rel=1e-9)
        whole = np.eye(3)[data[name][1]]
        curves = [fl.held_out_curve(problem, sgd, [5], data[name][0], t) for t in (data[name][1], whole)]
        np.testing.assert_array_equal(*curves)
        planned = fl.plan(problem, 20, batch_size=8, momenta=[0.0], schedules=["constant"], held_out=data[name])
        assert planned.optimum_loss == pytest.approx(truth, rel=1e-9)
    with pytest.raises(InvalidInput, match="the label 3 "):
        fl.held_out_loss(floor, *data["unseen"])
    with pytest.raises(InvalidInput, match="the label 3 "):
        fl.held_out_curve(problem, sgd, [5], *data["unseen"])
    with pytest.raises(InvalidInput, match="the label 3 "):
        fl.plan(problem, 20, held_out=data["unseen"])
    as_floats = fl.held_out_loss(floor, data["lacks"][0], data["lacks"][1].astype(float))
    assert as_floats == fl.held_out_loss(floor, *data["lacks"])
    with pytest.raises(InvalidInput, match=r"holds \d\.5, and labels are whole numbers"):
        fl.held_out_loss(floor, data["lacks"][0], data["lacks"][1] + 0.5)


def test_held_out_labels_of_other_types_meet_their_columns():
    words = np.array(["pea", "bean", "leek"])[LABELS]
    problem = fl.LeastSquares(X, words)
    assert problem.coding.classes == ("bean", "leek", "pea")
    floor = fl.predict(problem, fl.SGD(0.05, 8))
    some = words != "bean"
    one_hot = (words[:, None] == np.array(["bean", "leek", "pea"])).astype(float)
    assert fl.held_out_loss(floor, X[some], words[some]) == fl.held_out_loss(floor, X[some], one_hot[some])
    with pytest.raises(InvalidInput, match="the label 'kale' "):
        fl.held_out_loss(floor, X, np.where(words == "pea", "kale", words))
    with pytest.raises(InvalidInput, match="the labels 0, 1, 2 "):
        fl.held_out_loss(floor, X, LABELS)
    signed = fl.predict(fl.LeastSquares(X, LABELS - 1, targets_are="labels"), fl.SGD(0.05, 8))  # -1, 0, 1
    assert fl.held_out_loss(signed, X[LABELS > 0], (LABELS[LABELS > 0] - 1).astype(np.uint8)).optimum > 0
    truths = fl.predict(fl.LeastSquares(X, LABELS > 0), fl.SGD(0.05, 8))
    assert fl.held_out_loss(truths, X, LABELS > 0) == fl.held_out_loss(truths, X, (LABELS > 0).astype(int))


def test_values_stay_values_where_the_held_out_ones_happen_to_be_whole(tmp_path, capsys):
    y = X[:, 0] + RNG(1).normal(size=60)
    floor = fl.predict(fl.LeastSquares(X, y), fl.SGD(0.05, 8))
    whole = y.round().astype(int)
    assert fl.held_out_loss(floor, X, whole) == fl.held_out_loss(floor, X, whole.astype(float))
    train, test = saved(tmp_path, "train.npz", X, y), saved(tmp_path, "test.npz", X, whole)
    code, out, _ = run(capsys, "predict", train, "--held-out", test)
    weights = np.linalg.lstsq(X, y, rcond=None)[0]
    assert code == 0
    assert f"{0.5 * np.mean((X @ weights - whole) ** 2):.6g} at W*" in out


def test_load_reads_held_out_data_like_the_training_data(files, tmp_path):
    data, paths = files
    train = fl.load(paths["train"])
    lacks = fl.load(paths["lacks"], like=train)
    np.savez(tmp_path / "floats.npz", X=data["lacks"][0], y=data["lacks"][1].astype(float))
    np.testing.assert_array_equal(fl.load(tmp_path / "floats.npz", like=train).targets, lacks.targets)
    assert lacks.classes == train.classes == (0, 1, 2)
    np.testing.assert_array_equal(lacks.targets, np.eye(3)[data["lacks"][1]])
    with pytest.raises(InvalidInput, match="the label 3 "):
        fl.load(paths["unseen"], like=train)
    assert set(fl.load(paths["unseen"], like=train, classes=[0, 1, 2]).labels) == {0, 2}
    digits = fl.load("digits", classes=[2, 0])
    assert fl.load("digits", classes=[0, 2], like=digits).classes == (2, 0)
    with pytest.raises(InvalidInput, match="no output"):
        fl.load("digits", like=digits)
    with pytest.raises(InvalidInput, match="like must be the Dataset"):
        fl.load("digits", like="digits")


KINDS = {
    "int": (LABELS, "labels"),
    "column": (LABELS[:, None], "labels"),
    "bool": (LABELS > 0, "labels"),
    "unsigned": (LABELS.astype(np.uint8), "labels"),
    "beyond int64": (LABELS.astype(np.uint64) + np.uint64(2**63), "labels"),
    "both ends": (np.where(LABELS > 0, np.uint64(2**64 - 1), np.uint64(1)), "labels"),
    "text": (np.array(["a", "b", "c"])[LABELS], "labels"),
    "bytes": (np.array([b"a", b"z\xe9", b"c"])[LABELS], "labels"),
    "float": (X[:, 0], "values"),
    "several columns": (np.eye(3, dtype=int)[LABELS], "values"),
    "two values": ((LABELS > 0).astype(float), "values"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_files_are_read_by_one_rule(kind, tmp_path, capsys):
    y, expected = KINDS[kind]
    problem, path = fl.LeastSquares(X, y), saved(tmp_path, "data.npz", X, y)
    data = fl.load(path)
    assert problem.coding.kind == expected
    np.testing.assert_array_equal(problem.targets, data.targets)
    assert f"output{'s' * (problem.outputs > 1)} from {expected}, " in repr(problem)
    if expected == "labels":
        distinct, inverse = np.unique(y, return_inverse=True)
        np.testing.assert_array_equal(problem.targets, np.eye(len(distinct))[inverse.reshape(-1)])
        assert problem.coding.classes == data.classes
        assert len(set(data.classes)) == len(distinct)
    else:
        assert problem.coding.classes is None
    code, out, err = run(capsys, "predict", path, "--lr", 0.05)
    assert (code, err) == (0, "")
    assert f"targets   {expected}, {problem.outputs} output" in out


def test_the_other_reading_is_offered_and_can_be_had(tmp_path, capsys):
    whole, floats = saved(tmp_path, "a.npz", X, LABELS), saved(tmp_path, "b.npz", X, (LABELS > 0).astype(float))
    for path, word, other in ((whole, "labels", "values"), (floats, "values", "labels")):
        out = run(capsys, "predict", path)[1]
        assert f"targets   {word}, " in out
        assert f"--targets-are {other}: " in out
        assert f"targets   {other}, " in run(capsys, "predict", path, "--targets-are", other)[1]
    np.testing.assert_array_equal(fl.LeastSquares(X, LABELS, targets_are="values").targets[:, 0], LABELS)
    np.testing.assert_array_equal(
        fl.LeastSquares(X, LABELS.astype(float), targets_are="labels").targets, np.eye(3)[LABELS]
    )


REGRESSION = {
    "prices": (200 * RNG(2).normal(size=400) + 1000).round().astype(int),
    "a quarter": np.arange(400) % 100,
    "all differ": np.arange(400),
    "years": 1900 + np.arange(400) % 97,
    "names": np.array([f"n{k}" for k in np.arange(400) % 150]),
}


@pytest.mark.parametrize("name", REGRESSION)
def test_many_whole_numbers_ask_for_a_decision(name, tmp_path, capsys):
    y, x = REGRESSION[name], RNG(0).normal(size=(400, 3))
    path, count = saved(tmp_path, "data.npz", x, y), len(np.unique(y))
    code, out, err = run(capsys, "predict", path)
    assert (code, out) == (2, "")
    assert f"{count} distinct" in err
    assert "--targets-are labels|values" in err
    with pytest.raises(InvalidInput, match=f"{count} distinct .* targets_are='labels' or targets_are='values'"):
        fl.LeastSquares(x, y)
    assert fl.LeastSquares(x, y, targets_are="labels").outputs == count
    if y.dtype.kind == "i":
        assert fl.LeastSquares(x, y, targets_are="values").outputs == 1
        code, out, _ = run(capsys, "predict", path, "--targets-are", "values", "--lr", 0.05)
        assert code == 0
        assert f"--targets-are labels: {count} outputs" in out


def test_forty_thousand_prices_are_refused_before_they_fill_the_memory(tmp_path, capsys):
    y = RNG(0).permutation(40_000)
    code, _, err = run(capsys, "plan", saved(tmp_path, "data.npz", RNG(1).normal(size=(40_000, 2)), y), *PLAN)
    assert code == 2
    assert "40,000 distinct" in err


def test_what_labels_come_to_is_refused_before_it_is_made(monkeypatch):
    """Targets, residuals and what makes them are four arrays of (N, c); three fit here."""
    monkeypatch.setattr("fluctua._validate.sizes.available_bytes", lambda: 3 * 8.0 * 3000 * 3000)
    with pytest.raises(fl.FluctuaError, match=r"3,000 labels of 3,000 samples would take about 0.268 GiB"):
        fl.LeastSquares(RNG(0).normal(size=(3000, 2)), np.arange(3000), targets_are="labels")


def test_a_fifth_is_not_more_than_a_fifth():
    assert fl.LeastSquares(X, np.arange(60) % 12).outputs == 12
    with pytest.raises(InvalidInput, match="13 distinct"):
        fl.LeastSquares(X, np.arange(60) % 13)


def test_below_twenty_samples_nothing_is_asked():
    assert fl.LeastSquares(X[:6], [2, -1, 2, 7, -1, 2]).coding.classes == (-1, 2, 7)
    assert fl.LeastSquares(X[:6], [2, -1, 3, 7, 8, 9]).coding.kind == "values"
    np.testing.assert_array_equal(fl.LeastSquares(X[:3], [1, 2, 3]).targets, [[1], [2], [3]])
    assert fl.LeastSquares(X[:2], [True, False]).outputs == 2


def test_a_negative_class_beside_others_is_mentioned(tmp_path, capsys):
    y = np.where(LABELS == 1, -100, LABELS)
    with pytest.warns(AmbiguousTargets, match=r"-100.*ignore_index.*targets_are='values'"):
        assert fl.LeastSquares(X, y).coding.classes == (-100, 0, 2)
    path = saved(tmp_path, "data.npz", X, y)
    code, out, err = run(capsys, "predict", path)
    assert code == 0
    assert "3 outputs: -100, 0, 2" in out
    assert "warning" in err
    assert "-100" in err
    assert "--classes" in err
    assert run(capsys, "predict", path, "--classes", "0,2")[2] == ""


def test_signs_all_negative_labels_and_decisions_are_not_mentioned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fl.LeastSquares(X, np.where(LABELS > 0, 1, -1)).outputs == 2
        assert fl.LeastSquares(X, -LABELS - 1).outputs == 3
        assert fl.LeastSquares(X, LABELS - 1, targets_are="values").outputs == 1
        assert fl.LeastSquares(X, LABELS.astype(float), targets_are="values").outputs == 1


def test_floats_that_look_like_labels_are_mentioned(tmp_path, capsys):
    y = LABELS.astype(float)
    with pytest.warns(AmbiguousTargets, match="all whole, 3 different.*targets_are='labels'"):
        assert fl.LeastSquares(X, y).outputs == 1
    code, out, err = run(capsys, "predict", saved(tmp_path, "data.npz", X, y))
    assert code == 0
    assert "targets   values, 1 output" in out
    assert "--targets-are labels" in err
    assert "--targets-are labels: 3 outputs" in out


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        (X[:, 0], "labels", "labels are whole numbers or text"),
        (np.eye(3)[LABELS], "labels", "one label per sample"),
        (np.array(["a", "b", "c"])[LABELS], "values", "must hold real numbers, got dtype <U1"),
        (LABELS.astype(str), None, r"must hold real numbers, got dtype <U21.*astype\(float\).*astype\(int\)"),
        (LABELS, "classes", "unknown targets_are 'classes'.*labels, values"),
        (np.full(60, np.nan), "labels", "nan"),
    ],
)
def test_what_targets_cannot_be_is_refused(y, kind, words, tmp_path):
    with pytest.raises(InvalidInput, match=words):
        fl.LeastSquares(X, y, targets_are=kind)
    with pytest.raises(InvalidInput, match=words):
        fl.load(saved(tmp_path, "data.npz", X, y), targets_are=kind)


def test_text_that_spells_numbers_can_be_labels_if_one_says_so(tmp_path):
    assert fl.LeastSquares(X, LABELS.astype(str), targets_are="labels").coding.classes == ("0", "1", "2")
    path = saved(tmp_path, "data.npz", X, LABELS.astype(str))
    assert fl.load(path, targets_are="labels", classes=[2, "0"]).classes == ("2", "0")


def test_built_in_data_have_their_own_labels(capsys):
    with pytest.raises(InvalidInput, match="targets_are belongs to a user's own file"):
        fl.load("digits", targets_are="values")
    assert fl.load("digits", classes=[3, 8]).classes == (3, 8)
    assert run(capsys, "predict", "digits", "--targets-are", "values")[0] == 2


@pytest.mark.parametrize("classes", [np.array([2, 0]), (2, 0), range(2, -1, -2)])
def test_classes_come_in_any_sequence(classes, tmp_path):
    assert fl.load(saved(tmp_path, "data.npz", X, LABELS), classes=classes).classes == (2, 0)


@pytest.mark.parametrize("classes", [np.array(3), np.array([[3, 8]]), "38", 3])
def test_classes_that_are_no_sequence_are_refused(classes):
    with pytest.raises(InvalidInput, match="classes must be a sequence of labels"):
        fl.load("digits", classes=classes)


def test_two_spellings_of_one_number_are_refused(tmp_path):
    """As labels "01" and "1" may be two, and "+1" and "1" one: nobody can tell."""
    rows = [f"{a:.3f},{b:.3f},{label}" for (a, b), label in zip(X[:, :2], ["01", "1", "2"] * 20, strict=True)]
    (tmp_path / "twice.csv").write_text("\n".join(["a,b,label", *rows]))
    with pytest.raises(InvalidInput, match="column 'label' holds '01' and '1', and nobody can tell"):
        fl.load(str(tmp_path / "twice.csv"))
    (tmp_path / "once.csv").write_text("\n".join(["a,b,label", *(row.replace(",1", ",01") for row in rows)]))
    assert fl.load(str(tmp_path / "once.csv")).classes == (1, 2)


def test_a_frame_with_an_index_among_its_columns_is_warned_of():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "Unnamed: 0"])
    with pytest.warns(IndexColumn, match=r"'Unnamed: 0', which looks like an index.*inputs\.drop") as caught:
        fl.LeastSquares(frame, LABELS)
    assert caught[0].message.columns == ("Unnamed: 0",)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.LeastSquares(frame.rename(columns={"Unnamed: 0": "valid"}), LABELS)
