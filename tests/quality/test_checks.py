"""The guarantees of checks by hand hold as often as they say, however the checks are used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

import labelquorum as lq
from labelquorum.quality.checks import lower_bound
from strategies import share

ALPHA = 0.05


def most_misses(n, alpha=ALPHA):
    """The most misses in n repetitions that a method with that error probability would show."""
    return stats.binom.isf(1e-4, n, alpha)


# Bounds


@pytest.mark.parametrize(
    ("n_right", "n", "bound"), [(60, 60, 0.951), (58, 60, 0.899), (10, 10, 0.741), (0, 9, 0.0)]
)
def test_bounds_are_the_published_ones(n_right, n, bound):
    assert float(lower_bound(n_right, n, ALPHA)) == pytest.approx(bound, abs=5e-4)


@given(n=st.integers(1, 300), data=st.data(), alpha=st.sampled_from([0.25, 0.05, 1e-3]))
def test_at_the_bound_so_many_right_labels_have_the_error_probability(n, data, alpha):
    k = data.draw(st.integers(1, n))
    bound = float(lower_bound(k, n, alpha))
    chance = stats.binom.sf(k - 1, n, bound)
    assert chance == pytest.approx(alpha, rel=1e-6) if k > 1 else chance <= alpha


def distribution_of_sum(chances):
    """The distribution of the number of successes in independent trials."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1 - chance, chance])
    return distribution


def chance_of_a_miss(chances, bounds):
    return distribution_of_sum(chances)[bounds > np.mean(chances)].sum()


@share(0.5)
@given(n=st.integers(1, 12), data=st.data(), alpha=st.sampled_from([0.25, 0.1, 0.05]))
def test_bounds_hold_for_sums_of_unequal_trials(n, data, alpha):
    """Among them the worst sums, according to Hoeffding: chances of 0, 1 and one other value."""
    other = data.draw(st.floats(0, 1))
    chances = data.draw(st.lists(st.sampled_from([0, 1, other]) | st.floats(0, 1), min_size=n))[:n]
    bounds = lower_bound(np.arange(n + 1), n, alpha)
    assert (np.diff(bounds) > 0).all()
    assert chance_of_a_miss(chances, bounds) <= alpha + 1e-12


def test_the_worst_sums_of_unequal_trials_stay_within_the_bounds():
    n = 12
    bounds = lower_bound(np.arange(n + 1), n, ALPHA)
    clopper_pearson = stats.beta.ppf(ALPHA, np.arange(n + 1), n + 1 - np.arange(n + 1))
    clopper_pearson[0] = 0
    our_worst = their_worst = 0.0
    for n_ones in range(n + 1):
        for n_others in range(1, n - n_ones + 1):
            edges = np.concatenate([bounds, clopper_pearson]) * n - n_ones
            for other in np.clip(edges / n_others, 0, 1) * (1 - 1e-9):
                chances = [1.0] * n_ones + [other] * n_others + [0.0] * (n - n_ones - n_others)
                our_worst = max(our_worst, chance_of_a_miss(chances, bounds))
                their_worst = max(their_worst, chance_of_a_miss(chances, clopper_pearson))
    assert our_worst <= ALPHA < their_worst, "one right label needs a bound of its own"


@given(
    precision=st.floats(0.01, 0.995),
    n_errors=st.integers(0, 8),
    n_looks=st.integers(1, 4),
)
def test_the_checks_needed_are_the_fewest(precision, n_errors, n_looks):
    n = lq.n_checks_needed(precision, n_errors=n_errors, n_looks=n_looks)
    alpha = ALPHA / n_looks
    assert lower_bound(n - n_errors, n, alpha) >= precision - 1e-12
    if n > n_errors + 1:
        assert lower_bound(n - 1 - n_errors, n - 1, alpha) < precision


# Which samples are drawn


@share(0.5)
@given(seed=st.integers(0, 2**31), sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_every_category_gets_its_share_of_the_checks(seed, sizes):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes) + 1) - 1, [5, *sizes]))
    n = int(rng.integers(1, sum(sizes) + 1))
    confidence = rng.integers(4, size=len(labels)) / 3 if seed % 2 else None
    drawn = lq.samples_to_check(labels, confidence, n, random_state=seed)
    assert len(set(drawn.tolist())) == n == len(drawn)
    assert (labels[drawn] >= 0).all()
    wanted = n * np.array(sizes) / sum(sizes)
    assert (abs(np.bincount(labels[drawn], minlength=len(sizes)) - wanted) < 1).all()
    again = lq.samples_to_check(labels, confidence, n, random_state=seed)
    np.testing.assert_array_equal(again, drawn)


