"""Labels checked by hand: which samples to check, and what the checks guarantee.

Why the bounds hold: `samples_to_check` gives every labeled sample the same chance, and it draws in
such a way that the indicators of being drawn are strongly Rayleigh: their generating polynomial is
stable (Borcea, Branden and Liggett, "Negative dependence and the geometry of polynomials", J. AMS
22, 2009). The draw has three steps, and each of them keeps this property:

1. In the pivotal method, one of two items takes the chances of both. A positive combination of two
   variables replaces one of them.
2. The number of checks of each category is rounded up or down by such a draw.
3. Where it is rounded down, one sample is left out at random. This takes the sum of the
   derivatives, which interlaces the polynomial.

A draw without strata, in which all subsets of a size are equally likely, has the property too.
Hence the number of wrong labels found, in any fixed set of labels, is distributed like a sum of
independent trials. Its tails, from one beyond the mean, are no heavier than those of the binomial
distribution with the same mean (Hoeffding, "On the distribution of the number of successes in
independent trials", 1956). `lower_bound` says how the bounds follow.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from sklearn.utils import check_random_state

from labelquorum._shared.arguments import as_positive, shown
from labelquorum._shared.html import Table, as_html
from labelquorum._shared.samples import as_array
from labelquorum.quality.answers import as_categories, checked_labels
from labelquorum.quality.pivotal import pivotal_draw, spread_draw

if TYPE_CHECKING:
    import pandas as pd

_LOWEST_LEVEL = 0.75  # the proof of the bounds needs at least this
_IMPLAUSIBLE = 1e-6  # a random draw spreads so unevenly over the categories less often than this
_MAX_ROWS = 60  # of a printed table
_ROUNDING = 1e-6  # shares may exceed 1 by this


class LabelQuality(NamedTuple):
    """Precision of labels, overall and per category, as estimated from checks by hand."""

    n_labels: int
    """Number of samples with a label."""
    n_checked: int
    """How many of these were checked."""
    n_right: int
    """How many of the checked labels are right."""
    precision: float
    """n_right / n_checked: the estimate."""
    lower_bound: float
    """Lower bound on the precision of all labels, at `level`."""
    categories: NDArray[Any]
    """The distinct labels, sorted. Each array below has one value for each of them."""
    category_n_labels: NDArray[np.int64]
    """Number of samples with that label."""
    category_n_checked: NDArray[np.int64]
    """How many of these were checked."""
    category_n_right: NDArray[np.int64]
    """How many of the checked labels are right."""
    category_precision: NDArray[np.float64]
    """The estimate; NaN where nothing was checked."""
    category_lower_bound: NDArray[np.float64]
    """Lower bound on the precision of the category's labels; 0 where nothing was checked."""
    level: float
    """Confidence level of each bound."""
    n_looks: int
    """Number of looks that share the error probability 1 - level."""
    simultaneous: bool
    """Whether the bounds of all categories hold at once (True) or each by itself (False)."""
    wanted_precision: float | None
    """The precision that the threshold guarantees."""
    threshold: float | None
    """Labels with at least this confidence have the wanted precision, at `level`. NaN if the checks
    guarantee it for no threshold; None if no precision was wanted."""
    threshold_n_labels: int | None
    """Number of labels with at least that confidence."""

    def to_frame(self) -> pd.DataFrame:
        """Make a table of the categories.

        Returns
        -------
        pandas.DataFrame
            One row per category, in order; pandas must be installed.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "n_labels": self.category_n_labels,
                "n_checked": self.category_n_checked,
                "n_right": self.category_n_right,
                "precision": self.category_precision,
                "lower_bound": self.category_lower_bound,
            },
            index=pd.Index(self.categories, name="category"),
        )

    def __repr__(self) -> str:
        rows = self._rows()
        width = max(8, *(len(row[0]) for row in rows))
        lines = [f"{'category':<{width}}  labels  checked  right  precision  at least"]
        for name, n_labels, n_checked, n_right, share, bound in rows:
            lines.append(
                f"{name:<{width}}  {n_labels:>6}  {n_checked:>7}  {n_right:>5}  {share:>9}  "
                f"{bound:>8}"
            )
        lines[-1:-1] = self._rest()
        return "\n".join([*lines, *self._sentences()])

    def _repr_html_(self) -> str:
        titles = ["category", "labels", "checked", "right", "precision", "at least"]
        return as_html(Table(titles, self._rows()), *self._rest(), *self._sentences())

    def _rows(self) -> list[list[str]]:
        """The rows of the printed table; the last one is for all categories."""
        columns = (
            self.categories,
            self.category_n_labels,
            self.category_n_checked,
            self.category_n_right,
            self.category_precision,
            self.category_lower_bound,
        )
        rows = list(zip(*(column[:_MAX_ROWS].tolist() for column in columns), strict=True))
        rows.append(("all", *self[:5]))
        return [
            [*map(str, row[:4]), f"{row[4]:.4f}" if row[2] else "-", _floored(row[5])]
            for row in rows
        ]

    def _rest(self) -> list[str]:
        hidden = len(self.categories) - _MAX_ROWS
        return [f"... {hidden} more categories: to_frame() has them all"] if hidden > 0 else []

    def _sentences(self) -> list[str]:
        """What the bounds mean, and what the threshold guarantees."""
        scope = "for all categories at once" if self.simultaneous else "each by itself"
        looks = f", in each of {self.n_looks} looks" if self.n_looks > 1 else ""
        sentences = [f"The bounds hold with confidence {self.level:g}, {scope}{looks}."]
        if self.threshold is not None:
            sentences.append(self._threshold_sentence())
        return sentences

    def _threshold_sentence(self) -> str:
        precision = f"a precision of {self.wanted_precision:g}"
        if not self.threshold_n_labels:
            return f"No threshold on the confidence guarantees {precision}."
        return (
            f"Confidence >= {self.threshold!r} guarantees {precision}: {self.threshold_n_labels} "
            f"of {self.n_labels} labels."
        )


def _floored(bound: float) -> str:
    """The bound with four digits, rounded down."""
    return f"{np.floor(bound * 1e4 + 1e-9) / 1e4:.4f}"


def samples_to_check(
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    n_samples: int = 60,
    *,
    random_state: Any = None,
) -> NDArray[np.int64]:
    """Draw the samples whose labels to check by hand.

    Every labeled sample has the same chance. Each category gets its share of the checks, rounded up
    or down at random. Within a category, the checks are spread over the confidence.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Integers or strings; -1 (or None) for samples without a label, which are never drawn. See
        docs/inputs.md for all forms.
    confidence : array-like of shape (n,), optional
        Confidence of each label, 0 to 1.
    n_samples : int, default=60
        Number of samples to draw; `n_checks_needed` says how many a lower bound needs.
    random_state : int, RandomState instance or None, default=None
        Random choices.

    Returns
    -------
    int64 array of shape (n_samples,)
        Sample numbers, in random order. Check them in this order: the first ones, however many, are
        as good a draw. So draw as many as you may ever check, and stop when you like.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than `n_samples` labeled samples, a confidence is not in [0, 1], or the
        arguments do not match.

    Notes
    -----
    Within a category, samples are sorted by confidence and cut into blocks. Blocks are drawn by the
    ordered pivotal method (Deville and Tille, "Unequal probability sampling without replacement
    through a splitting method", Biometrika 85, 1998), and one sample of each block drawn. The
    bounds of `label_quality` hold for such a draw, and for a simple random draw.

    O(n log n).

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> labels = np.repeat([0, 1, -1], [600, 200, 200])
    >>> drawn = lq.samples_to_check(labels, n_samples=40, random_state=0)
    >>> np.unique(labels[drawn], return_counts=True)
    (array([0, 1]), array([30, 10]))
    """
    _, codes = as_categories(labels, "labels")
    n_checks = as_positive(n_samples, "n_samples")
    samples, n_all = np.flatnonzero(codes >= 0), len(codes)
    n = len(samples)
    if n_checks > n:
        raise ValueError(
            f"n_samples must be at most {n}, the number of labeled samples, got {n_checks}"
        )
    codes = codes[samples]
    keys: tuple[NDArray[Any], ...] = (codes,)
    if confidence is not None:
        keys = (_as_confidence(confidence, n_all)[samples], codes)
    samples = samples[np.lexsort(keys)]
    random = check_random_state(random_state)

    sizes = np.bincount(codes)
    n_least, remainders = np.divmod(n_checks * sizes, n)
    n_drawn = n_least + pivotal_draw(remainders.tolist(), n, random)
    members_of = np.split(samples, sizes.cumsum()[:-1])
    parts = []
    for members, most, n_of_category in zip(
        members_of, n_least + (remainders > 0), n_drawn, strict=True
    ):
        # The proof needs the draw to be rounded up, and then cut where it is rounded down.
        spread = spread_draw(members, int(most), random)
        parts.append(random.permutation(spread)[:n_of_category])
    drawn: NDArray[np.int64] = random.permutation(np.concatenate(parts))
    return drawn


def n_checks_needed(
    precision: float, *, n_errors: int = 0, level: float = 0.95, n_looks: int = 1
) -> int:
    """Find how many labels to check by hand to guarantee a precision.

    Parameters
    ----------
    precision : float in (0, 1)
        The precision that the lower bound should reach.
    n_errors : int, default=0
        Number of checked labels that may be wrong.
    level, n_looks
        As for `label_quality`.

    Returns
    -------
    int
        The fewest checks with which the lower bound of `label_quality` reaches the precision, for
        any number of labels.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import labelquorum as lq
    >>> [lq.n_checks_needed(0.95, n_errors=n_errors) for n_errors in range(4)]
    [59, 93, 124, 153]
    """
    target = _as_open_fraction(precision, "precision")
    n_wrong = _as_count(n_errors, "n_errors")
    alpha = as_alpha(level, n_looks)
    # With a fixed number of errors, the bound grows with the checks: double, then bisect.
    enough = n_wrong + 1
    while lower_bound(enough - n_wrong, enough, alpha) < target:
        enough *= 2
    too_few = max(n_wrong, enough // 2 - 1)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if lower_bound(middle - n_wrong, middle, alpha) < target:
            too_few = middle
        else:
            enough = middle
    return enough


def label_quality(
    labels: ArrayLike,
    oracle_labels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    level: float = 0.95,
    wanted_precision: float | None = None,
    simultaneous: bool = False,
    n_looks: int = 1,
) -> LabelQuality:
    """Estimate the precision of labels from some that were checked by hand.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Integers or strings; -1 (or None) for samples without a label.
    oracle_labels : array-like of shape (n,)
        The true label of each sample that was checked; -1 or None for the others. Use the same
        names as in `labels`, and any other name, such as -2 or "none of them", where no category is
        true. Two or more names are refused if `labels` has none of them. For clusters without
        names, give bools: whether the label is right. Checks of samples without a label do not
        count.
    confidence : array-like of shape (n,), optional
        Confidence of each label, 0 to 1. Needed for `wanted_precision`.
    level : float, default=0.95
        Confidence level of each one-sided bound; at least 0.75.
    wanted_precision : float in (0, 1), optional
        Find the threshold on the confidence that guarantees this precision.
    simultaneous : bool, default=False
        Whether the lower bounds of all categories hold at once (Bonferroni's correction), or each
        by itself: of many categories, some may then lie below their bounds.
    n_looks : int, default=1
        Number of times that you look at a growing set of checks before you stop, this time
        included. The results of all looks hold together at `level` (Bonferroni's correction).
        Choose it before the first look.

    Returns
    -------
    LabelQuality
        Precision with lower bounds, overall and per category, and the threshold. It prints as a
        table.

    Raises
    ------
    TypeError, ValueError
        If no label was checked, a confidence is not in [0, 1], labels and oracle labels are of
        different kinds, or the arguments do not match.

    Warns
    -----
    UserWarning
        If the checks are spread over the categories so unlike the labels that they cannot be a
        random draw of all labels.

    See Also
    --------
    samples_to_check : Which samples to check.
    n_checks_needed : How many of them.

    Notes
    -----
    *The checks* must be samples drawn by `samples_to_check` (all of them, or the first ones), or
    drawn at random from all labeled samples. Never choose them by what the labels look like. The
    precision is that of `labels`, not of labels that the same model would give to other data. Put
    -1 in place of labels that were known before: they would make the precision look better.

    *The bounds* are those of Clopper and Pearson ("The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26, 1934). They are exact for draws with
    replacement. They also hold for draws of `samples_to_check`, whose number of errors is a sum of
    independent trials with unequal chances (Hoeffding 1956), but for one case: a single right
    label, where the bound is (1 - level) / n_checked instead. No bound is below the share of the
    labels that were checked and are right.

    *The threshold* is found by testing thresholds in a fixed sequence, from the strictest down,
    until one fails (Bauer, "Multiple testing in clinical trials", Statistics in Medicine 10, 1991;
    Angelopoulos et al., "Learn then Test", 2021), so that choosing it costs nothing. The sequence
    depends only on the confidences and the number of checks. For each number of wrong labels among
    the checks, there is a strictest threshold that keeps enough labels to guarantee the precision
    even so. These thresholds are tested, beginning a quarter of the way through them: a test that
    tolerates almost no wrong label fails by chance. The last one keeps all labels. Each test bounds
    the number of wrong labels above the threshold, as a share of all labels, from all checks.

    *Clusters without names*: do not name a cluster after the most frequent true label of its
    checked samples. This makes the precision look too good: a cluster with a single check would
    always be right. Name clusters before, by their keywords or by samples that do not count here.

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> labels = np.repeat(["cat", "dog"], [800, 400])
    >>> checked = lq.samples_to_check(labels, n_samples=60, random_state=0)
    >>> oracle_labels = np.full(1200, None)
    >>> oracle_labels[checked] = labels[checked]  # all right
    >>> oracle_labels[checked[labels[checked] == "dog"][:2]] = "cat"  # but for two dogs
    >>> lq.label_quality(labels, oracle_labels)
    category  labels  checked  right  precision  at least
    cat          800       40     40     1.0000    0.9278
    dog          400       20     18     0.9000    0.7173
    all         1200       60     58     0.9667    0.8987
    The bounds hold with confidence 0.95, each by itself.
    """
    categories, codes = as_categories(labels, "labels")
    samples, right = checked_labels(categories, codes, oracle_labels)
    alpha = as_alpha(level, n_looks)
    threshold = n_kept = None
    sizes = np.bincount(codes[codes >= 0], minlength=len(categories))
    n_checked = np.bincount(codes[samples], minlength=len(categories))
    n_right = np.bincount(codes[samples[right]], minlength=len(categories))
    _warn_if_not_random(sizes, n_checked)
    n_labels, n_all, n_all_right = int(sizes.sum()), len(samples), int(right.sum())
    if confidence is not None:
        confidences = _as_confidence(confidence, len(codes))
    if wanted_precision is not None:
        wanted_precision = _as_open_fraction(wanted_precision, "wanted_precision")
        if confidence is None:
            raise ValueError("confidence must be given with wanted_precision, got None")
        threshold, n_kept = guaranteed_threshold(
            confidences[codes >= 0], confidences[samples[~right]], n_all, alpha, wanted_precision
        )
    category_alpha = alpha / len(categories) if simultaneous else alpha
    precision = np.full(len(categories), np.nan)
    np.divide(n_right, n_checked, out=precision, where=n_checked > 0)
    return LabelQuality(
        n_labels=n_labels,
        n_checked=n_all,
        n_right=n_all_right,
        precision=n_all_right / n_all,
        lower_bound=max(float(lower_bound(n_all_right, n_all, alpha)), n_all_right / n_labels),
        categories=categories,
        category_n_labels=sizes,
        category_n_checked=n_checked,
        category_n_right=n_right,
        category_precision=precision,
        category_lower_bound=np.maximum(
            lower_bound(n_right, n_checked, category_alpha), n_right / sizes
        ),
        level=float(level),
        n_looks=int(n_looks),
        simultaneous=bool(simultaneous),
        wanted_precision=wanted_precision,
        threshold=threshold,
        threshold_n_labels=n_kept,
    )


def lower_bound(n_right: Any, n_checked: Any, alpha: float) -> NDArray[np.float64]:
    """Clopper and Pearson's lower bound on a share, made valid for sums of unequal trials.

    `n_right` and `n_checked` are integers or integer arrays: SciPy's `binomtest` has the same bound
    (method "exact"), but takes one pair at a time.

    Proof: let S be such a sum of n trials, with mean n p, and k the least number for which the
    bound exceeds p. The bound is too high where S >= k, and P(B >= k) < alpha for the binomial B
    with the same mean. If k >= n p + 1, then P(S >= k) <= P(B >= k), by Hoeffding. A k between n p
    and n p + 1 contradicts alpha <= 1/4 if n p >= 0.29, since then P(B > n p) >= 1/4 (Doerr, "An
    elementary analysis of the probability that a binomial random variable exceeds its
    expectation", 2018). There remains n p < 0.29 with k = 1. For one right label, the bound
    alpha / n follows from P(S >= 1) <= n p.
    """
    n_right, n_checked = np.asarray(n_right), np.maximum(n_checked, 1)
    bound = special.betaincinv(np.maximum(n_right, 1), n_checked - n_right + 1, alpha)
    valid: NDArray[np.float64] = np.where(n_right > 1, bound, n_right * alpha / n_checked)
    return valid


def guaranteed_threshold(
    confidence: NDArray[np.float64],
    wrong: NDArray[np.float64],
    n_checked: int,
    alpha: float,
    precision: float,
    n_tolerated: int | None = None,
) -> tuple[float, int]:
    """The threshold and the number of labels it keeps; NaN and 0 where there is none.

    `confidence` holds that of all labels, `wrong` that of the wrong ones among the checks. The
    first test tolerates `n_tolerated` wrong labels; None begins a quarter of the way through.
    """
    n_labels = len(confidence)
    values, counts = np.unique(confidence, return_counts=True)
    n_kept = counts[::-1].cumsum()[::-1]
    n_wrong = len(wrong) - np.searchsorted(np.sort(wrong), values)
    # With i wrong labels among the checks, at most a share 1 - bound of all labels is wrong: so
    # many labels have to be kept that this is no more than 1 - precision of them.
    i = np.arange(n_checked + 1)
    n_needed = (1 - lower_bound(n_checked - i, n_checked, alpha)) * n_labels / (1 - precision)
    n_needed = n_needed[n_needed <= n_labels]
    if not len(n_needed):
        return float("nan"), 0
    # Tests that tolerate almost no wrong label fail by chance, and would end the sequence early.
    quarter = len(n_needed) // 4
    tested = n_needed[quarter if n_tolerated is None else min(n_tolerated, quarter) :]
    strictest = np.searchsorted(-n_kept, -tested, side="right") - 1
    steps = np.unique(np.append(strictest, 0))[::-1]
    passed = n_wrong[steps] < np.searchsorted(n_needed, n_kept[steps], side="right")
    n_passed = len(steps) if passed.all() else int(passed.argmin())
    if not n_passed:
        return float("nan"), 0
    last = steps[n_passed - 1]
    return float(values[last]), int(n_kept[last])


def _warn_if_not_random(sizes: NDArray[np.int64], n_checked: NDArray[np.int64]) -> None:
    """Warn if no random draw would spread the checks over the categories like this."""
    n = int(n_checked.sum())
    shares = sizes / sizes.sum()
    tails = np.minimum(
        special.bdtr(n_checked, n, shares), special.bdtrc(n_checked - 1.0, n, shares)
    )
    if tails.min() * len(sizes) < _IMPLAUSIBLE:
        warnings.warn(
            "The checked samples are spread over the categories unlike the labels, so they cannot "
            "be a random draw of all labels. Only the bounds of single categories can hold.",
            UserWarning,
            stacklevel=3,
        )


def _as_confidence(confidence: ArrayLike, n_samples: int) -> NDArray[np.float64]:
    array = as_array(confidence, "confidence")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"confidence must hold numbers from 0 to 1, got dtype {array.dtype}")
    if array.shape != (n_samples,):
        raise ValueError(
            f"confidence must have shape ({n_samples},), as labels does, got {array.shape}"
        )
    wrong = np.flatnonzero(~((array >= 0) & (array <= 1 + _ROUNDING)))
    if len(wrong):
        raise ValueError(
            f"confidence must hold numbers from 0 to 1, got {array[wrong[0]]} at index {wrong[0]}"
        )
    return array.astype(np.float64)


def _as_open_fraction(value: Any, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number in (0, 1), got {shown(value)}")
    if not 0 < value < 1:
        raise ValueError(f"{name} must be a number in (0, 1), got {value}")
    return float(value)


def _as_count(value: Any, name: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer of at least 0, got {shown(value)}")
    if value < 0:
        raise ValueError(f"{name} must be an integer of at least 0, got {value}")
    return int(value)


def as_alpha(level: Any, n_looks: Any) -> float:
    """The error probability of each look."""
    if _as_open_fraction(level, "level") < _LOWEST_LEVEL:
        raise ValueError(f"level must be a number in [{_LOWEST_LEVEL}, 1), got {level}")
    return (1 - float(level)) / as_positive(n_looks, "n_looks")
