"""Every estimator is saved to one file and opened again: the same results, and no harm by files."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import labelquorum as lq
from estimators import (
    CLUSTERS,
    DEEP_ESTIMATORS,
    ESTIMATORS,
    GROUPS,
    KINDS,
    PARTITIONS,
    SETS,
    X_NEW,
    Y_NAMES,
    X,
    Y,
    assert_equal,
    consensus,
    every_estimator,
    fitted,
    graph,
    made,
    results,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")
DATA = Path(__file__).resolve().parents[1] / "data"
MODULES = ("labelquorum", "labelquorum.dask", "labelquorum.deep", "labelquorum.text")
OF_OTHER_FORMATS = (lq.NeighborSearcher, lq.PreClusteringSampler)
NOT_KEPT = {"n_jobs", "verbose"}  # by files of other formats


def estimators_of(module):
    """The public estimators of a module: the classes with `fit`."""
    public = importlib.import_module(module)
    for name in public.__all__:
        value = getattr(public, name)
        if inspect.isclass(value) and issubclass(value, BaseEstimator):
            yield value


@pytest.mark.deep
def test_every_public_estimator_is_saved_in_these_tests():
    pytest.importorskip("distributed")
    public = {kind for module in MODULES for kind in estimators_of(module)}
    tested = {type(made(name)[0]) for name in ESTIMATORS | DEEP_ESTIMATORS}
    assert public == tested | {lq.dask.ConsensusClusterer}
    assert all(hasattr(kind, "save") for kind in public)


def saved(model, folder):
    path = folder / "model.lq"
    model.save(path)
    return lq.load(path)


def assert_same(found, expected):
    """Equal to the last bit, and of the same types."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.flags.writeable
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif sparse.issparse(expected):
        assert_same(found.toarray(), expected.toarray())
    else:
        np.testing.assert_array_equal(found, expected)


def attributes(model):
    """Everything public that `fit` set."""
    names = [name for name in dir(model) if name.endswith("_") and not name.startswith("_")]
    found = {name: getattr(model, name) for name in names if hasattr(model, name)}
    plain = (np.ndarray, np.generic, list, tuple, dict, int, float, str, type(None))
    return {name: value for name, value in found.items() if type(value) in plain}


def assert_same_model(loaded, model, name):
    assert type(loaded) is type(model)
    is_kept = {*model.get_params()}
    if type(model) in OF_OTHER_FORMATS:
        is_kept -= NOT_KEPT
    for parameter in is_kept:
        value, expected = loaded.get_params()[parameter], model.get_params()[parameter]
        if not sparse.issparse(expected) and not hasattr(expected, "fit"):
            assert value == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = results(loaded, name), results(model, name)
        assert_equal(found, expected)
        if type(model) in OF_OTHER_FORMATS or hasattr(model, "load"):
            return
        assert_same(
            {key: value for key, value in found.items() if key != "report"},
            {key: value for key, value in expected.items() if key != "report"},
        )
        assert_same(attributes(loaded), attributes(model))


@every_estimator
def test_a_loaded_estimator_gives_the_same(name, tmp_path):
    model = fitted(name)
    loaded = saved(model, tmp_path)
    assert_same_model(loaded, model, name)
    assert_same_model(saved(loaded, tmp_path), model, name)


