"""How Sphinx builds the site: ``python -m sphinx -W --keep-going docs build/docs``."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "labelquorum"
author = "The labelquorum developers"
project_copyright = author
release = metadata.version("labelquorum")

extensions = [
    "myst_parser",
    "numpydoc",
    "recorded",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_templates",
    "gallery",
    *(f"pictures/*.{kind}" for kind in ("ipynb", "py", "zip")),
]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"labelquorum {release}"
html_copy_source = False
myst_heading_anchors = 3

# Single backticks in docstrings, scikit-learn's way: a link where there is something to link to.
default_role = "py:obj"
autodoc_typehints = "none"  # numpydoc's lists have the types in words
# PyTorch takes 200 MB and half a minute to install and says nothing in the reference, so that the
# pages are made without it, and are the same whether it is there or not. Dask, too.
autodoc_mock_imports = ["dask", "distributed", "safetensors", "torch"]
autodoc_default_options = {
    "members": True,
    # What scikit-learn's and Python's own bases give is in their documentation.
    "inherited-members": "BaseEstimator, ClassifierMixin, ClusterMixin, TransformerMixin, "
    "_MetadataRequester, _SetOutputMixin, tuple",
    "exclude-members": ", ".join(
        f"set_{method}_request"
        for method in ("fit", "partial_fit", "predict", "predict_proba", "score", "transform")
    ),
}
numpydoc_show_class_members = False  # autodoc lists them

# Examples that are run while the site is built, with their pictures.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "pictures",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 0,
    "show_signature": False,
    "write_computation_times": False,
}
