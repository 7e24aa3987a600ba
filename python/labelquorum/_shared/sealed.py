"""Files that the package writes to read them back: every one carries a digest of its content.

Archives (.npz and zip) have a checksum for each member. `read_arrays` and `read_member` read
members to their end, so that it is compared, and refuse sizes that the archive does not have. Other
files have a digest of their own: JSON files as an entry (`sealed_json`), arrays after their end
(`sealed_array`), where NumPy does not look.

The digests find damage. They do not keep anyone from making a false file on purpose, so values are
checked by those who use them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_DIGEST_SIZE = 16  # bytes
_SEAL = b"labelquorum"  # what stands between an array and its digest
_LONGEST_MESSAGE = 300  # characters: some errors show what they could not read
FLOATS = (np.float16, np.float32, np.float64)
INTEGERS = (np.int32, np.int64)
"""The dtypes of numbers of rows, clusters and categories."""
_BYTES_PER_READ = 1 << 22
_LAST_CHARACTER = 0x10FFFF  # of Unicode


class FormatError(ValueError):
    """A file is whole, but of a kind or version that is not wanted. The message is complete."""


@contextmanager
def reading(path: str | os.PathLike[str], what: str, remedy: str) -> Iterator[None]:
    """Make one ValueError, which names the file, of all that reading a damaged file can raise.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, such as "a saved sampler".
    remedy : str
        What to do, such as "save it again".

    Raises
    ------
    OSError, MemoryError
        If the file cannot be read: that is no damage.
    """
    try:
        yield
    except (FormatError, MemoryError):
        raise
    except Exception as error:  # Damaged content may be of any kind, and so are its errors.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a damaged offset
            raise
        raise ValueError(
            f"{os.fspath(path)} is damaged or not {what} ({in_short(error)}): {remedy}"
        ) from error


def in_short(error: Exception) -> str:
    """Return the message of an error in a line that is not too long."""
    message = " ".join(str(error).split())
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "..."


def new_digest(key: bytes = b"") -> Any:
    """Return what computes a digest; those of other keys differ."""
    return hashlib.blake2b(digest_size=_DIGEST_SIZE, key=key)


def sealed_json(values: dict[str, Any]) -> bytes:
    """Return a JSON object of the values and, as the entry "digest", their digest."""
    return json.dumps({**values, "digest": _digest_of_values(values)}, indent=1).encode()


def values_of_json(content: bytes) -> dict[str, Any]:
    """Return the values that `sealed_json` was given.

    Raises ValueError, or an error of the json module, if the content is anything else.
    """
    values: dict[str, Any] = json.loads(content)
    if values.pop("digest", None) != _digest_of_values(values):
        raise ValueError("its digest is that of other content")
    return values


def _digest_of_values(values: dict[str, Any]) -> str:
    digest = new_digest()
    digest.update(json.dumps(values, sort_keys=True).encode())
    text: str = digest.hexdigest()
    return text


def sealed_array(array: NDArray[Any], key: bytes) -> bytes:
    """Return the array as an .npy file with a digest after its end; see `array_of`."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    digest = new_digest(key)
    digest.update(file.getbuffer())
    return file.getvalue() + _SEAL + bytes(digest.digest())


def array_of(content: bytes, key: bytes) -> NDArray[Any]:
    """Return the array of an .npy file, which `sealed_array` wrote with the same key.

    Raises ValueError, or an error of NumPy's, if the content is damaged or anything else.
    """
    end = max(0, len(content) - len(_SEAL) - _DIGEST_SIZE)
    if not content[end:].startswith(_SEAL):
        raise ValueError("it has no digest")
    array, seal = content[:end], content[end + len(_SEAL) :]
    digest = new_digest(key)
    digest.update(array)
    if digest.digest() != seal:
        raise ValueError("its digest is that of other content")
    return _decoded(array)


def read_arrays(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file that `np.savez` wrote.

    Raises ValueError, or an error of the zipfile module or NumPy, if the file is damaged, if it is
    anything else, or if an array is not as large as it says.
    """
    with zipfile.ZipFile(file) as archive:
        return {
            name.removesuffix(".npy"): _decoded(read_member(archive, file, name))
            for name in archive.namelist()
        }


def read_member(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> bytes:
    """Read a member of an archive, which must be stored as it is, and compare its checksum."""
    check_member(archive, file, name)
    return archive.read(name)


def check_member(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> zipfile.ZipInfo:
    """Return the directory's entry of a member, which must be stored as it is and lie in the file.

    A member that is compressed, or larger than the file, could ask for any amount of memory.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"{name} is compressed")
    if info.file_size > file.seek(0, os.SEEK_END):
        raise ValueError(f"{name} is cut off")
    return info


