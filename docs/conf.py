"""Sphinx configuration: MyST Markdown, no network, warnings are errors (see the Makefile)."""

import qwell

project = "qwell"
author = "The qwell authors"
version = release = qwell.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
exclude_patterns = ["_build", "make_*.py"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_custom_sections = [("Arguments", "params_style"), ("Attributes", "params_style")]
nitpick_ignore_regex = [("py:.*", ".*")]
