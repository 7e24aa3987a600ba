"""The C++ library as other CMake projects find it."""

import shutil
import subprocess
from pathlib import Path

import pytest

import labelquorum as lq

ROOT = Path(__file__).resolve().parents[1]


def _run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


pytestmark = [
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed"),
    pytest.mark.skipif(
        not (ROOT / "CMakeLists.txt").exists(), reason="no sources beside the tests"
    ),
]


def test_a_program_finds_the_installed_package_builds_and_runs(tmp_path):
    library, prefix, consumer = tmp_path / "library", tmp_path / "prefix", tmp_path / "consumer"
    options = ["-DLABELQUORUM_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug"]  # quicker to build
    _run("cmake", "-S", ROOT, "-B", library, *options)
    _run("cmake", "--build", library, "--parallel", "2")
    _run("cmake", "--install", library, "--prefix", prefix)
    source = ROOT / "cpp" / "tests" / "consumer"
    _run("cmake", "-S", source, "-B", consumer, f"-DCMAKE_PREFIX_PATH={prefix}")
    _run("cmake", "--build", consumer)
    assert _run(consumer / "consumer") == f"{lq.__version__}: 0 0 0 1 1 1 -1\n"
