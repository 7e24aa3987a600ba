"""The demo: one table, one picture, and labels better than any clustering it started from."""

from __future__ import annotations

import contextlib
import io
import re
import warnings

import pytest

from labelquorum.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Output of one run, and its picture."""
    picture = tmp_path_factory.mktemp("demo") / "digits.png"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("COLUMNS", "100")
        warnings.simplefilter("error", RuntimeWarning)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert main(["demo", "--out", str(picture), "--seed", "0"]) == 0
    return output.getvalue(), picture


def _result(output, what):
    return float(re.search(rf"{what}.*?([0-9.]+)%", output)[1])


@pytest.mark.slow
def test_final_labels_beat_every_clustering(run):
    output, _ = run
    final = _result(output, "held-out part")
    assert "32 partitions" in output
    assert _result(output, "mean") < _result(output, "best") < final
    for single in ("k-means, 10 clusters", "spectral clustering, 10 clusters"):
        assert final > _result(output, single) + 5
    assert _result(output, "training part") > 88
    assert final > 88


def test_pseudo_labels_are_precise(run):
    output, _ = run
    assert _result(output, "precision") > 95
    assert _result(output, "share of training images") > 50


def test_mini_clusters_are_pure(run):
    output, _ = run
    assert _result(output, "all 32 partitions agree") > 15
    assert _result(output, "majority class of their mini-cluster") > 97


def test_weighing_all_votes_beats_label_spreading_from_mini_clusters(run):
    output, _ = run
    spread = _result(output, "label spreading")
    assert 75 < spread < _result(output, "held-out part")


def test_picture_is_written(run):
    output, picture = run
    assert f"{picture}: mean image" in output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(picture.parent.iterdir()) == [picture]


def test_pictures_of_other_kinds_are_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", "picture.txt"])
    assert stop.value.code == 2
    assert "must end in .png, .pdf or .svg, got 'picture.txt'" in capsys.readouterr().err
