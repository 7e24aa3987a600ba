"""Arguments that commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from labelquorum.cli.options import (
    UsageError,
    as_file,
    check_length,
    default_out,
    positive,
    votes,
)


def test_a_url_stays_text_and_a_file_becomes_a_path():
    assert as_file("s3://bucket//a.csv") == "s3://bucket//a.csv"
    assert as_file("a//b.csv") == Path("a/b.csv")
    with pytest.raises(argparse.ArgumentTypeError, match="must not be empty"):
        as_file("")


def test_a_point_makes_votes_a_fraction():
    assert isinstance(votes("1.0"), float)
    assert isinstance(votes("1"), int)
    assert positive("3") == 3


@pytest.mark.parametrize(
    ("source", "out"),
    [("a/X.csv", "a/X-labels.csv"), ("X.CSV.GZ", "X-labels.csv"), ("noext", "noext-labels.csv")],
)
def test_results_are_beside_their_source(source, out):
    assert default_out(Path(source), "-labels.csv") == Path(out)


def test_results_of_a_folder_are_beside_it(tmp_path):
    folder = tmp_path / "week.1"
    folder.mkdir()
    assert default_out(folder, "-labels.csv") == tmp_path / "week.1-labels.csv"


@pytest.mark.parametrize("source", ["s3://bucket/a.csv", Path("data/*.csv")])
def test_results_of_patterns_and_urls_need_a_name(source):
    with pytest.raises(UsageError, match="--out must be given"):
        default_out(source, "-labels.csv")


def test_one_label_more_than_samples_hints_at_a_name():
    with pytest.raises(OSError, match=r"3 labels, but X.csv has 2 samples.* must be 'label'"):
        check_length(Path("y.csv"), 3, Path("X.csv"), 2, "labels")
    with pytest.raises(OSError, match=r"must be equal$"):
        check_length(Path("y.csv"), 4, Path("X.csv"), 2, "labels")
    check_length(Path("y.csv"), 2, Path("X.csv"), 2, "labels")