@every_estimator
def test_a_loaded_estimator_can_be_cloned_and_fitted_again(name, tmp_path):
    model, arguments = made(name)
    loaded = saved(model.fit(*arguments), tmp_path)
    for again in (loaded, clone(loaded)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_equal(results(again.fit(*arguments), name), results(model, name))


@every_estimator
def test_what_is_not_fitted_is_not_saved(name, tmp_path):
    model, _ = made(name)
    if name == "KeywordLabeler":  # It has nothing to learn.
        assert saved(model, tmp_path).get_params() == model.get_params()
        return
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model.lq")
    assert not list(tmp_path.iterdir())


def test_the_same_model_gives_the_same_file(tmp_path):
    for name in ("one.lq", "other.lq"):
        consensus().fit(X, Y_NAMES).save(tmp_path / name)
    assert (tmp_path / "one.lq").read_bytes() == (tmp_path / "other.lq").read_bytes()


def frame(rows, columns=("a", "b", "c", "d")):
    return pytest.importorskip("pandas").DataFrame(rows, columns=list(columns))


def of_dask():
    da = pytest.importorskip("dask.array")
    import labelquorum.dask

    model = labelquorum.dask.ConsensusClusterer(3, max_samples=40, n_partitions=6, random_state=0)
    return model.fit(da.from_array(X, chunks=(25, 4)), Y)


ORIGINS = np.array(["given", "accepted", "proposed", "proposed"] * 15)
SPECIAL = {
    "groups": lambda: consensus().fit(X, Y, groups=GROUPS),
    "partitions": lambda: consensus().fit(X, partitions=PARTITIONS),
    "combined votes": lambda: consensus().fit(
        X, partitions=lq.combine_votes([PARTITIONS, Y_NAMES.tolist()])
    ),
    "votes": lambda: consensus().fit(X, votes=[Y_NAMES.tolist(), Y_NAMES.tolist()]),
    "origins": lambda: consensus().fit(X, Y_NAMES, origins=ORIGINS),
    "no labels": lambda: consensus().fit(X.astype(np.float32)),
    "bool labels": lambda: consensus().fit(X, (Y > 0).tolist()),
    "equal rows": lambda: consensus().fit(np.vstack([X, X[:20]])),
    "without new ones": lambda: consensus(discover=False).fit(X, Y),
    "frame": lambda: consensus().fit(frame(X), Y),
    "clusterers": lambda: consensus(clusterers=[KMeans(3), AgglomerativeClustering(4)]).fit(X),
    "pipeline": lambda: consensus(
        classifier=make_pipeline(StandardScaler(), LogisticRegression(C=2))
    ).fit(X, Y_NAMES),
    "linear classifier": lambda: consensus(classifier=LinearSVC(random_state=0)).fit(X, Y),
    "boosting": lambda: consensus(
        classifier=HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2)
    ).fit(X, Y),
    "generator": lambda: lq.ConsensusClusterer(
        3, n_partitions=6, random_state=np.random.RandomState(3)
    ).fit(X),
    "spreading over a graph": lambda: lq.LabelSpreading(graph=graph()).fit(None, Y),
    "matrices": lambda: lq.LabelPropagation(graph=sparse.coo_matrix(graph())).fit(X, Y),
    "sparse neighbors": lambda: lq.KNNLabelPropagation(random_state=0).fit(
        sparse.csr_matrix(X), Y_NAMES
    ),
    "numpy parameters": lambda: lq.KNNLabelPropagation(
        np.int64(3), weights=("distance",), random_state=0
    ).fit(X, Y),
    "sparse graph": lambda: lq.KNeighborsTransformer(3).fit(sparse.csr_array(X)),
    "output": lambda: lq.ConsensusClusterer(3, n_partitions=6, random_state=0).fit(frame(X), Y),
    "pairs by default": lambda: lq.PairwiseSetClusterer(n_models=1, random_state=0).fit(
        SETS, CLUSTERS, KINDS
    ),
    "pairs without categories": lambda: lq.PairwiseSetClusterer(
        HistGradientBoostingClassifier(max_iter=3), n_models=1, random_state=0
    ).fit(SETS, CLUSTERS),
    "safe": lambda: lq.S3VM(safe=True, class_shares=[0.2, 0.3, 0.5], random_state=0).fit(X, Y),
    "sparse svm": lambda: lq.S3VM(random_state=0).fit(sparse.csr_array(X), Y),
    "float16": lambda: lq.LabelSpreading().fit(X.astype(np.float16), Y),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_whatever_was_given_is_kept(case, tmp_path):
    model = SPECIAL[case]()
    loaded = saved(model, tmp_path)
    assert_same(attributes(loaded), attributes(model))
    names = getattr(model, "feature_names_in_", None)
    new = SETS if "pairs" in case else X_NEW if names is None else frame(X_NEW, names)
    new = sparse.csr_array(X_NEW) if "sparse" in case else new
    for method in ("predict", "predict_proba", "predict_affinity", "transform"):
        is_missing = case in ("spreading over a graph",) or (
            case == "linear classifier" and method == "predict_proba"
        )
        if hasattr(model, method) and not is_missing:
            assert_same(getattr(loaded, method)(new), getattr(model, method)(new))
    if isinstance(model, lq.ConsensusClusterer):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "predict rejects all")
            found, expected = (fit.predict(new, reject_level=0.1) for fit in (loaded, model))
        assert_same(found, expected)
        assert_same(loaded.cluster_layers_, model.cluster_layers_)
        assert_same(loaded.cut(5), model.cut(5))
        again = saved(loaded, tmp_path)  # with its layers
        assert_same(again.cluster_layers_, model.cluster_layers_)
        assert repr(loaded.explain(7)) == repr(model.explain(7))
        assert str(loaded.category_table_) == str(model.category_table_)
        assert repr(loaded.novelty(new)) == repr(model.novelty(new))


