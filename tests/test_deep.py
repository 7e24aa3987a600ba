"""Deep models against naive versions; skipped without PyTorch."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse
from scipy.special import log_softmax, softmax
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq

pytest.importorskip("safetensors.torch")

import torch

from labelquorum.deep import Kingdra, LadderClassifier, LadderIM
from labelquorum.deep import estimator as estimator_module
from labelquorum.deep import kingdra as kingdra_module
from labelquorum.deep import losses as _losses
from labelquorum.deep import training as _training
from labelquorum.deep.checkpoints import Checkpoint
from labelquorum.deep.networks import LadderEnsemble, combine, standardized

pytestmark = pytest.mark.deep

SMALL = {"hidden": (16,), "batch_size": 50, "learning_rate": 0.01, "random_state": 0}
QUICK = SMALL | {"learning_rate": 0.02}
ENSEMBLE = SMALL | {
    "n_networks": 3,
    "n_rounds": 1,
    "n_steps": 20,
    "n_first_steps": 60,
    "labeled_batch_size": 20,
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def exact(monkeypatch):
    """Products in float32 whatever the processor has."""
    monkeypatch.setattr(_training, "precision", lambda _device: nullcontext())


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(300, centers=3, n_features=8, random_state=0)
    return X.astype(np.float32), y


def logits_of(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape)).requires_grad_()


# Gradients and values


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    clean, noisy = logits_of(rng, 2, 5, 3), logits_of(rng, 2, 5, 3)
    targets = torch.from_numpy(rng.integers(3, size=(2, 5)))
    check = torch.autograd.gradcheck
    assert check(lambda x: _losses.information(x, 4.0), clean)
    assert check(lambda x, y: _losses.dot(x, y, 4.0), (clean, noisy))
    assert check(_losses.consistency, (clean, noisy))
    assert check(lambda x: _losses.cross_entropy(x, targets), clean)
    assert check(lambda x: standardized(x, 5)[0], clean)
    assert check(lambda x: standardized(x, 3)[0], clean)
    parameters = logits_of(rng, 2, 10, 3)
    assert check(combine, (clean, noisy, parameters))


def test_losses_are_sums_over_networks_of_means_over_samples():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 6, 4)) * 2
    targets = rng.integers(4, size=(3, 6))
    p, q = softmax(a, axis=2), softmax(b, axis=2)
    information = dot = consistency = cross_entropy = 0.0
    for m in range(3):
        mean = p[m].mean(axis=0)
        information += 4 * (mean * np.log(mean)).sum()
        pairs = [p[m, i] @ p[m, j] for i in range(6) for j in range(6) if i != j]
        dot += 2 * 4 * np.mean(pairs)
        for i in range(6):
            information -= (p[m, i] * np.log(p[m, i])).sum() / 6
            dot -= p[m, i] @ q[m, i] / 6
            consistency += (p[m, i] * np.log(p[m, i] / q[m, i])).sum() / 6
            cross_entropy -= log_softmax(a[m, i])[targets[m, i]] / 6
    clean, noisy = torch.from_numpy(a), torch.from_numpy(b)
    assert _losses.information(clean, 4.0).item() == pytest.approx(information)
    assert _losses.dot(clean, noisy, 2.0).item() == pytest.approx(dot)
    assert _losses.consistency(clean, noisy).item() == pytest.approx(consistency)
    assert _losses.cross_entropy(clean, torch.from_numpy(targets)).item() == pytest.approx(
        cross_entropy
    )


def naive_ladder(network, m, x, n):
    """Logits of all rows and denoising cost of the first n, without noise, in NumPy."""

    def standard(z):
        mean, scale = z[:n].mean(axis=0), 1 / np.sqrt(z[:n].var(axis=0) + 1e-5)
        return (z - mean) * scale, mean, scale

    def own(parameter):
        return parameter.detach().numpy()[m].astype(np.float64)

    h, layers, norms = x.astype(np.float64), [x.astype(np.float64)], []
    for layer, weights in enumerate(network.up):
        z, *norm = standard(h @ own(weights))
        layers.append(z)
        norms.append(norm)
        h = z + own(network.shift[layer])
        h = np.maximum(h, 0) if layer < len(network.up) - 1 else h * own(network.scale)
    logits, cost, below = h, 0.0, softmax(h[:n], axis=1)
    if not any(network.costs):
        return logits, cost
    for layer in range(len(network.up), -1, -1):
        if layer < len(network.up):
            below = below @ own(network.down[layer])
        u = standard(below)[0]
        a = own(network.combinators[layer])
        mean = a[0] / (1 + np.exp(-(a[1] * u + a[2]))) + a[3] * u + a[4]
        trust = a[5] / (1 + np.exp(-(a[6] * u + a[7]))) + a[8] * u + a[9]
        below = (layers[layer][:n] - mean) * trust + mean
        found = below
        if layer:
            found = (below - norms[layer - 1][0]) * norms[layer - 1][1]
        cost += network.costs[layer] * np.square(found - layers[layer][:n]).sum() / n
    return logits, cost


@pytest.mark.parametrize(
    "n, costs", [(20, (10, 1, 0.5, 0.1)), (14, (0, 1, 0, 0.1)), (14, (0, 0, 0, 0))]
)
def test_the_ladder_equals_a_naive_one(n, costs):
    rng = np.random.default_rng(2)
    network = LadderEnsemble((5, 7, 4, 3), [1, 2], torch.device("cpu"), noise=0.0, costs=costs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.from_numpy(rng.normal(size=parameter.shape)).float()
    x = rng.normal(size=(2, 20, 5)).astype(np.float32)
    outputs = network(torch.from_numpy(x), [], n)
    total = 0.0
    for m in range(2):
        logits, cost = naive_ladder(network, m, x[m], n)
        np.testing.assert_allclose(outputs.clean[m].detach(), logits[:n], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(outputs.noisy[m].detach(), logits, rtol=1e-3, atol=1e-4)
        total += cost
    assert outputs.cost.item() == pytest.approx(total, rel=1e-4)


def test_predictions_normalise_by_all_samples(blobs, exact):
    X = torch.from_numpy(blobs[0])
    network = LadderEnsemble((8, 7, 3), [1, 2], torch.device("cpu"), noise=0.3, costs=[1])
    with torch.no_grad():
        network.settle(X)
    expected = network._encode(X.expand(2, -1, -1), [], len(X)).logits
    torch.testing.assert_close(network.logits(X), expected, rtol=1e-3, atol=1e-4)


def test_noise_has_the_scale_and_is_each_networks_own():
    network = LadderEnsemble((3, 2), [5, 6], torch.device("cpu"), noise=0.3, costs=[1, 1])
    noise = network.noise(torch.zeros(2, 4000, 3), 0.3)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.03)
    assert float((noise[0] * noise[1]).mean()) == pytest.approx(0, abs=0.005)
    alone = LadderEnsemble((3, 2), [6], torch.device("cpu"), noise=0.3, costs=[1, 1])
    torch.testing.assert_close(alone.noise(torch.zeros(1, 4000, 3), 0.3)[0], noise[1])


# Training


def trained(seeds, X, labels, n_steps=15, **options):
    network = LadderEnsemble(
        (X.shape[1], 12, 3), seeds, torch.device("cpu"), noise=0.3, costs=[1, 0.1, 0.01]
    )
    loss = _training.Loss("information", 4.0)
    training = _training.Training(network, X, loss, n_steps=n_steps, **options)
    training.train(labels, _training.Schedule(n_steps, 40, 10, 0.01))
    return network


@pytest.mark.parametrize("is_labeled", [False, True])
def test_an_ensemble_equals_its_networks_trained_alone(blobs, exact, is_labeled):
    X = torch.from_numpy(blobs[0] / 10)
    labels = None
    if is_labeled:
        rng = np.random.default_rng(0)
        labels = torch.from_numpy(rng.integers(-1, 3, size=(3, len(X))))
    together = trained([4, 5, 6], X, labels)
    for m, seed in enumerate([4, 5, 6]):
        alone = trained([seed], X, None if labels is None else labels[m : m + 1])
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(
                together.get_parameter(name)[m], parameter[0], rtol=1e-3, atol=1e-4
            )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch of itself, as it compiles
def test_compiled_networks_become_the_same(blobs, exact, monkeypatch):
    made, compiling = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda of, **how: made.append(of) or compiling(of, **how))
    X = torch.from_numpy(blobs[0] / 10)
    labels = torch.from_numpy(np.random.default_rng(0).integers(-1, 3, size=(2, len(X))))
    plain, compiled = (trained([4, 5], X, labels, compile=of) for of in (False, True))
    assert made == [compiled]
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(
            compiled.get_parameter(name), parameter, rtol=1e-3, atol=1e-4, msg=name
        )


def test_targets_are_drawn_from_classes_alike():
    labels = torch.full((2, 1000), -1)
    labels[0, :5], labels[0, 100:900] = 2, 0
    labels[1, 7] = 1
    targets = _training.Targets(labels)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    samples, drawn = targets.draw(4000, generators)
    for m in range(2):
        torch.testing.assert_close(labels[m, samples[m]], drawn[m])
    assert float((drawn[0] == 2).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert set(samples[0][drawn[0] == 2].tolist()) == set(range(5))
    assert set(samples[1].tolist()) == {7}


def test_the_learning_rate_falls_in_the_last_third():
    schedule = _training.Schedule(30, 10, 0, 0.01)
    assert schedule.rate(0) == schedule.rate(19) == 0.01
    assert schedule.rate(25) == pytest.approx(0.005)
    assert schedule.rate(30) == 0.0


def test_divergence_says_what_to_change(blobs):
    with pytest.raises(FloatingPointError, match=r"learning_rate \(it is 1e\+30\)"):
        LadderIM(3, **SMALL | {"learning_rate": 1e30}).fit(blobs[0])


# Estimators


MINUS_ONE = {"check_classifiers_classes": "-1 is no class but the lack of a label"}


@parametrize_with_checks(
    [
        LadderClassifier(**QUICK, labeled_batch_size=50, n_steps=50),
        LadderIM(4, **QUICK, n_steps=30),
        Kingdra(4, **QUICK, n_networks=2, n_first_steps=30, n_rounds=1, n_steps=5),
    ],
    expected_failed_checks=lambda estimator: (
        MINUS_ONE if isinstance(estimator, LadderClassifier) else {}
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "hidden, costs", [((), [1, 4]), ((5,), [1, 2, 4]), ((5, 4, 3), [1, 2, 3, 3, 4])]
)
def test_each_kind_of_layer_has_its_cost(blobs, hidden, costs):
    model = LadderIM(3, hidden=hidden, denoising_costs=(1, 2, 3, 4), n_steps=1).fit(blobs[0])
    assert list(model._networks.costs) == costs


def test_few_labels_are_enough(blobs):
    X, y = blobs
    names = np.array(["a", "b", "c"])[y].astype(object)
    few = np.where(np.arange(len(X)) < 12, names, None)
    model = LadderClassifier(**SMALL, n_steps=200).fit(X, few)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert (model.predict(X) == names).mean() > 0.95
    np.testing.assert_array_equal(model.transduction_, model.predict(X))
    numbers = LadderClassifier(**SMALL, n_steps=200).fit(X, np.where(few == None, -1, y))  # noqa: E711
    np.testing.assert_array_equal(numbers.predict(X), y[0] * 0 + numbers.transduction_)


@pytest.mark.parametrize("loss, mu", [("information", 4), ("dot", 10)])
def test_a_ladder_clusters(blobs, loss, mu):
    X, y = blobs
    model = LadderIM(3, **SMALL, n_steps=200, loss=loss, mu=mu).fit(X)
    assert lq.clustering_accuracy(y, model.labels_) > 0.95
    np.testing.assert_array_equal(model.labels_, model.predict(X))


@pytest.mark.parametrize("form", ["csr", "float64", "list of integers"])
def test_other_forms_of_features_give_the_same(blobs, form):
    X = np.round(blobs[0] * 4)
    # Of sparse rows fewer columns are clustered.
    settings = SMALL | {"n_steps": 30, "n_partitions": 0 if form == "csr" else 4}
    expected = LadderIM(3, **settings).fit(X).predict_proba(X)
    if form == "csr":
        X = scipy.sparse.csr_matrix(X)
    elif form == "float64":
        X = X.astype(np.float64)
    else:
        X = X.astype(np.int64).tolist()
    found = LadderIM(3, **settings).fit(X).predict_proba(X)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_samples_label_does_not_depend_on_others(blobs):
    X, _ = blobs
    model = Kingdra(3, **ENSEMBLE).fit(X)
    shares = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X[17:18]), shares[17:18])
    np.testing.assert_array_equal(model.predict_proba(X[::-1]), shares[::-1])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.labels_, shares.argmax(axis=1))


def test_kingdra_beats_k_means_on_digits():
    X, y = load_digits(return_X_y=True)
    model = Kingdra(
        10, n_first_steps=600, n_rounds=2, n_steps=200, hidden=(128, 128), batch_size=100,
        labeled_batch_size=50, random_state=0,
    ).fit(X)  # fmt: skip
    of_kmeans = [
        lq.clustering_accuracy(y, KMeans(10, n_init=1, random_state=seed).fit_predict(X))
        for seed in range(10)
    ]
    assert lq.clustering_accuracy(y, model.labels_) >= np.mean(of_kmeans) + 0.10
    pseudo = model.pseudo_labels_
    assert lq.clustering_accuracy(y[pseudo >= 0], pseudo[pseudo >= 0]) > 0.93
    coverage = [entry["coverage"] for entry in model.history_]
    assert len(coverage) == 3
    assert coverage[-1] > coverage[0]
    assert coverage[-1] == pytest.approx((pseudo >= 0).mean())
    assert (pseudo[pseudo >= 0] == model.labels_[pseudo >= 0]).mean() > 0.95


def test_each_network_starts_from_partitions_of_its_own():
    X, y = load_digits(return_X_y=True)
    kept = {"hidden": (64,), "n_first_steps": 150, "n_rounds": 0, "random_state": 0}
    model = Kingdra(10, n_networks=4, **kept)
    starts = model._starts(X, 4).numpy()
    assert starts.shape == (4, len(X))
    assert len(np.unique(starts, axis=0)) == 4
    assert min(lq.clustering_accuracy(y, of) for of in starts) > 0.85
    votes = model.fit(X)._shares(X).argmax(axis=2)
    assert min(np.mean(vote == start) for vote, start in zip(votes, starts, strict=True)) > 0.85
    alone = Kingdra(10, n_networks=4, n_partitions=0, **kept)
    assert alone._starts(X, 4) is None
    assert np.mean(alone.fit(X)._shares(X).argmax(axis=2) == starts) < 0.3  # other names


def test_partitions_are_made_once(blobs, tmp_path, monkeypatch):
    made = []

    def counted(*given, **named):
        made.append(lq.base_partitions(*given, **named))
        return made[-1]

    monkeypatch.setattr(estimator_module, "base_partitions", counted)
    kept = SMALL | {"n_steps": 3}
    first = LadderIM(3, directory=tmp_path, **kept).fit(blobs[0])
    again = LadderIM(3, directory=tmp_path, **kept).fit(blobs[0])
    np.testing.assert_array_equal(made[0], made[1])
    assert list((tmp_path / "partitions").iterdir())
    np.testing.assert_array_equal(first.labels_, again.labels_)
    np.testing.assert_array_equal(first.labels_, LadderIM(3, **kept).fit(blobs[0]).labels_)


def test_the_last_complete_mini_clusters_serve(blobs, monkeypatch):
    X, y = blobs
    given = iter([np.where(y > 0, y - 1, -1), y, np.where(y > 0, y - 1, -1), y])
    monkeypatch.setattr(Kingdra, "_agreed", lambda *_: next(given).astype(np.int32))
    seen = []
    train = _training.Training.train
    monkeypatch.setattr(
        _training.Training,
        "train",
        lambda self, labels, schedule: (seen.append(labels), train(self, labels, schedule)),
    )
    model = Kingdra(3, **ENSEMBLE | {"n_rounds": 3}).fit(X)
    assert [entry["is_complete"] for entry in model.history_] == [False, True, False, True]
    assert [entry["n_mini_clusters"] for entry in model.history_] == [2, 3, 2, 3]
    assert lq.clustering_accuracy(y, seen[0][0].numpy()) > 0.95
    assert seen[1] is seen[0]  # never complete so far
    assert seen[3] is seen[2]
    for row in seen[2]:  # each network has names of its own
        assert lq.clustering_accuracy(y, row.numpy()) == 1


def test_unsure_samples_get_no_pseudo_label_unless_their_cluster_is_as_unsure():
    truth = np.repeat([0, 1], 50)
    sure = np.concatenate([np.linspace(0.8, 1, 50), np.linspace(0.6, 0.7, 50)])
    one = np.stack([sure, 1 - sure], axis=1)
    one[50:] = one[50:, ::-1]
    shares = np.stack([one, one]).astype(np.float32)
    votes = np.stack([truth, truth]).astype(np.int32)
    found = Kingdra(2, min_confidence=0.85)._agreed(shares, votes)
    np.testing.assert_array_equal(found[:50] >= 0, sure[:50] >= 0.85)
    np.testing.assert_array_equal(found[50:] >= 0, sure[50:] >= 0.65)  # the surer half
    assert lq.clustering_accuracy(truth[found >= 0], found[found >= 0]) == 1
    assert (Kingdra(2, min_confidence=0)._agreed(shares, votes) >= 0).all()


def test_agreement_is_measured_after_matching():
    votes = np.array([[0, 0, 1, 1, 2, 2], [2, 2, 0, 0, 1, 1], [0, 0, 1, 2, 2, 2]], dtype=np.int32)
    assert kingdra_module._agreement(votes, 3) == pytest.approx((5 + 2 / 3) / 6)


def test_a_checkpoint_of_other_samples_is_refused(blobs, tmp_path):
    X, _ = blobs
    settings = SMALL | {"n_steps": 3, "n_partitions": 0}
    first = LadderIM(3, **settings, directory=tmp_path).fit(X)
    again = LadderIM(3, **settings, directory=tmp_path).fit(np.asfortranarray(X))
    np.testing.assert_array_equal(first.labels_, again.labels_)
    with pytest.raises(ValueError, match="another fit: other content"):
        LadderIM(3, **settings, directory=tmp_path).fit(X + np.eye(300, 8))


def test_networks_are_matched_with_the_one_most_like_all():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 4, 500).astype(np.int32)
    others = [rng.permutation(4).astype(np.int32)[clusters] for _ in range(4)]
    unlike_all = rng.integers(0, 4, 500).astype(np.int32)
    order = kingdra_module._aligned(np.stack([unlike_all, *others]), 4)
    assert (np.sort(order, axis=1) == np.arange(4)).all()
    for of, names in zip(others, np.argsort(order[1:], axis=1), strict=True):
        np.testing.assert_array_equal(names[of], np.argsort(order[1])[others[0]])


def head():
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    )


def test_networks_of_the_user(blobs, tmp_path):
    X, y = blobs
    settings = ENSEMBLE | {"network": head, "n_first_steps": 200, "directory": tmp_path / "kept"}
    model = Kingdra(3, **settings).fit(X)
    assert lq.clustering_accuracy(y, model.labels_) > 0.9
    model.save(tmp_path / "model.safetensors")
    again = Kingdra.load(tmp_path / "model.safetensors", network=head)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    kept = Kingdra(3, **settings).fit(X)
    np.testing.assert_array_equal(kept.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="another fit: other network"):
        Kingdra(3, **settings | {"network": lambda: head()}).fit(X)


# Files


@pytest.mark.parametrize("kind", ["classifier", "clusterer", "ensemble"])
def test_what_was_saved_predicts_the_same(blobs, tmp_path, kind):
    X, y = blobs
    if kind == "classifier":
        names = np.where(np.arange(len(X)) < 30, np.array(["a", "b", "c"])[y], None)
        model = LadderClassifier(**SMALL, n_steps=20).fit(X, names)
    elif kind == "clusterer":
        model = LadderIM(3, **SMALL, n_steps=20).fit(X)
    else:
        model = Kingdra(3, **ENSEMBLE).fit(X)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for again in (type(model).load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        for name in ("labels_", "pseudo_labels_", "transduction_", "history_", "n_features_in_"):
            if hasattr(model, name):
                np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert type(model).load(path).get_params() == model.get_params() | {
        "hidden": list(model.hidden),
        "denoising_costs": list(model.denoising_costs),
    }
    other = LadderIM if kind != "clusterer" else Kingdra
    with pytest.raises(ValueError, match=f"holds '{type(model).__name__}'; wanted"):
        other.load(path)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("n_saved", [1, 8, 9, 11])
def test_a_fit_goes_on_where_it_was_left(blobs, tmp_path, monkeypatch, n_saved):
    X, _ = blobs
    settings = ENSEMBLE | {"directory": tmp_path / "kept"}
    whole = Kingdra(3, **ENSEMBLE).fit(X)
    monkeypatch.setattr(_training, "_STEPS_PER_REPORT", 8)
    monkeypatch.setattr(_training, "_SECONDS_PER_CHECKPOINT", 0.0)
    save = Checkpoint.save
    count = 0

    def save_and_stop(*args):
        nonlocal count
        save(*args)
        count += 1
        if count == n_saved:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
    with pytest.raises(KilledError):
        Kingdra(3, **settings).fit(X)
    count = -1000
    again = Kingdra(3, **settings).fit(X)
    assert count == -1000 + 8 + 3 - n_saved
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(again.pseudo_labels_, whole.pseudo_labels_)
    assert again.history_ == whole.history_


def test_a_killed_process_goes_on(blobs, tmp_path):
    X, _ = blobs
    np.save(tmp_path / "X.npy", X)
    program = """
