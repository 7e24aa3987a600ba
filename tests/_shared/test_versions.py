"""The report for bugs names the build, the hardware and the installed versions."""

from __future__ import annotations

import numpy as np

import labelquorum as lq
from labelquorum import _core
from labelquorum._shared import versions


def test_the_report_names_the_build_and_all_dependencies(capsys):
    lq.show_versions()
    lines = capsys.readouterr().out.splitlines()
    sections = [line for line in lines if not line.startswith(" ")]
    assert [section for section in sections if section in ("hardware", "dependencies")]
    assert sections[0] == "labelquorum"
    assert f"  numpy: {np.__version__}" in lines
    assert f"  instruction set in use: {_core.instruction_set()}" in lines


def test_missing_packages_are_reported(capsys, monkeypatch):
    monkeypatch.setattr(versions, "_DEPENDENCIES", ("no-such-package",))
    lq.show_versions()
    assert "  no-such-package: not installed" in capsys.readouterr().out.splitlines()
