"""`embed`: texts as vectors, by a language model or by their words.

A model works on blocks of texts. Each finished block can be kept in a file whose name is a digest
of the model and of the texts, so that a later call, after an interruption or with more texts, makes
only what is missing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from labelquorum._shared.files import replacing
from labelquorum._shared.progress import Show, progress
from labelquorum._shared.samples import as_array
from labelquorum._shared.sealed import array_of, new_digest, sealed_array
from labelquorum._shared.texts import as_texts
from labelquorum.text.models import Model, load_model
from labelquorum.text.tfidf import TfidfEmbedder

TFIDF = "tf-idf"
"""The name of the way without a model."""
BETTER = (
    "texts are embedded by their words (tf-idf), which does not know that different words can mean "
    'the same. Categories are usually better with a language model: pip install "labelquorum[text]"'
)
"""What is said where nobody chose."""
_TEXTS_PER_BLOCK = 1024
_BY_WORDS = 16  # times as many texts, since they are so fast
_FORMAT_VERSION = 1
_LARGEST = 1e15  # of a value, whose square must fit into float32


def embed(
    texts: Any,
    model: Any = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> NDArray[np.float32]:
    """Turn texts into vectors: texts that mean about the same are near each other.

    Parameters
    ----------
    texts : iterable of str
        A list, array, column of pandas, polars or Arrow, generator, ... At least one must hold more
        than white space.
    model : str, path-like or object with encode, optional
        - A folder with a model of sentence-transformers or model2vec, or its name on the Hugging
          Face hub, such as "all-MiniLM-L6-v2" (90 MB), "paraphrase-multilingual-MiniLM-L12-v2"
          (50 languages, 470 MB) or "minishlab/potion-base-8M" (static, 30 MB, hundreds of times
          as fast). A name is fetched from the network once.
        - "tf-idf": a `TfidfEmbedder` that learns from these texts. It needs no other package and
          nothing from the network. None is the same, with a warning.
        - An object whose ``encode`` takes a list of texts and returns an array with a row for each:
          a loaded model, a fitted `TfidfEmbedder`, your own.
    directory : path-like, optional
        A folder to keep finished blocks of 1,024 texts in, made if it is missing. The same call
        continues from them, even after it was killed. Other texts and other models can share it. It
        is for models given by a name or folder; tf-idf takes seconds and is not kept.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    float32 array of shape (n_texts, n_columns)
        Rows of length 1. Equal texts have equal rows. A text that is empty or only white space is a
        row of zeros; so is one without a word that the model knows.

    Raises
    ------
    TypeError, ValueError
        If texts are not strings (fill in missing ones with "") or all are empty; if there is no
        such model, or its vectors are not finite numbers.
    ImportError
        If the package for the model is missing: ``pip install "labelquorum[text]"``.
    OSError
        If the directory cannot be written.

    See Also
    --------
    TfidfEmbedder : keeps what it learned, to embed later texts in the same space.

    Notes
    -----
    The memory beside the texts is that of the result: 4 n_texts n_columns bytes. The vector of a
    text may differ in its last digits if it is embedded in another block.

    Examples
    --------
    >>> import labelquorum as lq
    >>> X = lq.text.embed(["reset my password", "password reset", "where is my parcel"], "tf-idf")
    >>> X.shape, X.dtype
    ((3, 3), dtype('float32'))
    >>> bool(X[0] @ X[1] > X[0] @ X[2])
    True
    >>> lq.text.embed(["", "reset"], "tf-idf").tolist()
    [[0.0], [1.0]]
    """
    return embedded(texts, model, directory, verbose).vectors


class Embedded(NamedTuple):
    """Texts as vectors, and what made them."""

    vectors: NDArray[np.float32]
    """(n_texts, n_columns): as `embed` returns them."""
    embedder: TfidfEmbedder | None
    """Embeds by words; None for a model."""
    encode: Callable[[list[str]], NDArray[np.float32]]
    """Returns the vectors of more texts, none of them empty."""


def embedded(
    texts: Any, model: Any, directory: str | os.PathLike[str] | None, verbose: bool
) -> Embedded:
    """Embed texts, and return also what did it; see `embed`.

    `model` can be a loaded `Model`, too.
    """
    items = as_texts(texts)
    distinct: dict[str, int] = {}
    places = np.fromiter(
        (_place(text, distinct) for text in items), dtype=np.int64, count=len(items)
    )
    if not distinct:
        raise ValueError('texts must hold at least one that is not empty, got only "" and spaces')
    embedder = _embedder(model, list(distinct), directory, verbose)
    with progress(verbose) as show:
        vectors = _joined(embedder, list(distinct), show)
    if len(distinct) < len(items):
        of_distinct, has_text = vectors, places >= 0
        vectors = np.zeros((len(items), vectors.shape[1]), dtype=np.float32)
        vectors[has_text] = of_distinct[places[has_text]]
    if isinstance(embedder, TfidfEmbedder):
        return Embedded(vectors, embedder, embedder.encode)
    return Embedded(vectors, None, embedder.made)


def _place(text: str, distinct: dict[str, int]) -> int:
    """Return the place of a text among the distinct ones; -1 if it is empty."""
    if not text or text.isspace():
        return -1
    if not text.isascii():
        text = text.encode(errors="replace").decode()  # half a surrogate pair is no character
    return distinct.setdefault(text, len(distinct))


def _embedder(
    model: Any, texts: list[str], directory: Any, verbose: bool
) -> TfidfEmbedder | _Blocks:
    """Return what makes the vectors of a block."""
    if model is None:
        warnings.warn(
            f"{BETTER} and pass model, or pass model={TFIDF!r} to silence this", stacklevel=4
        )
    if model is None or (isinstance(model, str) and model == TFIDF):
        return TfidfEmbedder().fit(texts)
    if isinstance(model, TfidfEmbedder):
        return model
    if isinstance(model, Model):
        return _Blocks(model, directory)
    if isinstance(model, (str, os.PathLike)):
        return _Blocks(load_model(model, "model", verbose=verbose), directory)
    if isinstance(model, type) or not callable(getattr(model, "encode", None)):
        raise TypeError(
            "model must be the name or folder of a model, or have a method encode, got "
            f"{getattr(model, '__name__', type(model).__name__)}"
        )
    if directory is not None:
        raise TypeError(
            "model must be a name or folder if a directory is given, which tells models apart by "
            f"it, got an object of type {type(model).__name__}"
        )
    return _Blocks(Model(model.encode, ""), None)


def _joined(embedder: TfidfEmbedder | _Blocks, texts: list[str], show: Show) -> NDArray[np.float32]:
    """Embed texts block by block, into one array."""
    vectors = None
    size = _TEXTS_PER_BLOCK * (1 if isinstance(embedder, _Blocks) else _BY_WORDS)
    for begin in range(0, len(texts), size):
        block = embedder.encode(texts[begin : begin + size])
        if vectors is None:
            vectors = np.empty((len(texts), block.shape[1]), dtype=np.float32)
        if block.shape[1] != vectors.shape[1]:
            raise ValueError(
                f"model must return rows of one length, got {block.shape[1]} columns after "
                f"{vectors.shape[1]}"
            )
        vectors[begin : begin + len(block)] = block
        if show is not None:
            show("Embedding", (begin + len(block)) / len(texts))
    assert vectors is not None  # there is a text
    return vectors


class _Blocks:
    """The vectors of blocks of texts by a model, from files if they are there."""

    def __init__(self, model: Model, directory: str | os.PathLike[str] | None) -> None:
        self._model = model
        self._folder = None if directory is None else Path(directory)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, from a file if they are there."""
        if self._folder is None:
            return self.made(texts)
        digest = new_digest()
        for part in (str(_FORMAT_VERSION), self._model.identity, *texts):
            content = part.encode()
            digest.update(len(content).to_bytes(8, "little") + content)
        path, key = self._folder / f"{digest.hexdigest()}.npy", digest.digest()
        kept = self._kept(path, key, len(texts))
        if kept is not None:
            return kept
        vectors = self.made(texts)
        with replacing(path) as file:
            file.write(sealed_array(vectors, key))
        return vectors

    def made(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of texts by the model itself."""
        vectors = as_array(self._model.encode(texts), "the result of model.encode")
        if vectors.dtype.kind != "f" or vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(
                "model.encode must return floats of shape (n_texts, n_columns), got "
                f"{vectors.dtype} of shape {vectors.shape} for {len(texts)} texts"
            )
        with np.errstate(over="ignore"):
            vectors = vectors.astype(np.float32)
        if not (np.abs(vectors) <= _LARGEST).all():
            raise ValueError(
                f"model.encode must return finite numbers up to {_LARGEST:g} in magnitude, got "
                "others"
            )
        rows: NDArray[np.float32] = normalize(vectors, copy=False)
        return rows

    def _kept(self, path: Path, key: bytes, n_texts: int) -> NDArray[np.float32] | None:
        """Return the vectors in a file; None if there is none or it is damaged."""
        try:
            vectors = array_of(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except OSError:
            raise
        except Exception:  # Damaged content may be of any kind, and so are its errors.
            return None
        is_right = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == n_texts
        return vectors if is_right else None
