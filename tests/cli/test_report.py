"""The command report: what does not fit is refused before the work (tests/report has the page)."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum.cli.main import main

pytest.importorskip("jinja2")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--image-shape", "2x3"], 2, "--image-shape 2x3 needs 6 features, but X.npy has 4"),
        (["--image-shape", "2y3"], 2, "must be a height and a width such as 8x8, got '2y3'"),
        (["--text-column", "a"], 2, "--text-column needs --texts"),
        (["--texts", "short.txt"], 1, "short.txt: 1 texts, but X.npy has 30 samples"),
        (["--truth", "short.txt"], 1, "short.txt: 1 labels, but X.npy has 30 samples"),
        (["--out", "short.txt", "--truth", "short.txt"], 2, "another file than --truth"),
        (["--out", "X.npy"], 2, "--out must be another file than FILE, got X.npy"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, monkeypatch, capsys, options, code, message):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.arange(120.0).reshape(30, 4))
    (tmp_path / "short.txt").write_text("a\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    try:
        status = main(["report", "X.npy", "--quiet", *options])
    except SystemExit as stop:  # how argparse ends
        status = stop.code
    assert status == code
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
