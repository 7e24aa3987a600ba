"""A report to look at: what a ConsensusClusterer found, as one HTML file without any other.

The page, its style and its script are files of `_report`; this module says what stands in them. All
that grows with the data is bounded: cards, rows, points, characters and bytes of images.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import as_texts
from labelquorum.quality.coverage import judged
from labelquorum.report.contents import Contents
from labelquorum.report.images import as_images, check_length

if TYPE_CHECKING:
    from labelquorum.clustering.clusterer import ConsensusClusterer


def report_page(
    model: ConsensusClusterer,
    *,
    X: Any = None,
    texts: Iterable[str] | None = None,
    images: Any = None,
    y: Any = None,
) -> str:
    """Make the page; see `ConsensusClusterer.report`."""
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('a report needs Jinja2: pip install "labelquorum[report]"') from error
    check_is_fitted(model)
    n = len(model.outcome_.categories.numbers)
    if X is not None:
        X = validate_data(model, X, accept_sparse="csr", dtype="numeric", reset=False)
        check_length("X", X.shape[0], n)
    items = None if texts is None else as_texts(texts)
    if items is not None:
        check_length("texts", len(items), n)
    pictures = None if images is None else as_images(images, n)
    truth = judged(model, y)
    contents = Contents(model, X, items, pictures, truth).all()
    script = (files("labelquorum.report") / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelquorum.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What stands in the package, and pictures by matplotlib, which escapes their texts.
    safe = environment.filters["safe"]
    style = (files("labelquorum.report") / "style.css").read_text(encoding="utf-8")
    for part in ("heat_map", "map", "coverage"):
        if contents[part]:
            contents[part]["svg"] = safe(contents[part]["svg"])
    return environment.get_template("page.html").render(
        contents, style=safe(style), script=safe(script), script_hash=f"sha256-{digest}"
    )
