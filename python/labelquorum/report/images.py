"""Images of samples: checked, made small, and encoded as data URIs within a number of bytes."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.samples import as_array

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_BYTES = 1_500_000  # of all images together
_MOST_SIDE, _LEAST_SIDE = 96, 6  # pixels


def as_images(images: Any) -> NDArray[Any]:
    """The images as an array: (n, height, width) of gray values, or (n, height, width, 3)."""
    array = as_array(images, "images")
    if array.dtype.kind not in "iufb":
        raise TypeError(f"images must hold numbers, got dtype {array.dtype}")
    if array.ndim not in (3, 4) or 0 in array.shape[1:] or array.shape[3:] not in ((), (3,)):
        raise ValueError(
            "images must have shape (n_samples, height, width) or (n_samples, height, width, "
            f"3), got {array.shape}"
        )
    return array


def encoded(
    images: NDArray[Any],
    samples: NDArray[np.intp],
    *,
    n_bytes: int = _MOST_BYTES,
    side: int = _MOST_SIDE,
) -> dict[int, str]:
    """The images of some samples as data URIs, as large as fits so many bytes, at most `side`.

    A sample counts as often as it is among `samples`. Gray values share one scale, the highest
    black; colors are uint8, or from 0 to 1.
    """
    distinct, n_times = np.unique(samples, return_counts=True)
    low = min(float(images[i].min()) for i in distinct)
    high = max(float(images[i].max()) for i in distinct)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("images must hold finite numbers, got NaN or infinity")
    if images.ndim == 4 and images.dtype != np.uint8 and not (low >= 0 and high <= 1):
        raise ValueError(
            f"images must hold colors as uint8 or from 0 to 1, got values from {low} to {high}"
        )
    # One at a time: memory may not hold them all at once.
    thumbnails = [_thumbnail(images[i], low, high) for i in distinct]
    while True:
        uris = [_data_uri(image, side) for image in thumbnails]
        n_used = int(n_times @ [len(uri) for uri in uris])
        if n_used <= n_bytes or side <= _LEAST_SIDE:
            return dict(zip(distinct.tolist(), uris, strict=True))
        side = max(_LEAST_SIDE, int(0.9 * side * math.sqrt(n_bytes / n_used)))


def _thumbnail(values: NDArray[Any], low: float, high: float) -> Image:
    """An image of at most 96 pixels a side."""
    from PIL.Image import fromarray

    if values.ndim == 2:
        brightness = (high - values.astype(np.float64)) / ((high - low) or 1)
        values = (255 * brightness).round().astype(np.uint8)
    elif values.dtype != np.uint8:
        values = (255 * values.astype(np.float64)).round().astype(np.uint8)
    image = fromarray(values)
    image.thumbnail((_MOST_SIDE, _MOST_SIDE))
    return image


def _data_uri(image: Image, side: int) -> str:
    file_format = "png" if image.mode == "L" else "jpeg"
    smaller = image.copy()
    smaller.thumbnail((side, side))
    file = io.BytesIO()
    smaller.save(file, file_format, quality=80)
    return f"data:image/{file_format};base64,{base64.b64encode(file.getvalue()).decode()}"
