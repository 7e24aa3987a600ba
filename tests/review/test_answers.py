"""Answers: round trips, what tools export, and votes of several people."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum import review
from labelquorum._shared.cells import unmarked
from labelquorum._shared.label_reader import is_no_label_word
from strategies import share

TEXTS = ["My card is lost", "=1+1", "", "How are you?"]
LABELS = ["card", None, "other", "card"]
NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda x: not is_no_label_word(x))


def _task(sample, *annotations):
    return {"id": 7 + sample, "data": {"text": TEXTS[sample], "sample": sample}, "project": 1} | {
        "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations)]
    }


def _annotation(label, person=1, time="2026-01-01T00:00:00Z", **more):
    result = [
        {
            "id": "Dx",
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "origin": "manual",
            "value": {"choices": [] if label is None else [label]},
        }
    ]
    annotation = {"completed_by": person, "updated_at": time, "was_cancelled": False}
    return annotation | {"result": result} | more


def _min_item(sample, label, person=1, time="2026-01-01T00:00:00Z"):
    item = {"text": TEXTS[sample], "sample": sample, "id": 7 + sample, "annotation_id": 1}
    item |= {"annotator": person, "updated_at": time, "lead_time": 1.5}
    return item if label is None else item | {"label": label}


def test_annotations_become_labels():
    tasks = [
        _task(3, _annotation("card")),
        _task(1, _annotation("other", was_cancelled=True)),
        _task(0, _annotation(None)),
        {"data": {"text": "", "sample": 2}},
    ]
    answers = review.read_label_studio(tasks, 4)
    assert answers.labels.tolist() == [None, None, None, "card"]
    assert answers.n_answers.tolist() == [0, 0, 0, 1]
    assert answers.disputed.tolist() == []


def test_most_annotators_decide_and_a_tie_is_reported():
    tasks = [
        _task(0, _annotation("a", 1), _annotation("b", {"id": 2}), _annotation("b", {"id": 3})),
        _task(1, _annotation("a", {"email": "x@y.z"}), _annotation("b", 2)),
        # The later one counts, wherever it stands; cancelling is no answer.
        _task(2, _annotation("b", 1, "2026-01-02"), _annotation("a", 1), _annotation("a", 2)),
        # Nobody in particular: a vote each.
        _task(3, _annotation("a", None), _annotation("a", None), _annotation("b", 1)),
    ]
    answers = review.read_label_studio(tasks, 5)
    assert answers.labels.tolist() == ["b", None, None, "a", None]
    assert answers.n_answers.tolist() == [3, 2, 2, 3, 0]
    assert answers.disputed.tolist() == [1, 2]


def test_the_short_export_says_the_same():
    items = [
        _min_item(0, "a", 1),
        _min_item(0, {"choices": ["b"]}, 2),
        _min_item(0, "b", 3),
        _min_item(1, "a", 1, "2026-01-03"),
        _min_item(1, "b", 1),
        _min_item(3, None),
    ]
    answers = review.read_label_studio(items, 4)
    assert answers.labels.tolist() == ["b", "a", None, None]
    assert answers.n_answers.tolist() == [3, 1, 0, 0]


def test_responses_become_labels():
    flat = [
        {
            "id": "3",
            "status": "completed",
            "_server_id": "5d0e",
            "text": TEXTS[3],
            "label.suggestion": "other",
            "label.suggestion.score": 0.5,
            "label.responses": ["card", "other", "card"],
            "label.responses.users": ["u1", "u2", "u3"],
            "label.responses.status": ["submitted", "draft", "submitted"],
        },
        {"id": "1", "label.responses": ["a", "b"], "label.responses.users": ["u1", "u2"]},
        # Records without a response get None, so that all have the same keys.
        {"id": "0", "label.responses": None, "label.responses.users": None},
    ]
    answers = review.read_argilla(flat, 4)
    assert answers.labels.tolist() == [None, None, None, "card"]
    assert answers.n_answers.tolist() == [0, 2, 0, 2]
    assert answers.disputed.tolist() == [1]


def test_nested_responses_become_labels():
    records = review.argilla_records(TEXTS, LABELS)
    records[0]["responses"] = {"label": [{"value": "b", "user_id": "u1"}], "other": []}
    records[1]["responses"] = {
        "label": [
            {"value": "a", "user_id": "u1", "status": "discarded"},
            {"value": None, "user_id": "u2"},
            {"value": "c", "user_id": "None"},
            {"value": "c", "user_id": "None"},
        ]
    }
    answers = review.read_argilla(records, 4)
    assert answers.labels.tolist() == ["b", "c", None, None]
    assert answers.n_answers.tolist() == [1, 2, 0, 0]


@st.composite
def suggested(draw):
    n = draw(st.integers(1, 6))
    texts = draw(st.lists(st.text(max_size=12), min_size=n, max_size=n))
    if draw(st.booleans()):
        labels = draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n))
    else:
        labels = draw(st.lists(st.none() | NAMES, min_size=n, max_size=n))
    scores = draw(st.none() | st.lists(st.floats(0, 1), min_size=n, max_size=n))
    return texts, labels, scores


def _no_label(label):
    return label is None or label == -1


@share(0.5)
@given(suggested())
def test_suggestions_that_people_accept_come_back_as_they_were(case):
    texts, labels, scores = case
    n = len(texts)
    integers = isinstance(labels[0], int)
    expected = np.array(labels, np.int64) if integers else np.array(labels, object)

    tasks = json.loads(json.dumps(review.label_studio_tasks(texts, labels, scores)))
    for task in tasks:
        task["annotations"] = [
            {"completed_by": 1, "result": prediction["result"]}
            for prediction in task.pop("predictions")
        ]
    accepted = review.read_label_studio(tasks, n, integers=integers)
    np.testing.assert_array_equal(accepted.labels, expected)
    assert accepted.labels.dtype == expected.dtype

    records = json.loads(json.dumps(review.argilla_records(texts, labels, scores)))
    for record in records:
        record["responses"] = {
            name: [{"value": suggestion["value"], "user_id": "u"}]
            for name, suggestion in record["suggestions"].items()
        }
    nested = review.read_argilla(records, n, integers=integers)
    np.testing.assert_array_equal(nested.labels, expected)
    origins = ["" if _no_label(label) else "accepted" for label in labels]
    assert accepted.origins.tolist() == nested.origins.tolist() == origins


def _accept_all(path):
    """Copy the suggestions to the labels, as a person does in a spreadsheet."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[4] = row[2]
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    return rows


