"""Files of saved samplers: complete ones are read, all others are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.active_learning.sampler_file import read_sampler, write_sampler

VALUES, ARRAYS = {"a": 1, "names": ["ü", None]}, {"x": np.arange(3), "y": np.eye(2)}


@pytest.fixture
def path(tmp_path):
    write_sampler(tmp_path / "state.npz", VALUES, ARRAYS)
    return tmp_path / "state.npz"


def read(path):
    return read_sampler(path, lambda values, arrays: (values, arrays))


def change(path, **values):
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"])) | values
    np.savez(path, **(arrays | {"meta": np.array(json.dumps(meta))}))


def test_what_was_written_is_read(path):
    values, arrays = read(path)
    assert VALUES.items() <= values.items()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_or_found_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="cannot be written"):
        write_sampler(tmp_path / "no folder" / "state.npz", VALUES, ARRAYS)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "state.npz")


@pytest.mark.parametrize("content", [b"not a zip archive", b""])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state.npz is damaged or not a saved sampler \("):
        read(path)


def test_an_archive_of_other_arrays_is_refused(path):
    np.savez(path, a=np.arange(3))
    with pytest.raises(ValueError, match=r"damaged or not a saved sampler .*meta"):
        read(path)
    write_sampler(path, VALUES, ARRAYS)
    change(path, format="another")
    with pytest.raises(ValueError, match=r"its format must be 'labelquorum.*, got 'another'"):
        read(path)


def test_half_a_file_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or not a saved sampler"):
        read(path)


def test_a_file_that_lacks_something_is_refused(path):
    with pytest.raises(ValueError, match=r"damaged or not a saved sampler .*missing"):
        read_sampler(path, lambda values, arrays: values["missing"])


def test_a_newer_version_is_refused_by_name(path):
    change(path, version=99)
    with pytest.raises(ValueError, match="must have version 1 of the file format, got 99: a newer"):
        read(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The values and arrays of the file of a sampler with labels and audits."""
    X, classes = make_blobs(40, centers=3, n_features=4, random_state=0)
    model = lq.PreClusteringSampler(12, audit_share=0.3, random_state=0).fit(X)
    asked = model.query(6)
    path = tmp_path_factory.mktemp("sampler") / "state.npz"
    model.teach(asked, np.array(["a", "b", "c"])[classes[asked]]).save(path)
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("meta"))), arrays


def load_changed(saved, path, name, change):
    values, arrays = saved
    values, arrays = values.copy(), arrays.copy()
    changed = values if name in values else arrays
    changed[name] = change(changed[name])
    write_sampler(path, values, arrays)
    return lq.PreClusteringSampler.load(path)


def at_0(value):
    """Replace the first value of an array."""

    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


@pytest.mark.parametrize(
    "name, change",
    [
        ("codes", at_0(2**30)),
        ("codes", at_0(3)),
        ("codes", at_0(-3)),
        ("codes", lambda array: array[:-1]),
        ("codes", lambda array: array.astype(np.int64)),
        ("unseen", at_0(2**30)),
        ("unseen", at_0(-2)),
        ("is_audit", lambda array: array.astype(np.int8)),
        ("audit_order", at_0(40)),
        ("audit_order", lambda array: array * 0),
        ("clusters", at_0(12)),
        ("clusters", at_0(-1)),
        ("clusters", lambda array: array[:-1]),
        ("clusters", lambda array: array[:, None]),
        ("centers", at_0(np.nan)),
        ("centers", lambda array: array[:0]),
        ("centers", lambda array: np.tile(array, (1000, 1))),
        ("centers", lambda array: array[:, 1:]),
        ("order", lambda array: array[::-1]),
        ("order", at_0(2**30)),
        ("graph_data", at_0(np.inf)),
        ("graph_data", at_0(-1)),
        ("graph_indices", at_0(2**30)),
        ("graph_indptr", at_0(5)),
        ("graph_indptr", lambda array: array[::-1]),
        ("graph_indptr", lambda array: array.astype(float)),
        ("frame_mean", at_0(np.nan)),
        ("frame_scale", lambda scale: np.array(0.0)),
        ("frame_scale", lambda scale: np.array("x")),
        ("n_drawn", lambda n: 2**40),
        ("n_drawn", lambda n: "6"),
        ("n_taught", lambda n: -(2**40)),
        ("names", lambda names: names[:1]),
        ("names", lambda names: ["a", "a", "b"]),
        ("names", lambda names: ["a", 1, "b"]),
        ("names", lambda names: ["a", [], "b"]),
        ("names", lambda names: None),
        ("n_features_in", lambda n: 5),
        ("n_features_in", lambda n: True),
        ("feature_names", lambda names: ["x"]),
        ("feature_names", lambda names: [1, 2, 3, 4]),
        ("metric", lambda metric: "manhattan"),
        ("n_clusters", lambda n: 10**9),
        ("min_samples_per_category", lambda n: -1),
        ("audit_share", lambda share: 7),
        ("random_state", lambda seed: "x"),
        ("n_looks", lambda n: -1),
        ("is_news", lambda is_news: 1),
    ],
)
def test_values_out_of_range_are_refused_by_load(saved, tmp_path, name, change):
    path = tmp_path / "crafted.npz"
    with pytest.raises(ValueError, match=r"crafted\.npz is damaged or not .*: save it again"):
        load_changed(saved, path, name, change)


def test_the_unchanged_file_is_read(saved, tmp_path):
    model = load_changed(saved, tmp_path / "same.npz", "codes", lambda codes: codes)
    assert len(model.query(3)) == 3
