"""Every format that is read: the same data, whatever holds them, and labels of any beside inputs of any other."""

import gzip
import json

import numpy as np
import pytest

import fluctua as fl
from fluctua import data
from fluctua._half import HalfArray
from fluctua.errors import CorruptData, DataUnavailable, InvalidInput, MissingPackage, TooLarge

RNG = np.random.default_rng(17)
X = RNG.normal(size=(40, 3)).round(3)
WORDS = np.array(["cat", "dog", "eel"])[np.arange(40) % 3]
NUMBERS = np.arange(40) % 3
NAMES = ("width", "height", "depth")


def write_npz(folder, x, y):
    np.savez(folder / "d.npz", X=x, y=y)
    return folder / "d.npz"


def write_csv(folder, x, y, name="d.csv", mark=","):
    lines = [mark.join((*NAMES, "label"))]
    lines += [mark.join((*(f"{v!r}" for v in map(float, row)), str(label))) for row, label in zip(x, y, strict=True)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def write_tsv(folder, x, y):
    return write_csv(folder, x, y, "d.tsv", "\t")


def write_gz(folder, x, y):
    path = write_csv(folder, x, y)
    (folder / "d.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder / "d.csv.gz"


def write_parquet(folder, x, y):
    pa = pytest.importorskip("pyarrow")
    columns = {name: x[:, k] for k, name in enumerate(NAMES)}
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({**columns, "label": y}), folder / "d.parquet")
    return folder / "d.parquet"


def write_vectors(folder, x, y):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"text": list(map(str, range(len(x)))), "vec": list(x), "label": y})
    pytest.importorskip("pyarrow.parquet").write_table(table, folder / "v.parquet", row_group_size=7)
    return folder / "v.parquet"


def write_h5(folder, x, y):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "d.h5", "w") as file:
        file["embeddings"] = x
        file["labels"] = y.astype(h5py.string_dtype()) if y.dtype.kind == "U" else y
    return folder / "d.h5"


def write_pt(folder, x, y):
    torch = pytest.importorskip("torch")
    torch.save({"features": torch.tensor(x), "labels": y.tolist()}, folder / "d.pt")
    return folder / "d.pt"


def write_saved(folder, x, y):
    datasets = pytest.importorskip("datasets")
    kinds = {"embedding": datasets.Sequence(datasets.Value("float64")), "label": datasets.Value("string")}
    if y.dtype.kind != "U":
        kinds["label"] = datasets.Value("int64")
    made = datasets.Dataset.from_dict({"embedding": x.tolist(), "label": y.tolist()}, datasets.Features(kinds))
    made.save_to_disk(folder / "saved")
    return folder / "saved"


WRITERS = {
    "npz": write_npz,
    "csv": write_csv,
    "tsv": write_tsv,
    "csv.gz": write_gz,
    "parquet": write_parquet,
    "vectors": write_vectors,
    "h5": write_h5,
    "pt": write_pt,
    "saved": write_saved,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("labels", ["words", "numbers"])
def test_every_format_gives_the_same_data(tmp_path, kind, labels):
    y = WORDS if labels == "words" else NUMBERS
    path = WRITERS[kind](tmp_path, X, y)
    loaded = data.load(path)
    np.testing.assert_array_equal(loaded.inputs, X)
    np.testing.assert_array_equal(loaded.labels, y)
    assert loaded.class_names == (("cat", "dog", "eel") if labels == "words" else ("0", "1", "2"))
    assert loaded.inputs.dtype == loaded.targets.dtype == np.float64
    assert loaded.name == path.name
    assert all(len(digest) == 64 for digest in loaded.files.values())
    assert loaded.files
    limited = data.load(path, limit=5)
    np.testing.assert_array_equal(limited.inputs, X[:5])
    assert limited.targets.shape == (5, 3)
    some = data.load(path, classes=["eel", "cat"] if labels == "words" else [2, 0], limit=4)
    np.testing.assert_array_equal(some.inputs, X[[0, 2, 3, 5]])


def write_safetensors(folder, arrays, brain=()):
    """The format by hand: a length, a header in JSON, the bytes."""
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    kinds = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64"}
    for name, array in arrays.items():
        kind = "BF16" if name in brain else kinds[array.dtype.name]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [len(blob), len(blob) + array.nbytes]}
        blob += array.tobytes()
    text = json.dumps(header).encode()
    path = folder / "d.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + blob)
    return path


