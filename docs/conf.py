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

# As in scikit-learn, single backticks in docstrings become links to public names.
default_role = "py:obj"
autodoc_typehints = "none"  # numpydoc's lists say the types in words
# The reference needs neither PyTorch (200 MB) nor Dask. Without them the site builds fast, and it
# is the same whether they are installed or not.
autodoc_mock_imports = ["dask", "distributed", "safetensors", "torch"]
autodoc_default_options = {
    "members": True,
    # Methods of scikit-learn's and Python's base classes have their own documentation.
    "inherited-members": "BaseEstimator, ClassifierMixin, ClusterMixin, TransformerMixin, "
    "_MetadataRequester, _SetOutputMixin, tuple",
    "exclude-members": ", ".join(
        f"set_{method}_request"
        for method in [
            "fit",
            "partial_fit",
            "predict",
            "predict_proba",
            "score",
            "split",
            "transform",
        ]
    ),
}
numpydoc_show_class_members = False  # autodoc lists them

# The build runs these examples and shows the pictures they draw.
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
