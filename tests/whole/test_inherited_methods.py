"""What estimators inherit, and the ways in that scikit-learn, joblib and notebooks use.

All estimators go through all ways, and each way gives what the direct call gives.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, TransformerMixin, clone
from sklearn.cluster import DBSCAN
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import labelquorum as lq
from estimators import (
    CLASSES,
    CLUSTERS,
    ESTIMATORS,
    GROUPS,
    KINDS,
    PARTITIONS,
    SETS,
    TEXTS,
    X_NEW,
    Y_NAMES,
    X,
    Y,
    assert_equal,
    consensus,
    direct,
    every_classifier,
    every_estimator,
    fitted,
    graph,
    made,
    new_samples,
    results,
)


@pytest.fixture(autouse=True)
def one_thread_of_torch():
    """Small products are faster on one thread."""
    torch = sys.modules.get("torch")
    n_threads = torch and torch.get_num_threads()
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(n_threads)


# Methods.


@every_estimator
def test_methods_of_scikit_learn_are_those_that_are_known_to_be_right(name):
    model = made(name)[0]
    of_mixins = {
        method
        for method, _ in inspect.getmembers(type(model), callable)
        if not method.startswith("_")
        and not method.endswith("_request")
        and next(base for base in type(model).__mro__ if method in vars(base)).__module__[:8]
        == "sklearn."
    }
    expected = {"get_metadata_routing", "get_params", "set_params"}
    if isinstance(model, TransformerMixin):
        expected |= {"get_feature_names_out"}
    if name in ("ClusteringHeads", "Kingdra", "LadderIM"):
        expected |= {"fit_predict"}  # It ignores y, as their `fit` does.
    assert of_mixins == expected


@every_estimator
def test_only_keyword_arguments_are_metadata_to_route(name):
    model = made(name)[0]
    requests = model.get_metadata_routing()
    expected = {"fit": set(), "predict": set(), "score": set()}
    if isinstance(model, lq.ConsensusClusterer):
        expected |= {"fit": {"groups", "origins", "partitions", "votes"}}
        expected |= {"predict": {"reject_level"}}
    if isinstance(model, lq.RepresentativeSampler):
        expected["fit"] = {"partition"}
    if "SetClusterer" in name:
        expected |= {"fit": {"categories", "groups", "pairs"}, "predict": {"groups", "pairs"}}
    if isinstance(model, ClassifierMixin):
        expected["score"] = {"sample_weight"}
    for method, names in expected.items():
        assert set(getattr(requests, method).requests) == names
        assert hasattr(model, f"set_{method}_request") == bool(names)


@pytest.mark.parametrize("y", [None, Y, Y_NAMES, Y.tolist()], ids=["none", "int", "str", "list"])
@pytest.mark.parametrize(
    "rest", [{}, {"groups": GROUPS}, {"partitions": PARTITIONS}], ids=["", "groups", "partitions"]
)
def test_fit_predict_equals_fit(y, rest):
    expected = consensus().fit(X, y, **rest).labels_
    assert_equal(consensus().fit_predict(X, y, **rest), expected)
    pipeline = make_pipeline(FunctionTransformer(), consensus())
    prefixed = {f"consensusclusterer__{name}": value for name, value in rest.items()}
    assert_equal(pipeline.fit_predict(X, y, **prefixed), expected)
    assert_equal(Pipeline([("only", consensus())]).fit_predict(X, y), consensus().fit(X, y).labels_)


def test_known_labels_stay_in_fit_predict():
    y = np.full(60, -1)
    y[:9] = CLASSES[:9] * 10
    assert consensus().fit_predict(X, y)[:9].tolist() == y[:9].tolist()


@pytest.mark.deep
@pytest.mark.parametrize("name", ["ClusteringHeads", "Kingdra", "LadderIM"])
def test_fit_predict_of_deep_clusterers_equals_fit(name):
    assert_equal(made(name)[0].fit_predict(X, Y), direct(name)["labels_"])


def test_fit_predict_of_dask_equals_fit_in_memory():
    da = pytest.importorskip("dask.array")
    import labelquorum.dask

    model = labelquorum.dask.ConsensusClusterer(3, n_partitions=6, random_state=0)
    labels = model.fit_predict(da.from_array(X, chunks=(25, 4)), Y)
    np.testing.assert_array_equal(labels.compute(), direct("ConsensusClusterer")["labels_"])


def test_keyword_arguments_are_routed():
    expected = consensus().fit(X, Y, groups=GROUPS, partitions=PARTITIONS).labels_
    rest = {"groups": GROUPS, "partitions": PARTITIONS}
    with sklearn.config_context(enable_metadata_routing=True):
        clusterer = consensus().set_fit_request(groups=True, partitions=True)
        pipeline = make_pipeline(FunctionTransformer(), clusterer)
        assert_equal(pipeline.fit_predict(X, Y, **rest), expected)
        assert_equal(pipeline.fit(X, Y, **rest)[-1].labels_, expected)
        search = GridSearchCV(
            pipeline,
            {"consensusclusterer__pseudo_share": [0.5]},
            scoring=lambda model, samples, y: (model.predict(samples) == y)[y >= 0].mean(),
            cv=2,
        )
        assert search.fit(X, Y, **rest).best_score_ > 0.9
        sampler = lq.RepresentativeSampler(3, random_state=0).set_fit_request(partition=True)
        chosen = make_pipeline(sampler).fit(X, partition=CLASSES)[-1].indices_
        assert_equal(chosen, clone(sampler).fit(X, partition=CLASSES).indices_)
        sets = made("PairwiseSetClusterer")[0].set_fit_request(categories=True)
        of_pipeline = make_pipeline(sets).fit(SETS, CLUSTERS, categories=KINDS)
        assert_equal(of_pipeline.predict(SETS), fitted("PairwiseSetClusterer").predict(SETS))
        assert make_pipeline(made("KeywordLabeler")[0]).fit(TEXTS).predict(TEXTS)[0] is None


@every_classifier
@pytest.mark.parametrize("truth", ["integers", "names"])
def test_score_is_the_accuracy_on_the_samples_with_a_label(name, truth):
    y = Y if truth == "integers" else Y_NAMES
    model = made(name)[0].fit(X, y)
    has_label = Y >= 0
    wrong = np.roll(y, 1)
    for labels in (y, wrong, wrong.tolist()):
        labels_array = np.array(labels, dtype=y.dtype)
        known = (labels_array != -1) & (labels_array != None)  # noqa: E711
        expected = (model.predict(X) == labels_array)[known].mean()
        assert model.score(X, labels) == pytest.approx(expected)
    weights = np.arange(60.0)
    expected = np.average((model.predict(X) == y)[has_label], weights=weights[has_label])
    assert model.score(X, y, weights) == pytest.approx(expected)
    assert make_pipeline(FunctionTransformer(), model).score(X, y) == model.score(X, y)


def test_a_sample_without_a_predicted_label_counts_as_wrong_in_score():
    model = lq.KNNLabelPropagation(5, metric="euclidean", min_confidence=0.9, cv=2).fit(X, Y_NAMES)
    between = np.linspace(X[CLASSES == 0].mean(axis=0), X[CLASSES == 1].mean(axis=0), 20)
    predicted = model.predict(between).tolist()
    assert predicted.count(None) > 0
    assert model.score(between, ["ant"] * 20) == predicted.count("ant") / 20


@every_classifier
def test_cross_validation_takes_samples_without_a_label(name):
    model = made(name)[0]
    if name == "LabelPropagation":
        model.set_params(graph=None)  # It would have to fit each part of the samples.
    # A stratified split needs labels that can be sorted, so not names and None.
    for y, cv in ((Y, 3), (Y_NAMES, KFold(3))):
        scores = cross_val_score(model, X, y, cv=cv, error_score="raise")
        search = GridSearchCV(model, {"verbose": [False]}, cv=cv, error_score="raise").fit(X, y)
        assert search.best_score_ == pytest.approx(scores.mean())
        assert search.score(X, y) == clone(model).fit(X, y).score(X, y)
        assert len(cross_val_predict(model, X, y, cv=cv)) == len(X)
        assert name == "LadderClassifier" or scores.mean() > 0.9


# Copies.

WAYS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: pickle.loads(
        pytest.importorskip("cloudpickle").dumps(model)
    ),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "joblib": lambda model, path: joblib.load(*joblib.dump(model, path)),
    "memory map": lambda model, path: joblib.load(*joblib.dump(model, path), mmap_mode="r"),
}


@every_estimator
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_equals_its_original(name, way, tmp_path):
    model = WAYS[way](fitted(name), tmp_path / "model.joblib")
    assert_equal(results(model, name), direct(name))
    assert_equal(results(clone(model).fit(*made(name)[1]), name), direct(name))
    assert_equal(results(model.fit(*made(name)[1]), name), direct(name))


def questions(sampler):
    """Go through all methods of a sampler that change it."""
    sampler.teach([0, 1, 2], [0, 1, 2]).teach_cluster(5, 1)
    sampler.forget([1])
    asked = sampler.query(5)
    sampler.teach(asked, [-1, 0, 1, 2, 0])
    return asked, sampler.query(3), sampler.predict(), sampler.precision_bound(), sampler.n_audits_


@pytest.mark.parametrize("way", WAYS)
def test_the_copy_of_a_sampler_can_be_taught(way, tmp_path):
    sampler = WAYS[way](fitted("PreClusteringSampler"), tmp_path / "model.joblib")
    expected = questions(made("PreClusteringSampler")[0].fit(X, Y))
    assert_equal(questions(sampler), expected)
    unchanged = fitted("PreClusteringSampler").predict(X_NEW)
    assert_equal(unchanged, direct("PreClusteringSampler")["predict"])


@every_estimator
def test_a_model_mapped_into_memory_can_be_saved(name, tmp_path):
    model = WAYS["memory map"](fitted(name), tmp_path / "model.joblib")
    model.save(tmp_path / "model")
    assert_equal(results(lq.load(tmp_path / "model"), name), direct(name))


@pytest.mark.slow
def test_worker_processes_and_threads_give_the_same():
    names = list(ESTIMATORS)
    # joblib hands arrays to its workers as read-only memory maps.
    of_workers = joblib.Parallel(2, max_nbytes=1)(
        joblib.delayed(_of_worker)(fitted(name), name, new_samples(name)) for name in names
    )
    for name, found in zip(names, of_workers, strict=True):
        assert_equal(found, _of_worker(copy.deepcopy(fitted(name)), name, new_samples(name)))
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _, name=name: results(fitted(name), name), range(4)):
                assert_equal(found, direct(name))


def _of_worker(model, name, new):
    if isinstance(model, lq.PreClusteringSampler):
        return model.teach([0, 1, 2], [0, 1, 2]).query(4)
    if isinstance(model, lq.NeighborSearcher):
        return model.query(new)
    if isinstance(model, lq.RepresentativeSampler):
        return model.indices_
    if isinstance(model, lq.text.TfidfEmbedder):
        return model.encode(new)
    return model.transform(new) if hasattr(model, "transform") else model.predict(new)


@every_estimator
def test_arguments_and_parameters_do_not_change(name):
    def frozen(value):
        if isinstance(value, np.ndarray):
            value = value.copy()
            value.flags.writeable = False
        elif sparse.issparse(value):
            value = value.copy()
            for part in (value.data, value.indices, value.indptr):
                part.flags.writeable = False
        elif isinstance(value, list):
            value = [frozen(item) for item in value]
        return value

    model, arguments = made(name)
    before = copy.deepcopy(model.get_params())
    model.fit(*(frozen(argument) for argument in arguments))
    assert_equal(results(model, name), direct(name))
    assert repr(before) == repr(model.get_params())


OTHER_PARAMETERS = {
    "S3VM": {"kernel": "rbf", "random_state": 0},
    "S3VM, rbf": {"kernel": "linear"},
    "ConsensusClusterer, classifier": {"classifier": None},
    "KeywordLabeler": {"rules": {"b": ["cat"]}},
    "LabelPropagation": {"graph": None},
}


@every_estimator
def test_a_second_fit_leaves_nothing_of_the_first(name):
    pd = pytest.importorskip("pandas")
    model, (first, *rest) = made(name)
    samples = pd.DataFrame(X, columns=list("abcd")) if first is X else first
    model.fit(samples, *rest)
    results(fitted(name), name)
    other, _ = made(name)
    for estimator in (model, other):
        estimator.set_params(**OTHER_PARAMETERS.get(name, {}))
    n = 40 if len(rest) < 2 else 8
    arguments = [value[:n] for value in (first, *rest)]
    model.fit(*arguments)
    other.fit(*arguments)
    assert vars(model).keys() == vars(other).keys()
    assert_equal(results(model, name), results(other, name))


def test_a_fit_without_samples_forgets_the_features_of_an_earlier_one():
    model = lq.LabelSpreading().fit(X, Y).set_params(graph=graph()).fit(None, Y)
    assert not hasattr(model, "n_features_in_")


# Settings of scikit-learn.

SETTINGS = [
    {"transform_output": "pandas"},
    {"transform_output": "polars"},
    {"enable_metadata_routing": True},
    {"assume_finite": True},
    {"print_changed_only": False},
]


@every_estimator
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_settings_of_scikit_learn_change_nothing(name, setting):
    pytest.importorskip(setting.get("transform_output", "numpy"))
    model, arguments = made(name)
    with sklearn.config_context(**setting):
        model.fit(*arguments)
        assert_equal(results(model, name), direct(name))
        assert_equal(results(fitted(name), name), direct(name))
    assert_equal(results(model, name), direct(name))


def test_the_graph_of_neighbors_stays_sparse():
    pytest.importorskip("pandas")
    pipeline = make_pipeline(
        StandardScaler(), lq.KNeighborsTransformer(), DBSCAN(metric="precomputed")
    )
    expected = pipeline.fit_predict(X)
    with sklearn.config_context(transform_output="pandas"):
        assert_equal(clone(pipeline).fit_predict(X), expected)
    assert_equal(pipeline.set_output(transform="default").fit_predict(X), expected)
    with pytest.raises(ValueError, match="transform must be 'default', got 'pandas': the graph is"):
        pipeline.set_output(transform="pandas")


def test_a_pipeline_that_maps_its_cache_gives_the_same(tmp_path):
    steps = [StandardScaler(), lq.KNeighborsTransformer(), DBSCAN(metric="precomputed")]
    memory = joblib.Memory(tmp_path, mmap_mode="r", verbose=0)
    expected = make_pipeline(*steps).fit_predict(X)
    for _ in range(2):
        assert_equal(make_pipeline(*steps, memory=memory).fit_predict(X), expected)


@every_estimator
def test_features_have_to_be_in_the_order_of_fit(name):
    pd = pytest.importorskip("pandas")
    model, (first, *rest) = made(name)
    if first is not X:
        pytest.skip("takes no data frame")
    model.fit(pd.DataFrame(X, columns=list("abcd")), *rest)
    other = pd.DataFrame(X, columns=list("abdc"))
    methods = {"predict", "predict_proba", "decision_function", "transform", "novelty"}
    methods |= {"query"} if isinstance(model, lq.NeighborSearcher) else set()
    for method in filter(lambda method: hasattr(model, method), sorted(methods)):
        with pytest.raises(ValueError, match="must be in the same order"):
            getattr(model, method)(other)
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            getattr(model, method)(X)


def test_nested_parameters_are_set():
    model = consensus(classifier=LogisticRegression()).set_params(classifier__C=0.25)
    assert model.get_params()["classifier__C"] == 0.25
    sets = lq.PairwiseSetClusterer(LogisticRegression()).set_params(classifier__C=0.25)
    assert clone(sets).classifier.C == 0.25


# Notebooks.


def look_at(model):
    """Do what notebooks and consoles do with a value."""
    inspect.getmembers(model)
    for name in dir(model):
        hasattr(model, name)
    assert repr(model)
    bundle = model._repr_mimebundle_()
    assert type(model).__name__ in bundle["text/plain"]
    assert type(model).__name__ in model._repr_html_()
    return bundle


@every_estimator
def test_all_attributes_of_a_model_can_be_looked_at(name):
    look_at(made(name)[0])
    look_at(fitted(name))


def test_a_sampler_without_labels_can_be_looked_at():
    look_at(lq.PreClusteringSampler(5).fit(X))


WITHOUT_PANDAS = """
import sys

class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("jinja2", "pandas", "polars", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
sys.path[:0] = sys.argv[1:]
import test_inherited_methods as tests

for name in tests.ESTIMATORS:
    tests.look_at(tests.fitted(name))
for name in ("ConsensusClusterer", "ConsensusClusterer, names"):
    model = tests.fitted(name)
    table = model.category_table_
    assert table["category"].tolist() == model.classes_.tolist()
    assert table["size"].sum() == len(tests.X)
    assert "category_table_" in model._repr_html_() or tests.sklearn.__version__ < "1.9"
assert "pandas" not in sys.modules
print("done")
"""


def test_models_can_be_looked_at_without_optional_packages():
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_PANDAS, *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "done", run.stderr


def test_every_estimator_is_in_the_matrix():
    public = {getattr(lq, name) for name in lq.__all__} | {
        lq.text.KeywordLabeler,
        lq.text.TfidfEmbedder,
    }
    estimators = {
        value for value in public if isinstance(value, type) and issubclass(value, BaseEstimator)
    }
    assert estimators == {type(made(name)[0]) for name in ESTIMATORS}
    for estimator in estimators:
        assert not (issubclass(estimator, ClusterMixin) and issubclass(estimator, ClassifierMixin))
