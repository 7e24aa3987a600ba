"""The place of every sample in a plane: some are laid out, the others lie near their neighbors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.frame import Rows
from labelquorum.neighbors.search import kneighbors
from labelquorum.report.data import ReportData
from labelquorum.report.selection import SampleNumbers, Selection, select_map_samples

_TSNE_STEPS, _TSNE_COLUMNS, _TSNE_PERPLEXITY = 500, 50, 30
_N_NEIGHBORS, _RADIUS = 5, 0.04  # in the plane, whose longer side is 1
_FAR = 1e15  # of an outlier, whose square has to fit float32
_ROWS_PER_BLOCK = 65_536


class Layout(NamedTuple):
    """The map: coordinates from 0, at most 1."""

    drawn: SampleNumbers
    """The samples that are laid out and can be pointed at."""
    points: NDArray[np.float32]
    """(n_samples, 2): the place of every sample."""


def layout_of(data: ReportData, selection: Selection) -> Layout | None:
    """Place all samples; None where their features are all the same."""
    if not data.has_features:
        return None
    drawn = select_map_samples(data, selection.card_of)
    numbers = data.outcome.distinct.numbers
    return Layout(drawn, placed(data.outcome.features, numbers[drawn], data.n_jobs)[numbers])


def placed(
    features: Rows, drawn: NDArray[np.integer], n_jobs: int | None = None
) -> NDArray[np.float32]:
    """Place rows by those that are drawn: (n_rows, 2).

    Drawn rows are embedded; equal ones may lie apart, and the first counts. Another row lies at the
    mean of its nearest drawn rows that are close to the nearest one, weighted by inverse distance.
    """
    from threadpoolctl import threadpool_limits

    # With several threads, sums would depend on how many there are.
    with threadpool_limits(1):
        projection = _Projection.of(features[drawn])
        reduced = projection.applied(features[drawn])
        plane = _tsne(reduced).astype(np.float32)
        points = np.empty((len(features), 2), dtype=np.float32)
        for begin in range(0, len(features), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            points[block] = _near(reduced, plane, projection.applied(features[block]), n_jobs)
    rows, firsts = np.unique(drawn, return_index=True)
    points[rows] = plane[firsts]
    return points


def embedded(rows: Rows) -> NDArray[np.float64]:
    """Place rows in a plane by t-SNE: (n_rows, 2), from 0, the longer side of length 1."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _tsne(_Projection.of(rows).applied(rows))


class _Projection(NamedTuple):
    """Makes rows of at most 50 columns, at a scale of 1: squares of small numbers may vanish."""

    origin: NDArray[np.floating]
    scale: float
    mean: NDArray[np.float64] | None
    """None where there are few columns, which stay."""
    directions: NDArray[np.float64] | None

    @classmethod
    def of(cls, rows: Rows) -> _Projection:
        from sklearn.decomposition import PCA

        origin = rows[0]
        scale = max(float(np.abs(rows - origin).max()), 1e-300)
        points = cls(origin, scale, None, None).applied(rows)
        n_columns = min(_TSNE_COLUMNS, *points.shape)
        if n_columns == points.shape[1]:
            return cls(origin, scale, None, None)
        pca = PCA(n_columns, svd_solver="full").fit(points)
        return cls(origin, scale, pca.mean_, pca.components_.T)

    def applied(self, rows: Rows) -> NDArray[np.float64]:
        points: NDArray[np.float64] = (rows - self.origin).astype(np.float64) / self.scale
        if self.mean is None or self.directions is None:
            return points
        return (points - self.mean) @ self.directions


def _tsne(points: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    tsne = TSNE(
        perplexity=min(_TSNE_PERPLEXITY, (len(points) - 1) / 3),
        init="pca" if points.shape[1] > 1 else "random",
        max_iter=_TSNE_STEPS,
        random_state=0,
        n_jobs=1,
    ).set_output(transform="default")  # whatever scikit-learn's global settings are
    embedding = tsne.fit_transform(points)
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    scaled: NDArray[np.float64] = (embedding - low) / (high - low).max()
    return scaled


def _near(
    drawn: NDArray[np.float64],
    plane: NDArray[np.float32],
    rows: NDArray[np.float64],
    n_jobs: int | None,
) -> NDArray[np.float32]:
    """The places of rows beside those of the drawn ones."""
    drawn, rows = drawn.astype(np.float32), rows.clip(-_FAR, _FAR).astype(np.float32)
    distances, neighbors = kneighbors(drawn, min(_N_NEIGHBORS, len(drawn)), Y=rows, n_jobs=n_jobs)
    places = plane[neighbors]
    offsets = places - places[:, :1]
    weights = 1 / (distances + 1e-6 * distances[:, -1:] + 1e-30)
    weights[np.hypot(offsets[..., 0], offsets[..., 1]) > _RADIUS] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    near: NDArray[np.float32] = np.einsum("ij,ijk->ik", weights, places)
    return near
