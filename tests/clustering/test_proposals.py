"""What an earlier model proposed, as votes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.label_reader import read_labels
from labelquorum.clustering.proposals import voting_proposals


def votes_of(rows, known, proposed):
    known, proposed = (read_labels(x, "y", mixed=True) for x in (known, proposed))
    rows = np.asarray(rows, dtype=np.float32)
    return voting_proposals(rows, known.classes, known.codes, proposed, 1).tolist()


# Two groups of 12 samples: the first are proposals, the last ones may have labels of people.
ROWS = [[i % 12 / 100, 10.0 * (i // 12)] for i in range(24)]
PLACES = [12 * group + place for group in (0, 1) for place in range(12)]


def case(names, labels):
    """Proposals for two groups, and labels as {sample: name}."""
    known = [labels.get(i) for i in PLACES]
    proposed = [None if i in labels else names[i // 12] for i in PLACES]
    return votes_of(ROWS, known, proposed), proposed


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (("new 0", "new 1"), {0: "new 1"}, ("new 0", "new 1")),  # a correction
        (("new 0", "new 1"), {0: "login"}, ("login", "new 1")),  # a name for a number
        (("new 0", "new 1"), {0: "login", 1: "login", 12: "login"}, ("login", "new 1")),
        (("new 0", "new 1"), {0: "login", 12: "login"}, ("new 0", "new 1")),  # at home nowhere
        (("new 0", "new 1"), {0: "login", 1: "billing"}, (None, "new 1")),
        (("new 0", "new 1"), {0: "login", 1: "new 0"}, ("new 0", "new 1")),
        (("new 0", "new 1"), {0: "a", 1: "a", 2: "new 0"}, (None, "new 1")),
        (("orders", "new 1"), {0: "login"}, ("orders", "new 1")),  # named by people
        ((7, 8), {0: 3, 12: 4}, (3, 4)),
        ((7, 8), {0: 8}, (7, 8)),
        ((7, 8), {0: 8, 1: 8}, (7, 8)),
        ((7, 8), {0: 8, 1: 8, 2: 8}, (None, 8)),  # many changed
        ((7, 8), {0: 8, 1: 8, 2: 7, 3: 7}, (7, 8)),
    ],
)
def test_proposals_vote_by_what_people_said_among_them(names, labels, expected):
    votes, proposed = case(names, labels)
    replaced = dict(zip(names, expected, strict=True))
    assert votes == [replaced.get(name) for name in proposed]


@given(
    labels=st.dictionaries(
        st.sampled_from([i for i in PLACES if i % 12 < 8]),
        st.sampled_from(["new 0", "new 1", "login", "billing"]),
        min_size=1,
    )
)
def test_proposals_vote_for_one_name_or_none(labels):
    votes, proposed = case(("new 0", "new 1"), labels)
    for name in ("new 0", "new 1"):
        said = {vote for vote, old in zip(votes, proposed, strict=True) if old == name}
        assert len(said) <= 1
        assert said <= {name, None, "login", "billing"}
    for vote, old in zip(votes, proposed, strict=True):
        assert vote is None or old is not None
    if set(labels.values()) <= {"new 0", "new 1"}:
        assert all(vote in (old, None) for vote, old in zip(votes, proposed, strict=True))
