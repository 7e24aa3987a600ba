"""`TextSource`: how the texts of a fitted model became vectors, saved in one file with the model.

New texts must become vectors in the same way, or the model says nothing about them. An embedder by
words is kept whole. Of a language model, its name is kept, and the vector of one fixed text:
another model gives that text another vector, whatever it is called.

Files may come from strangers. A name in one is looked up among the models of the Hugging Face hub
that were fetched before, and nowhere else: no folder that a file names is opened, since it may have
come along with the file, and nothing is fetched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import shown
from labelquorum._shared.sealed import check_kinds, check_stored
from labelquorum._shared.texts import as_texts
from labelquorum.text.embedding import TFIDF, embedded
from labelquorum.text.models import load_fetched
from labelquorum.text.tfidf import TfidfEmbedder
from labelquorum.text.words import as_terms, fold

_PROBE = "Where is my parcel? Please change the password of my account and send the invoice again."
_LEAST_SIMILARITY = 0.99  # of the vectors of a text by one model, on any machine


@dataclass(frozen=True, eq=False, repr=False)
class TextSource:
    """How the texts of a model's samples became vectors, and which columns they came from.

    ``labelquorum fit --text-column`` sets it as `ConsensusClusterer.source_`, and so can you.
    `save` and `load` keep it.

    Parameters
    ----------
    embedder : TfidfEmbedder, optional
        The fitted embedder, if texts were embedded by their words.
    model : str, optional
        The name or folder of the language model, as it was said.
    probe : float32 array of shape (n_columns,), optional
        The vector of one fixed text by that model.
    text_column, id_column : str, optional
        The columns of the table.

    Examples
    --------
    >>> import labelquorum as lq
    >>> texts = ["reset my password", "password reset", "where is my parcel", "parcel lost"]
    >>> X, source = lq.text.TextSource.of(texts, "tf-idf")
    >>> model = lq.ConsensusClusterer(2, random_state=0).fit(X)
    >>> model.source_ = source
    >>> model.predict(model.source_.embed(["a new parcel"])).shape
    (1,)
    """

    __module__ = "labelquorum.text"

    embedder: TfidfEmbedder | None = None
    model: str | None = None
    probe: NDArray[np.float32] | None = None
    text_column: str | None = None
    id_column: str | None = None

    @classmethod
    def of(
        cls,
        texts: Any,
        model: Any = None,
        *,
        text_column: str | None = None,
        id_column: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> tuple[NDArray[np.float32], TextSource]:
        """Embed texts, and keep how.

        Parameters
        ----------
        texts, model, directory, verbose
            As for `embed`.
        text_column, id_column : str, optional
            The columns of the table that the texts are from.

        Returns
        -------
        float32 array of shape (n_texts, n_columns), TextSource

        Raises
        ------
        TypeError, ValueError, ImportError, OSError
            As `embed`.
        """
        found = embedded(texts, model, directory, verbose)
        if found.embedder is not None:
            embedder, name, probe = found.embedder, None, None
        else:
            embedder, probe = None, found.encode([_PROBE])[0]
            name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
        return found.vectors, cls(embedder, name, probe, text_column, id_column)

    @property
    def n_columns(self) -> int | None:
        """Number of columns of the vectors; None if fit got vectors from elsewhere."""
        if self.embedder is not None:
            return len(self.embedder.components_)
        return None if self.probe is None else len(self.probe)

    def embed(
        self,
        texts: Any,
        model: Any = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> NDArray[np.float32]:
        """Embed texts as those of the fit were.

        Parameters
        ----------
        texts : iterable of str
            New texts.
        model : str, path-like or object with encode, optional
            The language model of the fit, as for `embed`. None for the one that `model` names,
            which must have been fetched from the Hugging Face hub before. A folder must be given:
            one that a file names is never opened. Texts that were embedded by words need none.
        directory, verbose
            As for `embed`.

        Returns
        -------
        float32 array of shape (n_texts, n_columns)
            Rows of length 1; zeros for a text that is empty or has no known word.

        Raises
        ------
        TypeError, ValueError, ImportError, OSError
            As `embed`; ValueError also if there is no such model here, or if it is another one than
            that of the fit.
        """
        if self.embedder is not None:
            if model is not None and model != TFIDF:
                raise ValueError(
                    f"model must be {TFIDF!r} or None, since the texts of the fit were embedded by "
                    f"their words, got {shown(model)}: fit again to use another"
                )
            return self.embedder.encode(as_texts(texts))
        if self.probe is None:
            raise ValueError("the texts of the fit were not embedded by labelquorum: give vectors")
        if model is None:
            if self.model is None:
                raise ValueError("model must be the language model of the fit, got None")
            try:
                model = load_fetched(self.model, "the model", verbose=verbose)
            except ValueError as error:
                raise ValueError(
                    f"{error}: give the model of the fit, if you trust it, as in "
                    "embed(texts, model), since what a file names is neither opened nor fetched"
                ) from error
        elif isinstance(model, str) and model == TFIDF:
            raise ValueError(
                f"model must be the language model of the fit, got {TFIDF!r}: fit again to use it"
            )
        found = embedded(texts, model, directory, verbose)
        probe = found.encode([_PROBE])[0]
        if len(probe) != len(self.probe):
            raise ValueError(
                f"model must return {len(self.probe)} columns, as that of the fit "
                f"({self.model!r}), got {len(probe)}"
            )
        if probe @ self.probe < _LEAST_SIMILARITY * (self.probe @ self.probe):
            raise ValueError(
                f"model must be that of the fit ({self.model!r}), got one that embeds texts "
                "otherwise: fit again to use it"
            )
        return found.vectors

    def unfamiliar(self, texts: Any) -> NDArray[np.bool_] | None:
        """Say of which texts most words are unknown, so that their vectors say little.

        Parameters
        ----------
        texts : iterable of str

        Returns
        -------
        bool array of shape (n_texts,), or None
            None for a language model, which knows all words more or less.
        """
        if self.embedder is None:
            return None
        known = frozenset(self.embedder.terms_)
        words = [as_terms(fold(text)) for text in as_texts(texts)]
        return np.array([2 * sum(word in known for word in of) < len(of) for of in words])

    def __check_saved__(self) -> None:
        """Raise an error unless the parts fit together."""
        for name in ("model", "text_column", "id_column"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise TypeError(f"{name} must be a string")
        if self.embedder is not None:
            check_kinds(self, embedder=TfidfEmbedder)
        if self.probe is not None:
            check_stored(self.probe, "probe", np.float32, (None,))
