"""What is shipped as sources, and the C++ library in it as other CMake projects find it."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import labelquorum as lq

# Python 3.11.4 and newer can refuse members that would leave the folder.
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
ROOT = Path(__file__).resolve().parents[2]
SOURCES = {".cpp", ".hpp", ".in", ".cmake", ".txt", ".py", ".pyi", ".typed"}


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


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    _run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **SAFELY)
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def test_the_sdist_holds_what_a_build_needs_and_no_leftovers(shipped):
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml", "cmake", "cpp"):
        assert (shipped / name).exists()
    for folder in ("cpp", "cmake", "python"):
        here = {path for path in (ROOT / folder).rglob("*") if path.suffix in SOURCES}
        assert {path.relative_to(ROOT) for path in here} <= {
            path.relative_to(shipped) for path in (shipped / folder).rglob("*")
        }
    assert not (shipped / "build").exists()
    assert not [path for path in shipped.rglob("*") if path.suffix in {".so", ".pyc", ".o"}]


@pytest.mark.slow
def test_a_program_finds_the_installed_package_builds_and_runs(shipped, tmp_path):
    library, prefix, consumer = tmp_path / "library", tmp_path / "prefix", tmp_path / "consumer"
    # Quicker to build: neither optimized nor with what debuggers need.
    options = ["-DLABELQUORUM_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]
    _run("cmake", "-S", shipped, "-B", library, *options)
    _run("cmake", "--build", library, "--parallel", "2")
    _run("cmake", "--install", library, "--prefix", prefix)
    source = shipped / "cpp" / "tests" / "consumer"
    _run("cmake", "-S", source, "-B", consumer, f"-DCMAKE_PREFIX_PATH={prefix}")
    _run("cmake", "--build", consumer)
    assert _run(consumer / "consumer") == f"{lq.__version__}: 0 0 0 1 1 1 -1\n"
