"""Samples as the page shows them: category, confidence, runner-up, and a text or an image."""

from __future__ import annotations

import html
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum.display.axes import shortened
from labelquorum.report.data import ReportData, ShownName, clean
from labelquorum.report.images import encoded

_CHARACTERS_PER_TEXT = 280
_MOST_CHARACTERS, _MOST_BYTES = 200_000, 600_000  # of all texts together
_PIXELATED_SIDE = 32  # pixels: images up to this size are enlarged


class Sample(NamedTuple):
    """A sample that is shown."""

    number: int
    category: ShownName
    """Its label."""
    name: ShownName
    """What people call the category."""
    confidence: float
    runner_up: ShownName | None
    """The category with the next largest share of its votes."""
    runner_up_share: float
    text: str | None
    image: str | None
    """Data URI."""


class ShownSamples:
    """The samples to show, with texts cut and images encoded to fit the page.

    Parameters
    ----------
    data : ReportData
    shown : int array
        Sample numbers, each as often as it is shown.
    """

    def __init__(self, data: ReportData, shown: NDArray[np.intp]) -> None:
        self._data = data
        samples = np.unique(shown)
        self._runner_up = _runners_up(data, samples)
        self._text: dict[int, str] = {}
        if data.texts is not None:
            n_characters = min(_CHARACTERS_PER_TEXT, _MOST_CHARACTERS // max(1, len(shown)))
            self._text = _cut(data.texts, samples, n_characters)
            n_bytes = sum(len(html.escape(self._text[i]).encode()) for i in shown.tolist())
            if n_bytes > _MOST_BYTES:
                n_characters = max(1, n_characters * _MOST_BYTES // n_bytes)
                self._text = _cut(data.texts, samples, n_characters)
        self._image: dict[int, str] = {}
        self.is_pixelated = False
        """Whether the images are so small that they are enlarged, with sharp pixels."""
        if data.images is not None and len(samples):
            self._image = encoded(data.images, shown)
            self.is_pixelated = max(data.images.shape[1:3]) <= _PIXELATED_SIDE

    def sample(self, i: int) -> Sample:
        """A sample with its category."""
        data = self._data
        number = int(data.numbers[i])
        runner_up, share = self._runner_up[i]
        has_runner_up = number >= 0 and len(data.names) > 1
        return Sample(
            number=i,
            category=data.labels[number],
            name=data.names[number],
            confidence=float(data.confidence[i]),
            runner_up=data.names[runner_up] if has_runner_up else None,
            runner_up_share=share,
            text=self._text.get(i),
            image=self._image.get(i),
        )

    def suspect(self, i: int) -> Sample:
        """A sample with its known label as the category, and what the votes say as runner-up."""
        data = self._data
        assert data.outcome.known is not None
        known = data.outcome.known[i]
        shares = data.categories.shares_of(i)
        winner = int(shares.argmax())
        return self.sample(i)._replace(
            category=data.labels[known],
            name=data.names[known],
            confidence=float(shares[known]),
            runner_up=data.names[winner],
            runner_up_share=float(shares[winner]),
        )


def _cut(texts: list[str], samples: NDArray[np.intp], n_characters: int) -> dict[int, str]:
    return {i: shortened(clean(texts[i]), n_characters) or "(empty)" for i in samples.tolist()}


def _runners_up(data: ReportData, samples: NDArray[np.intp]) -> dict[int, tuple[int, float]]:
    """For each sample, the best category other than its own, and its share of the votes."""
    shares = data.categories.shares_of(samples).copy()
    shares[np.arange(len(samples)), data.numbers[samples]] = -1
    best = zip(shares.argmax(axis=1).tolist(), shares.max(axis=1).tolist(), strict=True)
    return dict(zip(samples.tolist(), best, strict=True))