@share(0.4)
@given(case=suggested())
def test_a_table_gives_every_text_and_label_back_and_holds_no_formula(one_folder, case):
    texts, labels, scores = case
    path = one_folder / "review.csv"
    review.write_csv(path, texts, labels, scores)
    n = len(texts)
    integers = isinstance(labels[0], int)
    assert review.read_csv(path, n).n_answers.tolist() == [0] * n
    rows = _accept_all(path)
    for row in rows:
        assert not any(cell.startswith(tuple("=+-@\t\r\n")) for cell in row)
    assert [unmarked(row[1]) for row in rows[1:]] == texts
    if scores is not None:
        assert [float(row[3]) for row in rows[1:]] == scores
    accepted = review.read_csv(path, n, integers=integers)
    expected = np.array(labels, np.int64) if integers else np.array(labels, object)
    np.testing.assert_array_equal(accepted.labels, expected)


def test_tables_of_several_people_and_other_separators(tmp_path):
    tables = [
        "sample;text;label\r\n0;a;x\r\n2;c;x\r\n;;\r\n",
        "label\tsample\ny\t0\n x \t2\ny\t1\n",
    ]
    paths = [tmp_path / f"{i}.csv" for i in range(2)]
    for path, table in zip(paths, tables, strict=True):
        path.write_bytes(table.encode("utf-8-sig"))
    answers = review.read_csv(paths, 4)
    assert answers.labels.tolist() == [None, "y", "x", None]
    assert answers.disputed.tolist() == [0]


