"""A report to look at: the results of a ConsensusClusterer as one HTML file without any other.

The template, its style and its scripts lie beside this module. All that grows with the data is
bounded: cards, rows, points, characters and the bytes of images.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, BinaryIO

from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.samples import validated_samples
from labelquorum._shared.texts import as_texts
from labelquorum.quality.coverage import judge
from labelquorum.report.contents import contents
from labelquorum.report.data import report_data
from labelquorum.report.images import as_images
from labelquorum.report.layout import layout_of
from labelquorum.report.points import write_points
from labelquorum.report.selection import select


def report_page(
    model: Any,
    *,
    X: Any = None,
    texts: Iterable[str] | None = None,
    images: Any = None,
    y: Any = None,
    points: BinaryIO | None = None,
) -> str:
    """Make the page of a fitted `ConsensusClusterer`; see `ConsensusClusterer.report`.

    The points of its map are written to `points` as Parquet.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('a report needs Jinja2: pip install "labelquorum[report]"') from error
    check_is_fitted(model)
    n_samples = len(model.labels_)
    if X is not None:
        X = validated_samples(model, X, reset=False)
        _check_length("X", X.shape[0], n_samples)
    text_list = None if texts is None else as_texts(texts)
    if text_list is not None:
        _check_length("texts", len(text_list), n_samples)
    image_array = None if images is None else as_images(images)
    if image_array is not None:
        _check_length("images", len(image_array), n_samples)
    judgment = None if y is None else judge(model, y)
    data = report_data(model, X=X, texts=text_list, images=image_array, judgment=judgment)
    selection = select(data)
    layout = layout_of(data, selection)
    if points is not None:
        if layout is None:
            raise ValueError("map_out needs features that differ, but all samples have the same")
        write_points(points, data, layout)

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelquorum.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _file("script.js") + _file("map.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        contents(data, selection, layout),
        style=_file("style.css"),
        script=script,
        script_hash=f"sha256-{digest}",
    )


def _file(name: str) -> str:
    return (files("labelquorum.report") / name).read_text(encoding="utf-8")


def _check_length(name: str, n: int, n_samples: int) -> None:
    if n != n_samples:
        raise ValueError(
            f"{name} has {n} samples, but the estimator was fitted on {n_samples}: they must have "
            "the same length"
        )
