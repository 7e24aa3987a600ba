"""Tables of results: pandas DataFrames, or structured arrays where pandas is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def named_table(
    name: str, index: NDArray[Any], columns: Mapping[str, NDArray[Any]]
) -> pd.DataFrame | NDArray[np.void]:
    """Make a table of columns of equal length.

    The index has this name. Without pandas, it is the first field of a structured array.
    """
    try:
        import pandas as pd
    except ImportError:
        # Notebooks read all attributes of a fitted model, so this one must not fail.
        columns = {name: index, **columns}
        table = np.empty(len(index), [(key, column.dtype) for key, column in columns.items()])
        for key, column in columns.items():
            table[key] = column
        return table
    return pd.DataFrame(columns, index=pd.Index(index, name=name))
