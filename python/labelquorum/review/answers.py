"""Answers of people: from Label Studio, from Argilla and from spreadsheets."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.arguments import as_place, as_positive, shown
from labelquorum._shared.cells import unmarked
from labelquorum._shared.files import fields_of_any_length
from labelquorum._shared.label_reader import is_no_label_word
from labelquorum._shared.memory import check_memory
from labelquorum._shared.origins import ACCEPTED, GIVEN

_DIGITS = re.compile(r"\d{1,18}")  # of an integer of 64 bits
RIGHT = "right"
"""The column of a check list that says whether the suggestion is right."""
_YES, _NO = ("y", "yes", "true", "1", "right"), ("n", "no", "false", "0", "wrong")
_SUGGESTIONS = ("suggestion", "category")  # columns of `write_csv`, and of a report's list to check


class _Vote(NamedTuple):
    label: str
    is_suggestion: bool
    """Whether this label was suggested to the person."""


_Votes: TypeAlias = dict[int, dict[Any, _Vote]]
"""For each sample, the vote of each person."""


class Answers(NamedTuple):
    """The answers of all people, sample by sample."""

    labels: NDArray[Any]
    """The label of each sample: strings with None, or integers with -1, where there is none."""
    n_answers: NDArray[np.int64]
    """The number of people who gave each sample a label."""
    disputed: NDArray[np.int64]
    """Indices of samples without a label because of a tie, ascending."""
    origins: NDArray[np.str_]
    """Where each label comes from: "accepted" if it was suggested to all who chose it, otherwise
    "given", or "" where there is none."""


Answers.__module__ = "labelquorum.review"


def read_label_studio(
    tasks: Sequence[Mapping[str, Any]],
    n_samples: int,
    *,
    question: str = "label",
    integers: bool = False,
) -> Answers:
    """Read answers from Label Studio.

    Parameters
    ----------
    tasks : list of dict
        An export of tasks from `label_studio_tasks`, in the format JSON or JSON_MIN, read with
        ``json.load``.
    n_samples : int
        Number of all samples, reviewed or not.
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
        If an item is not such a task, or an answer has more than one choice.

    Notes
    -----
    Annotations that were cancelled ("skipped") or have no choice do not count. If a person
    ("completed_by", or "annotator" in JSON_MIN) made several, the one updated last counts. An
    annotation without a person is one vote.

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
    annotations = []
    for i, task in enumerate(_as_items(tasks, "tasks")):
        name = f"tasks[{i}]"
        data = task.get("data", task)
        if not isinstance(data, Mapping) or "sample" not in data:
            raise ValueError(
                f"{name} must be a task made by label_studio_tasks, but it has no sample number"
            )
        sample = as_place(data["sample"], f"the sample of {name}", n, "samples")
        suggestion = data.get("suggestion")
        if "data" in task:
            for annotation in _as_dicts(task.get("annotations"), f"the annotations of {name}"):
                label = _choice_of(annotation, question, name)
                person = annotation.get("completed_by")
                annotations.append((_time_of(annotation), sample, person, label, suggestion))
        else:  # JSON_MIN: an item for each annotation
            label = _single(task.get(question), name)
            person = task.get("annotator")
            annotations.append((_time_of(task), sample, person, label, suggestion))
    votes: _Votes = {}
    for _, sample, person, label, suggestion in sorted(annotations, key=lambda item: item[0]):
        _vote(votes, sample, _identity(person), label, suggestion)
    return _combined(votes, n, integers)


