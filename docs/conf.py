"""How Sphinx builds the documentation; cyconv must be installed, since its docstrings are read from it."""

import re

import cyconv

project = "cyconv"
author = "cyconv contributors"
copyright = "cyconv contributors"
version = release = cyconv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_typehints = "none"  # the docstrings say them
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "code"

html_theme = "furo"
html_title = f"cyconv {version}"


def escape(app, what, name, obj, options, lines):
    """Let docstrings say *spatial and |x| outside of literals, as a reader of the source likes them."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(``.*?``)", line)
            parts[::2] = [re.sub(r"(?<![\\*|])([*|])(?=\w)", r"\\\1", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def setup(app):
    app.connect("autodoc-process-docstring", escape, priority=100)  # before napoleon
