"""Pictures as bytes: the same figure is the same file; and as a part of a page, in whose colours they are drawn."""

from __future__ import annotations

import re
import warnings
from html import escape
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from beliefbench.leaderboard.page.styles import COLOURS, INK, RULE, SHADE

SETTINGS: Any = {
    "svg.hashsalt": "beliefbench",
    "svg.fonttype": "none",  # text: smaller than outlines, can be searched, and takes the page's font and colour
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
VARIABLES = {
    INK: "currentColor",
    RULE: "var(--rule)",
    SHADE: "var(--shade)",
    **{colour: f"var(--line-{number})" for number, colour in enumerate(COLOURS)},
}


def as_svg(figure: Figure, transparent: bool = False) -> bytes:
    """Return a figure as SVG, its coordinates shortened to what can be seen."""
    text = _saved(figure, "svg", transparent).decode()
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d{2,}", _short, tag[0]), text)
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"\s*([MLCQz])\s*", r"\1", path[0]), text).encode()


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG, 160 dots an inch."""
    return _saved(figure, "png", transparent=False)


def inline_svg(figure: Figure, name: str, described: str) -> str:
    """Return a figure as an SVG element: ids begin with ``name``, colours are the page's, no ground of its own.

    ``described`` is read to those who cannot see it.
    """
    text = as_svg(figure, transparent=True).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'<svg[^>]*(viewBox="[^"]*")[^>]*>', r"<svg \1>", text)
    text = text.replace("xlink:href", "href")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    wanted = {one for pair in used for one in pair if one}
    text = re.sub(r"<[^>]+>", lambda tag: _of_page(tag[0], name, wanted), text)
    text = re.sub(r"(?<=>)\s+(?=<)", "", text).replace("<defs></defs>", "")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(described)}"', 1)


def _of_page(tag: str, name: str, wanted: set[str]) -> str:
    """Return a tag with ids that begin with a name, only those that are ``wanted``, and the page's colours."""
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in wanted else "", tag)
    tag = re.sub(r'(href="|url\()#', rf"\1#{name}-", tag)
    for colour, variable in VARIABLES.items():
        tag = tag.replace(colour, variable)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    return re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)


def _short(found: re.Match[str]) -> str:
    value = float(found[0])
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def _saved(figure: Figure, kind: str, transparent: bool) -> bytes:
    file = BytesIO()
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the page's font may have it
        if transparent:
            for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
                patch.set(facecolor="none", edgecolor="none")
        if kind == "svg":  # `Figure.savefig` would draw the figure twice, the first time to find its layout
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(file, format=kind, dpi=160, metadata={"Software": None})
    return file.getvalue()
