"""Notebooks run: results are tables, progress is one output, a report is shown inline."""

from __future__ import annotations

import pytest

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
nbformat = pytest.importorskip("nbformat")

pytestmark = pytest.mark.slow  # a kernel starts

START = """
import numpy as np
from sklearn.datasets import load_digits
import labelquorum as lq
X, truth = load_digits(return_X_y=True)
X, truth = X[:500], truth[:500]
model = lq.ConsensusClusterer(10, random_state=0, verbose=True)
"""
FITS = "model.fit(X); model.fit(X, np.where(truth < 5, truth, -1));"
RESULTS = {
    "model.novelty(X[:50])": "new samples are novel",
    "model.explain(3)": "<th>most are in</th>",
    "lq.label_quality(truth, truth)": "<th>at least</th>",
    "model.report()": "<iframe srcdoc=",
    "model": "ConsensusClusterer",
    "model.category_table_": "<table",
}


def run(*cells):
    """Run cells in a new kernel; return the outputs of each."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.fixture(scope="module")
def outputs():
    # Many notebooks have no ipywidgets, which rich's own bars would need.
    hidden = "import sys; sys.modules['ipywidgets'] = None"
    return run(hidden, START, FITS, "model.verbose = False", *RESULTS)


def test_progress_of_a_cell_is_one_output_that_ends_complete(outputs):
    [shown] = outputs[2]
    assert shown.output_type == "display_data"
    lines = shown.data["text/plain"].splitlines()
    assert any(line.startswith("base partitions") and line.endswith("100%") for line in lines)
    assert len(lines) < 12
    assert shown.data["text/html"].count("<tr>") == len(lines) + 1


@pytest.mark.parametrize("code", RESULTS)
def test_results_are_shown_as_html(outputs, code):
    shown = outputs[4 + list(RESULTS).index(code)][-1]
    assert RESULTS[code] in shown.data["text/html"]


def test_an_error_ends_the_progress_of_its_cell():
    imported = "from labelquorum._shared.progress import progress"
    failing = f"""{imported}
try:
    with progress(True) as show:
        show("half", 0.5)
        raise KeyError
except KeyError:
    pass"""
    [shown], [after] = run(failing, "with progress(True) as show: show('next', 1.0)")
    assert shown.data["text/plain"].split() == ["half", "█" * 10 + "░" * 10, "50%"]
    assert after.data["text/plain"].split() == ["next", "█" * 20, "100%"]
