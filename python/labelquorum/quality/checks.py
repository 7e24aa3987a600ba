"""Labels checked by hand: which samples to check, and what the checks guarantee.

Why the bounds hold. `samples_to_check` gives every labelled sample the same chance, and draws such
that the indicators of being drawn are strongly Rayleigh (Borcea, Branden and Liggett, "Negative
dependence and the geometry of polynomials", J. AMS 22, 2009): their generating polynomial is
stable. Three steps make the draw, and each keeps it so: one of two takes the chances of both (a
positive combination takes the place of a variable), such a draw rounds a category's number up or
down, and one at random is left out (the sum of the derivatives, which interlaces the polynomial). A
draw without strata, all subsets of a size being equally likely, is of this kind too. Then the
number of wrong labels found, in any set of labels fixed before, is distributed like a sum of
independent trials, and Hoeffding ("On the distribution of the number of successes in independent
trials", 1956) shows that its tails, from one beyond the mean, are no heavier than those of the
binomial distribution with the same mean. See `lower_bound` for the rest of the way.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from sklearn.utils import check_random_state

from labelquorum._shared.arguments import as_positive

if TYPE_CHECKING:
    import pandas as pd

_LOWEST_LEVEL = 0.75  # below it the proof of the bounds does not hold
_IMPLAUSIBLE = 1e-6  # checks spread over the categories so unevenly are no random ones
_MAX_ROWS = 60  # of a table that is printed


class LabelQuality(NamedTuple):
    """What checks by hand say of the precision of labels: over all, and of each category."""

    n_labels: int
    """Samples that have a label."""
    n_checked: int
    """Those of them that were checked."""
    n_right: int
    """Those of them whose label is right."""
    precision: float
    """n_right / n_checked: the estimate."""
    lower_bound: float
    """Of the precision of all labels, at `level`."""
    categories: NDArray[Any]
    """The distinct labels, sorted. Each array from here on has one value for each of them."""
    category_n_labels: NDArray[np.int64]
    """Samples with that label."""
    category_n_checked: NDArray[np.int64]
    """Those of them that were checked."""
    category_n_right: NDArray[np.int64]
    """Those of them whose label is right."""
    category_precision: NDArray[np.float64]
    """The estimate; NaN where nothing was checked."""
    category_lower_bound: NDArray[np.float64]
    """Of the precision of all labels of the category; 0 where nothing was checked."""
    level: float
    """Confidence at which each bound holds."""
    n_looks: int
    """Looks that share the error probability 1 - level."""
    simultaneous: bool
    """Whether the bounds of all categories hold at once, or each by itself."""
    wanted_precision: float | None
    """That the threshold guarantees."""
    threshold: float | None
    """Labels of at least this confidence have the wanted precision, at `level`. NaN where the
    checks guarantee it for none; None where none was wanted."""
    threshold_n_labels: int | None
    """Labels of at least that confidence."""

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
        width = max(8, *(len(str(row[0])) for row in rows))
        lines = [f"{'category':<{width}}  labels  checked  right  precision  at least"]
        for name, n_labels, n_checked, n_right, precision, bound in rows:
            share = f"{precision:9.4f}" if n_checked else f"{'-':>9}"
            lines.append(
                f"{name!s:<{width}}  {n_labels:6d}  {n_checked:7d}  {n_right:5d}  {share}  "
                f"{_floored(bound):>8}"
            )
        if len(self.categories) > _MAX_ROWS:
            hidden = len(self.categories) - _MAX_ROWS
            lines.insert(-1, f"... {hidden} more categories: see to_frame()")
        held = "those of all categories at once" if self.simultaneous else "each by itself"
        looks = f", in each of {self.n_looks} looks" if self.n_looks > 1 else ""
        lines.append(f"The bounds hold with confidence {self.level:g}, {held}{looks}.")
        if self.threshold is not None:
            lines.append(self._about_the_threshold())
        return "\n".join(lines)

    def _about_the_threshold(self) -> str:
        wanted = f"a precision of {self.wanted_precision:g}"
        if not self.threshold_n_labels:
            return f"The checks guarantee {wanted} at no threshold on the confidence."
        return (
            f"Confidence >= {self.threshold!r} guarantees {wanted}: {self.threshold_n_labels} of "
            f"{self.n_labels} labels."
        )


def _floored(bound: float) -> str:
    """The bound with four digits, never more than it is."""
    return f"{np.floor(bound * 1e4 + 1e-9) / 1e4:.4f}"


def samples_to_check(
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    n_samples: int = 60,
    *,
    random_state: Any = None,
) -> NDArray[np.int64]:
    """Draw the samples whose labels to check by hand.

    Every labelled sample has the same chance. Each category gets its share of the checks, rounded
    up or down at random; within it they are spread over the confidence.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Integers or strings, with -1 (or None) for samples without a label, which are never drawn.
    confidence : array-like of shape (n,), optional
        Of each label, 0 to 1.
    n_samples : int, default=60
        How many to draw: `n_checks_needed` says how many a wanted bound needs.
    random_state : int, RandomState instance or None, default=None
        Draws them.

    Returns
    -------
    int64 array of shape (n_samples,)
        Indices, in random order. Check them in this order: the first ones, however many, are as
        good a draw. So draw as many as you may ever check, and stop where you like.

    Raises
    ------
    TypeError, ValueError
        If there are fewer labelled samples than to be drawn, a confidence is not in [0, 1], or
        arguments do not fit together.

    Notes
    -----
    Within a category, blocks of samples next to each other in confidence are drawn by the ordered
    pivotal method (Deville and Tille, "Unequal probability sampling without replacement through a
    splitting method", Biometrika 85, 1998), and one sample from each block. The bounds of
    `label_quality` are valid for such a draw, as for one without strata; see there.

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
    _, codes = _categories(labels, "labels")
    n_checks = as_positive(n_samples, "n_samples")
    samples = np.flatnonzero(codes >= 0)
    n = len(samples)
    if n_checks > n:
        raise ValueError(f"n_samples is {n_checks}; wanted 1 to {n}: the labelled samples")
    codes = codes[samples]
    keys: tuple[NDArray[Any], ...] = (codes,)
    if confidence is not None:
        keys = (_as_confidence(confidence, len(np.asarray(labels)))[samples], codes)
    samples = samples[np.lexsort(keys)]
    random = check_random_state(random_state)

    sizes = np.bincount(codes)
    n_least, rests = np.divmod(n_checks * sizes, n)
    n_drawn = n_least + _drawn(rests.tolist(), n, random)
    parts = []
    for members, most, wanted in zip(
        np.split(samples, sizes.cumsum()[:-1]), n_least + (rests > 0), n_drawn, strict=True
    ):
        # Drawn as if rounded up and then cut, whichever comes: the proof wants it so.
        parts.append(random.permutation(_spread(members, int(most), random))[:wanted])
    drawn: NDArray[np.int64] = random.permutation(np.concatenate(parts))
    return drawn


def _spread(
    samples: NDArray[np.int64], n_drawn: int, random: np.random.RandomState
) -> NDArray[np.int64]:
    """So many of the samples, each with the same chance, spread over their order."""
    n = len(samples)
    size = n // n_drawn
    begins = np.arange(0, n, size)
    sizes = np.minimum(size, n - begins)
    drawn = _drawn((n_drawn * sizes).tolist(), n, random)
    spread: NDArray[np.int64] = samples[
        begins[drawn] + random.randint(sizes[drawn], dtype=np.int64)
    ]
    return spread


def _drawn(chances: list[int], whole: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Which items are drawn, each with its chance in units of 1 / whole: as many as they sum to.

    The ordered pivotal method. One item at a time holds an open chance; it meets the next one, and
    either one of them takes the chances of both, or one is drawn and the other keeps the rest.
    """
    drawn = np.zeros(len(chances), dtype=bool)
    holder, held = -1, 0
    coins = random.random_sample(len(chances)).tolist()
    for item, (chance, coin) in enumerate(zip(chances, coins, strict=True)):
        both = held + chance
        if both >= whole:
            if coin * (2 * whole - both) < whole - chance:
                drawn[holder] = True
                holder = item
            else:
                drawn[item] = True
            held = both - whole
        else:
            if coin * both < chance:
                holder = item
            held = both
    return drawn


def n_checks_needed(
    precision: float, *, n_errors: int = 0, level: float = 0.95, n_looks: int = 1
) -> int:
    """Find how many labels to check by hand to guarantee a precision.

    Parameters
    ----------
    precision : float in (0, 1)
        That the lower bound is to reach.
    n_errors : int, default=0
        How many of the checked labels may be wrong.
    level, n_looks
        As for `label_quality`.

    Returns
    -------
    int
        The fewest checks with which the lower bound of `label_quality` reaches the precision,
        however many labels there are.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import labelquorum as lq
    >>> [lq.n_checks_needed(0.95, n_errors=n_errors) for n_errors in range(4)]
    [59, 93, 124, 153]
    """
    wanted = _as_open_fraction(precision, "precision")
    if not isinstance(n_errors, (bool, np.bool_)) and n_errors == 0:
        n_wrong = 0
    else:
        n_wrong = as_positive(n_errors, "n_errors")
    alpha = as_alpha(level, n_looks)
    # The bound with as many errors grows with the checks: double, then halve the interval.
    enough = n_wrong + 1
    while lower_bound(enough - n_wrong, enough, alpha) < wanted:
        enough *= 2
    too_few = max(n_wrong, enough // 2 - 1)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if lower_bound(middle - n_wrong, middle, alpha) < wanted:
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
    """Say how precise labels are, from some that were checked by hand.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Integers or strings, with -1 (or None) for samples without a label.
    oracle_labels : array-like of shape (n,)
        For each sample that was checked its true label, in the same words as `labels`; any other
        one, such as -2 or "none of them", where none of the categories is true. Or, for clusters
        that have no names, bools: whether the label is right. In both, -1 or None where nothing
        was checked. Checks of samples without a label do not count.
    confidence : array-like of shape (n,), optional
        Of each label, 0 to 1. Needed for `wanted_precision`.
    level : float, default=0.95
        Confidence at which a bound holds, one-sided; at least 0.75.
    wanted_precision : float in (0, 1), optional
        Find the threshold on the confidence that guarantees it.
    simultaneous : bool, default=False
        Whether the lower bounds of all categories hold at once (by Bonferroni's correction), or
        each one by itself, so that of many categories some may lie below their bounds.
    n_looks : int, default=1
        How often you look at growing numbers of checks, this time included, before you stop: what
        is said in all of them holds at `level` together (by Bonferroni's correction). Fix it
        before the first look.

    Returns
    -------
    LabelQuality
        Precision, over all and by category, with lower bounds, and the threshold; it prints as a
        table.

    Raises
    ------
    TypeError, ValueError
        If no label was checked, a confidence is not in [0, 1], labels and oracle labels are of
        different kinds, or arguments do not fit together.

    Warns
    -----
    UserWarning
        If the checks are spread over the categories unlike the labels, so that they cannot be a
        random draw of all labels.

    See Also
    --------
    samples_to_check : Which samples to check.
    n_checks_needed : How many of them.

    Notes
    -----
    *What was checked* must be drawn by `samples_to_check` (all of it, or what comes first), or at
    random from all labelled samples; never chosen by what the labels look like. The precision is
    that of `labels`, not of labels that the same model would give to other data. Where some were
    known before, put -1 in their place, or they make it look better.

    *The bounds* are those of Clopper and Pearson ("The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26, 1934): exact for draws with
    replacement, and no less valid for those of `samples_to_check`, whose errors are a sum of
    independent trials with unequal chances (Hoeffding 1956). They were not valid for such sums in
    one case, a single right label, where the bound is (1 - level) / n_checked instead. No bound is
    below the share of labels that were checked and found right.

    *The threshold* is found by testing thresholds in a fixed sequence, from the strictest down,
    until one fails (Bauer, "Multiple testing in clinical trials", Statistics in Medicine 10, 1991;
    Angelopoulos et al., "Learn then Test", 2021): so the choice costs nothing. The sequence depends
    on the confidences and the number of checks alone. For each number of wrong ones among the
    checked there is a strictest threshold that keeps labels enough to guarantee the precision all
    the same; these are tested, from a quarter of the wrong ones that all labels could have (a test
    that tolerates next to none fails by chance), and last, all labels. A test bounds the number of
    wrong labels above the threshold, as a share of all labels, from all checks.

    *Clusters without names*: do not take the most frequent true label among a cluster's checked
    samples for its name, which makes the precision too good; a cluster with one check would always
    be right. Name it before, by samples that do not count here, or by its keywords.

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
    categories, codes = _categories(labels, "labels")
    n_samples = len(codes)
    samples, right = _checked(np.asarray(labels), codes, oracle_labels)
    alpha = as_alpha(level, n_looks)
    threshold = n_kept = None
    sizes = np.bincount(codes[codes >= 0], minlength=len(categories))
    n_checked = np.bincount(codes[samples], minlength=len(categories))
    n_right = np.bincount(codes[samples[right]], minlength=len(categories))
    _check_spread(sizes, n_checked)
    n_labels, n_all, n_all_right = int(sizes.sum()), len(samples), int(right.sum())
    if confidence is not None:
        confidences = _as_confidence(confidence, n_samples)
    if wanted_precision is not None:
        wanted_precision = _as_open_fraction(wanted_precision, "wanted_precision")
        if confidence is None:
            raise ValueError("wanted_precision is given without confidence; wanted both")
        threshold, n_kept = _guaranteed_threshold(
            confidences[codes >= 0], confidences[samples[~right]], n_all, alpha, wanted_precision
        )
    share = alpha / len(categories) if simultaneous else alpha
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
        category_lower_bound=np.maximum(lower_bound(n_right, n_checked, share), n_right / sizes),
        level=float(level),
        n_looks=int(n_looks),
        simultaneous=bool(simultaneous),
        wanted_precision=wanted_precision,
        threshold=threshold,
        threshold_n_labels=n_kept,
    )


def lower_bound(n_right: Any, n_checked: Any, alpha: float) -> NDArray[np.float64]:
    """Clopper and Pearson's lower bound of a share, valid for sums of unequal trials too.

    Let such a sum S have the mean n p. The bound lies above p where S >= k, the least number for
    which it does, and then P(B >= k) < alpha for the binomial B of the same mean. Where k >=
    n p + 1, P(S >= k) <= P(B >= k), by Hoeffding. A k between n p and n p + 1 contradicts
    alpha <= 1/4, since P(B > n p) >= 1/4 for n p >= 0.29 (Doerr, "An elementary analysis of the
    probability that a binomial random variable exceeds its expectation", 2018); so n p < 0.29 and
    k = 1, and for one right label the bound alpha / n is that of P(S >= 1) <= n p.
    """
    n_right, n_checked = np.asarray(n_right), np.maximum(n_checked, 1)
    bound = special.betaincinv(np.maximum(n_right, 1), n_checked - n_right + 1, alpha)
    valid: NDArray[np.float64] = np.where(n_right > 1, bound, n_right * alpha / n_checked)
    return valid


def _guaranteed_threshold(
    confidence: NDArray[np.float64],
    wrong: NDArray[np.float64],
    n_checked: int,
    alpha: float,
    wanted: float,
) -> tuple[float, int]:
    """The threshold, and the labels it keeps, from the confidences of all and of the wrong."""
    values, counts = np.unique(confidence, return_counts=True)
    n_kept = counts[::-1].cumsum()[::-1]
    n_wrong = len(wrong) - np.searchsorted(np.sort(wrong), values)
    # With w wrong ones among the checks, at most so many of all labels are wrong, so that so many
    # have to be kept.
    w = np.arange(n_checked + 1)
    needed = (1 - lower_bound(n_checked - w, n_checked, alpha)) * len(confidence) / (1 - wanted)
    needed = needed[needed <= len(confidence)]
    if not len(needed):
        return float("nan"), 0
    # What tolerates next to none fails by chance, and would end the sequence before it begins.
    from_here = needed[len(needed) // 4 :]
    strictest = np.searchsorted(-n_kept, -from_here, side="right") - 1
    steps = np.unique(np.append(strictest, 0))[::-1]
    passed = n_wrong[steps] < np.searchsorted(needed, n_kept[steps], side="right")
    n_passed = len(steps) if passed.all() else int(passed.argmin())
    if not n_passed:
        return float("nan"), 0
    last = steps[n_passed - 1]
    return float(values[last]), int(n_kept[last])


def _check_spread(sizes: NDArray[np.int64], n_checked: NDArray[np.int64]) -> None:
    """Warn of checks that no random draw would spread so over the categories."""
    n = int(n_checked.sum())
    shares = sizes / sizes.sum()
    tails = np.minimum(
        special.bdtr(n_checked, n, shares), special.bdtrc(n_checked - 1.0, n, shares)
    )
    if tails.min() * len(sizes) < _IMPLAUSIBLE:
        warnings.warn(
            "the checked samples are spread over the categories unlike the labels, so that they "
            "are no random draw of them: of what is said here only the bounds of single "
            "categories can hold",
            UserWarning,
            stacklevel=3,
        )


def _checked(
    labels: NDArray[Any], codes: NDArray[np.intp], oracle_labels: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labelled samples that were checked, and whether they are right."""
    oracle = np.asarray(oracle_labels)
    if oracle.shape != codes.shape:
        raise ValueError(f"oracle_labels has shape {oracle.shape}; wanted {codes.shape}, as labels")
    samples = np.flatnonzero((codes >= 0) & _is_label(oracle, "oracle_labels"))
    if not len(samples):
        raise ValueError(
            "oracle_labels holds no check: every labelled sample has -1 or None; wanted at least "
            "one"
        )
    found = _plain(oracle[samples], "oracle_labels")
    if found.dtype.kind == "b":
        return samples, found
    given = _plain(labels[samples], "labels")
    if found.dtype.kind.replace("u", "i") != given.dtype.kind.replace("u", "i"):
        raise TypeError(
            f"oracle_labels has values such as {found[0]!r}, labels such as {given[0]!r}; wanted "
            "the same words in both, or bools as oracle_labels"
        )
    return samples, found == given


def _is_label(array: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Where there is a label: not None, not -1."""
    if array.dtype.kind == "O":
        return np.array([value is not None and not _is_minus_one(value) for value in array], bool)
    if array.dtype.kind not in "iubUST" and array.size:
        raise TypeError(
            f"{name} has dtype {array.dtype}; wanted integers, with -1, or strings, with None, "
            "where there is no label"
        )
    return array != -1 if array.dtype.kind == "i" else np.ones(len(array), bool)


def _is_minus_one(value: Any) -> bool:
    return _kind(value) == "int" and value == -1


def _plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Labels as integers, strings or bools; objects are made one of these."""
    if array.dtype.kind == "O":
        kinds = {_kind(value) for value in array}
        if len(kinds) > 1 or not kinds <= {"str", "int", "bool"}:
            found = ", ".join(sorted(kinds))
            raise TypeError(f"{name} holds {found}; wanted integers only or strings only")
        return np.array(array.tolist())
    return array.astype(str) if array.dtype.kind == "T" else array


def _kind(value: Any) -> str:
    for name, types in (("str", str), ("bool", (bool, np.bool_)), ("int", (int, np.integer))):
        if isinstance(value, types):
            return name
    return type(value).__name__


def _categories(labels: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The distinct labels, sorted, and the number of each sample's, -1 for none."""
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; wanted 1-D")
    labeled = _is_label(array, name)
    if not labeled.any():
        raise ValueError(f"{name} holds no label: every one is -1 or None; wanted at least one")
    plain = _plain(array[labeled], name)
    if plain.dtype.kind == "b":
        raise TypeError(f"{name} holds bools; wanted integers or strings")
    codes = np.full(len(array), -1, dtype=np.intp)
    categories, codes[labeled] = np.unique(plain, return_inverse=True)
    return categories, codes


def _as_confidence(confidence: ArrayLike, n_samples: int) -> NDArray[np.float64]:
    array = np.asarray(confidence)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"confidence has dtype {array.dtype}; wanted numbers from 0 to 1")
    if array.shape != (n_samples,):
        raise ValueError(f"confidence has shape {array.shape}; wanted ({n_samples},), as labels")
    # Shares that are normalised may be a rounding error above 1.
    wrong = np.flatnonzero(~((array >= 0) & (array <= 1 + 1e-6)))
    if len(wrong):
        raise ValueError(
            f"confidence holds {array[wrong[0]]} at index {wrong[0]}; wanted numbers from 0 to 1"
        )
    return array.astype(np.float64)


def _as_open_fraction(value: Any, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); wanted a number in (0, 1)")
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; wanted a number in (0, 1)")
    return float(value)


def as_alpha(level: Any, n_looks: Any) -> float:
    """The probability of an error that is left for one look."""
    if _as_open_fraction(level, "level") < _LOWEST_LEVEL:
        raise ValueError(f"level is {level}; wanted a number in [{_LOWEST_LEVEL}, 1)")
    return (1 - float(level)) / as_positive(n_looks, "n_looks")