def test_safetensors(tmp_path):
    path = write_safetensors(tmp_path, {"X": X, "y": NUMBERS})
    np.testing.assert_array_equal(data.load(path).inputs, X)
    np.testing.assert_array_equal(data.load(path, limit=7).inputs, X[:7])
    half = data.load(write_safetensors(tmp_path, {"X": X.astype(np.float16), "y": NUMBERS}))
    assert half.inputs.dtype == np.float16
    assert half.targets.dtype == np.float32
    assert "float16" in repr(half)


def test_safetensors_that_their_own_package_wrote(tmp_path):
    pytest.importorskip("safetensors.numpy").save_file({"X": X, "label": NUMBERS}, tmp_path / "s.safetensors")
    np.testing.assert_array_equal(data.load(tmp_path / "s.safetensors").inputs, X)


def test_bfloat16_stays_two_bytes(tmp_path):
    bits = (X.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    values = (bits.astype(np.uint32) << 16).view(np.float32)
    path = write_safetensors(tmp_path, {"X": bits, "y": NUMBERS}, brain=("X",))
    loaded = data.load(path, limit=30)
    assert isinstance(loaded.inputs, HalfArray)
    assert loaded.inputs.nbytes == 2 * 30 * 3
    np.testing.assert_array_equal(np.asarray(loaded.inputs), values[:30])
    assert "bfloat16" in repr(loaded)
    assert loaded.sha256 != data.load(path, limit=29).sha256
    a, b = fl.LeastSquares(loaded.inputs, loaded.targets), fl.LeastSquares(values[:30], loaded.targets)
    np.testing.assert_array_equal(a.curvatures, b.curvatures)
    torch = pytest.importorskip("torch")
    torch.save({"X": torch.tensor(X).bfloat16(), "y": torch.tensor(NUMBERS)}, tmp_path / "b.pt")
    assert data.load(tmp_path / "b.pt").inputs.stored == "bfloat16"
    chosen = data.load(tmp_path / "b.pt", classes=[1])
    np.testing.assert_array_equal(np.asarray(chosen.inputs), torch.tensor(X).bfloat16().float().numpy()[NUMBERS == 1])


@pytest.mark.parametrize("of_inputs", ["npy", "safetensors", "parquet", "csv"])
@pytest.mark.parametrize("of_labels", ["npy", "csv", "headless", "parquet", "h5", "pt", "array", "list"])
def test_labels_of_any_format_beside_inputs_of_any_other(tmp_path, of_inputs, of_labels):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    if of_inputs == "npy":
        x = tmp_path / "x" / "x.npy"
        np.save(x, X)
    elif of_inputs == "safetensors":
        x = write_safetensors(tmp_path / "x", {"encoder.out": X})
    elif of_inputs == "csv":
        x = tmp_path / "x" / "x.csv"
        np.savetxt(x, X, delimiter=",", header=",".join(NAMES), comments="")
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        x = tmp_path / "x" / "x.parquet"
        pq.write_table(pa.table({name: X[:, k] for k, name in enumerate(NAMES)}), x)
    loaded = data.load(x, targets=labels_file(tmp_path / "y", of_labels), limit=30)
    np.testing.assert_array_equal(loaded.inputs, X[:30])
    np.testing.assert_array_equal(loaded.labels, WORDS[:30])


def labels_file(folder, kind):
    if kind == "array":
        return WORDS
    if kind == "list":
        return WORDS.tolist()
    if kind in ("csv", "headless"):
        (folder / "y.csv").write_text("\n".join([*(["label"] if kind == "csv" else []), *WORDS]) + "\n")
        return folder / "y.csv"
    if kind == "npy":
        np.save(folder / "y.npy", WORDS)
        return folder / "y.npy"
    return {"parquet": write_parquet, "h5": write_h5, "pt": write_pt}[kind](folder, X, WORDS)


def table(folder, text, name="t.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def rows(*columns):
    return "\n".join(",".join(map(str, row)) for row in zip(*columns, strict=True)) + "\n"


PLAIN = [X[:, 0], X[:, 1], X[:, 2]]
REFUSED = {
    "an index that pandas wrote": (
        ",a,b,label\n" + rows(range(40), X[:, 0], X[:, 1], WORDS),
        {},
        "'' looks like an index",
    ),
    "Unnamed: 0": ("Unnamed: 0,a,label\n" + rows(X[:, 1], X[:, 0], WORDS), {}, "'Unnamed: 0' looks like an index"),
    "id": ("id,a,label\n" + rows(X[:, 1], X[:, 0], WORDS), {}, "'id' looks like an index.*inputs_key"),
    "PassengerId": ("PassengerId,a,label\n" + rows(X[:, 1], X[:, 0], WORDS), {}, "looks like an index"),
    "a counter of any name": ("a,n,label\n" + rows(X[:, 1], range(5, 45), WORDS), {}, "'n' counts .*, 5, 6, 7"),
    "no label": ("a,b,c\n" + rows(*PLAIN), {}, "it holds a .*, b .*, c .*targets_key"),
    "two labels": ("a,y,label\n" + rows(*PLAIN), {}, "either y or label"),
    "text beside": ("a,name,label\n" + rows(X[:, 0], WORDS, WORDS), {}, "'name' holds text.*inputs_key"),
    "text where the label has no known name": ("a,b,species\n" + rows(X[:, 0], X[:, 1], WORDS), {}, "none is named y"),
    "a field that is empty": (
        "a,b,label\n" + rows(X[:, 0], ["1.5", "", *X[2:, 1]], WORDS),
        {},
        "'b' has no value.*line 3",
    ),
    "a field that is NA": (
        "a,b,label\n" + rows(X[:, 0], ["1.5", "NA", *X[2:, 1]], WORDS),
        {},
        "'b' has no value.*line 3",
    ),
    "nan": ("a,b,label\n" + rows(X[:, 0], ["1.5", "nan", *X[2:, 1]], WORDS), {}, "'b' has no value.*line 3"),
    "inf": ("a,b,label\n" + rows(X[:, 0], ["1.5", "inf", *X[2:, 1]], WORDS), {}, "'b' holds 'inf', no finite .*line 3"),
    "no label here": ("a,b,label\n" + rows(X[:, 0], X[:, 1], ["", *WORDS[1:]]), {}, "'label' has no value.*line 2"),
    "decimal commas": (
        "a;b;label\n" + rows(X[:, 0], X[:, 1], WORDS).replace(",", ";").replace(".", ","),
        {},
        "a comma where a number has a point.*decimal",
    ),
    "quoted decimal commas": ('a,label\n"1,5",cat\n"2,5",dog\n', {}, "a comma where a number has a point"),
    "blanks": ("1.5 2.5\n3.5 4.5\n", {}, "separated by blanks"),
    "Python's own digits": ("a,b,label\n" + rows(X[:, 0], ["1_5", *X[1:, 1]], WORDS), {}, "'b' holds '1_5'"),
    "a word among numbers": ("a,b,label\n" + rows(X[:, 0], [*X[:-1, 1], "x"], WORDS), {}, "'b' holds 'x'.*line 41"),
    "numbers as names, or not": ("0,1,2\n" + rows(*PLAIN), {}, "names of columns, or the first sample"),
    "two columns of one name": ("a,a,label\n" + rows(X[:, 0], X[:, 1], WORDS), {}, "several columns named 'a'"),
    "a key that is not there": ("a,label\n" + rows(X[:, 0], WORDS), {"targets_key": "lable"}, "has no 'lable'"),
    "an input that is the target": ("a,label\n" + rows(X[:, 0], NUMBERS), {"inputs_key": "*"}, "an input and a target"),
    "no columns left": ("label\n" + rows(WORDS), {}, "no column is left"),
    "headless, all numbers": (rows(*PLAIN, NUMBERS), {}, "no names: .*-1 for the last"),
    "a strange key": ("a,label\n" + rows(X[:, 0], WORDS), {"targets_key": 1.5}, "targets_key must be a name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_column_is_never_read_as_what_it_is_not(tmp_path, case):
    text, options, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words):
        data.load(table(tmp_path, text), **options)


ACCEPTED = {
    "keys": (
        "id,a,b,species\n" + rows(range(40), X[:, 0], X[:, 1], WORDS),
        {"inputs_key": "a,b", "targets_key": "species"},
    ),
    "patterns": ("id,f0,f1,y\n" + rows(range(40), X[:, 0], X[:, 1], WORDS), {"inputs_key": "f*"}),
    "a list": ("id,a,b,y\n" + rows(range(40), X[:, 0], X[:, 1], WORDS), {"inputs_key": ["a", "b"]}),
    "headless, labels last": (rows(X[:, 0], X[:, 1], WORDS), {}),
    "headless, by number": (rows(WORDS, X[:, 0], X[:, 1]), {"targets_key": 0}),
    "headless, by number from the end": (rows(X[:, 0], X[:, 1], WORDS), {"targets_key": "-1"}),
    "numbered header": ("0,1,label\n" + rows(X[:, 0], X[:, 1], WORDS), {}),
    "quotes, blanks and a mark of byte order": (
        '\ufeff"a", b ,"label"\n' + rows(X[:, 0], X[:, 1], [f' "{word}"' for word in WORDS]) + "\n\n",
        {},
    ),
    "semicolons": ("a;b;label\n" + rows(X[:, 0], X[:, 1], WORDS).replace(",", ";"), {}),
    "windows": (("a,b,label\n" + rows(X[:, 0], X[:, 1], WORDS)).replace("\n", "\r\n"), {}),
    "capitals": ("a,b,Label\n" + rows(X[:, 0], X[:, 1], WORDS), {}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_tables_of_many_layouts(tmp_path, case):
    text, options = ACCEPTED[case]
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    loaded = data.load(path, **options)
    np.testing.assert_array_equal(loaded.inputs, X[:, :2])
    np.testing.assert_array_equal(loaded.labels, WORDS)


def test_all_numbers_headless_with_a_key(tmp_path):
    path = table(tmp_path, rows(*PLAIN, NUMBERS))
    loaded = data.load(path, targets_key=-1)
    np.testing.assert_array_equal(loaded.inputs, X)
    np.testing.assert_array_equal(loaded.labels, NUMBERS)
    values = data.load(table(tmp_path, "a,b,y0,y1\n" + rows(*PLAIN, X[:, 0])), targets_key="y*")
    np.testing.assert_array_equal(values.targets, X[:, [2, 0]])


def test_a_first_line_that_may_be_a_label(tmp_path):
    named = table(tmp_path, "animal\n" + "\n".join(WORDS) + "\n")
    np.testing.assert_array_equal(data.load((X, X), targets=named, inputs_key="X").labels, WORDS)
    with pytest.raises(InvalidInput, match="does that name a column"):
        data.load((X[:3], X), targets=table(tmp_path, "ant\nbee\ncow\n"), inputs_key="X")
    lonely = table(tmp_path, "ant\n" + "\n".join(WORDS[1:]) + "\n")
    with pytest.raises(InvalidInput, match=r"has 40 samples and t\.csv has 39"):
        data.load((X, X), targets=lonely, inputs_key="X")


def test_long_tables_plain_and_quoted_say_the_line(tmp_path):
    many = RNG.normal(size=(5000, 2))
    words = WORDS[np.arange(5000) % 3]
    quoted = [f'"{word}"' if k == 3000 else word for k, word in enumerate(words)]
    for labels in (words, quoted):
        path = table(tmp_path, "a,b,label\n" + rows(many[:, 0], many[:, 1], labels))
        loaded = data.load(path)
        np.testing.assert_array_equal(loaded.inputs, many)
        np.testing.assert_array_equal(loaded.labels, words)
        np.testing.assert_array_equal(data.load(path, limit=2500).inputs, many[:2500])
        spoiled = ["x" if k == 4321 else value for k, value in enumerate(many[:, 1])]
        with pytest.raises(InvalidInput, match=r"'b' holds 'x'.*line 4323"):
            data.load(table(tmp_path, "a,b,label\n" + rows(many[:, 0], spoiled, labels)))
        ragged = rows(many[:, 0], many[:, 1], labels).replace("\n", ",1\n").replace(",1\n", "\n", 4000)
        with pytest.raises(CorruptData, match="line 4002 has 4 fields, and the first has 3"):
            data.load(table(tmp_path, "a,b,label\n" + ragged))


def test_damaged_text(tmp_path):
    for text, words in (
        ("a,b,label\n1,2,x\n1,2\n", "line 3 has 2 fields, and the first has 3"),
        ("", "holds no lines"),
        ("a,b,label\n", "a header and no samples"),
    ):
        with pytest.raises(CorruptData, match=words):
            data.load(table(tmp_path, text))
    (tmp_path / "t.csv").write_bytes("a,label\n1,é\n".encode("latin-1"))
    with pytest.raises(CorruptData, match="utf-8"):
        data.load(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,label\n1,2\n")[:-6])
    with pytest.raises(CorruptData, match=r"t\.csv\.gz"):
        data.load(tmp_path / "t.csv.gz")


def test_held_out_tables_are_matched_by_name(tmp_path):
    train = data.load(write_csv(tmp_path, X, WORDS))
    other = table(tmp_path, "label,depth,width,height\n" + rows(WORDS, X[:, 2], X[:, 0], X[:, 1]), "h.csv")
    held = data.load(other, like=train)
    np.testing.assert_array_equal(held.inputs, X)
    with pytest.raises(InvalidInput, match="lacks the column 'depth'"):
        data.load(table(tmp_path, "label,width,height\n" + rows(WORDS, X[:, 0], X[:, 1]), "l.csv"), like=train)
    with pytest.raises(InvalidInput, match="has the column 'age', which"):
        data.load(table(tmp_path, "label,width,height,depth,age\n" + rows(WORDS, *PLAIN, X[:, 0]), "m.csv"), like=train)


def test_parts_of_an_archive(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=X, y_train=NUMBERS, x_test=X[:9], y_test=NUMBERS[:9])
    assert data.load(path).name == "mnist.npz/train"
    np.testing.assert_array_equal(data.load(path, subset="test").inputs, X[:9])
    with pytest.raises(InvalidInput, match="no part 'dev': its parts are test, train"):
        data.load(path, subset="dev")


def test_names_are_found_or_asked_for(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, a=X, b=X, y=NUMBERS)
    with pytest.raises(InvalidInput, match=r"it holds a \(40 x 3 float64\), b .*--inputs-key"):
        data.load(path)
    np.testing.assert_array_equal(data.load(path, inputs_key="b").inputs, X)
    np.savez(path, X=X, features=X, y=NUMBERS)
    with pytest.raises(InvalidInput, match=r"X .*features"):
        data.load(path)
    with pytest.raises(InvalidInput, match="one array"):
        data.load(path, inputs_key=["X", "features"])
    np.savez(path, embeddings=X, Targets=X[:, :2])
    np.testing.assert_array_equal(data.load(path).targets, X[:, :2])


def test_a_built_in_set_has_its_own_arrays():
    for name in ("targets", "inputs_key", "targets_key"):
        with pytest.raises(InvalidInput, match=f"{name} belongs to a user's own"):
            data.load("digits", **{name: "y"})


@pytest.mark.parametrize(
    ("name", "package"), [("d.parquet", "pyarrow"), ("d.h5", "h5py"), ("d.pt", "torch"), ("f", "pyarrow")]
)
def test_what_is_not_installed_is_named_with_the_line_of_pip(tmp_path, monkeypatch, name, package):
    import importlib

    plain = importlib.import_module

    def missing(module, *rest):
        if module.partition(".")[0] == package:
            raise ImportError(module)
        return plain(module, *rest)

    monkeypatch.setattr("fluctua._optional.import_module", missing)
    if name == "f":
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "state.json").write_text("{}")
    else:
        (tmp_path / name).write_bytes(b"any")
    with pytest.raises(MissingPackage, match=f"pip install {package}"):
        data.load(tmp_path / name)


def test_parquet_and_frames_of_pandas(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X, columns=NAMES).assign(label=WORDS)
    frame.index = frame.index + 5
    frame.to_parquet(tmp_path / "p.parquet")  # with an index that it declares
    for given in (tmp_path / "p.parquet", frame, frame.astype({"label": "category"})):
        loaded = data.load(given)
        np.testing.assert_array_equal(loaded.inputs, X)
        np.testing.assert_array_equal(loaded.labels, WORDS)
        assert loaded.columns == NAMES
    frame.iloc[7, 1] = np.nan
    frame.to_parquet(tmp_path / "p.parquet")
    for given in (tmp_path / "p.parquet", frame):
        with pytest.raises(InvalidInput, match=r"'height' (has no value|holds nan) in row 7"):
            data.load(given)
    with pytest.raises(InvalidInput, match="'when' holds"):
        data.load(frame.drop(columns="height").assign(when=pd.Timestamp("2020-01-01")))
    with pytest.raises(InvalidInput, match="looks like an index"):
        data.load(frame.drop(columns="height").assign(id=X[:, 0]))


def test_vectors_of_unequal_length_and_holes_are_refused(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for vectors, words in (
        ([[1.0, 2.0], [3.0]], "vectors of 2 numbers, and of 1 in row 1"),
        ([[1.0, 2.0], None], "no value in row 1"),
        ([[1.0, 2.0], [3.0, None]], "lacks a number in the vector of row 1"),
        ([["a", "b"], ["c", "d"]], "no numbers"),
    ):
        pq.write_table(pa.table({"vec": vectors, "label": ["a", "b"]}), tmp_path / "v.parquet")
        with pytest.raises(InvalidInput, match=words):
            data.load(tmp_path / "v.parquet")
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(X.astype(np.float16).ravel()), 3)
    pq.write_table(pa.table({"vec": fixed, "label": WORDS}), tmp_path / "v.parquet")
    loaded = data.load(tmp_path / "v.parquet")
    assert loaded.inputs.dtype == np.float16
    np.testing.assert_array_equal(loaded.inputs, X.astype(np.float16))


@pytest.fixture
def saved(tmp_path):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        {
            "text": datasets.Value("string"),
            "embedding": datasets.Sequence(datasets.Value("float32"), length=3),
            "animal": datasets.ClassLabel(names=["eel", "cat", "dog"]),
        }
    )
    parts = {
        part: datasets.Dataset.from_dict(
            {"text": ["a"] * n, "embedding": X[:n].tolist(), "animal": NUMBERS[:n].tolist()}, kinds
        )
        for part, n in (("train", 40), ("test", 12))
    }
    return datasets.DatasetDict(parts), tmp_path / "animals"


def test_data_sets_of_hugging_face(saved, monkeypatch):
    made, folder = saved
    made.save_to_disk(folder)
    monkeypatch.chdir(folder.parent)
    for given in (folder, "animals", made):
        train, test = data.load(given), data.load(given, subset="test")
        np.testing.assert_array_equal(train.inputs, X.astype(np.float32))
        assert train.class_names == ("cat", "dog", "eel")  # the names that ClassLabel gives to 0, 1, 2
        np.testing.assert_array_equal(train.labels, np.array(["eel", "cat", "dog"])[NUMBERS])
        assert len(test.inputs) == 12
        with pytest.raises(InvalidInput, match="its parts are train, test"):
            data.load(given, subset="dev")
    assert train.name.endswith("/train")
    np.testing.assert_array_equal(data.load(made["train"].select([4, 2, 0])).inputs, X[[4, 2, 0]].astype(np.float32))
    with pytest.raises(InvalidInput, match="without parts"):
        data.load(folder / "train", subset="test")


def test_a_folder_names_files_of_its_own(saved):
    made, folder = saved
    made["train"].save_to_disk(folder)
    state = json.loads((folder / "state.json").read_text())
    for names in (["../x.arrow"], ["/etc/passwd"], [7], []):
        state["_data_files"] = [{"filename": name} for name in names]
        (folder / "state.json").write_text(json.dumps(state))
        with pytest.raises(CorruptData, match="names no files of data"):
            data.load(folder)
    with pytest.raises(DataUnavailable, match="is a directory"):
        data.load(folder.parent)


def test_objects_of_scikit_learn():
    from sklearn.datasets import load_iris, load_wine

    for bunch in (load_iris(), load_iris(as_frame=True)):
        loaded = data.load(bunch)
        np.testing.assert_array_equal(loaded.inputs, load_iris().data)
        np.testing.assert_array_equal(loaded.labels, load_iris().target)
    assert data.load(load_wine(return_X_y=True)).inputs.shape == (178, 13)


@pytest.mark.torch
def test_objects_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    x, y = torch.tensor(X), torch.tensor(NUMBERS)
    pair = torch.utils.data.TensorDataset(x, y)
    torch.save((x, y), tmp_path / "pair.pt")
    torch.save({"train": {"X": x, "y": y}, "test": {"X": x[:9], "y": y[:9]}}, tmp_path / "parts.pth")
    for given in (
        pair,
        torch.utils.data.Subset(pair, range(40)),
        {"inputs": x, "labels": y},
        (x, y),
        tmp_path / "pair.pt",
    ):
        loaded = data.load(given)
        np.testing.assert_array_equal(loaded.inputs, X)
        np.testing.assert_array_equal(loaded.labels, NUMBERS)
    assert data.load(tmp_path / "parts.pth").name == "parts.pth/train"
    assert len(data.load(tmp_path / "parts.pth", subset="test").inputs) == 9
    torch.save(x, tmp_path / "x.pt")
    np.testing.assert_array_equal(data.load(tmp_path / "x.pt", targets=WORDS).labels, WORDS)
    torch.save(pair, tmp_path / "pickled.pt")
    with pytest.raises(CorruptData, match="never loaded"):
        data.load(tmp_path / "pickled.pt")


def test_h5_gives_rows_and_groups(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "g.hdf5", "w") as file:
        file.create_dataset("train/X", data=X.astype(np.float16))
        file["train/y"], file["test/X"], file["test/y"] = NUMBERS, X[:9], NUMBERS[:9]
        file["huge"] = h5py.ExternalLink("elsewhere.h5", "x")
    loaded = data.load(tmp_path / "g.hdf5", limit=8)
    assert loaded.inputs.dtype == np.float16
    np.testing.assert_array_equal(loaded.inputs, X[:8].astype(np.float16))
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("X", shape=(10**9, 10**4), chunks=(1, 10**4), dtype="f8")
        file["y"] = NUMBERS
    with pytest.raises((TooLarge, InvalidInput), match="memory"):
        data.load(tmp_path / "big.h5")


def test_objects_without_arrays_are_refused():
    for given, words in (
        (object(), r"object holds no array.*\.dataset"),
        ((X, 3), "y holds no array, got 3"),
        ({"X": X, "y": None}, "dict: y holds NoneType"),
        ({}, "it holds nothing"),
        (X, "ndarray holds inputs only"),
    ):
        with pytest.raises(InvalidInput, match=words):
            data.load(given)
    assert repr(data.load((X, WORDS))) == "Dataset('tuple': 40 samples, 3 inputs, 3 outputs, float64)"


@pytest.mark.parametrize("given", [3, None, True, b"x", 2.5, int])
def test_what_holds_no_data(given):
    with pytest.raises(InvalidInput, match="name must be"):
        data.load(given)


@pytest.mark.parametrize("held_out", ["file", "part"])
def test_the_command_line_reads_them_all(tmp_path, capsys, held_out):
    from fluctua.cli import main

    x, y = RNG.normal(size=(60, 3)), np.array(["cat", "dog", "eel"])[np.arange(60) % 3]
    table(tmp_path, "name\n" + "\n".join(y) + "\n", "y.csv")
    if held_out == "file":
        path = write_safetensors(tmp_path, {"embeddings": x.astype(np.float16)})
        np.save(tmp_path / "h.npy", x[:9])
        table(tmp_path, "name\n" + "\n".join(y[:9]) + "\n", "h.csv")
        more = ["--targets", tmp_path / "y.csv", "--targets-key", "name"]
        other = ["--held-out", tmp_path / "h.npy", "--held-out-targets", tmp_path / "h.csv"]
    else:
        path, more, other = tmp_path / "parts.npz", ["--inputs-key", "emb"], ["--held-out", "test"]
        np.savez(path, emb_train=x, label_train=y, emb_test=x[:9], label_test=y[:9])
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, [path, *more, *other, "--lr", "0.01"])])
    assert ended.value.code == 0
    assert "labels, 3 outputs: 'cat', 'dog', 'eel'" in (said := capsys.readouterr().out)
    assert "held out" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["t.csv"], "--targets-key"),
        (["t.csv", "--targets-key", "kind", "--held-out-targets", "t.csv"], "belongs to a file of inputs"),
        (["x.npy", "--targets", "t.csv", "--targets-key", "kind", "--held-out", "x.npy"], "--held-out-targets"),
        (["digits", "--inputs-key", "X"], "belongs to a user's own file"),
    ],
)
def test_the_command_line_says_which_option_answers(tmp_path, capsys, monkeypatch, arguments, words):
    from fluctua.cli import main

    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    table(tmp_path, "a,kind\n" + rows(X[:, 0], WORDS))
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments, "--lr", "0.01"])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_labels_beside_one_part_of_the_inputs(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, X_train=X, X_test=X[:9])
    loaded = data.load(path, subset="test", targets=table(tmp_path, "label\n" + "\n".join(WORDS[:9]) + "\n"))
    np.testing.assert_array_equal(loaded.inputs, X[:9])
    with pytest.raises(InvalidInput, match="has no parts"):
        data.load(table(tmp_path, "a,b,label\n" + rows(X[:, 0], X[:, 1], WORDS)), subset="test")
    scores = table(tmp_path, "train_score,test_score,label\n" + rows(X[:, 0], X[:, 1], WORDS))
    np.testing.assert_array_equal(data.load(scores).inputs, X[:, :2])


def test_sparse_matrices_and_indices_in_objects_are_refused(tmp_path):
    from scipy import sparse

    sparse.save_npz(tmp_path / "s.npz", sparse.csr_matrix(X))
    with pytest.raises(InvalidInput, match=r"sparse matrix.*toarray"):
        data.load(tmp_path / "s.npz", targets=WORDS)
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=NAMES)
    np.testing.assert_array_equal(data.load((frame, WORDS)).inputs, X)
    np.testing.assert_array_equal(data.load({"X": frame, "y": pd.DataFrame({"label": NUMBERS})}).labels, NUMBERS)
    with pytest.raises(InvalidInput, match="looks like an index"):
        data.load((frame.rename(columns={"width": "Unnamed: 0"}), WORDS))


@pytest.mark.torch
def test_what_torch_refuses_without_a_word_is_named_by_its_kind(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "empty.pt").touch()
    with pytest.raises(CorruptData, match=r"torch cannot read it \(EOFError\)"):
        data.load(tmp_path / "empty.pt")
