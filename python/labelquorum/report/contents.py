"""TODO."""

from __future__ import annotations

import inspect
import math
import unicodedata
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.clustering.explanation import mean_shares
from labelquorum.clustering.outcome import LEAST_OF_SHARE, least_confidence
from labelquorum.display.categories import (
    AgreementDisplay,
    agreement_of,
    like_side_by_side,
    shortened,
)
from labelquorum.display.curves import CoveragePrecisionDisplay
from labelquorum.quality.checks import samples_to_check
from labelquorum.quality.coverage import Judged, coverage_of
from labelquorum.report.drawing import POINTS_PER_INCH, WIDTH, _drawing, box_of, embedded, overlap
from labelquorum.report.images import encoded
from labelquorum.text.terms import keywords, representatives

if TYPE_CHECKING:
    from labelquorum.clustering.clusterer import ConsensusClusterer

_MOST_CARDS, _MOST_ROWS = 200, 1000  # categories with a card, in the table
_TYPICAL, _BORDERLINE, _NEIGHBORS, _KEYWORDS, _FEATURES, _CLASSES = 6, 4, 3, 8, 5, 3  # of a card
_KEYWORD_TEXTS, _KEYWORD_CHARACTERS = 500, 2000  # of a category, of a text
_MOST_CHECKS = 200
_MOST_PAIRS = 12
_MAP_POINTS, _MAP_POINTS_OF_CATEGORY = 1500, 3
_VARIANCE_ROWS = 10_000
_CHARACTERS_PER_NAME, _CHARACTERS_PER_VALUE = 100, 300
_MOST_CHARACTERS, _CHARACTERS_PER_TEXT = 200_000, 280  # of all texts, of one
_PIXELATED_SIDE = 32  # images up to this size are shown larger than they are

# Okabe and Ito's colours, which colour-blind readers tell apart, but for black and yellow.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_NAME_SIZE, _SMALL_NAME_SIZE = 8.5, 7.0  # on a map
_MOST_LARGE = 20  # of these names
_MARGIN = 0.03  # of a map


class _Sample(NamedTuple):
    """A sample that is shown."""

    number: int
    category: str
    confidence: float
    next: str | None
    next_share: float
    text: str | None
    image: str | None


class _Category(NamedTuple):
    """A row of the table, and what its card says where it has one."""

    number: int
    name: str
    has_card: bool
    kind: str
    size: int
    size_text: str
    share: float
    confidence: float
    n_pseudo_labels_text: str
    n_labeled: int
    n_suspect: int
    right: float | None
    true_labels: list[tuple[str, float]]
    keywords: list[str]
    features: list[dict[str, str]]
    typical: list[_Sample]
    borderline: list[_Sample]
    neighbors: list[_Neighbor]


class _Neighbor(NamedTuple):
    """A category near another one."""

    number: int
    name: str
    has_card: bool
    share: float


class _Pair(NamedTuple):
    first: _Neighbor
    second: _Neighbor
    share: float