def test_the_report_is_the_same(tmp_path):
    pytest.importorskip("jinja2")
    model = fitted("ConsensusClusterer, names")
    model.report(tmp_path / "one.html", X=X)
    saved(model, tmp_path).report(tmp_path / "other.html", X=X)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_a_clusterer_of_dask_is_kept(tmp_path):
    model = of_dask()
    loaded = saved(model, tmp_path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.sample_, model.sample_)
    da = pytest.importorskip("dask.array")
    rows = da.from_array(X, chunks=(20, 4))
    np.testing.assert_array_equal(loaded.predict(rows).compute(), model.predict(rows).compute())


def test_rules_are_kept(tmp_path):
    import re

    rules = {3: ["red", re.compile(r"d.g", re.IGNORECASE)], 7: ["cat"]}
    loaded = saved(lq.text.KeywordLabeler(rules, whole_words=False).fit(), tmp_path)
    assert loaded.rules == rules
    assert loaded.predict(["a DoG", "Cats", "none"]).tolist() == [3, 7, -1]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("classifier", RandomForestClassifier(3)),
        ("classifier", type("Mine", (LogisticRegression,), {})()),
        ("directory", object()),
        ("verbose", np.array([1 + 2j])),
        ("verbose", np.array([{}], dtype=object)),
        ("verbose", np.zeros(2, "M8[s]")),
    ],
)
def test_what_would_need_pickle_is_refused_by_name(parameter, value, tmp_path):
    model = consensus().fit(X)
    (tmp_path / "model.lq").write_bytes(b"before")
    model.set_params(**{parameter: value})
    with pytest.raises(TypeError, match=f"^{parameter} must hold .* to be saved, got .*pickled"):
        model.save(tmp_path / "model.lq")
    assert (tmp_path / "model.lq").read_bytes() == b"before"


def test_classes_of_the_user_are_refused(tmp_path):
    class Mine(lq.KNNLabelPropagation):
        pass

    with pytest.raises(TypeError, match="a class of your own"):
        Mine(1).fit(X, Y).save(tmp_path / "model.lq")


# Files of before, and of strangers.


def write_example(path):
    """Write the file of tests/data that later versions have to read."""
    consensus().fit(X, Y_NAMES).save(path)


def test_files_of_earlier_versions_stay_readable():
    model = lq.load(DATA / "model-1.lq")
    assert model.get_params()["n_partitions"] == 6
    expected = json.loads((DATA / "model-1.json").read_text(encoding="utf-8"))
    assert model.labels_.tolist() == expected["labels"]
    assert model.predict(X_NEW).tolist() == expected["predicted"]
    assert model.cut(5).shape == (60,)
    assert model.category_names_.tolist() == model.classes_.tolist()
    model.rename({"ant": "wasp"})
    assert (model.labels_ == "wasp").tolist() == [name == "ant" for name in expected["labels"]]


def test_saved_searchers_of_earlier_versions_are_loaded():
    assert isinstance(lq.load(DATA / "searcher-1-exact.zip"), lq.NeighborSearcher)


def test_what_faiss_would_have_to_read_is_refused():
    with pytest.raises(ValueError, match=r"lists\.zip holds an index of faiss, .* if you trust it"):
        lq.load(DATA / "searcher-1-lists.zip")


def test_later_versions_are_refused(tmp_path):
    content = changed(bytes_of("LabelModel"), lambda meta: meta | {"version": 2})
    path = tmp_path / "model.lq"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.lq must have version 1 .* got 2: a newer"):
        lq.load(path)


@pytest.mark.parametrize("name", ["os.system", "labelquorum.Frame", "sklearn.svm.SVC", None, 3])
def test_no_other_class_is_loaded(name, tmp_path):
    path = tmp_path / "model.lq"
    path.write_bytes(changed(bytes_of("LabelModel"), lambda meta: meta | {"format": name}))
    with pytest.raises(ValueError, match=r"model\.lq is damaged or not a saved model"):
        lq.load(path)


