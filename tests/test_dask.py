"""On Dask: the labels of the in-memory functions, whatever the chunks, and whoever dies."""

from __future__ import annotations

import os
import pickle
import signal
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.svm import LinearSVC

import labelquorum as lq
from strategies import cuts, ensembles, planted, share

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
lqd = pytest.importorskip("labelquorum.dask")


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, and the client that is connected to them."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as workers,
        distributed.Client(workers, set_as_default=False) as client,
    ):
        yield client


def chunked(rows, chunks):
    """The rows in these chunks."""
    return da.concatenate([da.from_array(rows[chunk], chunks=-1) for chunk in chunks])


def frame_of(rows, n_chunks, index=None):
    frame = pd.DataFrame(rows, index, [f"p{i}" for i in range(rows.shape[1])])
    return dd.from_pandas(frame, npartitions=n_chunks, sort=False)


def test_the_module_is_loaded_on_first_use():
    assert lq.dask is lqd


# mini_clusters


@share(0.3)
@given(data=st.data(), rows=ensembles(max_rows=100, max_partitions=8))
def test_labels_equal_those_in_memory_for_any_chunks(data, rows):
    options = {
        "n_clusters": data.draw(st.none() | st.integers(1, 4)),
        "min_agree": data.draw(st.sampled_from([1, 0.5, 1.0])),
        "min_differ": data.draw(st.sampled_from([0, 0.5, 0.9])),
        "min_size": data.draw(st.integers(1, 3)),
    }
    partitions = chunked(rows, data.draw(cuts(len(rows), max_chunks=20)))
    if data.draw(st.booleans()):
        partitions = partitions.rechunk({1: 1})
    with dask.config.set(scheduler="synchronous"):
        labels = lqd.mini_clusters(partitions, **options)
        assert isinstance(labels, da.Array)
        assert labels.dtype == np.int32
        assert labels.chunks[0] == partitions.chunks[0]
        found = labels.compute()
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, lq.mini_clusters(rows, **options))


def test_chunks_of_unknown_sizes_and_empty_ones_are_taken():
    rows = planted(np.random.default_rng(0), 300, 5)
    partitions = chunked(rows, [slice(0, 100), slice(100, 110), slice(110, 300)])
    some = partitions[(partitions[:, 0] != 3) & (da.arange(300, chunks=(100, 10, 190)) % 300 < 100)]
    assert np.isnan(some.shape[0])
    labels = lqd.mini_clusters(some)
    kept = rows[:100][rows[:100, 0] != 3]
    np.testing.assert_array_equal(labels.compute(), lq.mini_clusters(kept))


@pytest.mark.parametrize("n_chunks", [1, 7])
def test_a_data_frame_gives_a_series_with_its_index(n_chunks):
    rows = planted(np.random.default_rng(1), 200, 4, abstain=0.1)
    index = [f"sample {i}" for i in range(200)]
    labels = lqd.mini_clusters(frame_of(rows, n_chunks, index), min_agree=3)
    assert isinstance(labels, dd.Series)
    found = labels.compute()
    assert found.name == labels.name == "label"
    assert found.dtype == labels.dtype == np.int32
    assert found.index.tolist() == index
    np.testing.assert_array_equal(found, lq.mini_clusters(rows, min_agree=3))


def test_a_sample_on_which_all_models_abstain_gets_no_label():
    rows = planted(np.random.default_rng(2), 200, 4)
    eligible = np.arange(200) % 3 > 0
    labels = lqd.mini_clusters(da.from_array(np.where(eligible[:, None], rows, -1), chunks=(9, 4)))
    np.testing.assert_array_equal(labels.compute(), lq.mini_clusters(rows, eligible=eligible))