def read_argilla(
    records: Sequence[Mapping[str, Any]],
    n_samples: int,
    *,
    question: str = "label",
    integers: bool = False,
) -> Answers:
    """Read answers from Argilla.

    Parameters
    ----------
    records : list of dict
        Records from `argilla_records`, exported by ``dataset.records.to_list`` (with or without
        ``flatten=True``) or by ``to_json``.
    n_samples : int
        Number of all samples, reviewed or not.
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
        If an item is not such a record.

    Notes
    -----
    Drafts and discarded responses do not count. Only the flattened form tells which they are; in
    the other forms, every response with a label counts.

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
        number = record.get("id")
        if not isinstance(number, (int, str)) or not _DIGITS.fullmatch(str(number)):
            raise ValueError(
                f"{name} must be a record made by argilla_records, but its id is {shown(number)}"
            )
        sample = as_place(int(number), f"the id of {name}", n, "samples")
        suggestion = _suggestion_in(record, question)
        for value, person, status in _responses(record, question, name):
            if status in (None, "submitted"):
                _vote(votes, sample, _identity(person), _single(value, name), suggestion)
    return _combined(votes, n, integers)


def read_csv(
    paths: str | Path | Iterable[str | Path], n_samples: int, *, integers: bool = False
) -> Answers:
    """Read answers from tables that `write_csv` made.

    Parameters
    ----------
    paths : path-like or list of path-like
        One table per person, separated by commas, semicolons, tabs or
        vertical bars, with the columns sample and label, and with the column suggestion (or
        category) if there was one. Rows may be in any order, and some may be missing. If there is a
        column right, as in the lists of ``labelquorum quality --draw``, "yes" or "y" beside an
        empty label accepts the suggestion.
    n_samples : int
        Number of all samples, reviewed or not.
    integers : bool, default=False
        Whether categories are integers.

    Returns
    -------
    Answers

    Raises
    ------
    TypeError, ValueError
        If a file is not such a table. The message names the line.
    OSError
        If a file cannot be read.

    Notes
    -----
    An empty cell is not an answer, nor is "none" or another word that means "no label" in a file
    (docs/inputs.md lists them). White space around a label is removed.

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
    tables = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not tables:
        raise ValueError("paths must have at least one item, got none")
    votes: _Votes = {}
    for person, path in enumerate(tables):
        for where, number, label, suggestion in _read_table(Path(path)):
            if not _DIGITS.fullmatch(number):
                raise ValueError(f"{where}: the sample must be an integer, got {number!r}")
            sample = as_place(int(number), f"the sample of {where}", n, "samples")
            _vote(votes, sample, person, label, suggestion)
    return _combined(votes, n, integers)


def _as_items(items: Any, name: str) -> list[Mapping[str, Any]]:
    if isinstance(items, (str, Mapping)) or not isinstance(items, Iterable):
        raise TypeError(f"{name} must be a list of dicts, got {type(items).__name__}")
    dicts = list(items)
    for i, item in enumerate(dicts):
        if not isinstance(item, Mapping):
            raise TypeError(f"{name}[{i}] must be a dict, got {type(item).__name__}")
    return dicts


def _as_dicts(items: Any, name: str) -> list[Mapping[str, Any]]:
    """The dicts in a list, which may be missing."""
    if items is None:
        return []
    if not isinstance(items, (list, tuple)):
        raise TypeError(f"{name} must be a list of dicts, got {type(items).__name__}")
    return _as_items(items, name)