@pytest.mark.slow
@pytest.mark.parametrize("n_first", [13, 8, 1])
def test_every_sample_has_the_same_chance_even_among_the_first_ones(n_first):
    labels = np.repeat([-1, 3, 7, 9], [4, 17, 9, 3])
    confidence = np.linspace(0, 1, len(labels))
    n_draws = 4000
    counts = np.zeros(len(labels))
    random = np.random.RandomState(0)
    for _ in range(n_draws):
        counts[lq.samples_to_check(labels, confidence, 13, random_state=random)[:n_first]] += 1
    chance = n_first / 29
    deviation = (counts[4:] - n_draws * chance) / np.sqrt(n_draws * chance * (1 - chance))
    assert abs(deviation).max() < 4.5
    assert counts[:4].sum() == 0


def test_within_a_category_the_checks_are_spread_over_the_confidence():
    rng = np.random.default_rng(0)
    labels, confidence = rng.integers(3, size=3000), rng.random(3000)
    for seed in range(20):
        drawn = lq.samples_to_check(labels, confidence, 120, random_state=seed)
        for category in range(3):
            of_category = drawn[labels[drawn] == category]
            ranks = (
                np.searchsorted(np.sort(confidence[labels == category]), confidence[of_category])
                / (labels == category).sum()
            )
            tenths = np.bincount((ranks * 10).astype(int), minlength=10)
            assert tenths.min() >= len(of_category) / 10 - 2.5
            assert tenths.max() <= len(of_category) / 10 + 2.5


# Bounds hold for the draws, in simulation


def populations():
    """Labels, confidences, and whether labels are right: 5 % are wrong."""
    rng = np.random.default_rng(0)
    sizes = [301, 178, 91, 30]
    labels = np.repeat(np.arange(4), sizes)
    n = len(labels)
    confidence = rng.random(n)
    order = np.lexsort((confidence, labels))
    wrong = {
        "at random": rng.choice(n, 30, replace=False),
        "in one category": np.flatnonzero(labels == 2)[:30],
        "where confidence is low": np.argsort(confidence)[:30],
        "at equal distances": order[::20],
        "in pairs at the borders of blocks": order[np.r_[9::40, 10::40]],
    }
    return {
        name: (labels, confidence, ~np.isin(np.arange(n), rows)) for name, rows in wrong.items()
    }


def oracle_of(labels, right, drawn):
    oracle = np.full(len(labels), -1)
    oracle[drawn] = np.where(right, labels, -2)[drawn]
    return oracle


@pytest.mark.slow
@pytest.mark.parametrize("name", populations())
def test_bounds_overall_and_of_each_category_hold_as_often_as_they_say(name):
    labels, confidence, right = populations()[name]
    random = np.random.RandomState(1)
    n_draws = 1000
    precision = np.array([right[labels == c].mean() for c in range(4)])
    misses, all_misses, any_misses = np.zeros(4), 0, 0
    for _ in range(n_draws):
        drawn = lq.samples_to_check(labels, confidence, 60, random_state=random)
        oracle = oracle_of(labels, right, drawn)
        quality = lq.label_quality(labels, oracle)
        all_misses += quality.lower_bound > right.mean()
        misses += quality.category_lower_bound > precision
        at_once = lq.label_quality(labels, oracle, simultaneous=True).category_lower_bound
        any_misses += (at_once > precision).any()
    allowed = most_misses(n_draws)
    assert all_misses <= allowed
    assert (misses <= allowed).all()
    assert any_misses <= allowed


def test_the_bound_is_no_more_careful_than_it_says():
    """Where strata do not help, misses are about as frequent as allowed."""
    labels, confidence, right = populations()["at random"]
    random = np.random.RandomState(2)
    misses = 0
    for _ in range(1000):
        drawn = lq.samples_to_check(labels, confidence, 60, random_state=random)
        misses += lq.label_quality(labels, oracle_of(labels, right, drawn)).lower_bound > 0.95
    assert misses > 15


