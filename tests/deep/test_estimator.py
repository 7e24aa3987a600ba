"""What all deep estimators of features have in common: input, parameters, saved models."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse

import labelquorum as lq

pytest.importorskip("safetensors.torch")

from deep_settings import ENSEMBLE, SMALL
from labelquorum.deep import Kingdra, LadderClassifier, LadderIM
from labelquorum.deep import estimator as estimator_module

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("form", ["csr", "float64", "list of integers", "frame", "tensor"])
def test_other_forms_of_features_give_the_same(three_blobs, form):
    X = np.round(three_blobs[0] * 4)
    # Base partitions of a sparse X differ: they see fewer columns.
    settings = SMALL | {"n_steps": 30, "n_partitions": 0 if form == "csr" else 4}
    expected = LadderIM(3, **settings).fit(X).predict_proba(X)
    if form == "csr":
        X = scipy.sparse.csr_matrix(X)
    elif form == "float64":
        X = X.astype(np.float64)
    elif form == "frame":
        X = pytest.importorskip("pandas").DataFrame(X).convert_dtypes()
    elif form == "tensor":
        X = pytest.importorskip("torch").tensor(X, requires_grad=True)
    else:
        X = X.astype(np.int64).tolist()
    probabilities = LadderIM(3, **settings).fit(X).predict_proba(X)
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


def test_the_prediction_for_a_sample_does_not_depend_on_others(three_blobs):
    X, _ = three_blobs
    model = Kingdra(3, **ENSEMBLE).fit(X)
    probabilities = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X[17:18]), probabilities[17:18])
    np.testing.assert_array_equal(model.predict_proba(X[::-1]), probabilities[::-1])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.labels_, probabilities.argmax(axis=1))


def test_partitions_are_computed_once(three_blobs, tmp_path, monkeypatch):
    X, _ = three_blobs
    returned = []

    def recording(*args, **options):
        returned.append(lq.base_partitions(*args, **options))
        return returned[-1]

    monkeypatch.setattr(estimator_module, "base_partitions", recording)
    settings = SMALL | {"n_steps": 3}
    first = LadderIM(3, directory=tmp_path, **settings).fit(X)
    again = LadderIM(3, directory=tmp_path, **settings).fit(X)
    np.testing.assert_array_equal(returned[0], returned[1])
    assert list((tmp_path / "partitions").iterdir())
    np.testing.assert_array_equal(first.labels_, again.labels_)
    np.testing.assert_array_equal(first.labels_, LadderIM(3, **settings).fit(X).labels_)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "clusterer", "ensemble"])
def test_a_saved_model_predicts_the_same(three_blobs, tmp_path, kind):
    X, y = three_blobs
    if kind == "classifier":
        names = np.where(np.arange(len(X)) < 30, np.array(["a", "b", "c"])[y], None)
        model = LadderClassifier(**SMALL, n_steps=20).fit(X, names)
    elif kind == "clusterer":
        model = LadderIM(3, **SMALL, n_steps=20).fit(X)
    else:
        model = Kingdra(3, **ENSEMBLE).fit(X)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for copy in (type(model).load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(copy.predict(X), model.predict(X))
        for name in ("labels_", "pseudo_labels_", "transduction_", "history_", "n_features_in_"):
            if hasattr(model, name):
                np.testing.assert_array_equal(getattr(copy, name), getattr(model, name))
    assert type(model).load(path).get_params() == model.get_params()
    other, name = (LadderIM if kind != "clusterer" else Kingdra), type(model).__name__
    with pytest.raises(ValueError, match=f"must hold a saved {other.__name__}, got {name}"):
        other.load(path)


def test_a_model_with_a_generator_is_not_saved(three_blobs, tmp_path):
    model = LadderIM(3, **SMALL | {"random_state": np.random.RandomState(0)}, n_steps=5)
    with pytest.raises(TypeError, match="random_state must be None or an int to save the model"):
        model.fit(three_blobs[0]).save(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 301}, ValueError, "n_clusters must be at most .* 300, got 301"),
        ({"loss": "none"}, ValueError, "loss must be 'information' or 'dot', got 'none'"),
        ({"mu": -1}, ValueError, "mu must be a number of at least 0, got -1"),
        ({"n_partitions": -1}, ValueError, "n_partitions must be an integer of at least 1, got -1"),
        ({"labeled_batch_size": 0}, ValueError, "labeled_batch_size must be.* got 0"),
        ({"hidden": (16, 0)}, ValueError, r"hidden\[1\] must be an integer of at least 1, got 0"),
        ({"noise": -0.1}, ValueError, r"noise must be a number of at least 0, got -0\.1"),
        ({"denoising_costs": (1, 1)}, ValueError, "denoising_costs must hold 4 .* got 2"),
        ({"denoising_costs": (1, -1, 0, 0)}, ValueError, r"denoising_costs\[1\] must be.* got -1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number above 0, got 0"),
        ({"n_steps": 0}, ValueError, "n_steps must be an integer of at least 1, got 0"),
        ({"n_steps": 1.5}, TypeError, r"n_steps must be.* got 1\.5 \(float\)"),
        ({"n_networks": 0}, ValueError, "n_networks must be an integer of at least 1, got 0"),
        ({"n_rounds": 1.5}, TypeError, r"n_rounds must be.* got 1\.5 \(float\)"),
        ({"n_rounds": -1}, ValueError, "n_rounds must be an integer of at least 1, got -1"),
        ({"min_confidence": -1}, ValueError, "min_confidence must be.* got -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"directory": "x", "random_state": None}, ValueError, "must be an int .* got None"),
    ],
)
def test_bad_parameters_are_named(three_blobs, change, error, message):
    with pytest.raises(error, match=message):
        Kingdra(**{"n_clusters": 3} | ENSEMBLE | change).fit(three_blobs[0])
