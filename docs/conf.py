"""Sphinx configuration: MyST Markdown, no network, warnings are errors (see the Makefile).

The explorer's page for drawing is made when the pages are, and lies beside them (explorer/).
"""

import re
import sys
from pathlib import Path
from typing import Any

import qwell

sys.path.insert(0, str(Path(__file__).parent))

import make_explorer

project = "qwell"
author = "The qwell authors"
copyright = "2026 The qwell authors"
version = release = qwell.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_favicon = "../qwell/explore/static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["katex/katex.min.css", "pages.css"]
html_js_files = [("pages.js", {"defer": "defer"})]
mathjax_path = (
    "katex/katex.min.js"  # formulas as MathJax marks them, set by KaTeX: small, and fetched from nowhere
)
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
INTERNAL = r"qwell.*\.(T|S|E|Files|Team|Trial|Trained)"
nitpick_ignore_regex = [("py:.*", r"(?!qwell).*"), ("py:class", INTERNAL)]


def bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """|ψ|² in a docstring is no substitution."""
    lines[:] = [re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or r"\|", line) for line in lines]


def explorer(app: Any, error: Exception | None) -> None:
    """Put the explorer's page beside the others."""
    if error is None and app.builder.format == "html":
        make_explorer.write(Path(app.outdir) / "explorer")


def roles(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """What screen readers lack: the level of captions, and lists where parameters have no terms."""
    captions = 'class="caption" role="heading"'
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(captions, f'{captions} aria-level="2"')
    if body := context.get("body"):
        body = body.replace('<dd><em class="sig-param">', '<dd role="listitem"><em class="sig-param">')
        context["body"] = body.replace('<dl>\n<dd role="listitem">', '<dl role="list">\n<dd role="listitem">')


def setup(app: Any) -> None:
    """Connect what changes docstrings on their way into pages, and the explorer's page."""
    app.connect("build-finished", explorer)
    app.connect("html-page-context", roles, priority=900)  # after the theme
    app.connect("autodoc-process-docstring", bars)