@pytest.mark.parametrize(
    ("partitions", "options", "error", "message"),
    [
        (
            np.zeros((3, 2), int),
            {},
            TypeError,
            "partitions must be a Dask array or DataFrame, got ndarray",
        ),
        (da.zeros((3, 2)), {}, TypeError, r"partitions must hold integers, got floats \(float64\)"),
        (da.zeros(3, dtype=int), {}, ValueError, r"partitions must be 2-D, got shape \(3,\)"),
        (
            da.zeros((3, 0), dtype=int),
            {},
            ValueError,
            "partitions must hold at least one partition, got none",
        ),
        (
            da.zeros((3, 2), dtype=int),
            {"min_agree": 3},
            ValueError,
            "min_agree must be a fraction .* got 3",
        ),
        (
            da.zeros((3, 2), dtype=int),
            {"min_differ": 1.5},
            ValueError,
            r"min_differ must be a fraction .* got 1\.5",
        ),
        (da.zeros((3, 2), dtype=int), {"n_clusters": 0}, ValueError, "n_clusters"),
        (da.zeros((3, 2), dtype=int), {"min_size": "x"}, TypeError, "min_size"),
        (da.zeros((3, 2), dtype=int), {"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_computed(partitions, options, error, message):
    with pytest.raises(error, match=message):
        lqd.mini_clusters(partitions, **options)


def test_a_data_frame_of_floats_is_refused():
    with pytest.raises(TypeError, match=r"partitions\['p1'\] must hold integers, got floats"):
        lqd.mini_clusters(dd.from_pandas(pd.DataFrame({"p0": [1], "p1": [1.0]}), npartitions=1))


def test_partitions_without_samples_are_refused():
    nothing = da.from_array(np.arange(10).reshape(5, 2), chunks=(2, 2))
    nothing = nothing[nothing[:, 0] < 0]
    with pytest.raises(ValueError, match="partitions must have at least one sample, got none"):
        lqd.mini_clusters(nothing).compute()


def test_chunks_that_change_are_an_error():
    n_calls = []

    def changing(block):
        n_calls.append(1)
        return block + len(n_calls)

    partitions = da.from_array(np.arange(10).reshape(5, 2), chunks=-1)
    labels = lqd.mini_clusters(partitions.map_blocks(changing, meta=np.empty((0, 0), int)))
    with pytest.raises(ValueError, match="must be the same each time they are computed"):
        labels.compute()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like that there")
@pytest.mark.parametrize("when", ["counting", "labeling"])
def test_worker_processes_give_the_same_labels_even_if_one_is_killed(cluster, tmp_path, when):
    rows = planted(np.random.default_rng(3), 20_000, 6, noise=0.2)
    marker = tmp_path / "kill"

    def read(chunk):
        with suppress(FileNotFoundError):
            marker.unlink()  # only one of the workers can
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk

    if when == "counting":
        marker.touch()
        partitions = da.from_array(rows, chunks=(1900, 6)).map_blocks(read, meta=rows[:0])
    else:
        frame = frame_of(rows, 9)
        partitions = frame.map_partitions(read, meta=frame._meta)
    with cluster.as_current():
        labels = lqd.mini_clusters(partitions, 4, min_agree=5)
        if when == "labeling":
            distributed.wait(labels)
            marker.touch()
        found = labels.compute()
    assert not marker.exists()
    np.testing.assert_array_equal(found, lq.mini_clusters(rows, 4, min_agree=5))


# ConsensusClusterer


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(3000, centers=5, n_features=6, random_state=0)


@pytest.mark.slow
def test_categories_are_those_of_the_in_memory_pipeline(cluster, blobs):
    X, _ = blobs
    expected = lq.ConsensusClusterer(random_state=0).fit(X)
    with cluster.as_current():
        model = lqd.ConsensusClusterer(max_samples=600, random_state=0)
        labels = model.fit(da.from_array(X, chunks=(701, 3))).predict(da.from_array(X, chunks=500))
        assert isinstance(labels, da.Array)
        found = labels.compute()
    assert len(model.sample_) == 600
    assert model.n_clusters_ == expected.n_clusters_ == 5
    assert adjusted_rand_score(expected.labels_, found) >= 0.99


@pytest.fixture(scope="module")
def digits():
    """Some, whose categories are a matter of opinion, with a few labels."""
    X, y = load_digits(return_X_y=True)
    return X[:700], np.where((y < 3) & (np.arange(len(y)) % 20 == 0), y, -1)[:700]


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_labels_equal_those_in_memory_if_all_samples_are_drawn(digits, kind):
    X, known = digits
    names = np.array(["none", "zero", "one", "two"], dtype=object)[known + 1]
    names[known < 0] = None
    options = {"n_clusters": 10, "n_partitions": 8, "random_state": 0}
    expected = lq.ConsensusClusterer(**options).fit(X, names)
    chunks = da.from_array(X, chunks=(170, 30))
    if kind == "frame":
        chunks = frame_of(X, 4)
        names = dd.from_pandas(pd.Series(names), npartitions=4)
    model = lqd.ConsensusClusterer(**options)
    labels = model.fit_predict(chunks, names)
    assert isinstance(labels, da.Array)
    assert labels.dtype == object
    assert labels.chunks[0] == ((170, 170, 170, 170, 20) if kind == "array" else (175,) * 4)
    np.testing.assert_array_equal(labels.compute(), expected.labels_)
    found = model.predict(chunks).compute()
    np.testing.assert_array_equal(found, expected.predict(X))


@pytest.mark.parametrize("classifier", [None, LinearSVC()])
def test_samples_keep_known_and_fitted_labels_and_others_are_predicted(digits, classifier):
    X, known = digits
    model = lqd.ConsensusClusterer(
        10, max_samples=300, n_partitions=8, classifier=classifier, random_state=0
    )
    labels = model.fit_predict(da.from_array(X, chunks=(170, 64)), known).compute()
    expected = model.estimator_.predict(X)
    expected[model.sample_] = model.estimator_.labels_
    expected[known >= 0] = known[known >= 0]
    assert labels.dtype == expected.dtype
    np.testing.assert_array_equal(labels, expected)


def test_the_same_samples_are_drawn_whatever_the_chunks(blobs):
    X, y = blobs
    some = np.where(np.arange(3000) % 30 == 0, y, -1)
    drawn = []
    for n_rows in (3000, 999, 170):
        chunks = da.from_array(X, chunks=(n_rows, 6))
        model = lqd.ConsensusClusterer(5, max_samples=300, n_partitions=4, random_state=3)
        model.fit(chunks[da.ones(3000, dtype=bool, chunks=n_rows)], some)
        drawn.append((model.sample_, model.predict(chunks).compute()))
    for sample, labels in drawn:
        np.testing.assert_array_equal(sample, drawn[0][0])
        np.testing.assert_array_equal(labels, drawn[0][1])
    # All that are labeled, and others at random.
    assert np.isin(np.flatnonzero(some >= 0), sample).all()
    assert 290 <= len(sample) <= 300


def test_a_data_frame_with_known_names_gives_a_series_of_names(blobs):
    X, y = blobs
    index = pd.Index([f"sample {i}" for i in range(3000)])
    frame = pd.DataFrame(X, index, list("abcdef"))
    names = pd.Series([["red", "blue"][c] if c < 2 and i < 90 else None for i, c in enumerate(y)])
    names.index = index
    chunks = dd.from_pandas(frame, npartitions=4, sort=False)
    model = lqd.ConsensusClusterer(5, max_samples=400, n_partitions=8, random_state=0)
    model.fit(chunks, dd.from_pandas(names, npartitions=4, sort=False))
    assert model.classes_.tolist() == ["blue", "red", "new 0", "new 1", "new 2"]
    assert model.feature_names_in_.tolist() == list("abcdef")
    labels = model.predict(chunks)
    assert isinstance(labels, dd.Series)
    found = labels.compute()
    assert labels.dtype == found.dtype == object
    assert found.index.equals(index)
    assert (found[y == 0] == "red").mean() > 0.99
    shares = model.predict_proba(chunks)
    assert isinstance(shares, dd.DataFrame)
    found_shares = shares.compute()
    assert found_shares.columns.tolist() == model.classes_.tolist()
    assert (found_shares.idxmax(axis=1) == found).mean() > 0.999
    with pytest.raises(ValueError, match="feature names"):
        model.predict(chunks.rename(columns={"a": "z"})).compute()
    for method in (model.predict, model.predict_proba):  # at once, before anything is computed
        with pytest.raises(ValueError, match="must be in the same order"):
            method(chunks[list("badcef")])
    with pytest.warns(UserWarning, match="fitted with feature names"):
        model.predict(chunks.to_dask_array(lengths=True)).compute()
    model.fit(chunks.to_dask_array(lengths=True))
    assert not hasattr(model, "feature_names_in_")


def test_predict_abstains_as_in_memory(blobs):
    X, y = blobs
    chunks = da.from_array(X, chunks=(700, 6))
    known = np.where(np.arange(len(X)) % 5 == 0, y, -1)
    model = lqd.ConsensusClusterer(5, n_partitions=8, random_state=0).fit(chunks, known)
    found = model.predict(chunks, reject_level=0.05).compute()
    np.testing.assert_array_equal(found, model.estimator_.predict(X, reject_level=0.05))
    assert 0 < (found == -1).mean() < 0.2
    with pytest.raises(ValueError, match=r"reject_level must be a number in \(0, 1\), got 2"):
        model.predict(chunks, reject_level=2)


def test_probabilities_and_a_classifier(blobs):
    X, y = blobs
    chunks = da.from_array(X, chunks=(700, 6))
    model = lqd.ConsensusClusterer(
        5, max_samples=400, n_partitions=8, classifier=LogisticRegression(), random_state=0
    )
    model.fit(chunks)
    shares = model.predict_proba(chunks)
    assert shares.shape == (3000, 5)
    assert shares.dtype == shares.compute().dtype == np.float64
    np.testing.assert_array_equal(
        shares.compute(), model.estimator_.classifier_.predict_proba(X), strict=True
    )
    labels = model.predict(chunks).compute()
    np.testing.assert_array_equal(labels, model.estimator_.predict(X))
    assert adjusted_rand_score(y, labels) > 0.99


def test_the_estimator_is_cloned_and_pickled(blobs):
    X = da.from_array(blobs[0], chunks=(700, 6))
    model = lqd.ConsensusClusterer(5, max_samples=200, n_partitions=4, random_state=0)
    assert clone(model).get_params() == model.get_params()
    model.fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X).compute(), model.predict(X).compute())


@pytest.mark.parametrize(
    ("X", "y", "options", "error", "message"),
    [
        (np.zeros((9, 2)), None, {}, TypeError, "X must be a Dask array or DataFrame, got ndarray"),
        (da.zeros(9), None, {}, ValueError, r"X must be 2-D, got shape \(9,\)"),
        (
            da.zeros((9, 2)),
            np.zeros(8),
            {},
            ValueError,
            "y must have 9 values, one per row of X, got 8",
        ),
        (
            da.zeros((9, 2)),
            np.zeros((9, 2)),
            {},
            ValueError,
            r"y must be 1-D, .* got shape \(9, 2\)",
        ),
        (
            da.zeros((9, 2)),
            None,
            {"max_samples": 2},
            ValueError,
            "max_samples must be at least 3, got 2",
        ),
        (da.zeros((9, 2)), None, {"max_samples": 1.5}, TypeError, "max_samples"),
        (da.full((9, 2), np.nan), None, {}, ValueError, "NaN"),
    ],
)
def test_wrong_arguments_of_fit_are_refused(X, y, options, error, message):
    with pytest.raises(error, match=message):
        lqd.ConsensusClusterer(2, **options).fit(X, y)


@pytest.mark.slow
def test_features_that_differ_from_fit_are_refused(blobs):
    model = lqd.ConsensusClusterer(5, max_samples=50, n_partitions=4, random_state=0)
    model.fit(da.from_array(blobs[0], chunks=(700, 6)))
    with pytest.raises(ValueError, match="X must have 6 features, as in fit, got 3"):
        model.predict(da.zeros((9, 3)))


def _in_kind(labels, kind, n_chunks=3):
    """Labels or votes as Dask or other libraries have them."""
    labels = np.asarray(labels, dtype=object)
    if kind == "array":
        return da.from_array(labels, chunks=(-(-len(labels) // n_chunks), *labels.shape[1:]))
    if kind == "frame":
        frame = pd.DataFrame(labels) if labels.ndim == 2 else pd.Series(labels)
        return dd.from_pandas(frame, npartitions=n_chunks, sort=False)
    return labels if kind == "memory" else labels.tolist()


@pytest.mark.parametrize("kind", ["array", "frame", "memory", "list"])
def test_origins_of_labels_are_those_in_memory(blobs, kind):
    X, y = blobs
    X, y = X[:600], y[:600]
    origins = np.array(["given", "accepted", "proposed", ""])[np.arange(600) % 4]
    labels = np.where(np.arange(600) < 200, y, -1).astype(object)
    labels[origins == "proposed"] = (y[origins == "proposed"] + 1) % 5  # the model erred
    options = {"n_clusters": 5, "n_partitions": 8, "random_state": 0}
    expected = lq.ConsensusClusterer(**options).fit(X, labels.tolist(), origins=origins)
    model = lqd.ConsensusClusterer(**options)
    found = model.fit_predict(
        da.from_array(X, chunks=(250, 6)),
        _in_kind(labels, "array"),
        origins=_in_kind(origins, kind),
    )
    np.testing.assert_array_equal(found.compute(), expected.labels_)
    np.testing.assert_array_equal(model.estimator_.label_origins_, expected.label_origins_)
    assert set(expected.label_origins_) == {"given", "accepted", "proposed"}


def test_proposals_are_not_known_where_they_were_not_drawn(blobs):
    X, y = blobs
    origins = np.where(np.arange(3000) % 3 == 0, "given", "proposed")
    labels = np.where(origins == "given", y, (y + 1) % 5)
    model = lqd.ConsensusClusterer(5, max_samples=300, n_partitions=4, random_state=0)
    found = model.fit_predict(da.from_array(X, chunks=(700, 6)), labels, origins=origins).compute()
    np.testing.assert_array_equal(found[origins == "given"], y[origins == "given"])
    assert (found == y).mean() > 0.98


@pytest.mark.parametrize("kind", ["array", "frame", "memory", "list"])
@pytest.mark.parametrize("n_voters", [None, 2])
def test_votes_are_heard_as_in_memory(blobs, kind, n_voters):
    X, y = blobs
    X, y = X[:600], y[:600]
    rng = np.random.default_rng(0)
    names = np.array(list("abcde"), dtype=object)
    votes = names[np.where(rng.random((600, 2)) < 0.2, rng.integers(5, size=(600, 2)), y[:, None])]
    votes[rng.random(votes.shape) < 0.3] = None
    votes = votes[:, 0] if n_voters is None else votes
    options = {"n_clusters": 5, "n_partitions": 8, "random_state": 0}
    voters = [votes] if n_voters is None else [*votes.T]
    expected = lq.ConsensusClusterer(**options).fit(X, votes=voters)
    given = _in_kind(votes, kind)
    if kind == "list" and n_voters:
        given = [_in_kind(votes[:, 0], "array"), _in_kind(votes[:, 1], "frame")]
    model = lqd.ConsensusClusterer(**options)
    found = model.fit_predict(da.from_array(X, chunks=(250, 6)), votes=given)
    np.testing.assert_array_equal(found.compute(), expected.labels_)
    np.testing.assert_array_equal(model.estimator_.reliability_, expected.reliability_)


def test_votes_of_drawn_samples_name_the_categories_of_all(blobs):
    X, y = blobs
    votes = np.array(list("abcde"), dtype=object)[y]
    model = lqd.ConsensusClusterer(5, max_samples=300, n_partitions=4, random_state=0)
    found = model.fit(da.from_array(X, chunks=(700, 6)), votes=votes).predict(
        da.from_array(X, chunks=(900, 6))
    )
    assert (found.compute() == votes).mean() > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"votes": []}, "votes must hold at least one voter, got none"),
        (
            {"votes": [da.zeros(60), da.zeros(59)]},
            "votes must have 60 samples, as the first voter has, got 59",
        ),
        ({"votes": ["a"] * 7}, "votes must have 60 values, one per row of X, got 7"),
        ({"y": [1] * 60, "origins": ["given"] * 7}, "origins must have 60 values, .*, got 7"),
        ({"origins": ["given"] * 60}, "origins must come with y"),
        ({"y": [1] * 60, "origins": ["you"] * 60}, "origins must hold 'given', .* got 'you'"),
    ],
)
def test_wrong_votes_and_origins_are_named(arguments, message):
    X = da.from_array(np.random.default_rng(0).normal(size=(60, 2)), chunks=(20, 2))
    with pytest.raises(ValueError, match=message):
        lqd.ConsensusClusterer(2).fit(X, **arguments)
