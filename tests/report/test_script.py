"""Cells of the tables that a report's reader downloads."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import labelquorum
from labelquorum._shared.cells import marked, unmarked

SCRIPT = Path(labelquorum.__file__).parent / "report" / "script.js"
TEXTS = ["=1+1", "+a", "-a", "@a", "\tx", "\r=1", "\nx", "'a", "''", "a,b", 'a"b', "a"]
WIDE = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js runs the script")
def test_cells_are_marked_as_in_all_other_tables():
    script = SCRIPT.read_text(encoding="utf-8")
    functions = [
        re.search(rf"function {name}.*?\n}}\n", script, re.DOTALL)[0]
        for name in ("textOf", "field")
    ]
    texts = [*TEXTS, *WIDE, "-1", "+0.5"]
    code = f"""{"".join(functions)}
    const cell = (text) => ({{
      dataset: {{ value: text }},
      title: "",
      classList: {{ contains: () => ["-1", "+0.5"].includes(text) }},
    }});
    console.log(JSON.stringify({json.dumps(texts)}.map((text) => field(cell(text)))));
    """
    run = subprocess.run(
        ["node", "-e", code], capture_output=True, text=True, timeout=60, check=True
    )
    cells = [next(csv.reader([cell]))[0] for cell in json.loads(run.stdout)]
    assert cells == [*map(marked, texts[:-2]), "-1", "+0.5"]  # numbers stay numbers
    assert [unmarked(cell) for cell in cells] == texts
