"""Report the installed versions and how the extension was built, for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from labelquorum import _core

_DEPENDENCIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "faiss-cpu",
    "rich",
    "matplotlib",
    "narwhals",
    "pyarrow",
    "dask",
    "model2vec",
    "sentence-transformers",
)


def show_versions() -> None:
    """Print how the extension was built, and the versions of Python and the dependencies.

    The dependencies are not imported.

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.show_versions()  # doctest: +ELLIPSIS
    labelquorum
    ...
    """
    _print_section("labelquorum", _core.build_info())
    _print_section(
        "hardware",
        {
            "instruction set in use": _core.instruction_set(),
            "instruction sets compiled": ", ".join(_core.compiled_instruction_sets()),
            "threads by default": str(_core.default_n_threads()),
            "threads available": str(_core.available_n_threads()),
        },
    )
    _print_section("python", {"python": sys.version, "platform": platform.platform()})
    _print_section("dependencies", {name: _version_of(name) for name in _DEPENDENCIES})


def _print_section(title: str, facts: dict[str, str]) -> None:
    print(title)
    for name, value in facts.items():
        print(f"  {name}: {value}")


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
