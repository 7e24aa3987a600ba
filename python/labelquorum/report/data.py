"""What a report is made from: a fitted model, read once, and the data to show beside it.

The model is a fitted `ConsensusClusterer`. Only its public attributes are read, so this module need
not import it, and a clusterer can import the report.
"""

from __future__ import annotations

import html
import inspect
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import Columns
from labelquorum.clustering.explanation import mean_shares
from labelquorum.clustering.outcome import Categories, Outcome
from labelquorum.display.axes import shortened
from labelquorum.quality.coverage import Coverage, Judgment, coverage_of
from labelquorum.text.naming import display_names

_CHARACTERS_PER_NAME, _CHARACTERS_PER_VALUE = 100, 300
_CHARACTERS_PER_FULL_NAME, _CHARACTERS_OF_FULL_NAMES = 250, 40_000  # the latter of all together
_LAYER_COLUMNS = ("n_clusters", "persistence", "smallest", "median", "largest", "chosen")
_BYTES_PER_NAME, _BYTES_PER_FULL_NAME = 300, 600  # in the page


class ShownName(str):
    """A name, cut to be shown."""

    full: str
    """As much of it as the page has room for, to show where a pointer rests and in downloads."""


class Setting(NamedTuple):
    """A parameter of the model."""

    name: str
    value: str
    is_default: bool


