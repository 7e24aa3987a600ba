"""What people change about the categories of a fitted `ConsensusClusterer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_n_threads, as_positive
from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.labels import to_labels
from labelquorum._shared.sealed import check_length
from labelquorum._shared.texts import as_texts
from labelquorum.clustering.edits import Named, accepted, is_only_named, merged, renamed, split
from labelquorum.clustering.layered import LayeredClusterer


class NamedClusterer(LayeredClusterer):
    """Names the categories of a fitted `ConsensusClusterer`, and changes them at once."""

    pseudo_share: float
    category_names_: NDArray[Any]
    labels_: NDArray[Any]
    confidence_: NDArray[np.float32]
    probabilities_: NDArray[np.float32]
    pseudo_labels_: NDArray[Any]
    label_origins_: NDArray[np.str_]
    history_: list[dict[str, Any]]

    @classmethod
    def __of_saved_state__(cls, parameters: dict[str, Any], learned: dict[str, Any]) -> Any:
        """Make a fitted estimator; in the first files, nobody had changed a category."""
        classes = learned["classes_"]
        unchanged = {
            "category_names_": own_names(classes),
            "_places": np.arange(len(classes), dtype=np.int32),
            "_is_edited": False,
        }
        return super().__of_saved_state__(parameters, unchanged | learned)

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        check_length(self.category_names_, "category_names_", len(self.classes_))
        names = self.category_names_.tolist()
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise ValueError("category_names_ must hold different strings")

    def name_categories(
        self, texts: Iterable[str], namer: Callable[[list[str], list[str]], str] | None = None
    ) -> Self:
        """Name the new categories by their keywords, or by a function of yours.

        Parameters
        ----------
        texts : iterable of str, of length n_samples
            The texts of the training samples, in the same order.
        namer : callable, optional
            Is called with up to 10 keywords and 5 typical texts of each new category, both lists of
            str, and returns a name: one line of text. None joins the two best keywords that share
            no word.

        Returns
        -------
        ConsensusClusterer
            The estimator itself, with other `category_names_`. `labels_` and `classes_` stay.

        Raises
        ------
        TypeError, ValueError
            If `texts` are no texts, or not one for each sample, or if `namer` returns no name. An
            error of `namer` is passed on, with a note that names the category.

        Notes
        -----
        All names differ: one that another category has gets a third keyword, then a number. A
        category without keywords is called by its label. Known categories keep their names.
        Keywords are those of `labelquorum.text.keywords`, from the 500 most certain texts of each
        category.

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 2], [4, 4, 4, 5, 5, 5]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> texts = ["Lost card", "My card is lost", "card", "No login", "login gone", "login?"]
        >>> model.name_categories(texts).category_names_.tolist()
        ['card, lost', 'login']
        >>> model.name_categories(texts, lambda words, texts: words[0].title()).category_names_
        array(['Card', 'Login'], dtype='<U5')
        """
        from labelquorum.text.naming import display_names

        check_is_fitted(self)
        items, n = as_texts(texts), len(self.outcome_.categories.numbers)
        if len(items) != n:
            raise ValueError(f"texts must have {n} values, one per sample, got {len(items)}")
        categories = self.outcome_.categories
        names = display_names(
            items,
            categories.numbers,
            self.classes_.tolist(),
            self.category_names_.tolist(),
            self.outcome_.numbered(self.classes_),
            confidence=categories.confidence,
            namer=namer,
        )
        self.category_names_ = array_of_names(names)
        return self

    def rename(self, names: Mapping[Any, Any]) -> Self:
        """Give categories other names.

        Parameters
        ----------
        names : dict
            The new name of each category, by its present one: of `classes_` or `category_names_`.
            New names are lines of text; for categories with integers, also integers.

        Returns
        -------
        ConsensusClusterer
            The estimator itself. The new names are labels, too: `labels_` and `classes_` have them.

        Raises
        ------
        TypeError, ValueError
            If there is no such category, or if a new name is no name or that of another category.

        Notes
        -----
        A proposed category becomes a known one, as by `accept`. Known ones only change their name.

        The first string among integers makes strings of all labels: known ones are written out,
        and the new category 3 becomes "new 3".

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 2], [4, 4, 4, 5, 5, 5]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> model.rename({1: "login"}).labels_.tolist()
        ['new 0', 'new 0', 'new 0', 'login', 'login', 'login']
        >>> model.label_origins_[3:].tolist()
        ['accepted', 'accepted', 'proposed']
        """
        state = self._named()
        if not isinstance(names, Mapping):
            raise TypeError(
                f"names must be a dict of new names by present ones, got {type(names).__name__}"
            )
        numbers = state.find_all(list(names), "names") if names else []
        return self._changed(renamed(state, dict(zip(numbers, names.values(), strict=True))))

    def merge(self, names: Iterable[Any], *, into: Any) -> Self:
        """Join categories into one.

        Parameters
        ----------
        names : iterable
            The categories, of `classes_` or `category_names_`. At most one of them may have labels
            that people gave.
        into : str
            The name of the joint category, which may be that of one of them. For categories with
            integers, also an integer.

        Returns
        -------
        ConsensusClusterer
            The estimator itself. Shares and probabilities of the categories are added. The joint
            category is known, as after `accept`.

        Raises
        ------
        TypeError, ValueError
            If there is no such category, if several of them have labels that people gave, or if the
            new name is no name or that of another category.

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2]]
        >>> model = lq.ConsensusClusterer(3).fit([[i] for i in range(6)], partitions=partitions)
        >>> model.merge([0, 2], into="color").labels_.tolist()
        ['color', 'color', 'new 1', 'new 1', 'color', 'color']
        """
        state = self._named()
        numbers = state.find_all(names, "names")
        return self._changed(merged(state, numbers, into, self.pseudo_share))

    def accept(self, names: Iterable[Any]) -> Self:
        """Accept proposed categories as they are.

        Parameters
        ----------
        names : iterable
            The categories, of `classes_` or `category_names_`.

        Returns
        -------
        ConsensusClusterer
            The estimator itself. The most certain samples of the categories (of `pseudo_labels_`)
            have the origin "accepted". So the categories are known: the next fit keeps them if it
            gets `labels_` and `label_origins_`. A name of `category_names_` becomes the label.

        Raises
        ------
        ValueError
            If there is no such category.

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 2], [4, 4, 4, 5, 5, 5]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> model.accept([0]).label_origins_.tolist()
        ['accepted', 'accepted', 'accepted', 'proposed', 'proposed', 'proposed']
        """
        state = self._named()
        return self._changed(accepted(state, state.find_all(names, "names")))

    def split(self, name: Any, *, n_parts: int = 2) -> Self:
        """Divide a category into the parts that the partitions tell apart best.

        Parameters
        ----------
        name : str or int
            The category, of `classes_` or `category_names_`.
        n_parts : int, default=2
            The number of parts. Each has at least `min_cluster_size` samples.

        Returns
        -------
        ConsensusClusterer
            The estimator itself. The part with most known labels keeps the name (of equals, the
            largest part). The others are proposals with new names.

        Raises
        ------
        TypeError, ValueError
            If there is no such category, if the partitions do not tell so many parts of it apart,
            or if the model has a `classifier`, which would have to be trained anew.

        Notes
        -----
        The samples of the category are linked by their votes as by Ward's linkage in `consensus`.
        Samples with a label that people gave keep it. Accepted samples of parts with new names
        become proposals again. The shares of the category are divided among its parts.

        Examples
        --------
        >>> import labelquorum as lq
        >>> partitions = [[0, 0, 0, 0, 1, 1], [2, 2, 3, 3, 4, 4], [0, 0, 0, 0, 1, 1]]
        >>> model = lq.ConsensusClusterer(2).fit([[i] for i in range(6)], partitions=partitions)
        >>> model.split(0).labels_.tolist()
        [0, 0, 2, 2, 1, 1]
        """
        state = self._named()
        if self.classifier_ is not None:
            raise ValueError(
                "split must be called for a model without a classifier, which knows nothing of "
                "parts: name the parts in y, and fit again"
            )
        state = split(
            state,
            state.find(name, "name"),
            as_positive(n_parts, "n_parts"),
            self._tree.ballots,
            min_size=self._min_size(self.n_clusters),
            pseudo_share=self.pseudo_share,
            n_threads=as_n_threads(self.n_jobs),
        )
        return self._changed(state)

    def _named(self) -> Named:
        check_is_fitted(self)
        return Named.of(self.outcome_, self.classes_.tolist(), self.category_names_.tolist())

    def _changed(self, state: Named) -> Self:
        """Take over what people changed."""
        if not is_only_named(state.outcome, self.outcome_):
            self._layers, self._is_edited = None, True
        self.outcome_ = state.outcome
        self._places = state.places[self._places]
        self._set_results(array_of_names(state.labels))
        self.category_names_ = array_of_names(state.names)
        return self

    def _set_results(self, classes: NDArray[Any]) -> None:
        """Set the public attributes that follow from the outcome."""
        outcome, categories = self.outcome_, self.outcome_.categories
        self.n_clusters_ = categories.n_categories
        self.classes_ = classes
        self.category_names_ = own_names(classes)
        self.confidence_ = self.probabilities_ = categories.confidence
        numbers = outcome.as_labels(categories.numbers)
        self.labels_ = to_labels(classes, numbers)
        self.pseudo_labels_ = to_labels(classes, np.where(outcome.is_pseudo_label, numbers, -1))
        self.label_origins_ = outcome.label_origins()
        self.suspect_labels_ = outcome.suspects()
        n_voted = int(np.count_nonzero(self.partition_weights_))
        self.history_ = [outcome.as_round(n_voted)]


def own_names(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the names of categories that nobody has named: their labels as text."""
    return array_of_names([str(label) for label in classes.tolist()])
