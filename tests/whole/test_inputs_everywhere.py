"""Functions and estimators take the same kinds of samples and graphs, with the same results."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsClassifier

import labelquorum as lq
from labelquorum._shared.samples import as_points, as_samples
from strategies import share

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

N, N_FEATURES = 36, 6


def _samples():
    """Whole numbers, which every type holds, in three groups; many are zeros."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(N, N_FEATURES)) * (rng.random((N, N_FEATURES)) < 0.6)
    X[np.arange(N), np.arange(N) % 3] += 30
    return X.astype(np.float64)


X = _samples()
Y = np.full(N, -1)
Y[:9] = np.arange(9) % 3
TEXTS = [f"text {i}" for i in range(N)]
CLUSTERS = np.arange(N) % 3
NAMES = list("abcdef")


# What takes samples


def _fitted(make, method="predict"):
    return lambda X: getattr(make().fit(X, Y), method)(X)


def _consensus():
    return lq.ConsensusClusterer(3, n_partitions=4, random_state=0)


def _report(samples, tmp_path):
    path = tmp_path / "report.html"
    _consensus().fit(X).report(path, X=samples)
    return np.array(path.read_text(encoding="utf-8"))


def _sampler(X):
    sampler = lq.PreClusteringSampler(random_state=0).fit(X, Y)
    return np.concatenate([sampler.query(3), sampler.predict(X)])


def _searcher(X):
    return np.hstack(lq.NeighborSearcher(n_neighbors=3, recall=0.9).fit(X).query(X))


def _pairwise():
    return lq.PairwiseSetClusterer(KNeighborsClassifier(3), n_models=2, random_state=0)


def _list_of_sets(X):
    model = _pairwise().fit([X, X], [CLUSTERS, CLUSTERS])
    return np.concatenate(model.predict([X]).clusters)


def _grouped_sets(X):
    groups = np.arange(N) // 12
    return _pairwise().fit(X, CLUSTERS, groups=groups).predict(X, groups=groups).clusters


def _grid(X):
    display = lq.ClusterGridDisplay.from_labels(CLUSTERS, X=X, image_shape=(2, 3))
    images = [np.asarray(image.get_array()) for image in display.axes_.ravel()[0].get_images()]
    plt.close(display.figure_)
    return np.array(images)


def _joined(result):
    return np.concatenate(list(result.values()))


