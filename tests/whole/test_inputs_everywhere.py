"""Functions and estimators take the same kinds of samples, with the same results."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import sklearn

import labelquorum as lq
from labelquorum._shared.samples import as_points, as_samples
from sample_takers import (
    FEW_KINDS,
    N_FEATURES,
    NAME,
    NAMES,
    TAKES_DENSE,
    TAKES_SPARSE,
    N,
    X,
    Y,
    assert_same,
    consensus,
    crossed,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

# Kinds of dense samples


class _Array:
    """What only `__array__` tells to be an array."""

    def __array__(self, dtype=None, copy=None):
        return X.astype(dtype or float)


class _Exporter:
    """What only DLPack tells to be an array."""

    dtype = "float64"

    def __dlpack__(self, **options):
        return X.__dlpack__(**options)

    def __dlpack_device__(self):
        return X.__dlpack_device__()


def _pandas(dtype=None):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=NAMES)
    return frame if dtype is None else frame.astype(dtype)


def _mixed_pandas():
    frame = _pandas().astype({"a": "int8", "b": "float32", "c": "Int64", "d": object})
    return frame.astype({"e": "int64[pyarrow]"})


def _repeated_names():
    return _pandas().set_axis(["a"] * N_FEATURES, axis=1)


def _one_column_of_lists(library):
    return pytest.importorskip(library).DataFrame({"embedding": list(X.tolist())})


def _polars(dtype=None):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(X, schema=dict.fromkeys(NAMES, dtype or polars.Float64))


def _polars_arrays():
    polars = pytest.importorskip("polars")
    series = polars.Series("embedding", X.tolist(), dtype=polars.Array(polars.Float64, N_FEATURES))
    return polars.DataFrame([series])


def _arrow(kind="table"):
    pyarrow = pytest.importorskip("pyarrow")
    columns = dict(zip(NAMES, X.T, strict=True))
    if kind == "embeddings":
        return pyarrow.table({"embedding": X.tolist()})
    if kind == "decimals":
        decimals = {name: [Decimal(v) for v in column] for name, column in columns.items()}
        return pyarrow.table(decimals)
    return getattr(pyarrow, kind)(columns)


def _narwhals():
    return pytest.importorskip("narwhals").from_native(_polars())


def _torch(change=lambda tensor: tensor):
    return change(pytest.importorskip("torch").tensor(X))


def _list_of_tensors():
    return list(_torch(lambda tensor: tensor.float().requires_grad_()))


DENSE = {
    "nested lists": lambda: X.tolist(),
    "tuples": lambda: tuple(map(tuple, X.astype(int).tolist())),
    "list of arrays": lambda: list(X),
    "float16": lambda: X.astype(np.float16),
    "float32": lambda: X.astype(np.float32),
    "big-endian": lambda: X.astype(">f8"),
    "big-endian float16": lambda: X.astype(">f2"),
    "big-endian integers": lambda: X.astype(">i4"),
    "int8": lambda: X.astype(np.int8),
    "uint64": lambda: X.astype(np.uint64),
    "Fortran order": lambda: np.asfortranarray(X),
    "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "objects": lambda: X.astype(object),
    "decimals": lambda: [[Decimal(value) for value in row] for row in X.tolist()],
    "fractions": lambda: np.array([[Fraction(value) for value in row] for row in X.tolist()]),
    "array of lists": lambda: np.array([None, *X.tolist()], dtype=object)[1:],
    "matrix": lambda: X.view(np.matrix),
    "__array__": _Array,
    "DLPack": _Exporter,
    "pandas": _pandas,
    "pandas convert_dtypes": lambda: _pandas().convert_dtypes(),
    "pandas Float64": lambda: _pandas("Float64"),
    "pandas Arrow": lambda: _pandas("double[pyarrow]"),
    "pandas objects": lambda: _pandas(object),
    "pandas float32": lambda: _pandas("float32"),
    "pandas uint64": lambda: _pandas("uint64"),
    "pandas mixed": _mixed_pandas,
    "pandas repeated names": _repeated_names,
    "pandas lists": lambda: _one_column_of_lists("pandas"),
    "polars": _polars,
    "polars integers": lambda: _polars(pytest.importorskip("polars").Int16),
    "polars lists": lambda: _one_column_of_lists("polars"),
    "polars arrays": _polars_arrays,
    "Arrow table": _arrow,
    "Arrow record batch": lambda: _arrow("record_batch"),
    "Arrow lists": lambda: _arrow("embeddings"),
    "Arrow column of lists": lambda: _arrow("embeddings")["embedding"],
    "Arrow decimals": lambda: _arrow("decimals"),
    "Narwhals": _narwhals,
    "torch": _torch,
    "torch gradient": lambda: _torch(lambda tensor: tensor.requires_grad_()),
    "torch bfloat16": lambda: _torch(lambda tensor: tensor.to(dtype=_bfloat16())),
    "list of tensors": _list_of_tensors,
}


def _bfloat16():
    return pytest.importorskip("torch").bfloat16


@pytest.fixture(scope="module")
def expected():
    return {name: function(X) for name, function in TAKES_DENSE.items()}


@pytest.mark.parametrize(("function", "kind"), crossed(TAKES_DENSE, DENSE))
def test_every_kind_of_dense_samples_gives_the_same(function, kind, expected):
    assert_same(TAKES_DENSE[function](DENSE[kind]()), expected[function])


def _report(samples, tmp_path):
    path = tmp_path / "report.html"
    consensus().fit(X).report(path, X=samples)
    return np.array(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", [*FEW_KINDS[:5], "CSR"])
def test_a_report_reads_every_kind(kind, tmp_path):
    pytest.importorskip("jinja2")
    samples = scipy.sparse.csr_array(X) if kind == "CSR" else DENSE[kind]()
    assert _report(samples, tmp_path) == _report(X, tmp_path)


# Kinds that are refused


def _masked_rows():
    return [np.ma.masked_array(row, row > 30) for row in X]


def _with(value, dtype=object):
    changed = X.astype(dtype)
    changed[3, 1] = value
    return changed


def _frame_with(library, value):
    columns = {name: list(column) for name, column in zip(NAMES, X.T.tolist(), strict=True)}
    columns["b"][3] = value
    if library == "pyarrow":
        return pytest.importorskip("pyarrow").table(columns)
    return pytest.importorskip(library).DataFrame(columns)


def _frame_of_text(library):
    columns = {name: list(column) for name, column in zip(NAMES, X.T.tolist(), strict=True)}
    columns["b"] = ["x"] * N
    if library == "pyarrow":
        return pytest.importorskip("pyarrow").table(columns)
    return pytest.importorskip(library).DataFrame(columns)


def _frame_with_lists():
    frame = _pandas()
    frame["b"] = X.tolist()
    return frame


def _frame_of_dates():
    frame = _pandas()
    frame["b"] = np.datetime64("2020-01-01")
    return frame


REFUSED = {
    "complex": (lambda: X + 0j, "complex128"),
    "complex torch": (lambda: _torch(lambda tensor: tensor + 0j), "complex128"),
    "long double": (lambda: X.astype(np.longdouble), np.dtype(np.longdouble).name),
    "strings": (lambda: X.astype(str), "<U"),
    "bytes": (lambda: X.astype("S4"), "S4"),
    "dates": (lambda: X.astype("M8[D]"), "datetime64"),
    "durations": (lambda: X.astype("m8[s]"), "timedelta64"),
    "records": (lambda: np.zeros((N, 2), dtype=[("x", "f8"), ("y", "f8")]), "x"),
    "masked": (lambda: np.ma.masked_array(X, X > 30), "masked array"),
    "nothing masked": (lambda: np.ma.masked_array(X), "masked array"),
    "masked rows": (_masked_rows, "masked array"),
    "None": (lambda: _with(None), "missing values, got one at row 3, column 1"),
    "a string among objects": (lambda: _with("1.5"), "'1.5' of type str at row 3, column 1"),
    "a list of lists with None": (lambda: _with(None).tolist(), "missing values, got one at row 3"),
    "a dict": (lambda: {"a": X.tolist()}, "got dict"),
    "None alone": (lambda: None, "None"),
    "a string": (lambda: "samples", "got str"),
    "a set": (lambda: {1.0, 2.0}, "got set"),
    "ragged": (lambda: [*X.tolist()[1:], [1.0]], "ragged"),
    "a lazy frame": (lambda: _polars().lazy(), "LazyFrame"),
    "a sparse tensor": (lambda: _torch(lambda tensor: tensor.to_sparse()), "Tensor that NumPy"),
    "a tensor elsewhere": (lambda: _torch(lambda tensor: tensor.to("meta")), "CPU, got a Tensor"),
    "pandas missing": (lambda: _frame_with("pandas", None), "column 'b', row 3"),
    "pandas missing objects": (
        lambda: _frame_with("pandas", None).astype(object),
        "column 'b', row 3",
    ),
    "pandas nullable": (
        lambda: _frame_with("pandas", None).convert_dtypes(),
        "missing values, got one in column 'b', row 3",
    ),
    "pandas infinity": (lambda: _frame_with("pandas", np.inf), "infinity in column 'b', row 3"),
    "pandas text": (lambda: _frame_of_text("pandas"), "column 'b'"),
    "pandas dates": (_frame_of_dates, "column 'b'"),
    "pandas lists and numbers": (_frame_with_lists, "column 'b'"),
    "polars missing": (lambda: _frame_with("polars", None), "column 'b', row 3"),
    "polars NaN": (lambda: _frame_with("polars", np.nan), "NaN in column 'b', row 3"),
    "polars text": (lambda: _frame_of_text("polars"), "column 'b'"),
    "Arrow missing": (lambda: _frame_with("pyarrow", None), "column 'b', row 3"),
    "Arrow text": (lambda: _frame_of_text("pyarrow"), "column 'b'"),
}
NO_SAMPLES_ARE_FINE = ("text.representatives", "text.category_table", "kneighbors Y")


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("function", TAKES_DENSE)
def test_what_holds_no_numbers_is_refused_by_name(function, kind):
    if kind == "None alone" and function in NO_SAMPLES_ARE_FINE:
        pytest.skip("None is the default")
    make, found = REFUSED[kind]
    value = make()
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKES_DENSE[function](value)
    message = str(caught.value)
    assert found in message
    assert NAME.get(function, "X") in message
    assert "incompatible function arguments" not in message


# Masked arrays, and partitions

MASKED = np.ma.masked_array([1, 1], [False, True])
TAKES_OTHER_NUMBERS = {
    "communities": lambda: lq.communities(scipy.sparse.eye_array(2), MASKED + 0.0),
    "correlation_clustering": lambda: lq.correlation_clustering(np.ma.masked_array(np.eye(3))),
    "correlation_clustering list": lambda: lq.correlation_clustering(
        [np.eye(2), np.ma.masked_array(np.eye(3))]
    ),
    "coassociation": lambda: lq.coassociation([[0, 0], [1, 1]], np.ma.masked_array([[0, 1]])),
    "from_counts": lambda: lq.SignatureTable.from_counts([[0, 0], [1, 1]], MASKED),
    "text.representatives": lambda: lq.text.representatives(["a", "b"], [0, 1], confidence=MASKED),
    "mini_clusters": lambda: lq.mini_clusters([[0, 0], [0, 0]], eligible=MASKED > 0),
    "samples_to_check": lambda: lq.samples_to_check([0, 1], n_samples=1, confidence=MASKED),
    "teach": lambda: lq.PreClusteringSampler().fit(X).teach(MASKED, [0, 1]),
    "S3VM": lambda: lq.S3VM(class_shares=MASKED / 2).fit(X, np.arange(N) % 2),
}


@pytest.mark.parametrize("function", TAKES_OTHER_NUMBERS)
def test_masked_arrays_are_refused_wherever_numbers_are_taken(function):
    with pytest.raises(TypeError, match="masked array"):
        TAKES_OTHER_NUMBERS[function]()


PARTITIONS = X.astype(int)
PARTITION_KINDS = {
    "convert_dtypes": lambda: _pandas("int64").convert_dtypes(),
    "Arrow-backed": lambda: _pandas("int64[pyarrow]"),
    "polars": lambda: _polars(pytest.importorskip("polars").Int64),
    "Arrow table": lambda: pytest.importorskip("pyarrow").table(
        dict(zip(NAMES, PARTITIONS.T, strict=True))
    ),
    "Arrow batch": lambda: pytest.importorskip("pyarrow").record_batch(
        dict(zip(NAMES, PARTITIONS.T, strict=True))
    ),
    "torch": lambda: pytest.importorskip("torch").tensor(PARTITIONS),
    "list of series": lambda: [_pandas("Int64")[name] for name in NAMES],
}


@pytest.mark.parametrize("kind", PARTITION_KINDS)
def test_every_kind_of_partitions_gives_the_same(kind):
    partitions = PARTITION_KINDS[kind]()
    np.testing.assert_array_equal(lq.mini_clusters(partitions), lq.mini_clusters(PARTITIONS))


def test_the_documentation_names_all_that_takes_samples():
    text = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    samples = text.partition("## Graphs")[0]
    for function in TAKES_DENSE:
        assert f"`{function.split()[0]}`" in samples, function


# Names of features, and scikit-learn's configuration

WITH_NAMES = (
    "pandas",
    "pandas convert_dtypes",
    "pandas mixed",
    "polars",
    "Arrow table",
    "Narwhals",
)
ESTIMATORS = {
    "ConsensusClusterer": consensus,
    "KNNLabelPropagation": lq.KNNLabelPropagation,
    "KNeighborsTransformer": lambda: lq.KNeighborsTransformer(3),
    "LabelPropagation": lq.LabelPropagation,
    "LabelSpreading": lq.LabelSpreading,
    "NeighborSearcher": lq.NeighborSearcher,
    "PoissonLearning": lq.PoissonLearning,
    "PreClusteringSampler": lq.PreClusteringSampler,
    "RepresentativeSampler": lambda: lq.RepresentativeSampler(3),
    "S3VM": lq.S3VM,
    "S3VM rbf": lambda: lq.S3VM("rbf"),
}


@pytest.mark.parametrize("kind", [*WITH_NAMES, "pandas lists", "pandas repeated names", "torch"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators_keep_the_names_and_number_of_features(estimator, kind):
    model = ESTIMATORS[estimator]().fit(DENSE[kind](), Y)
    assert model.n_features_in_ == N_FEATURES
    assert list(getattr(model, "feature_names_in_", [])) == (NAMES if kind in WITH_NAMES else [])


@pytest.mark.parametrize("estimator", ["ConsensusClusterer", "LabelSpreading", "S3VM"])
def test_other_names_of_features_are_refused(estimator):
    model = ESTIMATORS[estimator]().fit(_polars(), Y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(_pandas().rename(columns={"a": "z"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("function", TAKES_SPARSE)
def test_the_output_that_scikit_learn_is_set_to_changes_nothing(function, library, expected):
    pytest.importorskip(library)
    with sklearn.config_context(transform_output=library):
        result = TAKES_SPARSE[function](X)
    assert_same(result, expected[function])


def test_arrays_are_read_without_a_copy():
    for dtype in (np.float16, np.float32, np.float64):
        array = X.astype(dtype)
        assert np.shares_memory(as_points(array, "X"), array)
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(X, requires_grad=True)
    assert np.shares_memory(as_points(tensor, "X"), tensor.detach().numpy())
    matrix = scipy.sparse.csr_array(X)
    assert np.shares_memory(as_samples(matrix, "X").data, matrix.data)
