"""Configuration of the documentation site: Markdown pages (MyST) and an API reference from the docstrings."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The checkout comes first, whether Elastic is installed or not.
from elastic.version import __version__

project = "Elastic"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"Elastic {__version__}"
exclude_patterns = ["generate.py"]

# Anchors as GitHub makes them, so that links work in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False
# Code of a page is highlighted as a whole or not at all: sessions of a shell are not a language.
highlight_language = "none"
# A page on the site is built without a network: no theme or script is loaded from another host.
html_show_sphinx = False
html_show_copyright = False

autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

_CODE = re.compile(r"(`+[^`]*`+)")


def _convert_code(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Convert Markdown's `code` to reStructuredText, before napoleon looks for colons outside of code."""
    lines[:] = [
        "".join(f"``{part.strip('`')}``" if part.strip("`") != part else part for part in _CODE.split(line))
        for line in lines
    ]


def _escape(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Escape characters with a meaning in reStructuredText, and separate indented blocks, after napoleon."""
    converted: list[str] = []
    for line in lines:
        previous = converted[-1] if converted else ""
        is_field = previous.lstrip().startswith((":", ".. ", "* ", "- "))
        if _indent(line) > _indent(previous) and previous.strip() and not is_field and not _in_field(converted):
            converted.append("")
        converted.append("".join(part if part.startswith("`") else _escaped(part) for part in _CODE.split(line)))
    lines[:] = converted


def _escaped(text: str) -> str:
    return re.sub(r"(?<!\\)([*|]|(?<=\w)_(?!\w))", r"\\\1", text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 0


def _in_field(lines: list[str]) -> bool:
    """Return whether the last paragraph belongs to a field such as `:param name:`."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if line.lstrip().startswith((":", ".. ")):
            return True
    return False


def setup(app: Any) -> None:
    """Register the conversions around napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", _convert_code, priority=100)
    app.connect("autodoc-process-docstring", _escape, priority=900)