class CategorySums(NamedTuple):
    """Sums over the samples of each category."""

    sizes: NDArray[np.int64]
    """(n_categories,): number of samples."""
    shares: NDArray[np.float64]
    """(n_categories, n_categories): row k is the mean share of category k's samples in each."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """The values of a fitted model, and the data of its samples."""

    outcome: Outcome
    names: list[ShownName]
    """What people call each category, clean and short enough to print."""
    full_names: list[str]
    """These, whole."""
    classes: list[Any]
    """The label of each category."""
    labels: list[ShownName]
    """These, clean and short."""
    is_known: NDArray[np.bool_]
    """(n_categories,): whether people or voters named it; see `Outcome.is_known`."""
    label_of_sample: NDArray[Any]
    """(n_samples,): the model's `labels_`."""
    confidence: NDArray[np.float32]
    """(n_samples,), 0 to 1."""
    partitions: Columns
    """Those that count, each (n_samples,); negative where a partition abstains."""
    origins: NDArray[np.str_]
    """(n_samples,): where each label comes from, "" without one."""
    suspects: NDArray[np.intp]
    """Samples whose known label the votes contradict, most suspect first."""
    history: list[dict[str, Any]]
    """One entry for each round of voting."""
    layers: dict[str, list[Any]]
    """The columns of the model's `layers_table_` by name, a value for each layer."""
    coarser: list[NDArray[np.intp]]
    """Layers with fewer categories than the report's, finest first: for each category, the number
    of the one that it is part of."""
    settings: list[Setting]
    pseudo_share: float
    """The model's parameter: share of the samples to make pseudo-labels."""
    n_features: int
    feature_names: list[str] | None
    n_jobs: int | None
    verbose: bool
    X: Any
    """Features as given to `fit`, dense or CSR; None where they are not shown."""
    texts: list[str] | None
    images: NDArray[Any] | None
    """(n_samples, height, width[, 3])."""
    judgment: Judgment | None
    """The labels compared with true ones; None where there are none."""
    coverage: Coverage | None
    """Precision by coverage; None where no sample that counts has a label."""

    @property
    def categories(self) -> Categories:
        """The category of each sample, and its shares in all of them."""
        return self.outcome.categories

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Category number of each sample; -1 without votes."""
        return self.categories.numbers

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.numbers)

    @property
    def unit(self) -> str:
        """What the samples are called, in the plural."""
        if self.texts is not None:
            return "texts"
        return "samples" if self.images is None else "images"

    @property
    def has_label(self) -> NDArray[np.bool_]:
        """(n_categories,): whether samples get the category as their label."""
        numbers = np.arange(len(self.names), dtype=np.int32)
        has_label: NDArray[np.bool_] = self.outcome.as_labels(numbers) >= 0
        return has_label

    @cached_property
    def is_named(self) -> bool:
        """Whether some category has another name than its label."""
        return self.names != self.labels

    @cached_property
    def by_size(self) -> NDArray[np.intp]:
        """(n_categories,): the categories by decreasing size; of equal ones, known ones first."""
        listing = np.array(self.outcome.listing([label.full for label in self.labels]))
        order: NDArray[np.intp] = listing[np.argsort(-self.sums.sizes[listing], kind="stable")]
        return order

    @cached_property
    def sums(self) -> CategorySums:
        """Size and mean shares of each category."""
        return CategorySums(*mean_shares(self.categories))

    @cached_property
    def has_features(self) -> bool:
        """Whether the features tell any two samples apart."""
        return len(self.outcome.features) > 1


def report_data(
    model: Any,
    *,
    X: Any,
    texts: list[str] | None,
    images: NDArray[Any] | None,
    judgment: Judgment | None,
) -> ReportData:
    """Read a fitted `ConsensusClusterer`; the other arguments are checked already."""
    outcome: Outcome = model.outcome_
    has_label = outcome.as_labels(outcome.categories.numbers) >= 0
    counted = has_label if judgment is None else has_label[judgment.samples]
    feature_names = getattr(model, "feature_names_in_", None)
    n_characters = min(_CHARACTERS_PER_FULL_NAME, _CHARACTERS_OF_FULL_NAMES // len(model.classes_))
    table, names = model.layers_table_, _names(model, texts)
    return ReportData(
        outcome=outcome,
        names=[printable_name(name, n_characters) for name in names],
        full_names=names,
        classes=model.classes_.tolist(),
        labels=[printable_name(label, n_characters) for label in model.classes_.tolist()],
        is_known=outcome.is_known(model.classes_),
        label_of_sample=model.labels_,
        confidence=model.confidence_,
        partitions=[model.partitions_[:, m] for m in np.flatnonzero(model.partition_weights_)],
        origins=outcome.label_origins(),
        suspects=model.suspect_labels_,
        history=model.history_,
        layers={name: table[name].tolist() for name in _LAYER_COLUMNS},
        coarser=_coarser(model, int(np.flatnonzero(table["chosen"])[0])),
        settings=_settings_of(model),
        pseudo_share=float(model.pseudo_share),
        n_features=model.n_features_in_,
        feature_names=None if feature_names is None else feature_names.tolist(),
        n_jobs=model.n_jobs,
        verbose=model.verbose,
        X=X,
        texts=texts,
        images=images,
        judgment=judgment,
        coverage=coverage_of(model, judgment) if counted.any() else None,
    )


def _names(model: Any, texts: list[str] | None) -> list[str]:
    """What people call the categories; keywords name those that have no name yet."""
    names: list[str] = model.category_names_.tolist()
    labels = model.classes_.tolist()
    numbered = model.outcome_.numbered(model.classes_)
    unnamed = [k for k in numbered if names[k] == str(labels[k])]
    if texts is None or not unnamed:
        return names
    numbers = model.outcome_.categories.numbers
    return display_names(texts, numbers, labels, names, unnamed, confidence=model.confidence_)


def _coarser(model: Any, chosen: int) -> list[NDArray[np.intp]]:
    """The layers with fewer categories, as `ReportData.coarser`."""
    if not model.discover:  # Then no layer has labels for new categories.
        return []
    numbers, firsts = np.unique(model.outcome_.categories.numbers, return_index=True)
    firsts = firsts[numbers >= 0]
    groups = []
    for labels in model.cluster_layers_[chosen + 1 :]:
        # A known category that no sample is in is apart.
        group = -1 - np.arange(len(model.classes_))
        group[numbers[numbers >= 0]] = np.unique(labels[firsts].astype(str), return_inverse=True)[1]
        groups.append(np.unique(group, return_inverse=True)[1].astype(np.intp))
    return groups


def _settings_of(model: Any) -> list[Setting]:
    defaults = inspect.signature(type(model)).parameters
    return [
        Setting(
            name,
            shortened(clean(repr(value)), _CHARACTERS_PER_VALUE),
            is_default=repr(value) == repr(defaults[name].default),
        )
        for name, value in model.get_params(deep=False).items()
    ]


def printable_name(name: Any, n_characters: int = _CHARACTERS_PER_FULL_NAME) -> ShownName:
    """The name on one line, without control characters, at most 100 characters long.

    Less where its characters take many bytes. `n_characters` is the length of the full name, if it
    is more.
    """
    line = clean(str(name)).strip()
    per_byte = len(line) / max(1, len(html.escape(line).encode()))
    n_shown = min(_CHARACTERS_PER_NAME, int(_BYTES_PER_NAME * per_byte))
    shown = ShownName(shortened(line, n_shown) or "(empty)")
    n_full = max(min(n_characters, int(_BYTES_PER_FULL_NAME * per_byte)), n_shown)
    shown.full = shortened(line, n_full) or shown
    return shown


def clean(text: str) -> str:
    """The text with U+FFFD in place of control characters and unpaired surrogates."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() else c for c in text
    )
