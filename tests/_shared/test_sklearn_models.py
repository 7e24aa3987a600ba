"""Models of scikit-learn predict the same again; changed ones are refused before they run."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from labelquorum._shared.encoding import Decoder, Encoder
from labelquorum._shared.sklearn_models import kind_of, learned_by, restored

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
MISSING = np.where(RNG.random(X.shape) < 0.1, np.nan, X)


def boosting(**settings):
    return HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3, **settings)


CASES = {
    "logistic": lambda: LogisticRegression(C=0.3).fit(X, Y),
    "two classes": lambda: LogisticRegression().fit(X, Y > 0),
    "names": lambda: LogisticRegression().fit(X, np.array(["a", "b", "c"])[Y]),
    "weights": lambda: LogisticRegression(class_weight={0: 2.0, 1: 1.0, 2: 3.0}).fit(X, Y),
    "linear": lambda: LinearSVC(random_state=0).fit(X, Y),
    "scaler": lambda: StandardScaler(with_mean=False).fit(X),
    "output": lambda: StandardScaler().set_output(transform="default").fit(X),
    "kernel": lambda: Nystroem(n_components=20, random_state=0).fit(X),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    "trees": lambda: boosting(random_state=0, learning_rate=0.3).fit(X, Y),
    "two trees": lambda: boosting().fit(X, Y > 0),
    "missing values": lambda: boosting().fit(MISSING, Y),
    "named classes": lambda: boosting(early_stopping=True).fit(X, np.array(["a", "b", "c"])[Y]),
}


def again(model):
    encoder = Encoder(())
    tree = encoder.encode(model, "model")
    return Decoder((), encoder.arrays.__getitem__).decode(tree)


@pytest.mark.parametrize("case", CASES)
def test_models_predict_the_same_again(case):
    model = CASES[case]()
    found = again(model)
    assert type(found) is type(model)
    rows = np.where(RNG.random(X.shape) < 0.1, np.nan, X) if case == "missing values" else X
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, method):
            expected = getattr(model, method)(rows)
            np.testing.assert_array_equal(getattr(found, method)(rows), expected)
    if case != "pipeline":
        assert found.get_params() == model.get_params()
    assert found.n_features_in_ == 3
    again(found)


def test_what_is_not_fitted_stays_so():
    for model in (LogisticRegression(C=3), boosting(), make_pipeline(StandardScaler())):
        found = again(model)
        assert not [name for name in vars(found) if name.endswith("_")]


def test_only_the_classes_of_the_list_are_known():
    class LogisticRegression(RandomForestClassifier):
        pass

    assert kind_of(LogisticRegression()) is None
    assert kind_of(RandomForestClassifier()) is None
    assert kind_of("KMeans") is None


def test_features_of_categories_are_refused():
    model = boosting(categorical_features=[0]).fit(np.round(X).clip(0, 3), Y)
    with pytest.raises(TypeError, match=r"^model must have no features of categories"):
        Encoder(()).encode(model, "model")


def changed_tree(name, place, value):
    model = CASES["trees"]()
    parameters, learned = learned_by(model)
    columns = {key: column.copy() for key, column in learned["trees"].items()}
    columns[name][place] = value
    return parameters, learned | {"trees": columns}


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("left", 0, 0),  # a circle
        ("left", 0, 10**6),
        ("right", 0, 2**32 - 1),
        ("feature_idx", 0, 3),
        ("feature_idx", 0, -1),
        ("is_categorical", 1, 1),
        ("is_leaf", 0, 2),
        ("is_leaf", -1, 0),  # a leaf that becomes a node without children
        ("missing_go_to_left", 0, 7),
        ("value", 1, np.nan),
        ("num_threshold", 0, np.nan),
        ("n_nodes", 0, 0),
        ("n_nodes", 0, 10**9),
        ("n_nodes", 0, -5),
    ],
)
def test_trees_that_lead_out_of_themselves_are_refused(name, place, value):
    with pytest.raises(ValueError, match="must"):
        restored("HistGradientBoostingClassifier", *changed_tree(name, place, value))


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("trees", {"classes_": np.arange(2)}),
        ("trees", {"classes_": np.zeros(3, int)}),
        ("trees", {"classes_": np.arange(3.0)}),
        ("trees", {"baseline": np.zeros((1, 2))}),
        ("trees", {"n_features_in_": 1}),
        ("trees", {"fit": 1}),
        ("logistic", {"coef_": np.zeros((3, 2))}),
        ("logistic", {"coef_": np.zeros((2, 3))}),
        ("logistic", {"intercept_": np.zeros(2)}),
        ("logistic", {"predict": 1}),
        ("scaler", {"scale_": np.zeros(2)}),
        ("output", {"_sklearn_output_config": {"transform": "os.system"}}),
        ("kernel", {"normalization_": np.zeros((20, 19))}),
        ("kernel", {"components_": np.zeros((20, 4))}),
    ],
)
def test_parts_that_do_not_fit_are_refused(case, change):
    model = CASES[case]()
    parameters, learned = learned_by(model)
    with pytest.raises((ValueError, TypeError)):
        restored(type(model).__name__, parameters, learned | change)
