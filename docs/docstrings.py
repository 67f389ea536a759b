"""A griffe extension for the website: doctests become the Examples section of their docstring.

Docstrings in beliefbench end with a doctest without a heading. Markdown would read ``>>>`` as a quotation.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Puts the heading of numpydoc before the first doctest of each docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring and not re.search(r"^Examples\n-+$", obj.docstring.value, re.MULTILINE):
            obj.docstring.value = re.sub(r"^>>> ", "Examples\n--------\n>>> ", obj.docstring.value, count=1, flags=re.M)
