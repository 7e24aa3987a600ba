"""Suggested labels out to tools where people review them, and the people's answers back in.

Label Studio, Argilla and tables (CSV). Suggestions name each sample by its number, and answers come
back as one array with a label, or none, for each sample. Nothing here talks to a server: what is
made is what those tools import, what is read is what they export.

Where several people answered, a sample gets the label that most of them chose; of a tie, none, and
the sample is listed as disputed. One person has one vote, that of the last answer.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.arguments import as_codes, as_confidence, as_place, as_positive, as_texts
from labelquorum._shared.files import fields_of_any_length, replacing

__all__ = [
    "Answers",
    "argilla_records",
    "label_studio_config",
    "label_studio_tasks",
    "read_argilla",
    "read_csv",
    "read_label_studio",
    "write_csv",
]

_AGENT = "labelquorum"
_COLUMNS = ("sample", "text", "suggestion", "confidence", "label")
# With these a spreadsheet takes a cell for a formula, or (the last) reads over our mark.
_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_MARK = "'"


# Of each sample, what each person said.
_Votes: TypeAlias = dict[int, dict[Any, str]]


class Answers(NamedTuple):
    """What people said, sample by sample."""

    labels: NDArray[Any]
    """Of each sample: strings with None, or integers with -1, where there is none."""
    n_answers: NDArray[np.int64]
    """How many people gave each sample a label."""
    disputed: NDArray[np.int64]
    """Samples without a label since two labels have most of the votes, ascending."""


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
    labels : array-like of shape (n_samples,)
        Suggested categories: strings, with None where there is none, or integers, with -1.
    confidence : float array-like of shape (n_samples,), optional
        Of each suggestion, the score of the prediction: Label Studio sorts by it.
    samples : int array-like, optional
        Which samples, in the order of the tasks; None for all.
    question, field : str, default="label" and "text"
        Names of the Choices tag and of the Text tag (and its data), as in `label_studio_config`.
    model_version : str, default="labelquorum"
        Under which the predictions appear.

    Returns
    -------
    list of dict
        To be saved with ``json.dump`` and imported. A task holds the text and the sample's number;
        one without a suggestion has no prediction.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    label_studio_config : the labeling interface that shows them.
    read_label_studio : the way back.

    Notes
    -----
    The "Basic Label Studio JSON format" with predictions of type "choices"
    (https://labelstud.io/guide/predictions).

    Examples
    --------
    >>> from labelquorum import review
    >>> tasks = review.label_studio_tasks(["My card is lost"], ["card"], [0.75])
    >>> tasks[0]["data"]
    {'text': 'My card is lost', 'sample': 0}
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
        tasks.append({"data": {field: text, "sample": sample}, "predictions": predictions})
    return tasks


def label_studio_config(
    categories: Iterable[Any], *, question: str = "label", field: str = "text"
) -> str:
    """Make the labeling interface (XML) for the tasks of `label_studio_tasks`.

    Parameters
    ----------
    categories : iterable of str or int
        What people can choose, in this order.
    question, field : str, default="label" and "text"
        As for `label_studio_tasks`.

    Returns
    -------
    str
        For a project's labeling setup.

    Raises
    ------
    TypeError, ValueError
        If a category is no name that XML can hold, or there is none.

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
        raise ValueError("categories is empty; wanted at least one")
    for name in names:
        if not name.isprintable():
            raise ValueError(f"categories holds {name!r}; wanted printable characters alone")
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in names)
    of_field, of_question = quoteattr(field), quoteattr(question)
    return (
        f"<View>\n  <Text name={of_field} value={quoteattr('$' + field)}/>\n"
        f'  <Choices name={of_question} toName={of_field} choice="single">\n'
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
        Who suggests.

    Returns
    -------
    list of dict
        As argilla (2.0 or newer) exports records itself: saved with ``json.dump`` they are for
        ``dataset.records.from_json(path)``; ``rg.Record.from_dict`` takes each. The id of a record
        is the sample's number, so that the same samples, logged again with other suggestions, take
        the place of the first.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    read_argilla : the way back.

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
        A file that is there already is replaced, at once, when the new one is complete.
    texts, labels, confidence, samples
        As for `label_studio_tasks`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or the lengths differ.

    See Also
    --------
    read_csv : the way back.

    Notes
    -----
    UTF-8 with the columns sample, text, suggestion, confidence and label; the last is empty and for
    the answers. A cell that a spreadsheet would take for a formula (that begins with =, +, -, @, a
    tab or a line break) gets an apostrophe before it, as does one that begins with an apostrophe;
    `read_csv` takes it away again, so that every text and every label comes back as it was.
    """
    rows = []
    for suggestion in _suggestions(texts, labels, confidence, samples):
        try:
            suggestion.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"texts holds half a surrogate pair at {suggestion.sample}, which is no character"
            ) from error
        cells = [str(suggestion.sample), suggestion.text, suggestion.label or ""]
        cells += ["" if suggestion.confidence is None else repr(suggestion.confidence), ""]
        rows.append([_marked(cell) for cell in cells])
    with replacing(Path(path)) as file:
        # With the byte-order mark by which spreadsheets know UTF-8.
        text = TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
        text.detach()


def read_label_studio(
    tasks: Sequence[Mapping[str, Any]],
    n_samples: int,
    *,
    question: str = "label",
    integers: bool = False,
) -> Answers:
    """Read what people answered in Label Studio.

    Parameters
    ----------
    tasks : list of dict
        An export as JSON or as JSON_MIN, read with ``json.load``, of tasks that
        `label_studio_tasks` made.
    n_samples : int
        How many samples there are, sent for review or not.
    question : str, default="label"
        Name of the Choices tag.
    integers : bool, default=False
        Whether categories are integers.

    Returns
    -------
    Answers

    Raises
    ------
    TypeError, ValueError
        If an item is no such task, or an answer is more than one choice.

    Notes
    -----
    Annotations that were cancelled ("skipped") are no answers, nor are those without a choice. Of
    several annotations by one person (completed_by) the one that was updated last counts; JSON_MIN
    tells people apart by "annotator". An annotation by nobody in particular is a vote of its own.

    Examples
    --------
    >>> from labelquorum import review
    >>> result = [{"from_name": "label", "type": "choices", "value": {"choices": ["card"]}}]
    >>> annotations = [{"completed_by": 1, "was_cancelled": False, "result": result}]
    >>> export = [{"data": {"text": "My card is lost", "sample": 2}, "annotations": annotations}]
    >>> review.read_label_studio(export, 4).labels
    array([None, None, 'card', None], dtype=object)
    """
    n = as_positive(n_samples, "n_samples")
    found = []
    for i, task in enumerate(_as_items(tasks, "tasks")):
        name = f"tasks[{i}]"
        data = task.get("data", task)
        if not isinstance(data, Mapping) or "sample" not in data:
            raise ValueError(
                f"{name} has no sample number; wanted one that label_studio_tasks made"
            )
        sample = as_place(data["sample"], f"the sample of {name}", n, "samples")
        if "data" in task:
            for annotation in task.get("annotations") or ():
                label = _choice_of(annotation, question, name)
                person = annotation.get("completed_by")
                found.append((_time_of(annotation), sample, person, label))
        else:  # JSON_MIN: an item for each annotation
            label = _single(task.get(question), name)
            found.append((_time_of(task), sample, task.get("annotator"), label))
    votes: _Votes = {}
    for _, sample, person, label in sorted(found, key=lambda answer: answer[0]):
        _vote(votes, sample, _identity(person), label)
    return _decided(votes, n, integers)


def read_argilla(
    records: Sequence[Mapping[str, Any]],
    n_samples: int,
    *,
    question: str = "label",
    integers: bool = False,
) -> Answers:
    """Read what people answered in Argilla.

    Parameters
    ----------
    records : list of dict
        ``dataset.records.to_list(flatten=True)``, or the same without `flatten`, or what
        ``to_json`` wrote, of records that `argilla_records` made.
    n_samples : int
        How many samples there are, sent for review or not.
    question : str, default="label"
        Name of the LabelQuestion.
    integers : bool, default=False
        Whether categories are integers.

    Returns
    -------
    Answers

    Raises
    ------
    TypeError, ValueError
        If an item is no such record.

    Notes
    -----
    Drafts and discarded responses are no answers. Only the flattened form says which these are: in
    the others every response that holds a label counts.

    Examples
    --------
    >>> from labelquorum import review
    >>> record = {"id": "2", "text": "My card is lost"}
    >>> record["label.responses"] = ["card", "cash"]
    >>> record["label.responses.users"] = ["u1", "u2"]
    >>> record["label.responses.status"] = ["submitted", "discarded"]
    >>> review.read_argilla([record], 4).labels
    array([None, None, 'card', None], dtype=object)
    """
    n = as_positive(n_samples, "n_samples")
    votes: _Votes = {}
    for i, record in enumerate(_as_items(records, "records")):
        name = f"records[{i}]"
        number = str(record.get("id"))
        if not number.isdecimal():
            raise ValueError(f"{name} has the id {number!r}; wanted one that argilla_records made")
        sample = as_place(int(number), f"the id of {name}", n, "samples")
        for value, person, status in _responses(record, question, name):
            if status in (None, "submitted"):
                _vote(votes, sample, _identity(person), _single(value, name))
    return _decided(votes, n, integers)


def read_csv(
    paths: str | Path | Iterable[str | Path], n_samples: int, *, integers: bool = False
) -> Answers:
    """Read what people answered in tables that `write_csv` made.

    Parameters
    ----------
    paths : path-like or list of path-like
        One table of each person. Columns are found by their names, sample and label, and may be
        separated by commas, semicolons or tabs; rows may be in any order, or missing.
    n_samples : int
        How many samples there are, sent for review or not.
    integers : bool, default=False
        Whether categories are integers.

    Returns
    -------
    Answers

    Raises
    ------
    TypeError, ValueError
        If a file is no such table. The message names the line.
    OSError
        If a file cannot be read.

    Notes
    -----
    An empty cell is no answer. White space around a label does not count.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from labelquorum import review
    >>> path = Path(tempfile.mkdtemp(), "review.csv")
    >>> review.write_csv(path, ["My card is lost", "=1+1"], ["card", None])
    >>> table = path.read_text(encoding="utf-8-sig")
    >>> _ = path.write_text(table.replace(",card,,", ",card,,cash"))
    >>> review.read_csv(path, 2).labels
    array(['cash', None], dtype=object)
    """
    n = as_positive(n_samples, "n_samples")
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise ValueError("paths is empty; wanted at least one")
    votes: _Votes = {}
    for person, path in enumerate(given):
        for where, number, label in _read_table(Path(path)):
            if not number.isdecimal():
                raise ValueError(f"{where} has the sample {number!r}; wanted an integer")
            sample = as_place(int(number), f"the sample of {where}", n, "samples")
            _vote(votes, sample, person, label)
    return _decided(votes, n, integers)


def _suggestions(texts: Any, labels: Any, confidence: Any, samples: Any) -> list[_Suggestion]:
    items = as_texts(texts)
    categories, codes = as_codes(labels, "labels")
    if len(codes) != len(items):
        raise ValueError(f"labels holds {len(codes)} samples, texts {len(items)}; wanted as many")
    names = [_as_name(category, "labels") for category in categories]
    scores = as_confidence(confidence, len(items))
    if samples is None:
        chosen = list(range(len(items)))
    else:
        wanted = np.asarray(samples)
        if wanted.ndim != 1 or (wanted.dtype.kind not in "iu" and wanted.size):
            raise TypeError(
                f"samples has dtype {wanted.dtype} and shape {wanted.shape}; wanted 1-D integers"
            )
        chosen = [as_place(i, "samples", len(items), "of texts") for i in wanted.tolist()]
        if len(set(chosen)) < len(chosen):
            twice = next(i for i, count in Counter(chosen).items() if count > 1)
            raise ValueError(f"samples holds {twice} twice")
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
    """The category as the tools have it: a string that an empty cell or a space cannot change."""
    if isinstance(category, (int, np.integer)) and not isinstance(category, bool):
        return str(category)
    if not isinstance(category, str):
        raise TypeError(f"{name} holds {category!r}; wanted strings or integers")
    if not category or category != category.strip():
        raise ValueError(f"{name} holds {category!r}; wanted names without white space around them")
    return category


def _marked(cell: str) -> str:
    return _MARK + cell if cell.startswith((*_FORMULA, _MARK)) else cell


def _unmarked(cell: str) -> str:
    is_marked = cell.startswith(_MARK) and cell[1:].startswith((*_FORMULA, _MARK))
    return cell[1:] if is_marked else cell


def _as_items(items: Any, name: str) -> list[Mapping[str, Any]]:
    if isinstance(items, (str, Mapping)) or not isinstance(items, Iterable):
        raise TypeError(f"{name} is a {type(items).__name__}; wanted a list of dicts")
    found = list(items)
    for i, item in enumerate(found):
        if not isinstance(item, Mapping):
            raise TypeError(f"{name}[{i}] is a {type(item).__name__}; wanted a dict")
    return found


def _time_of(annotation: Mapping[str, Any]) -> str:
    """When it was last changed: ISO 8601, of one time zone, so that it sorts as text."""
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _choice_of(annotation: Mapping[str, Any], question: str, name: str) -> str | None:
    """What an annotation of Label Studio answers."""
    if annotation.get("was_cancelled") or annotation.get("skipped"):
        return None
    results = [r for r in annotation.get("result") or () if r.get("from_name") == question]
    if len(results) > 1:
        raise ValueError(f"{name} has {len(results)} results of {question!r}; wanted one")
    return _single(results[0]["value"], name) if results else None


def _single(value: Any, name: str) -> str | None:
    """The one label in an answer; None where it has none."""
    if isinstance(value, Mapping):
        value = value.get("choices")
    if isinstance(value, (list, tuple)):
        if len(value) > 1:
            raise ValueError(f"{name} has the choices {list(value)}; wanted a single one")
        value = value[0] if value else None
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} has the answer {value!r}; wanted a string")
    return value


def _responses(
    record: Mapping[str, Any], question: str, name: str
) -> list[tuple[Any, Any, str | None]]:
    """Of each response to the question its value, its user and its status, where that is known."""
    if "fields" in record:
        given = (record.get("responses") or {}).get(question) or ()
        return [(r.get("value"), r.get("user_id"), r.get("status")) for r in given]
    values = record.get(f"{question}.responses") or []
    users = record.get(f"{question}.responses.users") or [None] * len(values)
    states = record.get(f"{question}.responses.status") or [None] * len(values)
    if not len(values) == len(users) == len(states):
        raise ValueError(f"{name} has {len(values)} responses, {len(users)} users; wanted as many")
    return list(zip(values, users, states, strict=True))


def _read_table(path: Path) -> list[tuple[str, str, str]]:
    """Of each row where it is, its sample and its label."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no UTF-8 ({error}); save it as CSV UTF-8") from error
    head = content.partition("\n")[0].strip()
    separator = next((s for s in ",;\t" if {"sample", "label"} <= set(head.split(s))), None)
    if separator is None:
        raise ValueError(f"{path}: begins with {head[:60]!r}; wanted the columns sample and label")
    rows = csv.reader(StringIO(content, newline=""), delimiter=separator)
    names = next(rows)
    sample, label = names.index("sample"), names.index("label")
    found = []
    with fields_of_any_length():
        for row in rows:
            where = f"{path}, line {rows.line_num},"
            if len(row) != len(names) and any(row):
                raise ValueError(f"{where} has {len(row)} cells; wanted {len(names)}")
            if any(row):
                found.append((where, row[sample].strip(), _unmarked(row[label].strip())))
    return found


def _identity(person: Any) -> Any:
    """What tells people apart; of nobody in particular, something that is like nothing else."""
    if isinstance(person, Mapping):
        person = person.get("id", person.get("email"))
    return object() if person in (None, "None", "") else str(person)


def _vote(votes: _Votes, sample: int, person: Any, label: str | None) -> None:
    label = "" if label is None else label.strip()
    if label:
        votes.setdefault(sample, {})[person] = label


def _decided(votes: _Votes, n: int, integers: bool) -> Answers:
    labels = np.full(n, -1, dtype=np.int64) if integers else np.full(n, None, dtype=object)
    n_answers = np.zeros(n, dtype=np.int64)
    disputed = []
    for sample, of_people in votes.items():
        n_answers[sample] = len(of_people)
        (label, most), *others = Counter(of_people.values()).most_common(2)
        if others and others[0][1] == most:
            disputed.append(sample)
            continue
        if integers and not label.isdecimal():
            raise ValueError(f"sample {sample} has the answer {label!r}; wanted an integer")
        labels[sample] = int(label) if integers else label
    return Answers(labels, n_answers, np.array(sorted(disputed), dtype=np.int64))
