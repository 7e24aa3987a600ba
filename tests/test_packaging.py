"""What is built and shipped, and what importing it costs."""

import importlib.metadata
import json
import statistics
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import labelquorum as lq
from labelquorum import _core

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"sklearn", "faiss", "matplotlib", "torch", "pandas", "polars", "pyarrow", "rich"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    command += ["-C", "cmake.define.CMAKE_CXX_FLAGS_RELEASE=-O0"]  # quicker to build
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def test_the_wheel_holds_the_package_alone_and_is_small(built):
    _, wheel = built
    assert wheel.stat().st_size < 2_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"labelquorum/_core.pyi", "labelquorum/py.typed"} <= set(names)
    parts = ("page.html", "script.js", "style.css")
    assert {f"labelquorum/_report/{part}" for part in parts} <= set(names)
    assert any(n.startswith("labelquorum/_core.") and n.endswith((".so", ".pyd")) for n in names)
    folders = {name.split("/")[0] for name in names}
    assert folders == {"labelquorum", f"labelquorum-{lq.__version__}.dist-info"}
    assert not [n for n in names if n.endswith((".cpp", ".hpp", ".a", ".lib", ".cmake"))]


def test_the_sdist_holds_what_a_build_needs_and_no_leftovers(built):
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {"CMakeLists.txt", "LICENSE", "README.md", "cpp/src/signatures.cpp"} <= names
    assert not [n for n in names if n.startswith("build/") or n.endswith((".so", ".pyc", ".o"))]


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


def test_importing_is_quick_and_brings_no_heavy_package():
    _, modules = _measure("import labelquorum")
    assert not HEAVY & {name.split(".")[0] for name in modules}
    base = statistics.median(_measure("import numpy, scipy")[0] for _ in range(5))
    ours = statistics.median(_measure("import numpy, scipy, labelquorum")[0] for _ in range(5))
    assert ours - base < 0.150
