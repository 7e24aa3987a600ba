"""Clustering heads: their loss beside NumPy and the compiled heads; what an estimator promises."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.special import erf, log_softmax
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum import _core
from labelquorum._shared.frame import unit_rows
from labelquorum.clustering.heads import train_heads

pytest.importorskip("safetensors.torch")

import torch

from labelquorum.deep import ClusteringHeads
from labelquorum.deep.checkpoints import read, write
from labelquorum.deep.networks import HeadEnsemble
from labelquorum.deep.training import Loss, Schedule, Training

pytestmark = pytest.mark.deep

CPU = torch.device("cpu")
QUICK = {"hidden": (16,), "n_heads": 4, "n_steps": 60, "batch_size": 100, "random_state": 0}


def naive_logits(x, layers, m, temperature):
    """Logits of the rows x by head m, in double precision."""
    *hidden, clusters = [layer.detach().numpy()[m].astype(np.float64) for layer in layers]
    for weights, shift in zip(hidden[::2], hidden[1::2], strict=True):
        x = x @ weights + shift
        x = x * (1 + erf(x / np.sqrt(2))) / 2
    if hidden:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ (clusters / np.linalg.norm(clusters, axis=0)) / temperature


def naive_loss(log_p, log_q, sizes):
    """The mean loss of pairs; log_p and log_q have shape (2, n_pairs, n_clusters)."""
    p, q = np.exp(log_p), np.exp(log_q)
    weights = (q[0] * q[1]).sum(axis=1)
    total = 0.0
    for a, b in ((p[0], q[1]), (p[1], q[0])):
        total -= (weights * np.log(((a * b) ** 0.6 / sizes).sum(axis=1))).mean() / 2
    return total


@pytest.mark.parametrize("hidden", [(), (7,), (7, 6)])
def test_the_loss_is_that_of_numpy(hidden):
    rng = np.random.default_rng(0)
    heads = HeadEnsemble((5, *hidden, 4), [1, 2], CPU, temperature=0.2)
    with torch.no_grad():
        for layer in heads.layers:
            layer += 0.3 * torch.from_numpy(rng.normal(size=layer.shape)).float()
    sizes = rng.dirichlet(np.ones(4), size=2)
    heads.sizes.copy_(torch.from_numpy(sizes))
    slow = [0.98 * a + 0.02 * b for a, b in zip(heads.slow_layers, heads.layers, strict=True)]
    x = unit_rows(rng.normal(size=(2, 12, 5)).reshape(24, 5)).reshape(2, 12, 5)
    outputs = heads(torch.from_numpy(x).float(), [], 6)
    total = 0.0
    for m in range(2):
        log_p, log_q = (
            log_softmax(naive_logits(x[m], layers, m, 0.2), axis=1).reshape(2, 6, 4)
            for layers in (heads.layers, slow)
        )
        total += naive_loss(log_p, log_q, sizes[m])
        expected = 0.9 * sizes[m] + 0.1 * np.exp(log_q).mean(axis=(0, 1))
        np.testing.assert_allclose(heads.sizes[m], expected, rtol=1e-4)
    assert outputs.cost.item() == pytest.approx(total, rel=1e-4)
    with torch.no_grad():
        logits = heads.logits(torch.from_numpy(x[0]).float())[1]
    np.testing.assert_allclose(logits, naive_logits(x[0], slow, 1, 0.2), rtol=1e-3, atol=1e-4)


def test_the_loss_of_linear_heads_is_that_of_the_compiled_ones():
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(2, 9)).astype(np.float32))
    # Two rows make one pair, so there is nothing to draw; a single step, of the initial weights.
    expected = train_heads(
        rows, np.array([[1], [0]]), 4, n_heads=3, n_passes=1, seed=5, n_threads=1
    ).losses
    weights = np.random.default_rng(5).standard_normal((3, 4, 9), dtype=np.float32)
    is_byte = _core.instruction_set() in ("avx512_bf16", "amx")
    for m in range(3):
        head = HeadEnsemble((9, 4), [0], CPU, temperature=0.05)
        for layers in (head.layers, head.slow_layers):
            layers[0].data[0] = torch.from_numpy(weights[m].T)
        cost = head(torch.from_numpy(rows)[None], [], 1).cost.item()
        assert cost == pytest.approx(expected[m], rel=0.05 if is_byte else 1e-4)


def test_each_sample_is_paired_with_one_of_its_neighbors():
    class Recording(HeadEnsemble):
        def forward(self, x, noise, n_clean):
            seen.append(x[..., 0].long())
            return super().forward(x, noise, n_clean)

    seen = []
    X = torch.arange(1.0, 21.0)[:, None]
    neighbors = torch.stack([(torch.arange(20) + step) % 20 for step in (3, 7)], dim=1)
    heads = Recording((1, 3), [1, 2], CPU, temperature=0.1)
    training = Training(heads, X, Loss(None, 0.0), n_steps=40, neighbors=neighbors)
    training.train(None, Schedule(40, 10, 0, 0.01))
    first, second = torch.cat([x.reshape(2, 2, 10) for x in seen], dim=2).unbind(1)
    steps = (second - first) % 20
    assert sorted(set(steps.flatten().tolist())) == [3, 7]
    assert not torch.equal(steps[0], steps[1])
    assert all(torch.equal(torch.bincount(row)[1:], torch.full((20,), 20)) for row in first)


def test_a_head_becomes_the_same_alone(three_blobs, exact):
    X = torch.nn.functional.normalize(torch.from_numpy(three_blobs[0]), dim=1)
    neighbors = torch.from_numpy(lq.kneighbors(X.numpy(), 5)[1])

    def trained(seeds):
        heads = HeadEnsemble((8, 6, 3), seeds, CPU, temperature=0.1)
        training = Training(heads, X, Loss(None, 0.0), n_steps=10, neighbors=neighbors)
        training.train(None, Schedule(10, 40, 0, 0.01))
        return heads

    together = trained([4, 5, 6])
    for m, seed in enumerate([4, 5, 6]):
        for name, tensor in trained([seed]).state_dict().items():
            torch.testing.assert_close(
                together.state_dict()[name][m], tensor[0], rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("hidden, temperature", [((16,), 0.1), ((), 0.05), ((16, 8), 0.1)], ids=str)
def test_heads_find_three_blobs(three_blobs, hidden, temperature):
    X, y = three_blobs
    settings = QUICK | {"hidden": hidden, "temperature": temperature, "n_heads": 7}
    model = ClusteringHeads(3, **settings).fit(X)
    assert lq.clustering_accuracy(y, model.labels_) > 0.95
    assert model.partitions_.shape == (300, 7)
    assert model.partitions_.dtype == model.labels_.dtype == np.int32
    assert model.losses_.shape == (7,)
    np.testing.assert_array_equal(model.labels_, lq.consensus(model.partitions_, 3))
    scores = [lq.clustering_accuracy(y, partition) for partition in model.partitions_.T]
    assert scores[model.losses_.argmin()] > 0.95


def test_losses_are_those_of_all_pairs(three_blobs, exact):
    X, _ = three_blobs
    model = ClusteringHeads(3, **QUICK).fit(X)
    rows = unit_rows(X - X.mean(axis=0))
    neighbors = lq.kneighbors(rows, 25, metric="cosine")[1]
    q = model._probabilities(X).astype(np.float64)
    for m in range(4):
        pairs = np.log([q[m].repeat(25, axis=0), q[m][neighbors.ravel()]])
        expected = naive_loss(pairs, pairs, q[m].mean(axis=0))
        assert model.losses_[m] == pytest.approx(expected, rel=1e-3)


def test_new_samples_get_the_label_of_those_like_them(three_blobs):
    X, _ = three_blobs
    model = ClusteringHeads(3, **QUICK).fit(X[:200])
    assert (model.predict(X[:200]) == model.labels_).mean() > 0.98
    probabilities = model.predict_proba(X[200:])
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    labels = model.predict(X[200:])
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    assert lq.clustering_accuracy(three_blobs[1][200:], labels) > 0.95


def test_the_seed_determines_the_result(three_blobs):
    X, _ = three_blobs
    model = ClusteringHeads(3, **QUICK)
    first, again = (clone(model).fit(X) for _ in range(2))
    assert first.losses_.tobytes() == again.losses_.tobytes()
    assert first.partitions_.tobytes() == again.partitions_.tobytes()
    other = clone(model).set_params(random_state=1).fit(X)
    assert first.losses_.tobytes() != other.losses_.tobytes()
    np.testing.assert_array_equal(clone(model).fit_predict(X), first.labels_)


def test_votes_of_heads_go_into_the_consensus(three_blobs):
    X, y = three_blobs
    partitions = ClusteringHeads(3, **QUICK).fit(X).partitions_
    model = lq.ConsensusClusterer(3, random_state=0).fit(X, partitions=partitions)
    assert lq.clustering_accuracy(y, model.labels_) > 0.95


def test_a_saved_model_predicts_the_same(three_blobs, tmp_path):
    X, _ = three_blobs
    model = ClusteringHeads(3, **QUICK | {"n_steps": 10}).fit(X)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for copy in (ClusteringHeads.load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
        for name in ("labels_", "partitions_", "losses_", "n_features_in_"):
            np.testing.assert_array_equal(getattr(copy, name), getattr(model, name))
            assert type(getattr(copy, name)) is type(getattr(model, name))
    assert ClusteringHeads.load(path).get_params() == model.get_params()


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, tensors: facts["parameters"].update(hidden=[2**20, 2**20]),
        lambda facts, tensors: facts["parameters"].update(n_heads=5),
        lambda facts, tensors: facts.update(seeds=facts["seeds"][1:]),
        lambda facts, tensors: facts.update(losses_=[0.5]),
        lambda facts, tensors: facts.update(losses_=[0.5, 0.5, 0.5, float("nan")]),
        lambda facts, tensors: facts.pop("losses_"),
        lambda facts, tensors: tensors.update(labels_=tensors["labels_"] - 1),
        lambda facts, tensors: tensors.update(partitions_=tensors["partitions_"][1:]),
        lambda facts, tensors: tensors.update(partitions_=tensors["partitions_"] - 3),
        lambda facts, tensors: tensors.pop("network/layers.0"),
    ],
)
def test_a_model_with_values_out_of_range_is_refused(three_blobs, tmp_path, change):
    path = tmp_path / "crafted.safetensors"
    ClusteringHeads(3, **QUICK | {"n_steps": 2}).fit(three_blobs[0]).save(path)
    facts, tensors = read(path)
    del facts["version"]
    change(facts, tensors)
    write(path, facts, tensors)
    with pytest.raises(ValueError, match=r"crafted\.safetensors is damaged or not a saved Clust"):
        ClusteringHeads.load(path)


class StoppedError(Exception):
    """What stops a fit between two steps."""


def test_an_interrupted_fit_resumes(three_blobs, tmp_path, monkeypatch):
    X, _ = three_blobs
    model = ClusteringHeads(3, **QUICK, directory=tmp_path)
    uninterrupted = clone(model).set_params(directory=None).fit(X)
    take_steps = Training._take_steps

    def stopping(training, begin, *rest):
        if begin > 0:
            raise StoppedError
        return take_steps(training, begin, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("labelquorum.deep.training._SECONDS_PER_CHECKPOINT", 0)
        patch.setattr(Training, "_take_steps", stopping)
        with pytest.raises(StoppedError):
            clone(model).fit(X)
    for resumed in (clone(model).fit(X), clone(model).fit(X)):
        np.testing.assert_array_equal(resumed.losses_, uninterrupted.losses_)
        np.testing.assert_array_equal(resumed.labels_, uninterrupted.labels_)


@pytest.mark.parametrize("kind", ["equal", "two points", "with zeros", "two rows", "far away"])
@pytest.mark.parametrize("hidden", [(), (4,)], ids=str)
def test_odd_samples_are_clustered(kind, hidden):
    X = np.random.default_rng(0).normal(size=(40, 3))
    if kind == "equal":
        X[:] = X[0]
    elif kind == "two points":
        X[:20], X[20:] = X[0], X[-1]
    elif kind == "with zeros":
        X = np.where(np.arange(40)[:, None] < 30, 0, X)
    elif kind == "two rows":
        X = X[:2]
    else:
        X = X * 1e149
    n_clusters = min(3, len(X))
    model = ClusteringHeads(n_clusters, **QUICK | {"hidden": hidden, "n_steps": 20}).fit(X)
    assert np.isfinite(model.losses_).all()
    assert 0 <= model.labels_.min() <= model.labels_.max() < n_clusters
    assert np.isfinite(model.predict_proba(X)).all()
    if kind in ("equal", "two points"):
        assert len(set(model.labels_)) <= len(np.unique(X, axis=0))


def test_one_cluster_and_one_head():
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = ClusteringHeads(1, **QUICK | {"n_heads": 1, "n_steps": 3}).fit(X)
    assert set(model.labels_) == set(model.predict(X)) == {0}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 301}, ValueError, "n_clusters must be at most .* 300, got 301"),
        ({"n_heads": 0}, ValueError, "n_heads must be an integer of at least 1, got 0"),
        ({"n_heads": 2.5}, TypeError, r"n_heads must be.* got 2\.5 \(float\)"),
        ({"hidden": (16, 0)}, ValueError, r"hidden\[1\] must be an integer of at least 1, got 0"),
        ({"temperature": 0}, ValueError, "temperature must be a number above 0, got 0"),
        ({"temperature": -1}, ValueError, "temperature must be a number of at least 0, got -1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number above 0, got 0"),
        ({"n_steps": 0}, ValueError, "n_steps must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"directory": "x", "random_state": None}, ValueError, "must be an int .* got None"),
    ],
)
def test_bad_parameters_are_named(three_blobs, change, error, message):
    with pytest.raises(error, match=message):
        ClusteringHeads(**{"n_clusters": 3} | QUICK | change).fit(three_blobs[0])


@pytest.mark.slow
@parametrize_with_checks([ClusteringHeads(4, **QUICK | {"n_steps": 30})])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
