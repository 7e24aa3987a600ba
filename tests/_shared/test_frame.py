"""Frame: samples as centered, scaled rows, and the directions that tell known categories apart."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from labelquorum._shared import frame as module
from labelquorum._shared.frame import Frame, unit_rows


@pytest.fixture(scope="module")
def sparse_rows():
    return scipy.sparse.random_array((60, 300), density=0.1, random_state=0, format="csr")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64])
def test_dense_rows_are_centered_and_scaled_by_a_power_of_two(dtype):
    X = (np.random.default_rng(0).normal(5, 20, size=(50, 4))).astype(dtype)
    frame, rows, _ = Frame.fit(X)[:3]
    assert rows.dtype == np.float32
    exact = X.astype(np.float64)
    np.testing.assert_allclose(rows, (exact - exact.mean(axis=0)) * frame.scale, atol=1e-6)
    assert np.log2(frame.scale) == int(np.log2(frame.scale))
    assert np.abs(rows).max() <= 1
    np.testing.assert_array_equal(frame.rows(X), rows)
    np.testing.assert_array_equal(frame.rows(X[7:9]), rows[7:9])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e100])
def test_rows_fit_float32_at_any_scale(scale):
    X = np.random.default_rng(0).normal(size=(50, 4)) * scale
    _, rows, _ = Frame.fit(X)[:3]
    assert 0.1 < np.abs(rows).max() <= 1


def test_equal_samples_become_zeros():
    frame, rows, _ = Frame.fit(np.full((5, 3), 7.0))[:3]
    assert frame.scale == 1
    assert rows.shape == (1, 3)
    np.testing.assert_array_equal(rows, 0)
    np.testing.assert_array_equal(frame.rows(np.full((2, 3), 7.0)), 0)


def test_sparse_rows_keep_their_differences_in_few_columns(sparse_rows):
    frame, rows, _ = Frame.fit(sparse_rows, 0)[:3]
    assert rows.shape == (60, 59)
    dense = sparse_rows.toarray()
    between = np.linalg.norm(dense[:, None] - dense, axis=2)
    projected = np.linalg.norm(rows[:, None] - rows, axis=2) / frame.scale
    np.testing.assert_allclose(projected, between, atol=0.15)
    np.testing.assert_array_equal(frame.rows(sparse_rows), rows)


def test_sparse_rows_with_few_columns_are_taken_as_they_are():
    X = scipy.sparse.csr_array(np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]]))
    np.testing.assert_array_equal(Frame.fit(X)[1], Frame.fit(X.toarray())[1])


def test_samples_are_converted_once(sparse_rows, monkeypatch):
    n_calls = 0
    convert = module._finite_samples

    def counted(X):
        nonlocal n_calls
        n_calls += 1
        return convert(X)

    monkeypatch.setattr(module, "_finite_samples", counted)
    frame, _, _ = Frame.fit(sparse_rows, 0, np.arange(60, dtype=np.int32) % 3)[:3]
    assert n_calls == 1
    frame.rows(sparse_rows)
    assert n_calls == 2


def test_known_categories_emphasize_the_columns_that_tell_them_apart():
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=900).astype(np.int32)
    X = np.concatenate([5 * np.eye(3)[classes], 4 * rng.normal(size=(900, 4))], axis=1)
    X += rng.normal(size=X.shape)
    known = np.where(rng.random(900) < 0.2, classes, -1).astype(np.int32)
    _, plain, _ = Frame.fit(X)[:3]
    frame, learned, _ = Frame.fit(X, None, known)[:3]

    def accuracy_of_nearest_mean(rows):
        means = np.stack([rows[classes == c].mean(axis=0) for c in range(3)])
        return (np.linalg.norm(rows[:, None] - means, axis=2).argmin(axis=1) == classes).mean()

    def separation(rows):
        within = np.mean([rows[classes == c].var(axis=0).sum() for c in range(3)])
        return rows.var(axis=0).sum() / within

    assert separation(learned) > 5 > 1.5 > separation(plain)
    assert accuracy_of_nearest_mean(learned) > 0.95
    np.testing.assert_array_equal(frame.rows(X), learned)


@pytest.mark.parametrize("known", [[-1, -1, -1, -1], [0, -1, -1, 1], [0, 0, -1, -1]])
def test_too_few_known_labels_change_nothing(known):
    X = np.array([[0.0, 1.0], [2.0, 5.0], [3.0, 4.0], [9.0, 1.0]])
    frame, rows, _ = Frame.fit(X, None, np.array(known, dtype=np.int32))[:3]
    assert frame.metric is None
    np.testing.assert_array_equal(rows, Frame.fit(X)[1])


def test_a_frame_is_made_again_from_its_state(sparse_rows):
    for X in (sparse_rows, sparse_rows.toarray()):
        frame, rows, _ = Frame.fit(X, 0)[:3]
        np.testing.assert_array_equal(Frame.of_state(frame.state()).rows(X), rows)


def test_unit_rows_have_length_1_and_zeros_stay():
    rows = unit_rows(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_values_that_are_not_finite_are_refused(value, make):
    X = np.eye(5)
    frame, _, _ = Frame.fit(make(X))[:3]
    X[2, 3] = value
    with pytest.raises(ValueError, match=r"X .*(NaN|infinity)"):
        Frame.fit(make(X))
    with pytest.raises(ValueError, match=r"X .*(NaN|infinity)"):
        frame.rows(make(X))
