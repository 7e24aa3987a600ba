"""The same labels in the forms that libraries give them, and naive readers to compare with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

NAN = float("nan")
NO_OBJECTS = {"None": None, "NaN": NAN, "pandas.NA": pd.NA, "pandas.NaT": pd.NaT, "-1": -1}
NO_TEXTS = {"an empty string": "", "a blank string": " ", "the text -1": "-1"}


def with_gaps(labels, gap):
    """The labels with something else for None."""
    return [gap if label is None else label for label in labels]


def masked(labels, dtype, hidden):
    return np.ma.masked_array(
        np.array(with_gaps(labels, hidden), dtype), [label is None for label in labels]
    )


def _objects(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _chunked(labels):
    half, of_all = len(labels) // 2, pa.array(labels).type
    return pa.chunked_array([pa.array(part, of_all) for part in (labels[:half], labels[half:])])


def _of_torch(labels):
    torch = pytest.importorskip("torch")
    return torch.tensor(with_gaps(labels, -1))


# For any labels. Labels have None where there is no label.
ANY = {
    f"a list with {what}": lambda x, gap=gap: with_gaps(x, gap) for what, gap in NO_OBJECTS.items()
}
ANY |= {
    f"objects with {what}": lambda x, gap=gap: _objects(with_gaps(x, gap))
    for what, gap in NO_OBJECTS.items()
}
ANY |= {
    "a tuple": tuple,
    "scalars of NumPy": lambda x: [None if v is None else np.array(v)[()] for v in x],
    "scalars of pyarrow": lambda x: [pa.scalar(v) for v in x],
    "a list with masked entries": lambda x: with_gaps(x, np.ma.masked),
    "masked objects": lambda x: masked(x, object, 0.5),
    "pandas object": lambda x: pd.Series(x, dtype=object),
    "pandas object with NaN": lambda x: pd.Series(with_gaps(x, NAN), dtype=object),
    "pandas category": lambda x: pd.Series(x, dtype="category"),
    "pandas Index": lambda x: pd.Index(x, dtype=object),
    "pandas with other rows": lambda x: pd.Series(x, index=range(len(x), 0, -1), dtype=object),
    "a frame of pandas": lambda x: pd.DataFrame({"label": pd.Series(x, dtype=object)}),
    "polars": pl.Series,
    "a frame of polars": lambda x: pl.DataFrame({"label": x}),
    "pyarrow": pa.array,
    "pyarrow in chunks": _chunked,
    "pyarrow dictionary": lambda x: pa.array(x).dictionary_encode(),
    "pyarrow dictionary in chunks": lambda x: _chunked(x).dictionary_encode(),
    "a table of pyarrow": lambda x: pa.table({"label": x}),
}
NAMES = ANY | {
    **{
        f"a list with {what}": lambda x, gap=gap: with_gaps(x, gap)
        for what, gap in NO_TEXTS.items()
    },
    **{
        f"NumPy text with {what}": lambda x, gap=gap: np.array(with_gaps(x, gap), dtype=str)
        for what, gap in NO_TEXTS.items()
    },
    "NumPy text made of a list with -1": lambda x: np.array(with_gaps(x, -1)),
    "NumPy text made of a list with NaN": lambda x: np.array(with_gaps(x, NAN)),
    "masked text": lambda x: masked(x, str, "b"),
    "StringDType": lambda x: np.array(with_gaps(x, ""), dtype=np.dtypes.StringDType()),
    "StringDType with None": lambda x: np.array(x, dtype=np.dtypes.StringDType(na_object=None)),
    "StringDType with NaN": lambda x: np.array(
        with_gaps(x, NAN), dtype=np.dtypes.StringDType(na_object=NAN)
    ),
    "StringDType with pandas.NA": lambda x: np.array(
        with_gaps(x, pd.NA), dtype=np.dtypes.StringDType(na_object=pd.NA)
    ),
    "pandas str": lambda x: pd.Series(x, dtype="str"),
    "pandas string": lambda x: pd.Series(x, dtype="string"),
    "pandas string[python]": lambda x: pd.Series(x, dtype="string[python]"),
    "pandas string[pyarrow]": lambda x: pd.Series(x, dtype="string[pyarrow]"),
    "pandas Arrow large_string": lambda x: pd.Series(x, dtype=pd.ArrowDtype(pa.large_string())),
    "polars Categorical": lambda x: pl.Series(x, dtype=pl.Categorical),
    "polars Enum": lambda x: pl.Series(
        x, dtype=pl.Enum(sorted({v for v in x if v is not None} | {"unused"}))
    ),
    "pyarrow large_string": lambda x: pa.array(x, pa.large_string()),
}
INTEGERS = ANY | {
    **{
        f"NumPy {dtype}": lambda x, dtype=dtype: np.array(with_gaps(x, -1), dtype=dtype)
        for dtype in ("int8", "int16", "int32", "int64", ">i2", ">i8")
    },
    **{
        f"masked {dtype}": lambda x, dtype=dtype: masked(x, dtype, 1)
        for dtype in ("uint8", "uint16", "uint32", "uint64", "int8", ">u4")
    },
    **{
        f"NumPy {dtype} with NaN": lambda x, dtype=dtype: np.array(with_gaps(x, NAN), dtype=dtype)
        for dtype in ("float16", "float32", "float64", ">f8")
    },
    **{
        f"pandas {dtype}": lambda x, dtype=dtype: pd.Series(x, dtype=dtype)
        for dtype in ("Int8", "Int64", "UInt8", "UInt64", "Float64", "float64", "int64[pyarrow]")
    },
    **{
        f"polars {dtype}": lambda x, dtype=dtype: pl.Series(x, dtype=dtype)
        for dtype in (pl.Int8, pl.UInt8, pl.UInt64, pl.Float64)
    },
    "pyarrow uint8": lambda x: pa.array(x, pa.uint8()),
    "pyarrow double": lambda x: pa.array(x, pa.float64()),
    "a tensor of PyTorch": _of_torch,
}
BOOLS = ANY | {
    "masked bools": lambda x: masked(x, bool, True),
    "pandas boolean": lambda x: pd.Series(x, dtype="boolean"),
    "pandas bool[pyarrow]": lambda x: pd.Series(x, dtype="bool[pyarrow]"),
}
FORMS = {"names": NAMES, "integers": INTEGERS, "bools": BOOLS}


def naive_labels(values):
    """Read Python objects value by value: the sorted labels, and None where there is none."""
    labels = []
    for value in values:
        is_none = value is None or value is pd.NA or value is pd.NaT or value != value
        if is_none or value == -1 or (isinstance(value, str) and value.strip() in ("", "-1")):
            labels.append(None)
        else:
            labels.append(value)
    return sorted({label for label in labels if label is not None}), labels
