"""Real questions, which are not in the repository."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

STACKOVERFLOW = [
    "wordpress",
    "oracle",
    "svn",
    "apache",
    "excel",
    "matlab",
    "visual-studio",
    "cocoa",
    "osx",
    "bash",
    "spring",
    "hibernate",
    "scala",
    "sharepoint",
    "ajax",
    "qt",
    "drupal",
    "linq",
    "haskell",
    "magento",
]


@pytest.fixture(scope="module")
def questions():
    """Titles of questions about 20 programs, with the name of the program."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("LABELQUORUM_DATA", beside))
    path = folder / "intents" / "stackoverflow.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing; LABELQUORUM_DATA names the folder of real data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], [STACKOVERFLOW[row["label"] - 1] for row in rows]