class Contents:
    """All that the page says, by the names that it has there."""

    def __init__(
        self,
        model: ConsensusClusterer,
        X: Any,
        texts: list[str] | None,
        images: NDArray[Any] | None,
        truth: Judged | None,
    ) -> None:
        self.model, self.X, self.texts, self.images, self.truth = model, X, texts, images, truth
        categories, rows = model.outcome_.categories, model.outcome_.features
        self.has_features = bool((rows != rows[0]).any())
        self.numbers, self.confidence = categories.numbers, model.confidence_
        self.n = len(self.numbers)
        self.names = [_name(name) for name in model.classes_.tolist()]
        self.sizes, self.shares = mean_shares(categories)
        by_size = np.argsort(-self.sizes, kind="stable")
        self.rows = np.sort(by_size[:_MOST_ROWS])
        self.cards = np.sort(by_size[:_MOST_CARDS])
        self.place = np.full(len(self.names) + 1, -1, dtype=np.int32)  # the last is that of -1
        self.place[self.cards] = np.arange(len(self.cards))
        self.order = np.lexsort((-self.confidence, self.numbers))
        self.firsts = np.searchsorted(self.numbers[self.order], np.arange(len(self.names) + 1))

    def all(self) -> dict[str, Any]:
        """Everything."""
        model = self.model
        chosen = self._chosen()
        checks = self._checks()
        suspects = model.suspect_labels_[:_MOST_CHECKS]
        shown = np.concatenate([*(rows for pair in chosen for rows in pair), checks, suspects])
        self._look_at(shown.astype(np.intp))
        categories = self._categories(chosen)
        cards = [categories[k] for k in self.cards.tolist()]
        rounds = _rounds(model.history_)
        return {
            "n_samples": f"{self.n:,}",
            "n_categories": len(self.names),
            "facts": self._facts(),
            "settings": _settings(model),
            "rows": [categories[k] for k in self.rows.tolist()],
            "n_hidden_rows": len(self.names) - len(self.rows),
            "cards": cards,
            "pixelated": self.is_pixelated,
            "has_known": model.outcome_.known is not None,
            "has_truth": self.truth is not None,
            "shows_samples": self.texts is not None or self.images is not None,
            "heat_map": self._heat_map(),
            "map": self._map(),
            "coverage": self._coverage(),
            "rounds": rounds,
            "checks": [self._sample(i) for i in checks.tolist()],
            "suspects": [self._suspect(i) for i in suspects.tolist()],
            "n_suspects": f"{len(model.suspect_labels_):,}",
            "most_suspects": _MOST_CHECKS,
            "version": version("labelquorum"),
        }

    def _facts(self) -> list[tuple[str, str]]:
        model = self.model
        facts = [
            ("samples", f"{self.n:,}"),
            ("features", f"{model.n_features_in_:,}"),
            ("clusterings", f"{model.partitions_.shape[1]:,}"),
            ("categories", f"{len(self.names):,}"),
        ]
        if model.outcome_.known is not None:
            facts += [
                ("known categories", f"{model.outcome_.n_known:,}"),
                ("known labels", f"{np.count_nonzero(model.outcome_.known >= 0):,}"),
                ("of them suspect", f"{len(model.suspect_labels_):,}"),
            ]
        if model.outcome_.groups is not None:
            facts.append(
                ("groups", f"{len(np.unique(model.outcome_.groups[model.outcome_.groups >= 0])):,}")
            )
        n_without = self.n - np.count_nonzero(model.outcome_.as_labels(self.numbers) >= 0)
        if n_without:
            facts.append(("without a label", f"{n_without:,}"))
        facts += [
            ("pseudo-labels", f"{model.outcome_.is_pseudo_label.mean():.1%}"),
            ("mean confidence", f"{self.confidence.mean():.3f}"),
        ]
        if self.truth is not None:
            right = self.truth.right[self.truth.samples]
            facts.append(("labels that are right", f"{right.mean():.1%}"))
        return facts

    def _members(self, k: int) -> NDArray[np.intp]:
        """The samples of a category, the surest first."""
        members: NDArray[np.intp] = self.order[self.firsts[k] : self.firsts[k + 1]]
        return members

    def _chosen(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Of each category with a card, samples that stand for it and samples at its border."""
        typical = {k: self._members(k)[:_TYPICAL] for k in self.cards.tolist()}
        if self.texts is not None:
            # The surest texts would often say the same.
            typical |= representatives(
                self.texts,
                np.where(self.place[self.numbers] >= 0, self.numbers, -1),
                _TYPICAL,
                confidence=self.confidence.clip(0),
                X=self.model.outcome_.features if self.has_features else None,
                verbose=self.model.verbose,
            )
        chosen = []
        for k in self.cards.tolist():
            least = self._members(k)[: -_BORDERLINE - 1 : -1]
            chosen.append((typical[k], np.setdiff1d(least, typical[k])))
        return chosen

    def _look_at(self, samples: NDArray[np.intp]) -> None:
        """Prepare the texts and images of the samples that are shown, some more than once."""
        wanted = np.unique(samples)
        of_samples = self.model.outcome_.categories.shares_of(wanted).copy()
        of_samples[np.arange(len(wanted)), self.numbers[wanted]] = -1
        best = of_samples.argmax(axis=1)
        found = zip(best.tolist(), of_samples.max(axis=1).tolist(), strict=True)
        self.next = dict(zip(wanted.tolist(), found, strict=True))
        n_characters = min(_CHARACTERS_PER_TEXT, _MOST_CHARACTERS // max(1, len(samples)))
        self.shown_text: dict[int, str] = {}
        if self.texts is not None:
            for i in wanted.tolist():
                self.shown_text[i] = shortened(_clean(self.texts[i]), n_characters) or "(empty)"
        self.shown_image: dict[int, str] = {}
        self.is_pixelated = False
        if self.images is not None and len(wanted):
            self.is_pixelated = max(self.images.shape[1:3]) <= _PIXELATED_SIDE
            self.shown_image = encoded(self.images, samples)

    def _sample(self, i: int) -> _Sample:
        k, share = self.next[i]
        number = int(self.numbers[i])
        has_next = number >= 0 and len(self.names) > 1
        return _Sample(
            i,
            self.names[number],
            float(self.confidence[i]),
            self.names[k] if has_next else None,
            share,
            self.shown_text.get(i),
            self.shown_image.get(i),
        )

    def _suspect(self, i: int) -> _Sample:
        """A sample with a known label; next comes what the votes say."""
        known = self.model.outcome_.known
        assert known is not None
        scores = self.model.outcome_.categories.shares_of(i)
        k = int(scores.argmax())
        return self._sample(i)._replace(
            category=self.names[known[i]],
            confidence=float(scores[known[i]]),
            next=self.names[k],
            next_share=float(scores[k]),
        )

    def _checks(self) -> NDArray[np.int64]:
        """The samples to check, in order; a label that was given to `fit` is none to check."""
        labels = self.model.outcome_.as_labels(self.numbers).astype(np.int64)
        if self.model.outcome_.known is not None:
            labels[self.model.outcome_.known >= 0] = -1
        n_labels = np.count_nonzero(labels >= 0)
        if not n_labels:
            return np.empty(0, dtype=np.int64)
        n_checks = min(_MOST_CHECKS, int(n_labels))
        return samples_to_check(labels, self.confidence, n_checks, random_state=0)

    def _categories(
        self, chosen: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    ) -> dict[int, _Category]:
        model, n_categories = self.model, len(self.names)
        n_labeled = n_suspect = np.zeros(n_categories, dtype=np.int64)
        if model.outcome_.known is not None:
            known = model.outcome_.known
            n_labeled = np.bincount(known[known >= 0], minlength=n_categories)
            n_suspect = np.bincount(known[model.suspect_labels_], minlength=n_categories)
        pseudo = self.numbers[model.outcome_.is_pseudo_label]
        n_pseudo = np.bincount(pseudo[pseudo >= 0], minlength=n_categories)
        right, true_labels = self._truths()
        words, features = self._keywords(), self._features()
        found = {}
        for k in self.rows.tolist():
            place = int(self.place[k])
            typical, borderline = chosen[place] if place >= 0 else ((), ())
            found[k] = _Category(
                number=k,
                name=self.names[k],
                has_card=place >= 0,
                kind="known" if k < model.outcome_.n_known else "new",
                size=int(self.sizes[k]),
                size_text=f"{self.sizes[k]:,}",
                share=float(self.sizes[k] / self.n),
                confidence=float(self.shares[k, k]),
                n_pseudo_labels_text=f"{n_pseudo[k]:,}",
                n_labeled=int(n_labeled[k]),
                n_suspect=int(n_suspect[k]),
                right=right.get(k),
                true_labels=true_labels.get(k, []),
                keywords=words.get(k, []),
                features=features.get(k, []),
                typical=[self._sample(int(i)) for i in typical],
                borderline=[
                    self._sample(int(i))
                    for i in sorted(borderline, key=self.confidence.__getitem__)
                ],
                neighbors=self._neighbors(k),
            )
        return found

    def _neighbor(self, k: int, share: float = 0.0) -> _Neighbor:
        return _Neighbor(k, self.names[k], bool(self.place[k] >= 0), share)

    def _neighbors(self, k: int) -> list[_Neighbor]:
        """The other categories with the largest shares of its samples' votes."""
        shares = self.shares[k].copy()
        shares[k] = -1
        best = np.argsort(-shares, kind="stable")[:_NEIGHBORS].tolist()
        return [self._neighbor(j, float(shares[j])) for j in best if shares[j] > 0]

    def _truths(self) -> tuple[dict[int, float], dict[int, list[tuple[str, float]]]]:
        """Of each category the share of labels that are right, and its most frequent classes."""
        right: dict[int, float] = {}
        classes: dict[int, list[tuple[str, float]]] = {}
        if self.truth is None:
            return right, classes
        samples = self.truth.samples[self.numbers[self.truth.samples] >= 0]
        counts = sparse.csr_array(
            (np.ones(len(samples)), (self.numbers[samples], self.truth.codes[samples])),
            shape=(len(self.names), len(self.truth.classes)),
        )
        n_right = np.bincount(
            self.numbers[samples], self.truth.right[samples], minlength=len(self.names)
        )
        totals = counts.sum(axis=1)
        for k in self.rows.tolist():
            if totals[k]:
                right[k] = float(n_right[k] / totals[k])
                row = counts[[k]]
                best = np.argsort(-row.data, kind="stable")[:_CLASSES]
                classes[k] = [
                    (_name(self.truth.classes[row.indices[j]]), float(row.data[j] / totals[k]))
                    for j in best
                ]
        return right, classes

    def _keywords(self) -> dict[int, list[str]]:
        if self.texts is None:
            return {}
        chosen = [self._members(k)[:_KEYWORD_TEXTS] for k in self.cards.tolist()]
        rows = np.concatenate(chosen)
        texts = [self.texts[i][:_KEYWORD_CHARACTERS] for i in rows.tolist()]
        found = keywords(texts, self.numbers[rows], _KEYWORDS, verbose=self.model.verbose)
        return {
            k: [shortened(_clean(word), _CHARACTERS_PER_NAME) for word, _ in words]
            for k, words in found.items()
        }

    def _features(self) -> dict[int, list[dict[str, str]]]:
        """The features whose mean in a category lies farthest from the mean of all samples.

        In standard deviations. Only where there is nothing better to look at.
        """
        if self.X is None or self.texts is not None or self.images is not None:
            return {}
        places = self.place[self.numbers]
        shown = np.flatnonzero(places >= 0)
        members = sparse.csr_array(
            (np.ones(len(shown)), (places[shown], shown)), shape=(len(self.cards), self.n)
        )
        sums = members @ self.X
        sums = sums.toarray() if sparse.issparse(sums) else np.asarray(sums)
        means = sums / np.maximum(self.sizes[self.cards], 1)[:, None]
        some = self.X[:: -(-self.n // _VARIANCE_ROWS)]
        some = some.toarray() if sparse.issparse(some) else some
        overall = np.asarray(self.X.mean(axis=0, dtype=np.float64)).ravel()
        deviation = some.std(axis=0, dtype=np.float64)
        apart = np.abs(means - overall) / np.where(deviation > 0, deviation, np.inf)
        names = getattr(self.model, "feature_names_in_", None)
        found = {}
        for place, k in enumerate(self.cards.tolist()):
            best = np.argsort(-apart[place], kind="stable")[:_FEATURES]
            found[k] = [
                {
                    "name": f"feature {j}" if names is None else _name(names[j]),
                    "mean": f"{means[place, j]:.3g}",
                    "overall": f"{overall[j]:.3g}",
                }
                for j in best.tolist()
                if apart[place, j] > 0
            ]
        return found

    def _heat_map(self) -> dict[str, Any] | None:
        """The agreement of the categories with a card."""
        if len(self.cards) < 2:
            return None
        codes = self.place[self.numbers]
        agreement = agreement_of(list(self.model.partitions_.T), codes, len(self.cards))
        order = like_side_by_side(agreement)
        agreement, numbers = agreement[np.ix_(order, order)], self.cards[order]
        names = [self.names[k] for k in numbers]
        display = AgreementDisplay(agreement=agreement, categories=names)
        with _drawing(WIDTH, 0.85 * WIDTH) as drawing:
            display.plot(ax=drawing.axes)
            svg = drawing.svg("heat")
            box = display.ax_.get_position()
        place = zip(
            ("left", "top", "width", "height"),
            (box.x0, 1 - box.y1, box.width, box.height),
            strict=True,
        )
        first, second = np.triu_indices(len(order), 1)
        shares = np.nan_to_num(agreement[first, second])
        best = np.argsort(-shares, kind="stable")[:_MOST_PAIRS]
        pairs = [
            _Pair(
                self._neighbor(int(numbers[first[j]])),
                self._neighbor(int(numbers[second[j]])),
                float(shares[j]),
            )
            for j in best.tolist()
            if shares[j] > 0
        ]
        percents = np.where(np.isnan(agreement), -1, 100 * np.nan_to_num(agreement)).round()
        rows = percents.astype(int).tolist()
        return {
            "svg": svg,
            "place": "; ".join(f"{side}: {share:.2%}" for side, share in place),
            "pairs": pairs,
            "data": {
                "names": names,
                "agreement": [[None if value < 0 else value for value in row] for row in rows],
            },
        }

    def _map(self) -> dict[str, Any] | None:
        if not self.has_features:
            return None
        samples = self._map_samples()
        points = embedded(self.model.outcome_.features[samples])
        shown = [k for k in self.cards.tolist() if (self.numbers[samples] == k).any()]
        points = points + (1 - points.max(axis=0)) * [0.5, 0]
        height = max(0.5, points[:, 1].max())
        with _drawing(WIDTH, (height + 2 * _MARGIN) * WIDTH) as drawing:
            axes = drawing.axes
            axes.set_axis_off()
            axes.set(xlim=(-_MARGIN, 1 + _MARGIN), ylim=(-_MARGIN, height + _MARGIN))
            others = ~np.isin(self.numbers[samples], shown)
            axes.scatter(*points[others].T, s=5, marker=".", color="#888888")
            are_many = len(shown) > _MOST_LARGE
            size = _SMALL_NAME_SIZE if are_many else _NAME_SIZE
            boxes: list[tuple[float, float, float, float]] = []
            labels = []
            for place, k in enumerate(shown):
                of_category = points[self.numbers[samples] == k]
                axes.scatter(
                    *of_category.T,
                    s=9,
                    marker=_MARKERS[place // len(_COLORS) % len(_MARKERS)],
                    color=_COLORS[place % len(_COLORS)],
                    linewidths=0,
                    gid=f"c{k}",
                )
                x, y = np.median(of_category, axis=0)
                if are_many:  # beside what would be hidden
                    y = np.quantile(of_category[:, 1], 0.8) + 0.7 * size / (POINTS_PER_INCH * WIDTH)
                labels.append((k, x, y))
            for k, x, y in sorted(labels, key=lambda label: -self.sizes[label[0]]):
                name = shortened(self.names[k], 16)
                box = box_of(name, x, y, size)
                if not any(overlap(box, other) for other in boxes):
                    boxes.append(box)
                    x = (box[0] + box[2]) / 2
                    axes.text(
                        x,
                        y,
                        name,
                        ha="center",
                        va="center",
                        size=size,
                        parse_math=False,
                        gid=f"t{k}",
                    )
            svg = drawing.svg("map")
        return {
            "svg": svg,
            "n_points": f"{len(samples):,}",
            "is_part": len(samples) < self.n,
            "categories": [self._neighbor(k) for k in shown],
        }

    def _map_samples(self) -> NDArray[np.intp]:
        """Random ones, and some of each category with a card."""
        order = np.random.RandomState(0).permutation(self.n)
        is_drawn = np.arange(self.n) < _MAP_POINTS
        places = self.place[self.numbers[order]]
        by_category = np.argsort(places, kind="stable")
        ranks = np.empty(self.n, dtype=np.intp)
        firsts = np.searchsorted(places[by_category], places[by_category])
        ranks[by_category] = np.arange(self.n) - firsts
        is_drawn |= (ranks < _MAP_POINTS_OF_CATEGORY) & (places >= 0)
        samples: NDArray[np.intp] = np.sort(order[is_drawn])
        return samples

    def _coverage(self) -> dict[str, Any]:
        model = self.model
        try:
            found = coverage_of(model, self.truth)
        except ValueError:
            # Without `discover`, it may be that no sample has a label.
            return {}
        display = CoveragePrecisionDisplay(**found)
        with _drawing(WIDTH, 0.75 * WIDTH) as drawing:
            display.plot(ax=drawing.axes)
            svg = drawing.svg("coverage")
        share = float(model.pseudo_share)
        least = least_confidence(self.confidence, share)
        rule = (
            f"the surest {share:.0%} of the samples (those with a confidence of {least:.3f} or "
            f"more), and of each category its surest {share * LEAST_OF_SHARE:.0%} at least"
        )
        rows = []
        for wanted in (0.25, 0.5, 0.75, 0.9, 1.0):
            at = int(np.searchsorted(display.coverage, wanted * display.coverage[-1] - 1e-9))
            rows.append(
                {
                    "name": "all" if wanted == 1 else f"surest {wanted:.0%}",
                    "coverage": display.coverage[at],
                    "threshold": display.threshold[at],
                    "confidence": display.confidence[at],
                    "precision": None if display.precision is None else display.precision[at],
                }
            )
        rows.insert(0, self._in_use())
        n_judged = self.n if self.truth is None else len(self.truth.samples)
        return {"svg": svg, "rule": rule, "rows": rows, "n_judged": f"{n_judged:,}"}

    def _in_use(self) -> dict[str, Any]:
        """The row of the pseudo-labels."""
        samples = np.arange(self.n) if self.truth is None else self.truth.samples
        chosen = samples[self.model.outcome_.is_pseudo_label[samples]]
        of_chosen = self.confidence[chosen]
        right = None if self.truth is None else self.truth.right[chosen]
        return {
            "name": "pseudo-labels",
            "coverage": len(chosen) / len(samples),
            "threshold": float(of_chosen.min(initial=1)),
            "confidence": float(of_chosen.mean()) if len(chosen) else math.nan,
            "precision": math.nan if right is None or not len(right) else float(right.mean()),
        }


def _name(name: Any) -> str:
    return shortened(_clean(str(name)), _CHARACTERS_PER_NAME) or "(empty)"


def _clean(text: str) -> str:
    """The text with U+FFFD for what is no character: halves of pairs, control characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") and not c.isspace() else c for c in text
    )


def _settings(model: ConsensusClusterer) -> list[dict[str, Any]]:
    defaults = inspect.signature(type(model)).parameters
    return [
        {
            "name": name,
            "value": shortened(_clean(repr(value)), _CHARACTERS_PER_VALUE),
            "is_default": repr(value) == repr(defaults[name].default),
        }
        for name, value in model.get_params(deep=False).items()
    ]


def _rounds(history: list[dict[str, Any]]) -> dict[str, Any]:
    columns = list(history[0])
    rows = [
        [f"{x:.3f}" if isinstance(x, float) else f"{x:,}" for x in entry.values()]
        for entry in history
    ]
    return {"columns": [name.replace("_", " ") for name in columns], "rows": rows}