def check_sum(archive: zipfile.ZipFile, name: str) -> None:
    """Compare the checksum of a member, which may be larger than the memory."""
    # zipfile compares it at the end of the member and raises BadZipFile.
    with archive.open(name) as member:
        while member.read(_BYTES_PER_READ):
            pass


def read_array_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the head of an .npy file: shape, whether columns are stored one by one, and type."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"an array has version {version} of the .npy format")
    if dtype.hasobject:
        raise ValueError("an array holds Python objects")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array has shape {shape}")
    return shape, is_fortran, dtype


def check_stored(
    array: Any,
    name: str,
    dtypes: Any,
    shape: tuple[int | None, ...],
    limits: tuple[int, int] | None = None,
) -> None:
    """Raise ValueError unless a value of a file has one of these types, this shape and range.

    A length that is None may be anything. Floats must be finite; integers must be from the first to
    the last of the `limits`. Numbers of JSON have a kind of type, but no size.
    """
    has_size = isinstance(array, np.ndarray)
    if not has_size and shape:
        raise TypeError(f"{name} must be an array, got {type(array).__name__}")
    array = np.asarray(array)
    dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,)
    kinds = [np.dtype(dtype).kind for dtype in dtypes]
    if not (array.dtype in dtypes if has_size else array.dtype.kind in kinds):
        wanted = " or ".join(str(np.dtype(dtype)) for dtype in dtypes)
        raise ValueError(f"{name} must have dtype {wanted}, got {array.dtype}")
    if len(shape) != array.ndim or any(
        wanted not in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    if limits is not None and array.size:
        lowest, highest = array.min(), array.max()
        if lowest < limits[0] or highest > limits[1]:
            raise ValueError(
                f"{name} must be from {limits[0]} to {limits[1]}, got {lowest} to {highest}"
            )


def check_kinds(owner: Any, **kinds: type) -> None:
    """Raise TypeError unless attributes, given by name, are objects of these classes."""
    for name, kind in kinds.items():
        if not isinstance(getattr(owner, name), kind):
            raise TypeError(f"{name} must be a {kind.__name__}")


def check_samples(X: Any, name: str, shape: tuple[int | None, int]) -> None:
    """Raise an error unless this is an array or CSR array of finite floats, of this shape."""
    if hasattr(X, "indptr"):
        check_stored(X.data, name, FLOATS, (None,))
        if any(wanted not in (None, n) for wanted, n in zip(shape, X.shape, strict=True)):
            raise ValueError(f"{name} must have shape {shape}, got {X.shape}")
    else:
        check_stored(X, name, FLOATS, shape)


def check_length(array: Any, name: str, n: int) -> None:
    """Raise an error unless this is an array of shape (n,), of any type."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be an array, got {type(array).__name__}")
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), got {array.shape}")


def check_features(model: Any, n_features: int) -> None:
    """Raise an error unless this is a fitted model for so many features."""
    if not hasattr(model, "fit") or model.n_features_in_ != n_features:
        raise ValueError(f"a model for {n_features} features is wanted, got {model!r}")


def check_stored_order(array: Any, name: str, dtype: Any, n: int) -> None:
    """Raise ValueError unless an array of a file holds each number from 0 to n - 1 once."""
    check_stored(array, name, dtype, (n,), (0, n - 1))
    if n and np.bincount(array, minlength=n).min() == 0:
        raise ValueError(f"{name} must hold each number from 0 to {n - 1}")


def _decoded(content: bytes) -> NDArray[Any]:
    """Return the array of an .npy file, which must be as large as it says."""
    file = io.BytesIO(content)
    shape, is_fortran, dtype = read_array_header(file)
    begin = file.tell()
    wanted, found = math.prod(shape) * dtype.itemsize, len(content) - begin
    if wanted != found:
        raise ValueError(
            f"an array of shape {shape} and dtype {dtype} needs {wanted} bytes, got {found}"
        )
    order: Any = "F" if is_fortran else "C"
    array: NDArray[Any] = np.ndarray(shape, dtype, content, begin, order=order).copy(order)
    check_values(array)
    return array


def check_values(array: NDArray[Any]) -> None:
    """Raise ValueError if an array of a file holds what no array of its type can hold.

    NumPy counts on bools being 0 or 1, and on characters being those of Unicode.
    """
    if array.dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of bools holds other values")
    if array.dtype.kind == "U" and array.size:
        number = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        if array.reshape(-1, order="A").view(number).max() > _LAST_CHARACTER:
            raise ValueError("an array of strings holds what is no character")