TAKES_SPARSE = {
    "kneighbors": lambda X: np.hstack(lq.kneighbors(X, 3)),
    "kneighbors inner product": lambda X: lq.kneighbors(X, 3, metric="inner_product")[0],
    "kneighbors cosine": lambda X: lq.kneighbors(X, 3, metric="cosine", recall=0.9)[0],
    "kneighbors Y": lambda Y: np.hstack(lq.kneighbors(X, 3, Y=Y)),
    "kneighbors_graph": lambda X: lq.kneighbors_graph(X, 3).toarray(),
    "affinity_graph": lambda X: lq.affinity_graph(X, 3).toarray(),
    "base_partitions": lambda X: lq.base_partitions(X, 3, n_partitions=4, random_state=0),
    "base_partitions clusterers": lambda X: lq.base_partitions(
        X, 3, clusterers=KMeans(3, n_init=3), random_state=0
    ),
    "text.representatives": lambda X: _joined(lq.text.representatives(TEXTS, CLUSTERS, X=X)),
    "text.category_table": lambda X: np.array(
        lq.text.category_table(TEXTS, CLUSTERS, X=X, min_df=1)["texts"].tolist()
    ),
    "ConsensusClusterer": _fitted(_consensus),
    "ConsensusClusterer labels_": lambda X: _consensus().fit(X).labels_,
    "ConsensusClusterer novelty": lambda X: _consensus().fit(X).novelty(X).groups,
    "KNNLabelPropagation": _fitted(lambda: lq.KNNLabelPropagation(random_state=0)),
    "KNeighborsTransformer": lambda X: lq.KNeighborsTransformer(3).fit_transform(X).toarray(),
    "KNeighborsTransformer transform": lambda X: (
        lq.KNeighborsTransformer(3, recall=0.9).fit(X).transform(X).toarray()
    ),
    "LabelPropagation": _fitted(lambda: lq.LabelPropagation(5)),
    "LabelSpreading": _fitted(lambda: lq.LabelSpreading(5)),
    "NeighborSearcher": _searcher,
    "PoissonLearning": _fitted(lambda: lq.PoissonLearning(5)),
    "PreClusteringSampler": _sampler,
    "RepresentativeSampler": lambda X: lq.RepresentativeSampler(4, random_state=0).fit(X).indices_,
    "S3VM": _fitted(lambda: lq.S3VM(random_state=0)),
}
TAKES_DENSE = TAKES_SPARSE | {
    "assign_codebooks": lambda samples: lq.assign_codebooks(samples, [X[:5]]),
    "assign_codebooks codebooks": lambda centers: lq.assign_codebooks(X, [centers]),
    "ClusterGridDisplay": _grid,
    "PairwiseSetClusterer": _list_of_sets,
    "PairwiseSetClusterer groups": _grouped_sets,
    "S3VM rbf": _fitted(lambda: lq.S3VM("rbf", random_state=0)),
}
# What takes longer is tried on a few kinds, and on all of them in the slow tests.
TAKES_LONG = ("base_", "ClusterGrid", "Consensus", "KNNLabel", "Pairwise", "PreClus", "S3VM")
FEW_KINDS = ("nested lists", "big-endian", "pandas convert_dtypes", "Arrow table", "torch gradient")
FEW_KINDS += ("CSC", "repeated", "float16")


def crossed(functions, kinds):
    """Each function with each kind."""
    return [
        pytest.param(
            function,
            kind,
            marks=[pytest.mark.slow] * (function.startswith(TAKES_LONG) and kind not in FEW_KINDS),
        )
        for function in functions
        for kind in kinds
    ]


NAME = {"PairwiseSetClusterer": "sets", "PairwiseSetClusterer groups": "sets"}
NAME |= {"assign_codebooks codebooks": "codebooks", "kneighbors Y": "Y"}


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


def assert_same(result, expected):
    assert result.shape == expected.shape
    if result.dtype.kind in "fi":
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.fixture(scope="module")
def expected():
    return {name: function(X) for name, function in TAKES_DENSE.items()}


@pytest.mark.parametrize(("function", "kind"), crossed(TAKES_DENSE, DENSE))
def test_every_kind_of_dense_samples_gives_the_same(function, kind, expected):
    assert_same(TAKES_DENSE[function](DENSE[kind]()), expected[function])


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


# Sparse samples


def _parts(matrix, data=None, indices=None, indptr=None):
    """The matrix, with other parts that SciPy's constructor would change."""
    copy = matrix.copy()
    copy.data = matrix.data if data is None else data
    copy.indices = matrix.indices if indices is None else indices
    copy.indptr = matrix.indptr if indptr is None else indptr
    return copy


def _parts_of_coo(matrix, dtype):
    copy = matrix.tocoo(copy=True)
    copy.data = copy.data.astype(dtype)
    return copy


CSR = scipy.sparse.csr_array(X)


def _unsorted():
    """Rows from the last column to the first."""
    backwards = CSR[:, ::-1]
    return _parts(CSR, backwards.data, N_FEATURES - 1 - backwards.indices)


def _repeated(dtype=np.float64):
    """Each value in two parts, in any order."""
    data = np.concatenate([CSR.data - 1, np.ones(CSR.nnz)]).astype(dtype)
    columns = np.concatenate([CSR.indices, CSR.indices])
    rows = np.tile(np.repeat(np.arange(N), np.diff(CSR.indptr)), 2)
    order = np.argsort(rows, kind="stable")
    indptr = 2 * CSR.indptr
    return scipy.sparse.csr_array((data[order], columns[order], indptr), shape=X.shape)


