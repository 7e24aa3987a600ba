"""`labelquorum report`: the page that the estimator makes, from files."""

from __future__ import annotations

import re

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.cli.main import main
from labelquorum.report.page import report_page

pytest.importorskip("jinja2")


def test_the_command_writes_the_page_of_the_estimator(tmp_path, capsys, digits):
    X, y = digits[0][:150], digits[1][:150]
    source, truth = tmp_path / "digits.npy", tmp_path / "truth.txt"
    np.save(source, X)
    truth.write_text("".join(f"{label}\n" for label in y))
    command = ["report", str(source), "--n-clusters", "5", "--seed", "1", "--image-shape", "8x8"]
    assert main([*command, "--truth", str(truth)]) == 0
    page = (tmp_path / "digits-report.html").read_text(encoding="utf-8")
    output = capsys.readouterr()
    assert "150 samples, 64 features" in output.out
    assert "digits-report.html: written after" in output.out
    model = lq.ConsensusClusterer(5, random_state=1).fit(X)
    expected = report_page(model, X=X, images=X.reshape(-1, 8, 8), y=y)
    without_settings = re.compile(r"<details>.*?</details>", re.DOTALL)
    assert without_settings.sub("", page) == without_settings.sub("", expected)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--texts", "SHORT"], 1, "short.txt: holds 1 texts, .*X.npy 30 samples; wanted as many"),
        (["--truth", "SHORT"], 1, "short.txt: holds 1 labels, .*X.npy 30 samples; wanted as many"),
        (["--texts", "absent.txt"], 1, "absent.txt: No such file"),
        (["--text-column", "a"], 2, "--text-column is given without --texts"),
        (["--image-shape", "8x8"], 2, "--image-shape is 8x8, .*X.npy holds 4 features; wanted 64"),
        (["--image-shape", "8"], 2, "'8' is no height and width like 8x8"),
        (["--image-shape", "2x2", "--texts", "SHORT"], 2, "not allowed with"),
        (["--out", "SHORT", "--texts", "SHORT"], 2, "--out is --texts itself"),
        (["--out", "SHORT", "--truth", "SHORT"], 2, "--out is --truth itself"),
        (["--out", "SOURCE"], 2, "--out is FILE itself"),
        (["--no-discover"], 2, "--no-discover needs known labels"),
    ],
)
def test_the_command_refuses_arguments_that_do_not_match(tmp_path, capsys, options, code, message):
    source, short = tmp_path / "X.npy", tmp_path / "short.txt"
    np.save(source, np.arange(120.0).reshape(30, 4))
    short.write_text("a\n")
    paths = {"SHORT": str(short), "SOURCE": str(source)}
    try:
        exit_code = main(["report", str(source), *(paths.get(o, o) for o in options), "--quiet"])
    except SystemExit as stop:  # how argparse ends
        exit_code = stop.code
    assert exit_code == code
    assert re.search(message, capsys.readouterr().err)
    assert sorted(tmp_path.iterdir()) == [source, short]
