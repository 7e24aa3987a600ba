"""What a fitted `ConsensusClusterer` calls its categories: names, which people may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.label_reader import array_of_names
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import check_length
from labelquorum._shared.texts import as_texts
from labelquorum.clustering.outcome import Outcome


class NamedClusterer(Saved):
    """Names the categories of a fitted `ConsensusClusterer`."""

    classes_: NDArray[Any]
    category_names_: NDArray[Any]
    outcome_: Outcome

    @classmethod
    def __of_saved_state__(cls, parameters: dict[str, Any], learned: dict[str, Any]) -> Any:
        """Make a fitted estimator; files of before have no names of categories."""
        model = super().__of_saved_state__(parameters, learned)
        if not hasattr(model, "category_names_"):
            model.category_names_ = own_names(model.classes_)
        return model

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
        categories, n_known = self.outcome_.categories, self.outcome_.n_known
        names = display_names(
            items,
            categories.numbers,
            self.classes_.tolist(),
            self.category_names_.tolist(),
            range(n_known, categories.n_categories),
            confidence=categories.confidence,
            namer=namer,
        )
        self.category_names_ = array_of_names(names)
        return self


def own_names(classes: NDArray[Any]) -> NDArray[Any]:
    """Return the names of categories that nobody has named: their labels as text."""
    return array_of_names([str(label) for label in classes.tolist()])