def _time_of(annotation: Mapping[str, Any]) -> float:
    """The time of the last change, in seconds; without one, it is before all others."""
    time = annotation.get("updated_at") or annotation.get("created_at")
    if time is None:
        return -math.inf
    if isinstance(time, (int, float)):
        return float(time)
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError as error:
        raise ValueError(
            f"updated_at must be a time such as 2026-01-31T12:00:00Z, got {time!r:.60}"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _choice_of(annotation: Mapping[str, Any], question: str, name: str) -> str | None:
    """The choice in an annotation of Label Studio; None without one."""
    if annotation.get("was_cancelled") or annotation.get("skipped"):
        return None
    found = _as_dicts(annotation.get("result"), f"the result of {name}")
    results = [result for result in found if result.get("from_name") == question]
    if len(results) > 1:
        raise ValueError(
            f"{name} must have at most one result for {question!r}, got {len(results)}"
        )
    return _single(results[0].get("value"), name) if results else None


def _single(value: Any, name: str) -> str | None:
    """The label in an answer; None without one."""
    if isinstance(value, Mapping):
        value = value.get("choices")
    if isinstance(value, (list, tuple)):
        if len(value) > 1:
            raise ValueError(f"{name} must have at most one choice, got {shown(list(value))}")
        value = value[0] if value else None
    if value is not None and not isinstance(value, str):
        raise TypeError(f"the answer of {name} must be a string, got {shown(value)}")
    return value


def _responses(
    record: Mapping[str, Any], question: str, name: str
) -> list[tuple[Any, Any, str | None]]:
    """The value, the user and the status (None if unknown) of each response to the question."""
    if "fields" in record:
        all_responses = record.get("responses") or {}
        if not isinstance(all_responses, Mapping):
            raise TypeError(
                f"the responses of {name} must be a dict, got {type(all_responses).__name__}"
            )
        responses = _as_dicts(all_responses.get(question), f"the responses of {name}")
        return [(r.get("value"), r.get("user_id"), r.get("status")) for r in responses]
    values = _as_values(record, f"{question}.responses", name) or []
    users = _as_values(record, f"{question}.responses.users", name) or [None] * len(values)
    states = _as_values(record, f"{question}.responses.status", name) or [None] * len(values)
    if not len(values) == len(users) == len(states):
        raise ValueError(
            f"{name} has {len(values)} responses, {len(users)} users and {len(states)} states: "
            "they must be equal"
        )
    return list(zip(values, users, states, strict=True))


def _as_values(record: Mapping[str, Any], field: str, name: str) -> Sequence[Any] | None:
    values = record.get(field)
    if values is None or isinstance(values, (list, tuple)):
        return values
    raise TypeError(f"{field!r} of {name} must be a list, got {type(values).__name__}")


def _suggestion_in(record: Mapping[str, Any], question: str) -> Any:
    """The suggested label in a record of Argilla; None without one."""
    suggestions = record.get("suggestions")
    if not isinstance(suggestions, Mapping):
        return record.get(f"{question}.suggestion")
    suggestion = suggestions.get(question)
    return suggestion.get("value") if isinstance(suggestion, Mapping) else None


def is_right(cell: str, where: str) -> bool | None:
    """Read an answer to "is it right?"; None for no answer. `where` is for messages."""
    word = cell.strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    if is_no_label_word(word):
        return None
    raise ValueError(f"{where}: the column {RIGHT!r} must say yes or no, got {cell.strip()!r}")


def _read_table(path: Path) -> list[tuple[str, str, str, str]]:
    """The place (for messages), the sample, the label and the suggested label of each row."""
    check_memory(str(path), path.stat().st_size)
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: must be UTF-8 ({error}): save it as CSV UTF-8") from error
    try:
        return _rows_of(path, content)
    except csv.Error as error:
        raise ValueError(f"{path}: not a table of answers ({error})") from error


def _rows_of(path: Path, content: str) -> list[tuple[str, str, str, str]]:
    answers = []
    with fields_of_any_length():
        for separator in ",;\t|":
            names = next(csv.reader(StringIO(content, newline=""), delimiter=separator), [])
            if {"sample", "label"} <= set(names):
                break
        else:
            first_line = content.partition("\n")[0].strip()[:60]
            raise ValueError(
                f"{path}: the first line must name the columns sample and label, got {first_line!r}"
            )
        sample, label = names.index("sample"), names.index("label")
        suggestion = next((names.index(name) for name in _SUGGESTIONS if name in names), None)
        right = names.index(RIGHT) if RIGHT in names and suggestion is not None else None
        # "strict": a quote that is not closed would swallow the answers after it.
        rows = csv.reader(StringIO(content, newline=""), delimiter=separator, strict=True)
        next(rows)
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(names) and any(row):
                raise ValueError(
                    f"{where}: the number of cells must be {len(names)}, got {len(row)}"
                )
            if any(row):
                suggested = "" if suggestion is None else unmarked(row[suggestion].strip())
                answer = unmarked(row[label].strip())
                if right is not None and not answer and is_right(row[right], where):
                    answer = suggested
                answers.append((where, row[sample].strip(), answer, suggested))
    return answers


def _identity(person: Any) -> Any:
    """A key for a person. Without one, a key that equals no other."""
    if isinstance(person, Mapping):
        person = person.get("id", person.get("email"))
    if person in (None, "None", ""):
        return object()
    return str(person) if isinstance(person, (str, int)) else shown(person)


def _vote(votes: _Votes, sample: int, person: Any, label: str | None, suggestion: Any) -> None:
    label = "" if label is None else label.strip()
    if not is_no_label_word(label):
        is_suggestion = isinstance(suggestion, str) and suggestion.strip() == label
        votes.setdefault(sample, {})[person] = _Vote(label, is_suggestion)


def _combined(votes: _Votes, n: int, integers: bool) -> Answers:
    labels = np.full(n, -1, dtype=np.int64) if integers else np.full(n, None, dtype=object)
    n_answers = np.zeros(n, dtype=np.int64)
    origins = np.full(n, "", dtype=f"U{len(ACCEPTED)}")
    disputed = []
    for sample, votes_by_person in votes.items():
        n_answers[sample] = len(votes_by_person)
        counts = Counter(vote.label for vote in votes_by_person.values())
        (label, most), *second = counts.most_common(2)
        if second and second[0][1] == most:
            disputed.append(sample)
            continue
        if integers and not _DIGITS.fullmatch(label):
            raise ValueError(f"the answer of sample {sample} must be an integer, got {label!r}")
        labels[sample] = int(label) if integers else label
        chosen = [vote for vote in votes_by_person.values() if vote.label == label]
        origins[sample] = ACCEPTED if all(vote.is_suggestion for vote in chosen) else GIVEN
    return Answers(labels, n_answers, np.array(sorted(disputed), dtype=np.int64), origins)
