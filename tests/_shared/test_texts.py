"""Texts of every library become a list of strings; anything else is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from labelquorum._shared.texts import as_texts

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

TEXTS = ["a card", "", "ä\0"]


@pytest.mark.parametrize(
    "library",
    [
        tuple,
        iter,
        np.array,
        pd.Series,
        pd.Index,
        pl.Series,
        pa.array,
        lambda x: np.array(x, dtype=object),
        lambda x: np.array(x, dtype=np.dtypes.StringDType()),
        lambda x: pd.Series(x, dtype="category"),
        lambda x: pd.Series(x, dtype="string[pyarrow]"),
        lambda x: pd.DataFrame({"text": x}),
        lambda x: pl.DataFrame({"text": x}),
        lambda x: pa.table({"text": x}),
        lambda x: pa.chunked_array([x[:1], x[1:]]),
        lambda x: [pa.scalar(text) for text in x],
        lambda x: dict(enumerate(x)).values(),
    ],
)
def test_texts_of_every_library_are_taken(library):
    texts = as_texts(library(TEXTS))
    assert isinstance(texts, list)
    assert texts == (["a card", "", "ä"] if library is np.array else TEXTS)  # NumPy drops NUL


def test_a_list_is_not_copied():
    assert as_texts(TEXTS) is TEXTS


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ({"a": 1}, TypeError, "texts must be a list .* got dict: make a list in the order"),
        ({"a", "b"}, TypeError, "texts must be a list .* got set: make a list in the order"),
        ("a card", TypeError, "texts must be a list or array of strings, got str"),
        (b"a card", TypeError, "texts must be a list or array of strings, got bytes"),
        (7, TypeError, "texts must be a list or array of strings, got int"),
        (np.array("a"), TypeError, "got ndarray without a dimension"),
        (
            pd.DataFrame({"a": ["x"], "b": ["y"]}),
            TypeError,
            "got DataFrame: pass one of its columns",
        ),
        (pa.table({"a": ["x"], "b": ["y"]}), TypeError, "got Table: pass one of its columns"),
        ([], ValueError, "texts must hold at least one string, got none"),
        (["a", None], TypeError, r"'' where there is no text, got None \(NoneType\) at position 1"),
        (pd.Series(["a", np.nan]), TypeError, r"got nan \(float\) at position 1"),
        (pl.Series(["a", None]), TypeError, r"got None \(NoneType\) at position 1"),
        (pa.array(["a", None]), TypeError, r"got None \(NoneType\) at position 1"),
        (np.array([["a"]]), TypeError, r"got \['a'\] \(list\) at position 0"),
        (["a", b"b"], TypeError, r"got b'b' \(bytes\) at position 1"),
    ],
)
def test_anything_else_is_refused(texts, error, message):
    with pytest.raises(error, match=message):
        as_texts(texts)
