"""The site: `make docs` builds it into docs/_build/html."""

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
# bench's tables and the drawings are made from the sources beside this folder.
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE / "_ext")]

import pages  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

import fastmlp  # noqa: E402

# Small products only wait for BLAS's other threads, on a shared machine for seconds.
threadpool_limits(1, user_api="blas")

project = "fastmlp"
author = "the fastmlp developers"
version = release = fastmlp.__version__
copyright = f"{author}, BSD-3-Clause"  # shown in the footer of each page
language = "en"
smartquotes = False  # 'relu' is typed with straight quotes
toc_object_entries_show_parents = "hide"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "cython_function",
    "plain_docstrings",
]
html_math_renderer = "mathml"
exclude_patterns = [
    "_build",
    "_ext",
    "_generated/*.md",
    "Thumbs.db",
    "**/GALLERY_HEADER.*",
]
templates_path = ["_templates"]
nitpicky = False
suppress_warnings = ["config.cache"]  # the gallery's sorting keys cannot be pickled

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3
# Pages are read on GitHub too, where links to folders and sources are files.
myst_links_external_new_tab = False

autosummary_generate = True
autosummary_ignore_module_all = False  # __all__ says what is public
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples" / "gallery")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": False,
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": None,
    "plot_gallery": os.environ.get("FASTMLP_DOCS_GALLERY", "True"),
    "image_srcset": ["2x"],
}
# Small examples stop early on purpose.
warnings.filterwarnings("ignore", message=".*Maximum iterations.*")
warnings.filterwarnings("ignore", message=".*failed to converge.*")

html_theme = "pydata_sphinx_theme"
html_title = "fastmlp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def set_language(app, pagename, templatename, context, doctree):
    """Say which pages are Chinese: fonts and line breaks depend on it."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-CN"


def skip_inherited(app, what, name, obj, skip, options):
    """Leave what scikit-learn's base classes bring to scikit-learn's own pages."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith("sklearn.") else None


def setup(app):
    """Draw and write what is made from the sources, before the pages are read."""
    app.connect("builder-inited", lambda app: pages.make(HERE / "_generated"))
    app.connect("html-page-context", set_language)
    app.connect("autodoc-skip-member", skip_inherited)
