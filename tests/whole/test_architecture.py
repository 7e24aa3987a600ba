"""The rules of the house: imports run one way, and private things stay in their module."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import labelquorum

PACKAGE = Path(labelquorum.__file__).parent
# From the ground up. A module imports from its own layer and from those below it.
LAYERS = [
    {"_core", "_shared"},
    {"votes", "neighbors", "graphs"},
    {"clustering", "semi_supervised", "active_learning", "sets", "quality", "text"},
    {"deep", "display", "report", "dask", "review", "cli", "loading"},
]
# `ConsensusClusterer.report` and `Update.report` are promises to users; the pages are imported when
# they are called.
UPWARD = {("clustering.clusterer", "report.page"), ("clustering.update", "report.update_page")}
# NamedTuple's own methods have underscores only to stay apart from fields.
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
# PyTorch and scikit-learn have no public names for these.
OF_OTHER_PACKAGES = {"_is_mkldnn_bf16_supported", "_predictors", "_baseline_prediction"}
MOST_LINES = 600


def modules():
    """Each module's name within the package, with its syntax tree."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        trees[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    del trees["__init__"]  # the face: it names everything
    return trees


TREES = modules()


def imports_of(tree):
    """The modules of the package that a module imports anywhere, and the names it takes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "labelquorum":
                    yield alias.name.partition(".")[2], None
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labelquorum"):
            module = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                if inner in TREES or inner == "_core":
                    yield inner, None
                else:
                    yield module, alias.name


def layer_of(module):
    """The number of a module's layer; None for what belongs to none."""
    family = module.partition(".")[0]
    return next((i for i, layer in enumerate(LAYERS) if family in layer), None)


def test_every_folder_has_a_layer():
    families = {name.partition(".")[0] for name in TREES} - {"__main__", "signatures"}
    assert families | {"_core"} == set().union(*LAYERS)


@pytest.mark.parametrize("module", TREES)
def test_imports_run_down_and_never_to_the_face_of_the_package(module):
    for imported, _ in imports_of(TREES[module]):
        assert imported, f"{module} imports the package itself"
        if layer_of(module) is not None and (module, imported) not in UPWARD:
            assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"


@pytest.mark.parametrize("by", ["module", "folder"])
def test_no_import_runs_in_a_circle(by):
    graph = {}
    for module, tree in TREES.items():
        for imported, _ in imports_of(tree):
            if (module, imported) in UPWARD:
                continue
            ends = module, imported
            if by == "folder":
                ends = module.partition(".")[0], imported.partition(".")[0]
                if ends[0] == ends[1]:
                    continue
            graph.setdefault(ends[0], set()).add(ends[1])
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", TREES)
def test_no_module_takes_a_private_name_of_another(module):
    private = [
        f"{imported}.{name}"
        for imported, name in imports_of(TREES[module])
        if name is not None and name.startswith("_") and not name.startswith("__")
    ]
    assert private == []


@pytest.mark.parametrize("module", TREES)
def test_no_module_reads_a_private_attribute_of_another_class(module):
    tree = TREES[module]
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    foreign = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            own.add(node.attr)
        elif node.attr.startswith("_") and not node.attr.endswith("__"):
            foreign.append(node)
    read = {node.attr for node in foreign} - own - OF_NAMED_TUPLES - OF_OTHER_PACKAGES
    assert read == set()


@pytest.mark.parametrize("module", TREES)
def test_a_module_fits_into_a_few_screens(module):
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_a_private_attribute_of_another_class_is_seen():
    with pytest.raises(AssertionError), pytest.MonkeyPatch.context() as patch:
        patch.setitem(TREES, "made_up", ast.parse("def f(model):\n    return model._rows"))
        test_no_module_reads_a_private_attribute_of_another_class("made_up")
