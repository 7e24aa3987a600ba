"""The parser: commands, help, version, exit codes."""

from __future__ import annotations

import pytest

import labelquorum as lq
from labelquorum.cli.main import main


def test_a_command_is_required(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "required: COMMAND" in capsys.readouterr().err


def test_version_and_help(capsys):
    for option, expected in [("--version", f"labelquorum {lq.__version__}"), ("--help", "demo")]:
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        assert expected in capsys.readouterr().out