import sys
import numpy as np
import torch
from labelquorum.deep import LadderIM, _training
torch.set_num_threads(1)
_training._SECONDS_PER_CHECKPOINT = 0.0
LadderIM(3, hidden=(16,), n_steps=300, batch_size=50, random_state=0,
         directory="kept").fit(np.load("X.npy"))
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    path = tmp_path / "kept" / "checkpoint.safetensors"
    deadline = time.monotonic() + 100
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    settings = {"hidden": (16,), "n_steps": 300, "batch_size": 50, "random_state": 0}
    with pytest.raises(ValueError, match="another fit: other n_steps"):
        LadderIM(3, **settings | {"n_steps": 3}, directory=tmp_path / "kept").fit(X)
    with pytest.raises(ValueError, match="whose call differs in content"):
        LadderIM(3, **settings, directory=tmp_path / "kept").fit(X + np.eye(300, 8))
    again = LadderIM(3, **settings, directory=tmp_path / "kept").fit(X)
    np.testing.assert_array_equal(
        again.predict_proba(X), LadderIM(3, **settings).fit(X).predict_proba(X)
    )


def test_ctrl_c_keeps_what_there_is_and_progress_tells_of_it(blobs, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(_training, "_SECONDS_PER_CHECKPOINT", 0.0)
    path = tmp_path / "checkpoint.safetensors"

    def interrupt(*_):
        if path.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            LadderIM(3, **SMALL, n_steps=10**6, directory=tmp_path, verbose=True).fit(blobs[0])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert path.exists()
    assert list(tmp_path.glob(".*.tmp")) == []
    assert "training, loss " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 301}, ValueError, "n_clusters is 301, X holds 300 samples"),
        ({"loss": "none"}, ValueError, "loss must be 'information' or 'dot', got 'none'"),
        ({"mu": -1}, ValueError, "mu must be a number of at least 0, got -1"),
        ({"n_partitions": -1}, ValueError, "n_partitions must be an integer of at least 1, got -1"),
        ({"labeled_batch_size": 0}, ValueError, "labeled_batch_size must be.* got 0"),
        ({"hidden": (16, 0)}, ValueError, r"hidden\[1\] must be an integer of at least 1, got 0"),
        ({"noise": -0.1}, ValueError, r"noise must be a number of at least 0, got -0\.1"),
        ({"denoising_costs": (1, 1)}, ValueError, "denoising_costs holds 2 numbers; wanted four"),
        ({"denoising_costs": (1, -1, 0, 0)}, ValueError, r"denoising_costs\[1\] must be.* got -1"),
        ({"learning_rate": 0}, ValueError, "learning_rate is 0"),
        ({"n_steps": 0}, ValueError, "n_steps must be an integer of at least 1, got 0"),
        ({"n_steps": 1.5}, TypeError, r"n_steps must be.* got 1\.5 \(float\)"),
        ({"n_networks": 0}, ValueError, "n_networks must be an integer of at least 1, got 0"),
        ({"n_rounds": 1.5}, TypeError, r"n_rounds must be.* got 1\.5 \(float\)"),
        ({"n_rounds": -1}, ValueError, "n_rounds must be an integer of at least 1, got -1"),
        ({"min_confidence": -1}, ValueError, "min_confidence must be.* got -1"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"directory": "x", "random_state": None}, ValueError, "random_state is None; wanted an"),
    ],
)
def test_bad_parameters_are_named(blobs, change, error, message):
    with pytest.raises(error, match=message):
        Kingdra(**{"n_clusters": 3} | ENSEMBLE | change).fit(blobs[0])


def test_a_random_state_that_json_cannot_hold_is_not_saved(blobs, tmp_path):
    model = LadderIM(3, **SMALL | {"random_state": np.random.RandomState(0)}, n_steps=5)
    with pytest.raises(TypeError, match="wanted None or an int to save"):
        model.fit(blobs[0]).save(tmp_path / "model.safetensors")