@cache
def bytes_of(name):
    path = Path(f"{os.environ.get('TMPDIR', '/tmp')}/labelquorum-{os.getpid()}.lq")
    try:
        fitted(name).save(path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def changed(content, change):
    """The file with another JSON object, and with right checksums."""
    parts = members(content)
    parts["meta.json"] = json.dumps(change(json.loads(parts["meta.json"])))
    return zipped(parts)


def places(tree, path=()):
    """The path to everything within a JSON object."""
    yield path
    if not isinstance(tree, (dict, list)):
        return
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield from places(value, (*path, key))


STRANGE = [None, True, -1, 0, 1, 2**31, 2**63, 2**70, 0.5, float("nan"), 1e308, "", "x", [], {}]
STRANGE += [[0], {"array": 0}, {"array": 1}, {"array": -1}, {"scalar": 0}, {"tuple": [1]}]
STRANGE += [{"dict": []}, {"names": [0, ["a"]]}, {"part": ["Frame", {}]}, {"path": "/"}]
STRANGE += [{"regex": ["(", 0]}, {"random_state": ["MT19937", {"array": 0}, 700, 0, 0.0]}]
STRANGE += [{"scikit-learn": ["KMeans", {}, {}]}, {"sparse": ["csr_array", {}]}]


def mutated_meta(tree, rng):
    """Change, drop, double or exchange something in the JSON object."""
    paths = [path for path in places(tree) if path]
    path = paths[rng.integers(len(paths))]
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    kind, other = rng.integers(4), paths[rng.integers(len(paths))]
    if kind == 0:
        parent[path[-1]] = STRANGE[rng.integers(len(STRANGE))]
    elif kind == 1:
        del parent[path[-1]]
    elif kind == 2 and isinstance(parent[path[-1]], (int, float)):
        parent[path[-1]] = parent[path[-1]] + int(rng.choice([-1, 1, 7, 1000]))
    else:
        value = tree
        for key in other:
            value = value[key]
        parent[path[-1]] = json.loads(json.dumps(value))
    return tree


def mutated_array(content, rng):
    """Change the header, the length or some values of an .npy file."""
    content = bytearray(content)
    begin = 10 + int.from_bytes(content[8:10], "little")
    kind = rng.integers(4)
    if kind == 0 or begin == len(content):
        content[rng.integers(begin)] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        at = begin + int(rng.integers(len(content) - begin))
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        at = begin + 4 * int(rng.integers(1 + (len(content) - begin) // 4))
        content[at : at + 8] = rng.bytes(min(8, len(content) - at))
    else:
        array = np.load(io.BytesIO(content))
        shorter = array[: len(array) // 2] if array.ndim else array[None]
        file = io.BytesIO()
        others = ["U2"] if array.dtype.kind == "U" else ["f4", "i4", "i8", "u1", "?", "U2"]
        dtypes = [*others, array.dtype.str]
        np.save(file, shorter.astype(rng.choice(dtypes)))
        content = file.getvalue()
    return bytes(content)


def by_a_stranger(content, rng):
    """A file with something wrong in it, and with right checksums."""
    parts = members(content)
    if rng.random() < 0.4:
        parts["meta.json"] = json.dumps(mutated_meta(json.loads(parts["meta.json"]), rng))
        return zipped(parts)
    arrays = [name for name in parts if name.endswith(".npy")]
    name = arrays[rng.integers(len(arrays))]
    if rng.random() < 0.1:
        parts[name] = parts[arrays[rng.integers(len(arrays))]]
    else:
        parts[name] = mutated_array(parts[name], rng)
    return zipped(parts)


def damaged(content, rng):
    """A file that something happened to."""
    content = bytearray(content)
    at, kind = int(rng.integers(len(content))), rng.integers(4)
    if kind == 0:
        return bytes(content[:at])
    if kind == 1:
        size = int(rng.integers(1, 64))
        content[at : at + size] = rng.bytes(min(size, len(content) - at))
    elif kind == 2:  # The ends say what lies where.
        at = int(rng.integers(min(300, len(content))))
        content[-at - 1] ^= int(rng.integers(1, 256))
    else:
        content[at] ^= 1 << int(rng.integers(8))
    return bytes(content)


def with_value(path, value):
    """A change of the JSON object of a saved `ConsensusClusterer`."""

    def change(meta):
        inner = meta["state"]
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return meta

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # Searches for a level of the tree would not end.
        (("parameters", "min_cluster_size"), float("nan")),
        (("parameters", "min_cluster_size"), 0.5),
        (("learned", "_tree", "part", 1, "_outlier_share"), 1e308),
        (("learned", "_tree", "part", 1, "_outlier_share"), -1.0),
        (("learned", "_tree", "part", 1, "n_groups"), 2**40),
        (("learned", "n_features_in_"), None),
        (("learned", "n_features_in_"), 5),
        (("learned", "n_clusters_"), 4),
        (("learned", "predict"), 1),
        (("learned", "__class__"), 1),
        (("learned", "outcome_"), None),
        (("learned", "outcome_", "part", 1, "n_known"), 9),
        (("learned", "_sklearn_output_config"), {"dict": [["transform", "os"]]}),
        (("learned", "category_names_"), ["0", "1"]),
        (("learned", "category_names_"), {"names": [0, ["a"]]}),
        (("learned", "_places"), None),
        (("learned", "_is_edited"), "x"),
        (("learned", "_layers"), {"part": ["Layers", {}]}),
    ],
)
def test_values_that_do_not_fit_are_refused(path, value, tmp_path):
    content = changed(bytes_of("ConsensusClusterer"), with_value(path, value))
    (tmp_path / "model.lq").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.lq is damaged or not a saved model"):
        lq.load(tmp_path / "model.lq")


FILES = [name for name in ESTIMATORS if type(made(name)[0]) not in OF_OTHER_FORMATS]
# Of each kind, 20,000 of all files together.
mutations = pytest.mark.parametrize("n", [30, pytest.param(1334, marks=pytest.mark.slow)])


def used(model, name):
    """Call everything: a file that was opened may give errors, but not crash."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return results(model, name)


def changed_by_people(model):
    if isinstance(model, lq.ConsensusClusterer):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.split(model.classes_[-1]).accept(model.classes_[-1]).cut(3)
            model.merge(model.classes_[-2:], into="x").predict(X_NEW)


@mutations
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_equal(name, n, tmp_path):
    whole, path = bytes_of(name), tmp_path / "model.lq"
    rng = np.random.default_rng(0)
    for i in range(n):
        path.write_bytes(damaged(whole, rng))
        try:
            model = lq.load(path)
        except ValueError as error:
            assert "model.lq" in str(error), i
            assert len(str(error)) < 800, i
        else:
            assert_equal(used(model, name), used(fitted(name), name))


@mutations
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_stranger_is_refused_or_can_be_used(name, n, tmp_path):
    whole, path = bytes_of(name), tmp_path / "model.lq"
    rng = np.random.default_rng(1)
    for i in range(n):
        path.write_bytes(by_a_stranger(whole, rng))
        try:
            model = lq.load(path)
        except ValueError as error:
            assert "model.lq" in str(error), i
            continue
        with suppress(ValueError, TypeError, IndexError, MemoryError, OverflowError):
            used(model, name)  # Values that fit together may still be of no use.
            changed_by_people(model)


def test_a_file_asks_for_no_more_memory_than_it_is_large(tmp_path):
    parts = members(bytes_of("LabelModel"))
    path = tmp_path / "model.lq"
    path.write_bytes(zipped(parts))
    with zipfile.ZipFile(path, "a") as archive:
        info = archive.getinfo("0.npy")
        # Many members whose bytes are the same ones.
        archive.filelist += [info] * 10_000
        archive._didModify = True
    with pytest.raises(ValueError, match="larger than the file"):
        lq.load(path)


# Interrupted.

SAVE = """
import sys
import labelquorum as lq
model = lq.load(sys.argv[1])
print("ready", flush=True)
while True:
    model.save(sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_killed_while_it_saves_leaves_a_whole_file(tmp_path):
    source, path = tmp_path / "source.lq", tmp_path / "model.lq"
    model = fitted("ConsensusClusterer, names")
    model.save(source)
    model.save(path)
    rng = np.random.default_rng(0)
    for _ in range(3):
        command = [sys.executable, "-c", SAVE, str(source), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        for _ in range(1 + int(rng.integers(3))):
            time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        np.testing.assert_array_equal(lq.load(path).labels_, model.labels_)
    model.save(path)  # It removes what the killed ones left.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.lq", "source.lq"]


if __name__ == "__main__":
    write_example(DATA / "model-1.lq")
    example = lq.load(DATA / "model-1.lq")
    expected = {"labels": example.labels_.tolist(), "predicted": example.predict(X_NEW).tolist()}
    (DATA / "model-1.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")