def threshold_without_correction(confidence, drawn, right, wanted):
    """The lowest threshold whose bound is high enough, as if no other one had been tried."""
    best = np.nan
    for threshold in np.sort(confidence[drawn])[::-1]:
        above = drawn[confidence[drawn] >= threshold]
        if lower_bound(right[above].sum(), len(above), ALPHA) >= wanted:
            best = threshold
    return best


@pytest.mark.slow
@pytest.mark.parametrize("n_checked, n_draws", [(150, 600), (400, 300)])
def test_a_threshold_chosen_on_the_same_checks_guarantees_the_precision(n_checked, n_draws):
    rng = np.random.default_rng(3)
    n = 4000
    labels, confidence = rng.integers(5, size=n), rng.random(n)
    random = np.random.RandomState(3)
    # The precision is a little too low at every threshold: any threshold found is a miss.
    right = np.ones(n, dtype=bool)
    right[np.argsort(confidence)[::-1][(np.arange(n // 10) * 9.9).astype(int)]] = False
    misses = careless_misses = 0
    for _ in range(n_draws):
        drawn = lq.samples_to_check(labels, confidence, n_checked, random_state=random)
        oracle = oracle_of(labels, right, drawn)
        quality = lq.label_quality(labels, oracle, confidence, wanted_precision=0.9)
        kept = confidence >= quality.threshold
        assert kept.sum() == quality.threshold_n_labels
        misses += kept.any() and right[kept].mean() < 0.9
        careless = threshold_without_correction(confidence, drawn, right, 0.9)
        careless_misses += right[confidence >= careless].mean() < 0.9 if careless >= 0 else 0
    assert misses <= most_misses(n_draws)
    assert careless_misses > most_misses(n_draws), "else this test shows nothing"


def test_a_threshold_keeps_most_of_the_labels_it_could_keep():
    rng = np.random.default_rng(4)
    n = 20_000
    labels, confidence = rng.integers(5, size=n), rng.random(n)
    right = rng.random(n) < np.where(confidence > 0.4, 0.99, 0.6)
    kept = []
    for seed in range(50):
        drawn = lq.samples_to_check(labels, confidence, 400, random_state=seed)
        quality = lq.label_quality(
            labels, oracle_of(labels, right, drawn), confidence, wanted_precision=0.95
        )
        kept.append(quality.threshold_n_labels / n)
    assert np.median(kept) > 0.5  # the most possible is 0.66
    assert np.mean(np.array(kept) > 0.3) > 0.8


def test_repeated_looks_keep_the_error_probability():
    """Look whenever one more wrong label would be allowed, at labels that are a bit too bad."""
    labels = np.zeros(2000, dtype=int)
    right = np.random.default_rng(5).permutation(2000) > 201
    looks = [lq.n_checks_needed(0.9, n_errors=n_errors) for n_errors in range(8)]
    random = np.random.RandomState(5)
    n_draws = 500
    misses = careless_misses = 0
    for _ in range(n_draws):
        drawn = lq.samples_to_check(labels, n_samples=looks[-1], random_state=random)
        oracles = [oracle_of(labels, right, drawn[:n]) for n in looks]
        for n_looks in (len(looks), 1):
            bounds = [lq.label_quality(labels, o, n_looks=n_looks).lower_bound for o in oracles]
            missed = max(bounds) > right.mean()
            if n_looks > 1:
                misses += missed
            else:
                careless_misses += missed
    assert misses <= most_misses(n_draws) < careless_misses


def test_bounds_hold_for_labels_of_a_classifier_on_real_images(digits):
    X, truth = digits
    shown = np.random.default_rng(0).choice(len(X), 100, replace=False)
    model = KNeighborsClassifier(5).fit(X[shown], truth[shown])
    shares = model.predict_proba(X)
    labels = model.classes_[shares.argmax(axis=1)]
    labels[shown] = -1  # the classifier was taught these
    confidence = shares.max(axis=1)
    precision = (labels == truth)[labels >= 0].mean()
    assert 0.7 < precision < 0.97
    misses = threshold_misses = 0
    for seed in range(300):
        drawn = lq.samples_to_check(labels, confidence, 60, random_state=seed)
        oracle = np.full(len(labels), -1)
        oracle[drawn] = truth[drawn]
        quality = lq.label_quality(labels, oracle, confidence, wanted_precision=0.9)
        misses += quality.lower_bound > precision
        kept = (labels >= 0) & (confidence >= quality.threshold)
        threshold_misses += kept.any() and (labels == truth)[kept].mean() < 0.9
    assert misses <= 15
    assert threshold_misses <= 15


# Results


def test_when_all_labels_are_checked_the_bound_is_the_precision():
    labels = np.repeat([0, 1], [50, 7])
    right = np.arange(57) % 4 > 0
    quality = lq.label_quality(labels, right)
    assert quality.lower_bound == quality.precision == right.mean()
    np.testing.assert_array_equal(quality.category_lower_bound, quality.category_precision)


def test_all_labels_are_kept_when_they_are_good_enough():
    labels, confidence = np.zeros(1000, dtype=int), np.linspace(0.2, 1, 1000)
    drawn = lq.samples_to_check(labels, confidence, 60, random_state=0)
    oracle = oracle_of(labels, np.ones(1000, dtype=bool), drawn)
    quality = lq.label_quality(labels, oracle, confidence, wanted_precision=0.95)
    assert (quality.threshold, quality.threshold_n_labels) == (0.2, 1000)
    strict = lq.label_quality(labels, oracle, confidence, wanted_precision=0.96)
    assert np.isnan(strict.threshold), "60 checks are too few"
    assert strict.threshold_n_labels == 0
    assert "No threshold on the confidence guarantees a precision of 0.96." in repr(strict)


def test_samples_of_equal_confidence_stay_together():
    labels = np.zeros(600, dtype=int)
    confidence = np.repeat([0.9, 0.5, 0.1], 200)
    right = np.arange(600) < 400
    oracle = oracle_of(labels, right, np.arange(0, 600, 4))
    quality = lq.label_quality(labels, oracle, confidence, wanted_precision=0.9)
    assert (quality.threshold, quality.threshold_n_labels) == (0.5, 400)


def test_checks_that_cannot_be_a_random_draw_cause_a_warning():
    labels = np.repeat([0, 1], [900, 100])
    oracle = np.full(1000, -1)
    oracle[:30], oracle[900:930] = 0, 1
    with pytest.warns(UserWarning, match="spread over the categories unlike the labels"):
        lq.label_quality(labels, oracle)
    random = np.random.default_rng(0)
    for _ in range(20):  # no false alarm
        oracle = np.full(1000, -1)
        drawn = random.choice(1000, 60, replace=False)
        oracle[drawn] = labels[drawn]
        lq.label_quality(labels, oracle)


def test_it_prints_as_a_table():
    labels = np.repeat(["cat", "a longer name", "dog"], [500, 300, 200])
    oracle = np.full(1000, None)
    drawn = lq.samples_to_check(labels[:800], n_samples=60, random_state=0)
    oracle[drawn] = labels[drawn]
    quality = lq.label_quality(
        labels[:800], oracle[:800], np.linspace(1, 0, 800), wanted_precision=0.9, n_looks=2
    )
    lines = repr(quality).splitlines()
    assert lines[1].split() == ["a", "longer", "name", "300", "22", "22", "1.0000", "0.8456"]
    assert lines[3].split() == ["all", "800", "60", "60", "1.0000", "0.9403"]
    assert lines[4] == "The bounds hold with confidence 0.95, each by itself, in each of 2 looks."
    assert lines[5] == "Confidence >= 0.0 guarantees a precision of 0.9: 800 of 800 labels."
    assert len({len(line) for line in lines[:4]}) == 1
    many = lq.label_quality(np.arange(500), np.arange(500), simultaneous=True)
    assert "... 440 more categories" in repr(many)
    assert "for all categories at once" in repr(many)


def test_the_categories_become_a_data_frame():
    pytest.importorskip("pandas")
    frame = lq.label_quality(["b", "a", "b"], ["b", None, "a"]).to_frame()
    assert frame.loc["b", ["n_labels", "n_checked", "n_right"]].tolist() == [2, 2, 1]
    assert frame.loc["a", "lower_bound"] == 0
    assert frame["precision"].isna().tolist() == [True, False]


# Errors

LABELS = [0, 1, 1, -1]


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            ValueError,
            "n_samples must be at most 3, .* got 4",
            lambda: lq.samples_to_check(LABELS, None, 4),
        ),
        (
            ValueError,
            "n_samples must be an integer of at least 1, got 0",
            lambda: lq.samples_to_check(LABELS, None, 0),
        ),
        (ValueError, "labels must hold at least one", lambda: lq.samples_to_check([-1, -1])),
        (ValueError, "labels must hold at least one", lambda: lq.samples_to_check([])),
        (ValueError, r"labels must .* got shape \(1, 4\)", lambda: lq.samples_to_check([LABELS])),
        (
            TypeError,
            r"labels must .* got floats \(float64\)",
            lambda: lq.samples_to_check([0.0, 1.0]),
        ),
        (TypeError, "labels must .* got bools", lambda: lq.samples_to_check([True, False])),
        (
            TypeError,
            "labels must .* got mixed types: 'a' at .* and 1 at",
            lambda: lq.samples_to_check([1, "a", None]),
        ),
        (
            ValueError,
            "confidence must hold numbers from 0 to 1, got 1.5 at index 1",
            lambda: lq.samples_to_check(LABELS, [1, 1.5, 0, 0], 1),
        ),
        (
            ValueError,
            "confidence must .* got nan at index 0",
            lambda: lq.label_quality(LABELS, LABELS, [np.nan, 1, 1, 1]),
        ),
        (
            ValueError,
            r"confidence must have shape \(4,\), as labels does, got \(3,\)",
            lambda: lq.label_quality(LABELS, LABELS, [1, 1, 1]),
        ),
        (
            TypeError,
            "confidence must .* got dtype <U1",
            lambda: lq.label_quality(LABELS, LABELS, list("abcd")),
        ),
        (
            ValueError,
            r"oracle_labels must have shape \(4,\), as labels does, got \(3,\)",
            lambda: lq.label_quality(LABELS, LABELS[:3]),
        ),
        (
            ValueError,
            "oracle_labels must hold a check",
            lambda: lq.label_quality(LABELS, [-1, -1, -1, 0]),
        ),
        (
            TypeError,
            "oracle_labels must .* the same names as labels, got 'a' for the label 0",
            lambda: lq.label_quality(LABELS, ["a", None, None, None]),
        ),
        (
            TypeError,
            r"oracle_labels must .* got 0\.5 \(float\)",
            lambda: lq.label_quality(list("aabb"), ["a", 0.5, "b", None]),
        ),
        (
            ValueError,
            r"level must be a number in \[0.75, 1\), got 0.5",
            lambda: lq.label_quality(LABELS, LABELS, level=0.5),
        ),
        (
            ValueError,
            r"level must be a number in \(0, 1\), got 1",
            lambda: lq.n_checks_needed(0.9, level=1),
        ),
        (TypeError, "level must be .* got '95'", lambda: lq.n_checks_needed(0.9, level="95")),
        (
            ValueError,
            "n_looks must be an integer of at least 1, got 0",
            lambda: lq.label_quality(LABELS, LABELS, n_looks=0),
        ),
        (
            ValueError,
            "confidence must be given with wanted_precision",
            lambda: lq.label_quality(LABELS, LABELS, wanted_precision=0.9),
        ),
        (
            ValueError,
            "wanted_precision must .* got 1.0",
            lambda: lq.label_quality(LABELS, LABELS, [1] * 4, wanted_precision=1.0),
        ),
        (ValueError, "precision must .* got 1.0", lambda: lq.n_checks_needed(1.0)),
        (
            ValueError,
            "n_errors must be .* at least 0, got -1",
            lambda: lq.n_checks_needed(0.9, n_errors=-1),
        ),
        (
            TypeError,
            "n_errors must be .* at least 0, got 0.5",
            lambda: lq.n_checks_needed(0.9, n_errors=0.5),
        ),
    ],
)
def test_wrong_arguments_are_named(error, message, call):
    with pytest.raises(error, match=message):
        call()


@share(0.5)
@given(seed=st.integers(0, 2**31))
def test_arguments_stay_as_they_are(seed):
    rng = np.random.default_rng(seed)
    labels, confidence = rng.integers(-1, 4, size=50), rng.random(50)
    labels[0] = 0
    labels.flags.writeable = confidence.flags.writeable = False
    drawn = lq.samples_to_check(labels, confidence, 1, random_state=seed)
    oracle = np.full(50, -1)
    oracle[drawn] = labels[drawn]
    lq.label_quality(labels, oracle, confidence, wanted_precision=0.5)
