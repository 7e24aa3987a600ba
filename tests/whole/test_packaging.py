"""What is installed, and what importing it costs."""

import importlib.metadata
import json
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import labelquorum as lq
from labelquorum import _core

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "dask",
    "distributed",
    "sklearn",
    "faiss",
    "matplotlib",
    "torch",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
}


def test_what_is_installed_is_the_package_alone_and_small():
    files = importlib.metadata.files("labelquorum")
    names = {file.as_posix() for file in files}
    if "labelquorum/__init__.py" not in names:
        pytest.skip("installed to be edited")
    assert {"labelquorum/_core.pyi", "labelquorum/py.typed"} <= names
    parts = ("page.html", "map.js", "script.js", "style.css")
    assert {f"labelquorum/report/{part}" for part in parts} <= names
    assert any(n.startswith("labelquorum/_core.") and n.endswith((".so", ".pyd")) for n in names)
    folders = {file.parts[0] for file in files if file.parts[0] != ".."}  # there, the command
    assert folders == {"labelquorum", f"labelquorum-{lq.__version__}.dist-info"}
    assert not [n for n in names if n.endswith((".cpp", ".hpp", ".a", ".lib", ".cmake"))]
    assert sum(file.size or 0 for file in files) < 6_000_000


def test_all_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lq.__version__ == project["version"]
    assert importlib.metadata.version("labelquorum") == lq.__version__
    assert _core.build_info()["version"] == lq.__version__


def _measure(code):
    script = f"import json, sys, time; start = time.process_time(); {code}; "
    script += "print(json.dumps([time.process_time() - start, list(sys.modules)]))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    return json.loads(output)


@pytest.mark.slow
def test_importing_is_quick_and_brings_no_heavy_package():
    _, modules = _measure("import labelquorum")
    assert not HEAVY & {name.split(".")[0] for name in modules}
    base = statistics.median(_measure("import numpy, scipy")[0] for _ in range(5))
    ours = statistics.median(_measure("import numpy, scipy, labelquorum")[0] for _ in range(5))
    assert ours - base < 0.150
