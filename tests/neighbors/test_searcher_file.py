"""A saved searcher gives the same answers once loaded, and damaged files are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.neighbors import faiss_index
from searchers import METRICS, assert_same_answers, example, recall_of, shaped

SAVED = Path(__file__).parents[1] / "data"


def test_a_loaded_searcher_answers_as_the_saved_one(method, tmp_path):
    for kind in (None, method):
        found, Y = example(kind)
        assert found.quality_.method == (kind or "exact")
        found.save(tmp_path / "searcher.zip")
        loaded = lq.NeighborSearcher.load(tmp_path / "searcher.zip")
        assert loaded.quality_ == found.quality_
        assert loaded.get_params() == found.get_params()
        assert (loaded.n_samples_fit_, loaded.n_features_in_) == (3000, 16)
        assert_same_answers(loaded, found, Y)
        loaded.save(tmp_path / "again.zip")
        assert_same_answers(lq.NeighborSearcher.load(tmp_path / "again.zip"), found, Y)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", ["far from zero", "huge"])
def test_the_frame_of_rows_is_saved(method, metric, shape, tmp_path):
    rows = shaped(np.random.default_rng(13), shape, 3000)
    found = lq.NeighborSearcher(metric=metric, recall=0.5, n_neighbors=5, random_state=0).fit(rows)
    found.save(tmp_path / "searcher")
    assert_same_answers(lq.NeighborSearcher.load(tmp_path / "searcher"), found, rows[:50])


def test_points_are_mapped_and_begin_at_a_cache_line(tmp_path):
    for n in range(1, 40, 7):
        X = np.random.default_rng(n).normal(size=(n, 3))
        lq.NeighborSearcher(n_neighbors=1).fit(np.asfortranarray(X)).save(tmp_path / "s.zip")
        loaded = lq.NeighborSearcher.load(tmp_path / "s.zip")
        assert isinstance(loaded._points.base, np.memmap) or isinstance(loaded._points, np.memmap)
        np.testing.assert_array_equal(loaded._points, X)
        assert loaded._points.ctypes.data % 64 == 0
        with np.load(tmp_path / "s.zip") as archive:  # as NumPy reads it
            np.testing.assert_array_equal(archive["points"], X)


def test_names_of_features_are_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"b": [1.0, 2.0, 3.0], "a": [0.0, 1.0, 0.0]})
    lq.NeighborSearcher(n_neighbors=1).fit(frame).save(tmp_path / "s")
    loaded = lq.NeighborSearcher.load(tmp_path / "s")
    assert loaded.feature_names_in_.tolist() == ["b", "a"]
    assert loaded.query(frame)[1].ravel().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="feature names"):
        loaded.query(frame[["a", "b"]])


@pytest.mark.parametrize(
    "name", ["searcher-1-exact.zip", "searcher-1-graph.zip", "searcher-1-lists.zip"]
)
def test_files_of_earlier_versions_stay_readable(name):
    loaded = lq.NeighborSearcher.load(SAVED / name)
    X = np.asarray(loaded._points)
    assert loaded.quality_.method == name.split("-")[2].split(".")[0]
    assert X.shape == (loaded.n_samples_fit_, 2)
    found = loaded.query(X[:100], 3)[0]
    assert recall_of(X, X[:100], found, 3, "euclidean") > 0.7


def test_damage_is_found(method, tmp_path):
    found, _ = example(method)
    path = tmp_path / "s.zip"
    found.save(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo("index.faiss").header_offset
    rng = np.random.default_rng(14)
    cut = [whole[: int(n)] for n in rng.integers(len(whole), size=20)]
    changed = []
    for at in [*rng.integers(begin + 200, len(whole), size=40), *range(0, 60, 3)]:
        other = bytearray(whole)
        other[at] ^= 0x55
        changed.append(bytes(other))
    n_refused = 0
    for content in [b"", b"junk", *cut, *changed]:
        path.write_bytes(content)
        try:
            lq.NeighborSearcher.load(path)
        except ValueError as error:
            assert "s.zip is damaged or not a saved searcher" in str(error)
            n_refused += 1
        else:
            # Unread bytes: dates, attributes, and the name in the header of meta.json.
            assert content in changed
    assert n_refused > 60


def change_meta(path, **values):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    meta = json.loads(members["meta.json"])
    members["meta.json"] = json.dumps(meta | values).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "values",
    [
        {"metric": "manhattan"},
        {"metric": ["euclidean"]},
        {"n_neighbors": 0},
        {"n_neighbors": "3"},
        {"recall": 3},
        {"random_state": "x"},
        {"feature_names": ["a"]},
        {"quality": {}},
        {"quality": {"recall": 1, "lower_bound": 1, "n_queries": 0, "method": "guess"}},
        {"quality": {"recall": 0.9, "lower_bound": 0.8, "n_queries": 2**40, "method": "graph"}},
        {"setting": [2**40]},
        {"setting": [0, 0]},
        {"setting": [1, 2, 3]},
        {"setting": "ab"},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"shift": [1.0]},
    ],
)
def test_values_out_of_range_are_refused_by_load(method, values, tmp_path):
    example(method)[0].save(tmp_path / "crafted")
    change_meta(tmp_path / "crafted", **values)
    with pytest.raises(ValueError, match=r"crafted is damaged or not .*: save it again"):
        lq.NeighborSearcher.load(tmp_path / "crafted")


def test_a_changed_sample_is_noticed(tmp_path):
    found, _ = example(None)
    found.save(tmp_path / "s")
    content = bytearray((tmp_path / "s").read_bytes())
    with zipfile.ZipFile(tmp_path / "s") as archive:
        at = archive.getinfo("points.npy").header_offset + 4000
    content[at] ^= 1
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(ValueError, match=r"s is damaged .*Bad CRC-32 for file 'points\.npy'"):
        lq.NeighborSearcher.load(tmp_path / "s")


def test_files_of_other_kinds_and_versions_are_refused(tmp_path):
    def load(meta):
        with zipfile.ZipFile(tmp_path / "s", "w") as archive:
            archive.writestr("meta.json", json.dumps(meta))
        return lq.NeighborSearcher.load(tmp_path / "s")

    with pytest.raises(ValueError, match=r"s is damaged or not a saved searcher .*'other'"):
        load({"format": "other"})
    with pytest.raises(ValueError, match="must have format version 1, got 2: a newer label"):
        load({"format": "labelquorum.NeighborSearcher", "version": 2})
    with pytest.raises(ValueError, match="not a saved searcher"):
        load([1, 2])
    np.savez(tmp_path / "arrays.npz", points=np.zeros(3))
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged or not a saved searcher"):
        lq.NeighborSearcher.load(tmp_path / "arrays.npz")
    with pytest.raises(FileNotFoundError):
        lq.NeighborSearcher.load(tmp_path / "missing")
    with pytest.raises(OSError, match="cannot be written"):
        lq.NeighborSearcher().fit([[1.0]]).save(tmp_path / "no" / "folder")


def test_a_save_that_fails_leaves_the_old_file(method, tmp_path, monkeypatch):
    path = tmp_path / "s"
    searcher, _ = example(method)
    searcher.save(path)
    before = path.read_bytes()

    def write(index, file):  # after the points are written
        raise AttributeError("no index")

    monkeypatch.setattr(faiss_index, "write", write)
    with pytest.raises(AttributeError, match="no index"):
        searcher.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
