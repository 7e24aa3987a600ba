"""Progress is drawn on stderr when it is asked for, and costs nothing otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labelquorum._shared.progress import progress


def test_without_verbose_there_is_nothing_to_call():
    with progress(False) as show:
        assert show is None


def test_rich_is_imported_only_when_progress_is_asked_for():
    code = (
        "import sys\n"
        "from labelquorum._shared.progress import progress\n"
        "with progress(False): pass\n"
        "assert 'rich' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_stage_is_a_line_on_stderr(capsys):
    with progress(True) as show:
        show("collapse", 0.5)
        show("count", 0.25, " (2 of 8)")
        show("collapse", 1.0)
    out, err = capsys.readouterr()
    assert out == ""
    assert "collapse" in err
    assert "count (2 of 8)" in err
    assert "100%" in err


def test_nothing_is_drawn_if_no_stage_is_shown(capsys):
    with progress(True):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_display_ends_with_an_error(capsys):
    with pytest.raises(KeyError), progress(True) as show:
        show("collapse", 0.5)
        raise KeyError
    with progress(True) as show:  # rich refuses a second display while the first one lives
        show("count", 1.0)
    assert "count" in capsys.readouterr().err
