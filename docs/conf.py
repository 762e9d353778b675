"""Sphinx configuration: MyST Markdown, no network, warnings are errors (see the Makefile)."""

import re
from typing import Any

import qwell

project = "qwell"
author = "The qwell authors"
version = release = qwell.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
exclude_patterns = ["_build", "make_*.py"]
smartquotes = False  # options are typed with two dashes
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_custom_sections = [("Arguments", "params_style"), ("Attributes", "params_style")]
# Names of other libraries have no pages here; those of qwell that a signature or text refers to must, but for
# what people do not handle.
INTERNAL = r"qwell.*\.(T|Files|Team|Trial)"
nitpick_ignore_regex = [("py:.*", r"(?!qwell).*"), ("py:class", INTERNAL)]


def bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """|ψ|² in a docstring is no substitution."""
    lines[:] = [re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or r"\|", line) for line in lines]


def setup(app: Any) -> None:
    """Connect what changes docstrings on their way into pages."""
    app.connect("autodoc-process-docstring", bars)
