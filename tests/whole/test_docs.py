"""The examples of the docstrings, as the installed package has them, and what is in docs."""

import ast
import doctest
import importlib
import importlib.util
import pkgutil
import re
import runpy
import shlex
import shutil
import sys
import tempfile
import warnings
from itertools import filterfalse
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import labelquorum
from labelquorum.cli.main import main

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(labelquorum.__path__, "labelquorum.")
    if not info.name.endswith(("__main__", "_core"))
)
DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
GALLERY = sorted(DOCS.glob("gallery/*.py"))
# A comment before it says what a block needs, or which file it is.
BLOCK = re.compile(
    r"^(?:<!-- (needs|file) ([^>]*) -->\n)?```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
ANSWERS = b"n\none\nn\nother\n" + b"1\n2\n" * 5  # of someone who labels texts


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.deep) if ".deep" in name else name for name in MODULES],
)
def test_the_examples_of_a_module_are_true(name):
    if name.endswith((".dask", ".folders", ".chunks")):
        pytest.importorskip("distributed")
    module = importlib.import_module(name)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    tests = finder.find(module)
    # Public classes bear the name of the package, where doctest does not look for them.
    own = {node.name for node in _parsed(module).body if isinstance(node, ast.ClassDef)}
    for value in (vars(module)[name] for name in own):
        if value.__module__ != name:
            tests += finder.find(value, module=False, globs=vars(module).copy())
    for test in tests:
        runner.run(test)
    assert runner.summarize().failed == 0


def test_public_classes_have_examples_that_run():
    finder = doctest.DocTestFinder()
    tests = finder.find(labelquorum.ConsensusClusterer, module=False, globs={})
    assert sum(len(test.examples) for test in tests) > 3


def _parsed(module):
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", labelquorum.__all__)
def test_every_public_name_has_a_docstring(name):
    assert name.startswith("__") or getattr(labelquorum, name).__doc__


def marks_of(page):
    if page.stem == "README":
        return []
    return [pytest.mark.slow, *[pytest.mark.deep] * (page.stem in ("deep", "sets"))]


@pytest.mark.skipif(not DOCS.exists(), reason="docs is in checkouts only")
@pytest.mark.parametrize(
    "module",
    [
        "labelquorum",
        "labelquorum.dask",
        "labelquorum.review",
        "labelquorum.text",
        pytest.param("labelquorum.deep", marks=pytest.mark.deep),
    ],
)
def test_every_public_name_is_in_the_reference(module):
    if module.endswith(".dask"):
        pytest.importorskip("distributed")
    listed = re.findall(r"^   ([\w.]+)$", (DOCS / "api.rst").read_text("utf-8"), re.MULTILINE)
    prefix = module.removeprefix("labelquorum").lstrip(".")
    names = {
        f"{prefix}.{name}".lstrip(".")
        for name in importlib.import_module(module).__all__
        if name not in ("__version__", "review", "text")
    }
    assert names <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=marks_of(page)) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_the_code_of_a_page_runs_and_gives_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"__name__": "__main__"}
    missing = set()
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        remark, words, language, code = block.groups()
        if remark == "file":
            (tmp_path / words).write_text(code, encoding="utf-8")
            continue
        with warnings.catch_warnings():
            if remark == "needs":
                if lacking := set(filterfalse(_is_there, words.split())):
                    missing |= lacking
                    continue
                warnings.simplefilter("ignore")  # other packages' own, of each other
            if language == "bash":
                _run_commands(code, monkeypatch)
            else:
                _run_statements(code, names)
    if missing:
        pytest.skip(f"ran without the blocks that need {', '.join(sorted(missing))}")


def _is_there(name):
    return bool(shutil.which("java") if name == "java" else importlib.util.find_spec(name))


def _run_statements(code, names):
    for statement in ast.parse(code).body:
        lines = code.splitlines()[statement.lineno - 1 : statement.end_lineno]
        if isinstance(statement, ast.Expr) and "  # " in lines[-1]:
            value = eval("\n".join(lines), names)
            _check(value, lines[-1].partition("  # ")[2], lines[-1])
        else:
            exec("\n".join(lines), names)


@pytest.mark.slow
@pytest.mark.parametrize("example", GALLERY, ids=lambda example: example.stem)
def test_an_example_of_the_gallery_runs(example):
    runpy.run_path(str(example))
    assert plt.get_fignums()
    plt.close("all")


def _check(value, said, line):
    """Numbers that are "about" something may differ a little between machines."""
    if said.startswith("about "):
        assert value == pytest.approx(float(said.removeprefix("about ")), abs=0.03), line
    elif said[0] in "[(TF'0123456789":
        assert repr(value) == said, line


def _run_commands(code, monkeypatch):
    for line in code.splitlines():
        command, *arguments = shlex.split(line, comments=True)
        if command == "pip":
            continue
        assert command == "labelquorum", line
        with tempfile.TemporaryFile() as answers:
            answers.write(ANSWERS)
            answers.seek(0)
            monkeypatch.setattr(sys, "stdin", answers)
            assert main(arguments) == 0, line