def _stored_zeros():
    rows, columns = np.indices(X.shape)
    return scipy.sparse.csr_array((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


def _wide():
    return _parts(CSR, indices=CSR.indices.astype(np.int64), indptr=CSR.indptr.astype(np.int64))


def _surplus():
    """More room than the rows use."""
    return _parts(CSR, np.append(CSR.data, [7.0] * 3), np.append(CSR.indices, [99] * 3))


SPARSE = {
    "matrix": lambda: scipy.sparse.csr_matrix(X),
    "CSC": lambda: scipy.sparse.csc_array(X),
    "CSC matrix": lambda: scipy.sparse.csc_matrix(X),
    "COO": lambda: scipy.sparse.coo_array(X),
    "BSR": lambda: scipy.sparse.bsr_array(X, blocksize=(2, 3)),
    "LIL": lambda: scipy.sparse.lil_array(X),
    "DOK": lambda: scipy.sparse.dok_array(X),
    "DIA": lambda: scipy.sparse.dia_array(X),
    "int64 indices": _wide,
    "mixed indices": lambda: _parts(CSR, indptr=CSR.indptr.astype(np.int64)),
    "big-endian indices": lambda: _parts(CSR, indices=CSR.indices.astype(">i4")),
    "unsigned indices": lambda: _parts(CSR, indices=CSR.indices.astype(np.uint8)),
    "unsorted": _unsorted,
    "repeated": _repeated,
    "repeated int8": lambda: _repeated(np.int8),
    "stored zeros": _stored_zeros,
    "surplus room": _surplus,
    "float16": lambda: _parts(CSR, CSR.data.astype(np.float16)),
    "float16 CSC": lambda: _parts(CSR.T.tocsr().T, CSR.T.tocsr().data.astype(np.float16)),
    "big-endian": lambda: _parts(CSR, CSR.data.astype(">f8")),
    "big-endian COO": lambda: _parts_of_coo(CSR, ">f4"),
    "float32": lambda: CSR.astype(np.float32),
    "int8": lambda: CSR.astype(np.int8),
    "uint64": lambda: CSR.astype(np.uint64),
    "sparse frame": lambda: pytest.importorskip("pandas").DataFrame.sparse.from_spmatrix(
        scipy.sparse.csr_matrix(X), columns=NAMES
    ),
}
# Sparse samples are projected, and so results may differ from those of dense ones.
IS_EXACT = ("kneighbors", "affinity", "KNeighbors", "Neighbor", "Label", "Poisson", "KNN", "S3VM")


@pytest.fixture(scope="module")
def expected_of_sparse():
    return {name: function(CSR) for name, function in TAKES_SPARSE.items()}


@pytest.mark.parametrize("function", TAKES_SPARSE)
def test_sparse_rows_are_searched_as_dense_ones_are(function, expected, expected_of_sparse):
    if function.startswith(IS_EXACT):
        assert_same(expected_of_sparse[function], expected[function])


@pytest.mark.parametrize(("function", "kind"), crossed(TAKES_SPARSE, SPARSE))
def test_every_kind_of_sparse_samples_gives_the_same(function, kind, expected_of_sparse):
    samples = SPARSE[kind]()
    assert_same(TAKES_SPARSE[function](samples), expected_of_sparse[function])


@pytest.mark.parametrize("function", sorted(TAKES_DENSE.keys() - TAKES_SPARSE.keys()))
def test_sparse_samples_are_refused_where_they_cannot_be_used(function):
    with pytest.raises((TypeError, ValueError), match=r"(?i)sparse"):
        TAKES_DENSE[function](CSR)


def _changed(matrix, part, place, value):
    array = getattr(matrix, part).copy()
    array[place] = value
    return _parts(matrix, **{part: array})


def _short(matrix, part):
    return _parts(matrix, **{part: getattr(matrix, part)[:-1]})


CSC = scipy.sparse.csc_array(X)
BSR = scipy.sparse.bsr_array(X, blocksize=(2, 3))


def _damaged_coordinates(value):
    matrix = scipy.sparse.coo_array(X)
    matrix.coords[1][5] = value
    return matrix


def _damaged_list(change):
    matrix = scipy.sparse.lil_array(X)
    change(matrix)
    return matrix


def _masked_data():
    return _parts(CSR, np.ma.masked_array(CSR.data, CSR.data > 30))


DAMAGED = {
    "column too large": lambda: _changed(CSR, "indices", 5, 2**20),
    "column just too large": lambda: _changed(CSR, "indices", 5, N_FEATURES),
    "negative column": lambda: _changed(CSR, "indices", 5, -1),
    "int64 column": lambda: _changed(_wide(), "indices", 5, 2**40),
    "rows that go back": lambda: _changed(CSR, "indptr", 3, 1),
    "rows beyond the end": lambda: _changed(CSR, "indptr", -1, 10_000),
    "a negative start": lambda: _changed(CSR, "indptr", 0, -4),
    "few indices": lambda: _short(CSR, "indices"),
    "few values": lambda: _short(CSR, "data"),
    "few rows": lambda: _short(CSR, "indptr"),
    "float indices": lambda: _parts(CSR, indices=CSR.indices + 0.5),
    "CSC row too large": lambda: _changed(CSC, "indices", 5, N),
    "CSC negative row": lambda: _changed(CSC, "indices", 5, -2),
    "CSC columns that go back": lambda: _changed(CSC, "indptr", 3, 1),
    "BSR block too large": lambda: _changed(BSR, "indices", 5, 2),
    "BSR rows beyond the end": lambda: _changed(BSR, "indptr", -1, 10_000),
    "COO column too large": lambda: _damaged_coordinates(N_FEATURES),
    "COO negative column": lambda: _damaged_coordinates(-1),
    "LIL column too large": lambda: _damaged_list(lambda m: m.rows[0].__setitem__(0, 2**20)),
    "LIL without a value": lambda: _damaged_list(lambda m: m.data[0].pop()),
    "NaN": lambda: _changed(CSR, "data", 5, np.nan),
    "infinity": lambda: _changed(CSR, "data", 5, np.inf),
    "masked": _masked_data,
    "complex": lambda: CSR.astype(complex),
    "objects": lambda: _parts(CSR, CSR.data.astype(object)),
    "long double": lambda: CSR.astype(np.longdouble),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("function", [*TAKES_SPARSE, "evaluate_clustering"])
def test_damaged_sparse_samples_are_refused_before_scipy_reads_them(function, kind):
    samples = DAMAGED[kind]()
    if function == "evaluate_clustering":
        if kind in ("NaN", "infinity"):
            pytest.skip("the clusterer decides")
        call = lambda X: lq.evaluate_clustering(KMeans(3), X)  # noqa: E731
    else:
        call = TAKES_SPARSE[function]
    with pytest.raises((TypeError, ValueError)) as caught:
        call(samples)
    assert NAME.get(function, "X") in str(caught.value)
    assert "incompatible function arguments" not in str(caught.value)


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_sparse_samples_are_refused_after_fit(kind, tmp_path):
    samples = DAMAGED[kind]()
    consensus = _consensus().fit(X)
    calls = {
        "predict": consensus.predict,
        "novelty": consensus.novelty,
        "report": lambda X: consensus.report(tmp_path / "report.html", X=X),
        "sampler": lq.PreClusteringSampler(random_state=0).fit(X, Y).predict,
        "searcher": lq.NeighborSearcher(n_neighbors=2).fit(CSR).query,
        "dense searcher": lq.NeighborSearcher(n_neighbors=2).fit(X).query,
        "transformer": lq.KNeighborsTransformer(2).fit(CSR).transform,
        "spreading": lq.LabelSpreading(3).fit(CSR, Y).predict,
        "propagation": lq.KNNLabelPropagation().fit(CSR, Y).predict,
        "S3VM": lq.S3VM().fit(CSR, Y).predict,
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=r"\b[XY]\b"):
            call(samples)
        assert name


@st.composite
def sparse_samples(draw, n_columns=4):
    """Dense whole numbers, and CSR with unsorted, repeated and zero entries and empty rows."""
    n = draw(st.integers(2, 12))
    entry = st.tuples(st.integers(0, n_columns - 1), st.integers(-3, 3))
    rows = draw(st.lists(st.lists(entry, max_size=7), min_size=n, max_size=n))
    indices = np.array([column for row in rows for column, _ in row], dtype=np.int32)
    data = np.array([value for row in rows for _, value in row], dtype=np.float64)
    indptr = np.cumsum([0, *map(len, rows)])
    matrix = scipy.sparse.csr_array((data, indices, indptr), shape=(n, n_columns))
    return matrix, matrix.toarray()


@share(0.2)
@given(sparse_samples(), sparse_samples(), st.integers(1, 12), st.booleans())
def test_neighbors_of_sparse_rows_equal_those_of_dense_rows(samples, queries, k, has_queries):
    (matrix, dense), (new, new_dense) = samples, queries
    before = [part.copy() for part in (matrix.data, matrix.indices, matrix.indptr)]
    k = min(k, len(dense) - (not has_queries))
    for metric in ("euclidean", "inner_product", "cosine"):
        Y_sparse, Y_dense = (new, new_dense) if has_queries else (None, None)
        distances, indices = lq.kneighbors(matrix, k, metric=metric, Y=Y_sparse)
        expected, expected_indices = lq.kneighbors(dense, k, metric=metric, Y=Y_dense)
        np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-12)
        if metric != "cosine":  # its ties depend on the last digit
            np.testing.assert_array_equal(distances, expected)
            np.testing.assert_array_equal(indices, expected_indices)
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        np.testing.assert_array_equal(part, kept)


# Graphs

SQUARE = lq.affinity_graph(X, 4)
GRAPH_LABELS = Y


def _spread(kind):
    return lambda graph: kind(graph=graph).fit(None, GRAPH_LABELS).transduction_


TAKES_GRAPHS = {
    "affinity_graph": lambda graph: lq.affinity_graph(graph).toarray(),
    "communities": lambda graph: lq.communities(graph, random_state=0),
    "connected_components": lambda graph: lq.connected_components(graph)[1],
    "correlation_clustering": lq.correlation_clustering,
    "LabelPropagation": _spread(lq.LabelPropagation),
    "LabelSpreading": _spread(lq.LabelSpreading),
    "PoissonLearning": _spread(lq.PoissonLearning),
    "normalize_graph": lambda graph: lq.normalize_graph(graph).toarray(),
    "symmetrize_graph": lambda graph: lq.symmetrize_graph(graph).toarray(),
}
NAME_OF_GRAPH = {"affinity_graph": "X", "correlation_clustering": "weights"}


def _whole(graph):
    """Whole numbers, which every type holds."""
    graph = graph.copy()
    graph.data = np.ceil(graph.data * 20)
    return graph


GRAPH = _whole(SQUARE)
GRAPHS = {
    "float16": lambda: _parts(GRAPH, GRAPH.data.astype(np.float16)),
    "big-endian": lambda: _parts(GRAPH, GRAPH.data.astype(">f8")),
    "big-endian float32": lambda: _parts(GRAPH, GRAPH.data.astype(">f4")),
    "big-endian float16": lambda: _parts(GRAPH, GRAPH.data.astype(">f2")),
    "big-endian indices": lambda: _parts(
        GRAPH, indices=GRAPH.indices.astype(">i4"), indptr=GRAPH.indptr.astype(">i4")
    ),
    "unsigned indices": lambda: _parts(GRAPH, indices=GRAPH.indices.astype(np.uint32)),
    "int64 starts": lambda: _parts(GRAPH, indptr=GRAPH.indptr.astype(np.int64)),
    "float16 CSC": lambda: _parts(GRAPH.tocsc(), GRAPH.tocsc().data.astype(np.float16)),
    "big-endian COO": lambda: _parts_of_coo(GRAPH, ">f8"),
    "float16 LIL": lambda: GRAPH.tolil().astype(np.float32),
    "DOK": lambda: scipy.sparse.dok_array(GRAPH),
    "DIA": lambda: scipy.sparse.dia_array(GRAPH),
    "BSR": lambda: scipy.sparse.bsr_array(GRAPH, blocksize=(2, 2)),
    "matrix": lambda: scipy.sparse.csr_matrix(GRAPH),
    "int8": lambda: GRAPH.astype(np.int8),
    "uint64": lambda: GRAPH.astype(np.uint64),
    "strided values": lambda: _parts(GRAPH, np.repeat(GRAPH.data, 2)[::2]),
}


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("function", TAKES_GRAPHS)
def test_every_kind_of_graph_gives_the_same(function, kind):
    if kind == "BSR" and function in ("connected_components", "affinity_graph"):
        pytest.skip("blocks store zeros, which are edges")
    call = TAKES_GRAPHS[function]
    assert_same(call(GRAPHS[kind]()), call(GRAPH))


BAD_GRAPHS = {
    "column too large": lambda: _changed(GRAPH, "indices", 5, 2**20),
    "negative column": lambda: _changed(GRAPH, "indices", 5, -1),
    "rows that go back": lambda: _changed(GRAPH, "indptr", 3, 1),
    "rows beyond the end": lambda: _changed(GRAPH, "indptr", -1, 10_000),
    "few values": lambda: _short(GRAPH, "data"),
    "CSC row too large": lambda: _changed(GRAPH.tocsc(), "indices", 5, N),
    "COO column too large": lambda: _coo_graph(N),
    "COO negative column": lambda: _coo_graph(-1),
    "masked": lambda: _parts(GRAPH, np.ma.masked_array(GRAPH.data)),
    "complex": lambda: GRAPH.astype(complex),
    "long double": lambda: GRAPH.astype(np.longdouble),
    "objects": lambda: _parts(GRAPH, GRAPH.data.astype(object)),
}


def _coo_graph(value):
    graph = GRAPH.tocoo(copy=True)
    graph.coords[1][5] = value
    return graph


@pytest.mark.parametrize("kind", BAD_GRAPHS)
@pytest.mark.parametrize("function", TAKES_GRAPHS)
def test_damaged_graphs_are_refused_by_name(function, kind):
    graph = BAD_GRAPHS[kind]()
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKES_GRAPHS[function](graph)
    assert NAME_OF_GRAPH.get(function, "graph") in str(caught.value)
    assert "incompatible function arguments" not in str(caught.value)


MASKED = np.ma.masked_array([1, 1], [False, True])
TAKES_OTHER_NUMBERS = {
    "communities": lambda: lq.communities(GRAPH, MASKED + 0.0),
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


# Partitions

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


def test_the_documentation_names_all_that_takes_samples_or_graphs():
    text = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    samples, _, rest = text.partition("## Graphs")
    graphs = rest.partition("## Labels")[0]
    for functions, section in ((TAKES_DENSE, samples), (TAKES_GRAPHS, graphs)):
        for function in functions:
            assert f"`{function.split()[0]}`" in section, function


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
    "ConsensusClusterer": _consensus,
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
    assert np.shares_memory(as_samples(CSR, "X").data, CSR.data)
