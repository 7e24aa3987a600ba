"""Where labels come from: what is known, what is a proposal, and which names are kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from label_columns import NAMES
from labelquorum._shared.origins import ORIGINS, Origins, as_origins, known_by_origin

SAMPLES = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "new 0", "new 1"]), st.sampled_from(["", *ORIGINS])),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize(
    "values",
    [
        ["given", None, "accepted", "proposed"],
        ("given", "", "accepted", "proposed"),
        [" Given ", " ", "ACCEPTED", "proposed\n"],
        np.array(["given", "", "accepted", "proposed"]),
        np.array(["given", np.nan, "accepted", "proposed"], dtype=object),
        pd.Series(["given", None, "accepted", "proposed"], dtype="category"),
        pd.DataFrame({"origin": ["given", None, "accepted", "proposed"]}),
    ],
)
def test_words_are_read_from_columns_of_all_kinds(values):
    assert as_origins(values, "origins").tolist() == ["given", "", "accepted", "proposed"]


@pytest.mark.parametrize("form", NAMES)
def test_words_are_read_in_every_form_of_labels(form):
    words = ["given", None, "accepted", "proposed", "given", None]
    assert as_origins(NAMES[form](words), "origins").tolist() == [word or "" for word in words]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["given", "you"], r"'you' at position 1"),
        ([None, None, "human "], r"'human ' at position 2"),
        (np.array([0, 1]), "0 at position 0"),
        ([True, False], "False at position 1"),
    ],
)
def test_other_words_are_refused(values, found):
    with pytest.raises(
        ValueError, match=f"^origins must hold 'given', 'accepted' or 'proposed', .*, got {found}"
    ):
        as_origins(values, "origins")


@pytest.mark.filterwarnings("ignore:only .* labels of")
@given(samples=SAMPLES, as_integers=st.booleans())
def test_only_what_people_said_is_known(samples, as_integers):
    labels = [label for label, _ in samples]
    if as_integers:
        labels = [-1 if label is None else "abnew 0new 1".index(label) for label in labels]
    words = [word for _, word in samples]
    names, codes, origins = known_by_origin(labels, words, len(samples))
    is_label = [label not in (None, -1) for label in labels]
    wanted = [
        label if given and word != "proposed" else None
        for label, given, word in zip(labels, is_label, words, strict=True)
    ]
    found = [None] * len(labels)
    if codes is not None:
        found = [None if k < 0 else names[k].item() for k in codes]
        assert sorted(set(codes[codes >= 0].tolist())) == list(range(len(names)))
    assert found == wanted
    proposals = [None] * len(labels)
    if origins.proposed is not None:
        proposals = origins.proposed.as_objects().tolist()
    assert proposals == [
        label if given and word == "proposed" else None
        for label, given, word in zip(labels, is_label, words, strict=True)
    ]
    # The origins of a result go in again and come out unchanged.
    numbers = np.zeros(len(labels), np.int32)
    first = origins.words(codes, numbers)
    assert set(first.tolist()) <= set(ORIGINS)
    for word, before, label in zip(first.tolist(), words, wanted, strict=True):
        assert word == ((before or "given") if label is not None else "proposed")
    assert set(origins.words(codes, numbers - 1).tolist()) == {""}


@pytest.mark.parametrize(
    ("y", "origins", "message"),
    [
        (None, ["given"] * 3, "origins must come with y"),
        (["a", None, "b"], ["given"] * 2, "origins must have 3 values, one per sample, got 2"),
        (["a", None, "b"], ["given", "", "model"], "got 'model' at position 2"),
        (["a", None, "b"], [["given"], [""]], "origins must be 1-D"),
    ],
)
def test_wrong_origins_are_refused(y, origins, message):
    with pytest.raises(ValueError, match=message):
        known_by_origin(y, origins, 3)


def test_labels_without_origins_are_given():
    names, codes, origins = known_by_origin(["a", None], None, 2)
    assert names.tolist() == ["a"]
    assert origins.words(codes, np.array([0, 1])).tolist() == ["given", "proposed"]


def _naive_names(known, numbers, n, old):
    """Names by sets of samples."""
    names = [*known]
    fresh = (f"new {i}" for i in range(1000) if f"new {i}" not in {*old, *known})
    for k in range(len(known), n):
        new = {i for i, of in enumerate(numbers) if of == k and old[i] is not None}
        same = [
            name
            for name in dict.fromkeys(old)
            if name is not None
            and name not in known
            and len(new & (of := {i for i, other in enumerate(old) if other == name}))
            > len(new | of) / 2
        ]
        assert len(same) <= 1
        names.append(same[0] if same else next(fresh))
    return names


@given(
    samples=st.lists(
        st.tuples(
            st.integers(-1, 4),
            st.sampled_from([None, "known 1", "new 0", "new 1", "new 7", "billing"]),
        ),
        min_size=1,
        max_size=40,
    ),
    n_known=st.integers(0, 2),
)
def test_new_categories_keep_the_names_of_proposals_that_they_are(samples, n_known):
    numbers = np.array([number for number, _ in samples], dtype=np.int32)
    old = [name for _, name in samples]
    origins = known_by_origin(old, ["proposed"] * len(old), len(old)).origins
    known = [f"known {k}" for k in range(n_known)]
    assume(known or any(old))  # otherwise new names are numbers
    names = origins.names(np.array(known, dtype=object), numbers, 5).tolist()
    assert names == _naive_names(known, numbers.tolist(), 5, old)
    assert max(Counter(names).values()) == 1


def test_integers_are_kept_and_others_follow_them():
    numbers = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    old = np.array([7, 7, 3, -1, -1, -1])
    origins = known_by_origin(old, np.full(6, "proposed"), 6).origins
    assert origins.names(np.array([2]), numbers, 3).tolist() == [2, 3, 8]
    assert origins.names(np.empty(0, int), numbers, 3).tolist() == [7, 3, 8]
    # Voters named the known category, and numbers cannot stand beside names.
    assert origins.names(np.array(["a"]), numbers, 3).tolist() == ["a", "new 0", "new 1"]


def test_without_proposals_names_are_new():
    numbers = np.array([0, 1], dtype=np.int32)
    assert Origins().names(np.array(["a"]), numbers, 2).tolist() == ["a", "new 0"]