def test_a_header_in_quotes_is_read(tmp_path):
    path = tmp_path / "review.csv"
    review.write_csv(path, ["My card is lost", "no login"], ["card", "login"])
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    rows[1][-1] = "card"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    assert review.read_csv(path, 2).labels.tolist() == ["card", None]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: review.read_label_studio({}, 2),
            TypeError,
            "tasks must be a list of dicts, got dict",
        ),
        (
            lambda: review.read_label_studio(["a"], 2),
            TypeError,
            r"tasks\[0\] must be a dict, got str",
        ),
        (
            lambda: review.read_label_studio([{"a": 1}], 2),
            ValueError,
            "must be a task made by label_studio_tasks, but it has no sample number",
        ),
        (
            lambda: review.read_label_studio([_task(3, _annotation("a"))], 3),
            ValueError,
            r"the sample of tasks\[0\] .*0 to 2",
        ),
        (
            lambda: review.read_label_studio([_min_item(0, {"choices": ["a", "b"]})], 1),
            ValueError,
            r"must have at most one choice, got \['a', 'b'\]",
        ),
        (
            lambda: review.read_label_studio([_task(0, _annotation("a"))], 1, integers=True),
            ValueError,
            "the answer of sample 0 must be an integer, got 'a'",
        ),
        (
            lambda: review.read_argilla([{"id": "x"}], 1),
            ValueError,
            "must be a record made by argilla_records, but its id is 'x'",
        ),
        (
            lambda: review.read_argilla(
                [{"id": "0", "label.responses": ["a"], "label.responses.users": ["u", "v"]}], 1
            ),
            ValueError,
            "has 1 responses, 2 users and 1 states: they must be equal",
        ),
        (lambda: review.read_argilla([], 0), ValueError, "n_samples .*0"),
        (lambda: review.read_csv([], 1), ValueError, "paths must have at least one item"),
    ],
)
def test_wrong_exports_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the first line must name the columns sample and label, got ''"),
        (
            b"text,label\na,b\n",
            "the first line must name the columns sample and label, got 'text,label'",
        ),
        (b"sample,label\nx,b\n", "line 2: the sample must be an integer, got 'x'"),
        (b"sample,label\n0,b\n9,b\n", "the sample of .* line 3 .*0 to 1"),
        (b"sample,label\n0\n", "line 2: the number of cells must be 2, got 1"),
        (b"sample,label\n0,\xe4\n", "must be UTF-8"),
    ],
)
def test_a_wrong_table_is_named_with_the_line(tmp_path, content, message):
    path = tmp_path / "review.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        review.read_csv(path, 2)
    assert str(path) in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "sample",
                    "annotations",
                    "result",
                    "value",
                    "choices",
                    "from_name",
                    "label",
                    "id",
                    "fields",
                    "responses",
                    "label.responses",
                    "label.responses.users",
                    "skipped",
                    "completed_by",
                    "was_cancelled",
                    "updated_at",
                    "user_id",
                    "status",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
TASK = {"data": {"text": "x", "sample": 1}}
RECORD = {"id": "1", "fields": {}}


@share(0.5)
@given(st.one_of(JSON, JSON.map(lambda part: [{**TASK, "annotations": part}])))
def test_any_json_is_read_as_tasks_or_refused(tasks):
    try:
        review.read_label_studio(tasks, 4)
    except (TypeError, ValueError) as error:
        assert "\n" not in str(error)


@share(0.5)
@given(st.one_of(JSON, JSON.map(lambda part: [{**RECORD, "responses": part}])))
def test_any_json_is_read_as_records_or_refused(records):
    try:
        review.read_argilla(records, 4)
    except (TypeError, ValueError) as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ("done", r"the annotations of tasks\[0\] must be a list of dicts, got str"),
        (["done"], r"the annotations of tasks\[0\]\[0\] must be a dict, got str"),
        ({"result": []}, r"the annotations of tasks\[0\] must be a list of dicts, got dict"),
        ([{"result": "card"}], r"the result of tasks\[0\] must be a list of dicts, got str"),
        ([{"result": ["card"]}], r"the result of tasks\[0\]\[0\] must be a dict, got str"),
        (
            [{"result": [{"from_name": "label", "value": 3}]}],
            r"the answer of tasks\[0\] must be a string, got 3",
        ),
    ],
)
def test_exports_of_another_shape_are_named(annotations, message):
    with pytest.raises(TypeError, match=message):
        review.read_label_studio([{**TASK, "annotations": annotations}], 4)


def test_an_answer_without_a_value_is_none():
    annotations = [{"result": [{"from_name": "label"}]}]
    assert review.read_label_studio([{**TASK, "annotations": annotations}], 4).labels[1] is None


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.0", "x", [1], {"a": 1}, 1.5, True * 1.0])
def test_ids_that_are_no_numbers_are_refused(number):
    with pytest.raises(ValueError, match="must be a record made by argilla_records"):
        review.read_argilla([{**RECORD, "id": number}], 4)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_tables_of_other_dialects_are_read(tmp_path, separator, end, quoting):
    path = tmp_path / "review.csv"
    rows = [["sample", "text", "label"], ["0", "x" * 200_000, "'=a"], ["2", "", "b"], []]
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
    assert review.read_csv(path, 3).labels.tolist() == ["=a", None, "b"]


def test_damaged_tables_are_named(tmp_path):
    path = tmp_path / "review.csv"
    review.write_csv(path, TEXTS, LABELS)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(content) + 1)])
        try:
            review.read_csv(path, 4)
        except ValueError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("rows", ['1,"a\n2,b\n', '1,"a"b"c"\n'])
