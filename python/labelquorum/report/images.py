"""TODO."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGE_BYTES, _IMAGE_SIDE, _LEAST_SIDE = 1_800_000, 96, 6


def check_length(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ValueError(
            f"{name} holds {found} samples, the estimator was fitted on {wanted}; wanted as many"
        )


def as_images(images: Any, n: int) -> NDArray[Any]:
    """Images of grey values, or of red, green and blue."""
    array = np.asarray(images)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"images has dtype {array.dtype}; wanted numbers")
    if array.ndim not in (3, 4) or 0 in array.shape[1:] or array.shape[3:] not in ((), (3,)):
        raise ValueError(
            f"images has shape {array.shape}; wanted (n_samples, height, width), or "
            "(n_samples, height, width, 3)"
        )
    check_length("images", len(array), n)
    return array


def encoded(images: NDArray[Any], samples: NDArray[np.intp]) -> dict[int, str]:
    """Images as data URIs, as large as the bytes allow; each of the samples counts."""
    wanted, n_times = np.unique(samples, return_counts=True)
    low = min(float(images[i].min()) for i in wanted)
    high = max(float(images[i].max()) for i in wanted)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("images holds NaN or infinity; wanted finite numbers")
    if images.ndim == 4 and images.dtype != np.uint8 and not (low >= 0 and high <= 1):
        raise ValueError(
            f"images holds colours from {low} to {high}; wanted uint8, or floats from 0 to 1"
        )
    # One at a time: all at once may be more than memory holds.
    small = [_small(images[i], low, high) for i in wanted]
    side = _IMAGE_SIDE
    while True:
        found = [_data_uri(image, side) for image in small]
        n_bytes = int(n_times @ [len(uri) for uri in found])
        if n_bytes <= _IMAGE_BYTES or side <= _LEAST_SIDE:
            return dict(zip(wanted.tolist(), found, strict=True))
        side = max(_LEAST_SIDE, int(0.9 * side * math.sqrt(_IMAGE_BYTES / n_bytes)))


def _small(values: NDArray[Any], low: float, high: float) -> Image:
    """An image, no larger than shown: colours as they are, or the highest grey value black."""
    from PIL.Image import fromarray

    if values.ndim == 2:
        shares = (high - values.astype(np.float64)) / ((high - low) or 1)
        values = (255 * shares).round().astype(np.uint8)
    elif values.dtype != np.uint8:
        values = (255 * values.astype(np.float64)).round().astype(np.uint8)
    image = fromarray(values)
    image.thumbnail((_IMAGE_SIDE, _IMAGE_SIDE))
    return image


def _data_uri(image: Image, side: int) -> str:
    kind = "png" if image.mode == "L" else "jpeg"
    smaller = image.copy()
    smaller.thumbnail((side, side))
    file = io.BytesIO()
    smaller.save(file, kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
