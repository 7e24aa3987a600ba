"""Suggestions for other tools: what they hold, and what is refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from labelquorum import review

TEXTS = ["My card is lost", "=1+1", "", "How are you?"]
LABELS = ["card", None, "other", "card"]


def test_a_task_holds_the_text_its_number_and_the_prediction():
    tasks = review.label_studio_tasks(
        TEXTS, LABELS, [0.25, 0, 0.5, 1], samples=[3, 1], question="intent", field="query"
    )
    assert json.loads(json.dumps(tasks)) == tasks
    result = {
        "id": "intent-3",
        "from_name": "intent",
        "to_name": "query",
        "type": "choices",
        "value": {"choices": ["card"]},
    }
    prediction = {"model_version": "labelquorum", "score": 1.0, "result": [result]}
    assert tasks == [
        {
            "data": {"suggestion": "card", "query": "How are you?", "sample": 3},
            "predictions": [prediction],
        },
        {"data": {"query": "=1+1", "sample": 1}, "predictions": []},
    ]


def test_the_labeling_interface_names_every_category_and_shows_the_text():
    names = ["a", 'b" & <c>', "d'"]
    root = ET.fromstring(review.label_studio_config(names, question="intent", field="query"))
    (text,), (choices,) = root.findall("Text"), root.findall("Choices")
    assert text.attrib == {"name": "query", "value": "$query"}
    assert choices.attrib == {"name": "intent", "toName": "query", "choice": "single"}
    assert [choice.get("value") for choice in choices] == names


def test_a_record_holds_the_text_and_the_suggestion():
    records = review.argilla_records(TEXTS, [2, -1, 0, 0], [0.25, 0, 0.5, 1], samples=[0, 1])
    assert json.loads(json.dumps(records)) == records
    assert [record["id"] for record in records] == ["0", "1"]
    assert records[0]["fields"] == {"text": "My card is lost"}
    suggestion = {"value": "2", "score": 0.25, "agent": "labelquorum"}
    assert records[0]["suggestions"] == {"label": suggestion}
    assert records[1]["suggestions"] == {}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: review.label_studio_tasks([], []), ValueError, "texts"),
        (
            lambda: review.label_studio_tasks(["a"], ["x", "y"]),
            ValueError,
            "texts has 1 items, but labels has 2 values: they must have the same length",
        ),
        (
            lambda: review.label_studio_tasks(["a"], ["N/A"]),
            ValueError,
            "labels must not be a word that means \"no label\" in a file, got 'N/A': give the",
        ),
        (
            lambda: review.label_studio_config(["a", ""]),
            ValueError,
            "categories must not be empty or have white space at the ends, got ''",
        ),
        (
            lambda: review.argilla_records(["a"], [" x"]),
            ValueError,
            "labels must not be empty or have white space at the ends, got ' x'",
        ),
        (lambda: review.argilla_records(["a"], ["x"], [-1]), ValueError, "confidence"),
        (
            lambda: review.argilla_records(["a"], ["x"], samples=[1]),
            ValueError,
            "samples .*0 to 0",
        ),
        (
            lambda: review.argilla_records(["a"], ["x"], samples=[0, 0]),
            ValueError,
            "samples must be different, got 0 more than once",
        ),
        (
            lambda: review.argilla_records(["a"], ["x"], samples=[0.5]),
            TypeError,
            "samples must be 1-D integers, got dtype float64",
        ),
        (
            lambda: review.label_studio_config([]),
            ValueError,
            "categories must have at least one item",
        ),
        (lambda: review.label_studio_config(["a\x00"]), ValueError, "printable"),
        (
            lambda: review.label_studio_config([None]),
            TypeError,
            "categories must be strings or integers, got None",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_invalid_text_is_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "review.csv"
    with pytest.raises(ValueError, match="got half a surrogate pair at 1"):
        review.write_csv(path, ["a", "\ud800"], ["x", "y"])
    assert not path.exists()