def test_quotes_that_are_not_closed_are_refused(tmp_path, rows):
    path = tmp_path / "review.csv"
    path.write_text("sample,label\n" + rows)
    with pytest.raises(ValueError, match=r"review.csv: not a table of answers"):
        review.read_csv(path, 3)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2024-01-02T00:00:00Z", "2024-01-02T00:00:00.500Z"),
        ("2024-01-02T01:00:00+05:00", "2024-01-01T23:00:00Z"),
        (9, 10),
    ],
)
def test_the_last_answer_of_a_person_counts_whatever_the_form_of_times(earlier, later):
    def annotation(time, label):
        result = [{"from_name": "label", "type": "choices", "value": {"choices": [label]}}]
        return {"completed_by": 1, "updated_at": time, "result": result}

    for order in (1, -1):
        annotations = [annotation(earlier, "old"), annotation(later, "new")][::order]
        export = [{"data": {"text": "a", "sample": 0}, "annotations": annotations}]
        assert review.read_label_studio(export, 1).labels.tolist() == ["new"]
    export[0]["annotations"] = [annotation("yesterday", "new")]
    with pytest.raises(ValueError, match="updated_at must be a time such as"):
        review.read_label_studio(export, 1)


SUGGESTED = ["card", "login", "card", None, "card"]
CHOSEN = ["card", "card", None, "login", " card "]
ORIGINS = ["accepted", "given", "", "given", "accepted"]


def _answered_tasks(_path):
    tasks = review.label_studio_tasks(list("abcde"), SUGGESTED)
    for task, label in zip(tasks, CHOSEN, strict=True):
        del task["predictions"]  # not all exports have them
        task["annotations"] = [_annotation(label)]
    return review.read_label_studio(tasks, 5)


def _answered_tasks_in_short(_path):
    items = [
        task["data"] | ({} if label is None else {"label": label})
        for task, label in zip(
            review.label_studio_tasks(list("abcde"), SUGGESTED), CHOSEN, strict=True
        )
    ]
    return review.read_label_studio(items, 5)


def _answered_records(_path):
    records = review.argilla_records(list("abcde"), SUGGESTED)
    for record, label in zip(records, CHOSEN, strict=True):
        record["responses"] = {} if label is None else {"label": [{"value": label}]}
    return review.read_argilla(records, 5)


def _answered_flat_records(_path):
    records = [
        {"id": str(i), "label.suggestion": suggested, "label.responses": chosen and [chosen]}
        for i, (suggested, chosen) in enumerate(zip(SUGGESTED, CHOSEN, strict=True))
    ]
    return review.read_argilla(records, 5)


def _answered_table(path, column="suggestion"):
    rows = [
        f"{i},{suggested or ''},{chosen or ''}"
        for i, (suggested, chosen) in enumerate(zip(SUGGESTED, CHOSEN, strict=True))
    ]
    path.write_text("\n".join([f"sample,{column},label", *rows]), encoding="utf-8")
    return review.read_csv(path, 5)


def _answered_list_of_a_report(path):
    return _answered_table(path, "category")


@pytest.mark.parametrize(
    "answered",
    [
        _answered_tasks,
        _answered_tasks_in_short,
        _answered_records,
        _answered_flat_records,
        _answered_table,
        _answered_list_of_a_report,
    ],
)
def test_answers_tell_what_was_accepted_from_what_people_said_themselves(tmp_path, answered):
    answers = answered(tmp_path / "answers.csv")
    assert answers.labels.tolist() == ["card", "card", None, "login", "card"]
    assert answers.origins.tolist() == ORIGINS


def test_a_label_is_accepted_if_it_was_suggested_to_all_who_chose_it(tmp_path):
    paths = [tmp_path / f"{person}.csv" for person in "abc"]
    tables = ["0,a,a\n1,a,a\n2,a,b", "0,a,a\n1,,a\n2,b,b", "0,a,b\n1,b,b\n2,a,a"]
    for path, table in zip(paths, tables, strict=True):
        path.write_text(f"sample,suggestion,label\n{table}\n", encoding="utf-8")
    answers = review.read_csv(paths, 4)
    assert answers.labels.tolist() == ["a", "a", "b", None]
    assert answers.origins.tolist() == ["accepted", "given", "given", ""]


def test_answers_are_known_labels_with_their_origins(blobs, tmp_path):
    X, classes = blobs
    model = lq.ConsensusClusterer(5, random_state=0).fit(X)
    path = tmp_path / "review.csv"
    samples = np.arange(0, len(X), 20)
    suggested = [f"new {k}" for k in model.labels_]
    review.write_csv(path, ["x"] * len(X), suggested, model.confidence_, samples=samples)
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["label"] = "refund" if i % 3 == 0 and classes[samples[i]] == 2 else row["suggestion"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    answers = review.read_csv(path, len(X))
    again = lq.ConsensusClusterer(6, random_state=0)
    again.fit(X, answers.labels, origins=answers.origins)
    is_answer = np.isin(np.arange(len(X)), samples)
    np.testing.assert_array_equal(again.label_origins_[is_answer], answers.origins[is_answer])
    assert set(answers.origins) == {"", "given", "accepted"}
    assert set(again.label_origins_[~is_answer]) == {"proposed"}
