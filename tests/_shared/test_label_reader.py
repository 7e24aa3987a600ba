"""Labels of every library are read alike, and anything else is refused with its position."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_columns import FORMS, NAN, NO_OBJECTS, naive_labels
from labelquorum._shared.label_reader import (
    NO_LABEL_WORDS,
    array_of_names,
    is_no_label_word,
    read_labels,
)
from strategies import share

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

LABELS = {
    "names": st.sampled_from(
        ["a", "b", "nan", "none", "NA", "ä", "a long name", "0", "-2", "True"]
    ),
    "integers": st.integers(0, 100),
    "bools": st.booleans(),
}
# NumPy itself writes "nan" for NaN into these, so a name "nan" cannot be told from it.
WITHOUT_NAN = ("NumPy text", "masked text", "scalars of NumPy")


@st.composite
def columns(draw, kind):
    """Labels with gaps; at least one of each, so that libraries see the type."""
    labels = draw(st.lists(LABELS[kind] | st.none(), max_size=12))
    return draw(st.permutations([*labels, draw(LABELS[kind]), None]))


@pytest.mark.parametrize(("kind", "form"), [(kind, form) for kind in FORMS for form in FORMS[kind]])
@share(0.01)
@given(st.data())
def test_every_form_is_read_like_a_list_value_by_value(kind, form, data):
    labels = data.draw(columns(kind))
    if form.startswith(WITHOUT_NAN):
        labels = ["not" if label == "nan" else label for label in labels]
    classes, expected = naive_labels(labels)
    read = read_labels(FORMS[kind][form](labels), "y")
    assert read.classes.tolist() == classes
    assert list(map(type, read.classes.tolist())) == list(map(type, classes))
    assert read.as_objects().tolist() == expected
    assert read.codes.dtype == np.int32


@given(
    st.lists(
        st.sampled_from(["a", "b", "nan", "", " ", "-1", 0, 1, 2**63, 2**64 - 1])
        | st.sampled_from(list(NO_OBJECTS.values()))
    )
)
def test_lists_that_mix_everything_are_read_value_by_value(values):
    _, expected = naive_labels([x for x in values if isinstance(x, str)])
    read = read_labels(values, "labels", mixed=True)
    found = read.as_objects().tolist()
    assert [x for x, value in zip(found, values, strict=True) if isinstance(value, str)] == expected
    numbers = [x for x, value in zip(found, values, strict=True) if not isinstance(value, str)]
    assert numbers == naive_labels([x for x in values if not isinstance(x, str)])[1]
    names = read.classes.tolist()
    assert names == sorted(names, key=lambda name: (isinstance(name, str), name))


@pytest.mark.parametrize("labels", [[], np.empty(0), np.empty(0, str), pl.Series([]), pa.array([])])
def test_no_values_are_no_labels(labels):
    read = read_labels(labels, "y")
    assert (len(read.classes), len(read.codes)) == (0, 0)


@pytest.mark.parametrize(
    "values",
    [[None] * 3, [NAN] * 3, [-1] * 3, ["", " ", "-1"], pa.nulls(3), np.ma.masked_all(3, int)],
)
def test_only_gaps_are_no_labels(values):
    read = read_labels(values, "y")
    assert (len(read.classes), read.codes.tolist()) == (0, [-1, -1, -1])


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (np.array([127, -1, 0], np.int8), [0, 127]),
        (np.array([255, 0], np.uint8), [0, 255]),
        (np.array([2**31, 2**40]), [2**31, 2**40]),
        (np.array([2**63 - 1, -1]), [2**63 - 1]),
        (np.array([2**64 - 1, 2**63], np.uint64), [2**63, 2**64 - 1]),
        ([2**64 - 1, -1, 3], [3, 2**64 - 1]),
        ([2**53 + 1, NAN], [2**53 + 1]),
        (pd.Series([2**64 - 1, None], dtype="UInt64"), [2**64 - 1]),
        (pl.Series([2**63 - 1, None]), [2**63 - 1]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1]),
    ],
)
def test_integers_are_never_rounded_or_wrapped(values, classes):
    assert read_labels(values, "y").classes.tolist() == classes


def test_other_negative_numbers_are_none_or_names_or_refused():
    labels = [3, -2, -1, 3]
    for values in (
        labels,
        np.array(labels),
        pd.Series(labels),
        np.array(labels, object),
        pl.Series(labels),
    ):
        assert read_labels(values, "y").codes.tolist() == [0, -1, -1, 0]
        assert read_labels(values, "y", negatives="names").classes.tolist() == [-2, 3]
        with pytest.raises(ValueError, match=r"y must hold .* at least 0, .* -2 at .* 1"):
            read_labels(values, "y", negatives="refused")


def test_whole_floats_are_integers_beside_gaps_or_where_asked_for():
    assert read_labels([2.0, None], "y").classes.dtype == np.int64
    assert read_labels([2.0, 3.0], "y", whole_floats=True).classes.tolist() == [2, 3]
    for values in ([2.0, 3.0], np.array([2.0, 3.0]), pd.Series([2.0, 3.0], dtype="Float64")):
        with pytest.raises(TypeError, match=r"got floats .*2\.0 at position 0: convert them with"):
            read_labels(values, "y")


WRONG = {
    "a dict": ({1: 2}, TypeError, "y must be a list or array of labels, got dict"),
    "a set": ({1, 2}, TypeError, "y must be a list or array of labels, got set"),
    "nothing": (None, TypeError, "y must be a list or array of labels, got NoneType"),
    "a generator": (iter([1]), TypeError, "y must be a list or array of labels, got list_iterator"),
    "a string": ("ab", ValueError, r"y must be 1-D, \(n_samples,\), got shape \(\)"),
    "nested lists": ([[1], [2]], ValueError, r"y must be 1-D, .* got shape \(2, 1\)"),
    "ragged lists": ([[1], [2, 3]], ValueError, "y must be an array or .*, got ragged data"),
    "two columns": (
        pd.DataFrame({"a": [1], "b": [2]}),
        ValueError,
        "y must be one column, got .* 2",
    ),
    "two columns of polars": (
        pl.DataFrame({"a": [1], "b": [2]}),
        ValueError,
        "y must be one column",
    ),
    "two columns of pyarrow": (pa.table({"a": [1], "b": [2]}), ValueError, "y must be one column"),
    "floats": (np.array([1.5, NAN]), TypeError, r"got floats \(float64\), 1\.5 at position 0"),
    "an infinite float": ([1, float("inf")], TypeError, "got floats .*inf at position 1"),
    "a large float": ([None, 1e300], TypeError, r"got floats .*1e\+300 at position 1"),
    "a float among names": (["a", 0.5], TypeError, r"got 0\.5 \(float\) at position 1"),
    "complex numbers": ([1j], TypeError, r"got 1j \(complex\) at position 0"),
    "bytes": (["a", b"a"], TypeError, r"got b'a' \(bytes\) at position 1"),
    "an array of bytes": (np.array([b"a"]), TypeError, "got bytes: decode them to strings"),
    "decimals": ([decimal.Decimal(1)], TypeError, r"got Decimal\('1'\) \(Decimal\) at position 0"),
    "dates": ([None, datetime.date(2020, 1, 1)], TypeError, r"\(date\) at position 1"),
    "dates of NumPy": (np.array(["2020"], "M8[Y]"), TypeError, r"got dtype datetime64\[Y\]"),
    "dates of pandas": (pd.to_datetime(pd.Series(["2020"])), TypeError, "got dtype datetime64"),
    "dates of polars": (
        pl.Series([datetime.date(2020, 1, 1)]),
        TypeError,
        r"\(date\) at position 0",
    ),
    "lists of pyarrow": (pa.array([[1]]), TypeError, "got the type list<item: int64>"),
    "objects": (["a", object()], TypeError, r"\(object\) at position 1"),
    "dicts": ([{}], TypeError, r"got {} \(dict\) at position 0"),
    "a bool among names": (
        ["a", True],
        TypeError,
        r"got True \(bool\) at position 1 beside strings",
    ),
    "a bool that equals a number": ([1, 2, True], TypeError, r"got 1 \(int\) at .* 0 beside bools"),
    "mixed kinds": (["a", 7], TypeError, "got mixed types: 'a' at position 0 and 7 at position 1"),
    "more than 64 bits": ([2**64], TypeError, r"got 18446744073709551616 .*: name such categories"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_label_is_named_with_its_position(kind):
    values, error, message = WRONG[kind]
    with pytest.raises(error, match=message):
        read_labels(values, "y")


@pytest.mark.parametrize(
    "names",
    [
        ["nan"],
        ["a\0", "a"],
        [True, 2],
        [1, "a"],
        [2**64 - 1, 0],
        ["a", "a longer name"],
        [True],
        [],
    ],
)
def test_arrays_hold_names_as_they_are(names):
    array = array_of_names(names)
    assert array.tolist() == names
    assert list(map(type, array.tolist())) == list(map(type, names))
    assert read_labels(array, "y", mixed=True).as_objects().tolist() == names


def test_words_of_files_have_any_case():
    assert all(is_no_label_word(f" {word.upper()}") for word in NO_LABEL_WORDS)
    assert not is_no_label_word("nobody")


def test_types_that_arrow_lacks_are_read():
    named = ["a", None, "b"]
    for column in (pa.array(named, pa.string_view()), pl.Series(named, dtype=pl.Object)):
        assert read_labels(column, "y").as_objects().tolist() == named
    assert read_labels(pl.Series([5, None, 7], dtype=pl.Int128), "y").codes.tolist() == [0, -1, 1]
