"""Suggestions for review: tasks for Label Studio, records for Argilla, a table for spreadsheets."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike

from labelquorum._shared.arguments import as_confidence, as_place, shown
from labelquorum._shared.cells import marked
from labelquorum._shared.files import replacing
from labelquorum._shared.label_reader import is_no_label_word
from labelquorum._shared.labels import as_codes
from labelquorum._shared.samples import as_array
from labelquorum._shared.texts import as_texts

_AGENT = "labelquorum"
_COLUMNS = ("sample", "text", "suggestion", "confidence", "label")


class _Suggestion(NamedTuple):
    sample: int
    text: str
    label: str | None
    confidence: float | None


def label_studio_tasks(
    texts: Iterable[str],
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    samples: ArrayLike | None = None,
    question: str = "label",
    field: str = "text",
    model_version: str = _AGENT,
) -> list[dict[str, Any]]:
    """Make tasks with predictions for Label Studio.

    Parameters
    ----------
    texts : iterable of str, of length n_samples
        The texts to review.
    labels : array-like of shape (n_samples,)
        Suggested categories: strings, with None where there is none, or integers, with -1; see
        docs/inputs.md. A word that means "no label" in a file cannot be a category.
    confidence : float array-like of shape (n_samples,), optional
        The score of each prediction, by which Label Studio can sort.
    samples : int array-like, optional
        Indices of the samples to review, in the order of the tasks; None for all.
    question, field : str, default="label" and "text"
        Names of the Choices tag and of the Text tag, as in `label_studio_config`.
    model_version : str, default="labelquorum"
        The name under which the predictions appear.

    Returns
    -------
    list of dict
        Tasks to save with ``json.dump`` and import. Each holds the text, the number of the sample,
        and the suggestion, also as a prediction, if there is one.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    label_studio_config : the labeling interface for these tasks.
    read_label_studio : read the answers.

    Notes
    -----
    The format is "Basic Label Studio JSON" with predictions of type "choices"
    (https://labelstud.io/guide/predictions).

    Examples
    --------
    >>> from labelquorum import review
    >>> tasks = review.label_studio_tasks(["My card is lost"], ["card"], [0.75])
    >>> tasks[0]["data"]
    {'suggestion': 'card', 'text': 'My card is lost', 'sample': 0}
    >>> tasks[0]["predictions"][0]["score"]
    0.75
    >>> tasks[0]["predictions"][0]["result"][0]["value"]
    {'choices': ['card']}
    """
    tasks: list[dict[str, Any]] = []
    for sample, text, label, score in _suggestions(texts, labels, confidence, samples):
        predictions = []
        if label is not None:
            result = {
                "id": f"{question}-{sample}",
                "from_name": question,
                "to_name": field,
                "type": "choices",
                "value": {"choices": [label]},
            }
            prediction: dict[str, Any] = {"model_version": model_version, "result": [result]}
            if score is not None:
                prediction["score"] = score
            predictions.append(prediction)
        # Not all exports have the predictions; all have the data.
        suggested = {} if label is None else {"suggestion": label}
        data = {**suggested, field: text, "sample": sample}
        tasks.append({"data": data, "predictions": predictions})
    return tasks


def label_studio_config(
    categories: Iterable[Any], *, question: str = "label", field: str = "text"
) -> str:
    """Make the labeling interface (XML) for the tasks of `label_studio_tasks`.

    Parameters
    ----------
    categories : iterable of str or int
        The choices, in this order.
    question, field : str, default="label" and "text"
        As for `label_studio_tasks`.

    Returns
    -------
    str
        The XML for the labeling setup of a project.

    Raises
    ------
    TypeError, ValueError
        If there is no category, or XML cannot hold the name of one.

    Examples
    --------
    >>> from labelquorum import review
    >>> print(review.label_studio_config(["card", "cash & notes"]))
    <View>
      <Text name="text" value="$text"/>
      <Choices name="label" toName="text" choice="single">
        <Choice value="card"/>
        <Choice value="cash &amp; notes"/>
      </Choices>
    </View>
    """
    names = [_as_name(category, "categories") for category in categories]
    if not names:
        raise ValueError("categories must have at least one item, got none")
    for name in names:
        if not name.isprintable():
            raise ValueError(f"categories must have printable characters only, got {name!r}")
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in names)
    field_name, question_name = quoteattr(field), quoteattr(question)
    return (
        f"<View>\n  <Text name={field_name} value={quoteattr('$' + field)}/>\n"
        f'  <Choices name={question_name} toName={field_name} choice="single">\n'
        f"{choices}  </Choices>\n</View>"
    )


def argilla_records(
    texts: Iterable[str],
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    samples: ArrayLike | None = None,
    question: str = "label",
    field: str = "text",
    agent: str = _AGENT,
) -> list[dict[str, Any]]:
    """Make records with suggestions for Argilla.

    Parameters
    ----------
    texts, labels, confidence, samples
        As for `label_studio_tasks`.
    question, field : str, default="label" and "text"
        Names of the LabelQuestion and of the TextField in the settings of the data set.
    agent : str, default="labelquorum"
        The name of the suggesting agent.

    Returns
    -------
    list of dict
        Records in the form that argilla (2.0 or newer) exports. Save them with ``json.dump`` for
        ``dataset.records.from_json(path)``, or pass each to ``rg.Record.from_dict``. The id of a
        record is the number of the sample, so logging the same samples again replaces their
        suggestions.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    read_argilla : read the answers.

    Examples
    --------
    >>> from labelquorum import review
    >>> review.argilla_records(["My card is lost"], ["card"], [0.75])[0]["suggestions"]
    {'label': {'value': 'card', 'score': 0.75, 'agent': 'labelquorum'}}
    """
    records = []
    for sample, text, label, score in _suggestions(texts, labels, confidence, samples):
        suggestion = {"value": label, "score": score, "agent": agent}
        records.append(
            {
                "id": str(sample),
                "fields": {field: text},
                "metadata": {},
                "suggestions": {} if label is None else {question: suggestion},
                "responses": {},
                "vectors": {},
            }
        )
    return records


def write_csv(
    path: str | Path,
    texts: Iterable[str],
    labels: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    samples: ArrayLike | None = None,
) -> None:
    """Write a table for review in a spreadsheet.

    Parameters
    ----------
    path : path-like
        The file to write. An existing file is replaced once the new one is complete.
    texts, labels, confidence, samples
        As for `label_studio_tasks`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    read_csv : read the answers.

    Notes
    -----
    The file is UTF-8 with the columns sample, text, suggestion, confidence and label; the last is
    empty, for the answers. A cell that a spreadsheet would take for a formula (beginning with =, +,
    -, @, a tab or a line break) gets an apostrophe in front, and so does one that begins with an
    apostrophe. `read_csv` removes it, so every text and label comes back unchanged.
    """
    rows = []
    for suggestion in _suggestions(texts, labels, confidence, samples):
        try:
            suggestion.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"texts must be valid Unicode, got half a surrogate pair at {suggestion.sample}"
            ) from error
        cells = [str(suggestion.sample), suggestion.text, suggestion.label or ""]
        cells += ["" if suggestion.confidence is None else repr(suggestion.confidence), ""]
        rows.append([marked(cell) for cell in cells])
    with replacing(Path(path)) as file:
        # With the byte-order mark that tells spreadsheets that this is UTF-8.
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
        text.detach()


def _suggestions(texts: Any, labels: Any, confidence: Any, samples: Any) -> list[_Suggestion]:
    items = as_texts(texts)
    categories, codes = as_codes(labels, "labels")
    if len(codes) != len(items):
        raise ValueError(
            f"texts has {len(items)} items, but labels has {len(codes)} values: they must have the "
            "same length"
        )
    names = [_as_name(category, "labels") for category in categories]
    scores = as_confidence(confidence, len(items))
    if samples is None:
        chosen = list(range(len(items)))
    else:
        indices = as_array(samples, "samples")
        if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
            raise TypeError(
                f"samples must be 1-D integers, got dtype {indices.dtype} and shape {indices.shape}"
            )
        chosen = [as_place(i, "samples", len(items), "texts") for i in indices.tolist()]
        if len(set(chosen)) < len(chosen):
            repeated = next(i for i, count in Counter(chosen).items() if count > 1)
            raise ValueError(f"samples must be different, got {repeated} more than once")
    return [
        _Suggestion(
            i,
            items[i],
            names[codes[i]] if codes[i] >= 0 else None,
            None if scores is None else float(scores[i]),
        )
        for i in chosen
    ]


def _as_name(category: Any, name: str) -> str:
    """The category as a string that is neither empty nor changed when it is stripped."""
    if isinstance(category, (int, np.integer)) and not isinstance(category, bool):
        return str(category)
    if not isinstance(category, str):
        raise TypeError(f"{name} must be strings or integers, got {shown(category)}")
    if not category or category != category.strip():
        raise ValueError(
            f"{name} must not be empty or have white space at the ends, got {category!r}"
        )
    if is_no_label_word(category):
        raise ValueError(
            f'{name} must not be a word that means "no label" in a file, got {category!r}: give '
            "the category another name"
        )
    return category
