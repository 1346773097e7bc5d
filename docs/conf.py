"""How the documentation site is built: `make docs`."""

import enum
import functools
import importlib
import inspect
import os
import re
import sys
from pathlib import Path

import matplotlib
from sphinx_gallery.sorting import ExplicitOrder

from sitetwin.version import __version__

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))
import pictures  # noqa: E402  # it stands beside this file

matplotlib.use("Agg")
# One thread: what stands beside this build on the machine keeps its core, and the pictures are the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def homes():
    """For each public name of each room the one page that describes it: that of the first room that offers it."""
    rooms = re.findall(r"^   (sitetwin[.a-z_]*)$", (DOCS / "reference/api/index.md").read_text(), re.MULTILINE)
    first, found = {}, {}
    for room in rooms:
        module = importlib.import_module(room)
        for name in module.__all__:
            member = getattr(module, name)
            where = first.setdefault(id(member), f"{room}.{name}") if callable(member) else f"{room}.{name}"
            found[f"{room}.{name}"] = where
    return found


project = "sitetwin"
author = "the sitetwin developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# No page asks another site while it is built.
nitpicky = False
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "results", "**/*.ipynb", "gallery/**/*.md5"]
templates_path = ["_templates"]

# Markdown
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 4

# The reference: what each room lists in `__all__`, from its docstrings.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the types stand in the signature
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autosummary_context = {"homes": homes()}
autodoc_default_options = {"show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False


# Examples become pages, pictures and notebooks, in this order.
EXAMPLES = [
    "plot_first_hour.py",
    "plot_your_city.py",
    "plot_many_carriers.py",
    "plot_three_sectors.py",
    "plot_codec_for_your_cell.py",
    "plot_beams_on_a_street.py",
    "plot_precode_with_a_twin.py",
    "plot_keep_in_step.py",
    "plot_against_sionna.py",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "plot_",
    "within_subsection_order": ExplicitOrder([*EXAMPLES, "*"]),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 1,
    "reset_modules": ("matplotlib",),
}

# The site
html_theme = "pydata_sphinx_theme"
html_title = "sitetwin"
html_static_path = ["_static"]
html_css_files = ["sitetwin.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": []}


def skip_fields(app, what, name, member, skip, options):
    """Fields of a class stand in its docstring already; methods, properties and members of enumerations are listed."""
    properties = isinstance(member, property | functools.cached_property | enum.Enum)
    shown = inspect.isroutine(member) or inspect.isclass(member) or properties
    return True if what == "class" and not shown else None


def plain_signature(app, what, name, obj, options, signature, returned):
    """Types as the code writes them: `Float[ndarray, "users 3"]`, without the names of modules."""

    def plain(text):
        return re.sub(r"~?\b(jaxtyping|typing|numpy\.typing|collections\.abc)\.", "", text).replace("<factory>", "...")

    return tuple(plain(text) if text else text for text in (signature, returned))


def setup(app):
    """Connect what Sphinx calls while it builds, and draw the pictures that follow the code."""
    pictures.draw_rooms(DOCS / "project" / "rooms.svg")
    pictures.draw_road(DOCS / "project" / "road.svg")
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-signature", plain_signature)
