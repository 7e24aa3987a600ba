"""Values as JSON and arrays, and back: a closed set of types, and nothing that runs.

None, bools, integers, floats and strings are themselves in JSON, and so are lists. Anything else is
an object with one entry, whose name says the type:

- "array", "scalar": the number of an array
- "names": an array of strings, None or numbers as objects, by number in a list
- "tuple", "dict" (a list of pairs), "path", "regex", "random_state"
- "sparse": a SciPy matrix or array, as rows
- "part": one of the classes that the caller lists, by its name
- "scikit-learn": one of the estimators of `sklearn_models`
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.sealed import check_stored
from labelquorum._shared.sklearn_models import KINDS, kind_of, learned_by, restored

_PLAIN = (type(None), bool, int, float, str)
_ARRAY_KINDS = "biufU"
_MOST_BYTES_PER_NUMBER = 8  # Longer floats differ from machine to machine.
_SPARSE = {
    f"{form}_{kind}": getattr(sparse, f"{form}_{kind}")
    for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for kind in ("array", "matrix")
}
_N_STATES = 624  # of the Mersenne Twister


class Encoder:
    """Turns values into JSON; the arrays are collected, each one once.

    Parameters
    ----------
    parts : iterable of types
        The classes whose objects may occur; see `state_of`.
    """

    arrays: list[NDArray[Any]]
    """The arrays, by number."""

    def __init__(self, parts: Iterable[type]) -> None:
        self._parts = frozenset(parts)
        self.arrays = []
        self._numbers: dict[int, int] = {}

    def encode(self, value: Any, name: str) -> Any:
        """Return what `Decoder.decode` needs; `name` is for error messages.

        Raises TypeError if the value is none of these types.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind in self._parts:
            return {"part": [kind.__name__, self.encode_all(state_of(value), name)]}
        if kind is list:
            return [self.encode(item, name) for item in value]
        if kind is tuple:
            return {"tuple": [self.encode(item, name) for item in value]}
        if kind is dict:
            items = [[self.encode(k, name), self.encode(v, name)] for k, v in value.items()]
            return {"dict": items}
        if isinstance(value, np.ndarray) and kind in (np.ndarray, np.memmap):
            return self._encode_array(value, name)
        if isinstance(value, np.generic):
            return {"scalar": self._encode_array(np.asarray(value), name)["array"]}
        if sparse.issparse(value) and kind.__name__ in _SPARSE:
            rows = value if kind is sparse.csr_array else sparse.csr_array(value)
            parts = {"shape": rows.shape, "data": rows.data}
            parts |= {"indices": rows.indices, "indptr": rows.indptr}
            return {"sparse": [kind.__name__, self.encode_all(parts, name)]}
        if isinstance(value, Path):
            return {"path": str(value)}
        if kind is re.Pattern and isinstance(value.pattern, str):
            return {"regex": [value.pattern, value.flags]}
        if kind is np.random.RandomState:
            state = value.get_state(legacy=True)
            return {"random_state": [self.encode(item, name) for item in state]}
        if kind_of(value) is None:
            self._refuse(value, name)
        return self._encode_model(value, name)

    def encode_all(self, values: dict[str, Any], name: str = "") -> dict[str, Any]:
        """Encode values by name; errors name them unless they are parts of a value with a name."""
        return {key: self.encode(value, name or key) for key, value in values.items()}

    def _encode_array(self, array: NDArray[Any], name: str) -> dict[str, Any]:
        if array.dtype == object:
            return self._encode_objects(array, name)
        is_short = array.dtype.kind == "U" or array.itemsize <= _MOST_BYTES_PER_NUMBER
        if array.dtype.kind not in _ARRAY_KINDS or not is_short:
            self._refuse(array, name)
        if id(array) not in self._numbers:
            self._numbers[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return {"array": self._numbers[id(array)]}

    def _encode_objects(self, array: NDArray[Any], name: str) -> dict[str, Any]:
        items = array.ravel().tolist()
        # 1, 1.0 and True are equal.
        keys = [*zip(map(type, items), items, strict=True)] if len(items) else []
        try:
            places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        except TypeError:
            self._refuse(array, name)
        if not all(kind in _PLAIN for kind, _ in places):
            self._refuse(array, name)
        codes = np.fromiter(map(places.__getitem__, keys), dtype=np.int32, count=len(keys))
        self.arrays.append(codes.reshape(array.shape))
        return {"names": [len(self.arrays) - 1, [item for _, item in places]]}

    def _encode_model(self, model: Any, name: str) -> dict[str, Any]:
        try:
            parameters, learned = learned_by(model)
        except TypeError as error:
            raise TypeError(f"{name} {error}") from None
        content = [self.encode_all(values, name) for values in (parameters, learned)]
        return {"scikit-learn": [type(model).__name__, *content]}

    def _refuse(self, value: Any, name: str) -> NoReturn:
        shown = " ".join(repr(value).split())
        raise TypeError(
            f"{name} must hold numbers, names, arrays, sparse matrices or models of scikit-learn's "
            f"{', '.join(KINDS)} to be saved, got {shown[:80]}: nothing is pickled"
        )


def state_of(value: Any) -> dict[str, Any]:
    """Return what makes an object: what its `__saved_state__` says, or its fields or attributes."""
    if hasattr(value, "__saved_state__"):
        state: dict[str, Any] = value.__saved_state__()
        return state
    if isinstance(value, tuple):
        fields: dict[str, Any] = value._asdict()  # type: ignore[attr-defined]  # a NamedTuple
        return fields
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(vars(value))


def made_of(kind: type, state: dict[str, Any]) -> Any:
    """Make an object of what `state_of` returned, and let it check that.

    Raises an error of any kind if the state is not right: see `sealed.reading`.
    """
    if hasattr(kind, "__of_saved_state__"):
        made = kind.__of_saved_state__(**state)
    elif issubclass(kind, tuple) or dataclasses.is_dataclass(kind):
        made = kind(**state)
    else:
        made = kind.__new__(kind)
        set_attributes(made, state)
    made.__check_saved__()
    return made


def set_attributes(target: Any, values: dict[str, Any]) -> None:
    """Set attributes, which must not take the place of anything that the class has."""
    for name in values:
        if not name.isidentifier() or hasattr(type(target), name):
            raise ValueError(f"{type(target).__name__} has no attribute {name!r} to store")
    vars(target).update(values)


class Decoder:
    """Turns what `Encoder` wrote into values again.

    Parameters
    ----------
    parts : iterable of types
        The same as for the encoder.
    array_of : callable
        Returns the array with a number.
    """

    def __init__(self, parts: Iterable[type], array_of: Callable[[int], NDArray[Any]]) -> None:
        self._parts = {kind.__name__: kind for kind in parts}
        self._array_of = array_of
        self._arrays: dict[int, NDArray[Any]] = {}
        self._decoders: dict[str, Callable[[Any], Any]] = {
            "array": self._array,
            "scalar": lambda content: self._array(content)[()],
            "names": self._names,
            "tuple": lambda content: tuple(self._items(content)),
            "dict": lambda content: dict(self._items(pair) for pair in content),
            "path": Path,
            "regex": _regex,
            "random_state": lambda content: _random_state(*self._items(content)),
            "sparse": self._sparse,
            "part": lambda content: made_of(self._parts[content[0]], self.decode_all(content[1])),
            "scikit-learn": lambda content: restored(
                content[0], *map(self.decode_all, content[1:])
            ),
        }

    def decode(self, tree: Any) -> Any:
        """Return a value.

        Raises errors of many kinds if it was not encoded: see `sealed.reading`.
        """
        if type(tree) in _PLAIN:
            return tree
        if isinstance(tree, list):
            return self._items(tree)
        ((tag, content),) = tree.items()
        return self._decoders[tag](content)

    def decode_all(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values by name."""
        return {name: self.decode(value) for name, value in values.items()}

    def _items(self, content: Any) -> list[Any]:
        if not isinstance(content, list):
            raise TypeError(f"a list is wanted, got {type(content).__name__}")
        return [self.decode(item) for item in content]

    def _array(self, number: Any) -> NDArray[Any]:
        if type(number) is not int:
            raise TypeError(f"the number of an array is wanted, got {type(number).__name__}")
        if number not in self._arrays:
            array = self._array_of(number)
            if array.dtype.kind not in _ARRAY_KINDS:
                raise ValueError(f"an array has dtype {array.dtype}")
            self._arrays[number] = array
        return self._arrays[number]

    def _names(self, content: Any) -> NDArray[Any]:
        number, names = content
        codes = self._array(number)
        if not {*map(type, names)} <= {*_PLAIN}:
            raise TypeError("names must be strings, None or numbers")
        check_stored(codes, "codes", np.int32, codes.shape, (0, len(names) - 1))
        table = np.empty(len(names), dtype=object)
        table[:] = names
        objects: NDArray[Any] = table[codes]
        return objects

    def _sparse(self, content: Any) -> Any:
        kind, parts = _SPARSE[content[0]], self.decode_all(content[1])
        entries = parts["data"], parts["indices"], parts["indptr"]
        for indices in entries[1:]:
            check_stored(indices, "indices", (np.int32, np.int64), (None,))
        n_rows, n_columns = parts["shape"]
        rows = sparse.csr_array(entries, shape=(n_rows, n_columns))
        rows.check_format(full_check=True)
        return rows if kind is sparse.csr_array else kind(rows)


def _regex(content: Any) -> re.Pattern[str]:
    pattern, flags = content
    if not isinstance(pattern, str):
        raise TypeError("a regular expression is a string")
    return re.compile(pattern, flags & ~re.DEBUG)


def _random_state(
    name: Any, states: Any, position: Any, has_gauss: Any, gauss: Any
) -> np.random.RandomState:
    # NumPy does not check the position.
    if name != "MT19937":
        raise ValueError(f"a RandomState has the generator {name!r}")
    check_stored(states, "states", np.uint32, (_N_STATES,))
    check_stored(position, "position", np.int64, (), (0, _N_STATES))
    check_stored(has_gauss, "has_gauss", np.int64, (), (0, 1))
    check_stored(gauss, "gauss", np.float64, ())
    random_state = np.random.RandomState()
    random_state.set_state((name, states, position, has_gauss, gauss))
    return random_state
