"""Names that mean something to Markdown, LaTeX, HTML, spreadsheets or terminals, in every form."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from beliefbench.errors import printable
from beliefbench.leaderboard.forms.compact import to_compact
from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.forms.terminal import to_terminal
from beliefbench.leaderboard.naming import group_names, slugs_of
from beliefbench.leaderboard.page.pictures import draw_all, learning_curves
from beliefbench.leaderboard.page.svg import as_svg
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard

NAMES = [
    "p:a|b||c",
    "p:<b>bold</b><script>x</script>",
    "p:**b** __init__ `c` ~~d~~ [e](f) $x$ \\| &lt; #",
    r"p:\input{/etc/passwd}~^%&#_{}$",
    r"p:C:\models\new model, v2",
    '=HYPERLINK("http://x","y")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "p:\"quoted\", and 'single'",
    "p:line\nbreak\ttab",
    "p:\x1b[31mred\x1b]0;title\x07",
    "p:\u202eright to left",
    "p:模型🙂",
    "_hidden",
    "p:$a$ and $b_{$",
    'p:#0b62a8 id="x" url(#y)',
    "[bold]rich[/] :smile: [/]",
    "*starred* https://x.org/a?b=c&d www.x.org",
    "x" * 200,
]
HOSTILE = "[bold]a|b<i>\x1b[1m\\input{x}~^ www.x.org $c$ \u202e"
DOMAIN = {"name": HOSTILE, "version": f"=1 {HOSTILE}", "parameters": {"exact_answer": f"rests on {HOSTILE}"}}


@pytest.fixture(scope="module")
def board(tmp_path_factory, make_run) -> Leaderboard:
    results = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(NAMES):
        make_run(results, name, [[3, number % 10], [5, 6]], note=name, domain=DOMAIN)
    return read_leaderboard(results)


def labels() -> set[str]:
    return set(map(printable, NAMES))


def test_markdown_shows_every_name_in_its_cell(board):
    html = MarkdownIt("js-default").enable("table").render(writer("md")(board))
    tables = [re.findall(r"<tr>(.*?)</tr>", table, re.S) for table in re.findall(r"<table>.*?</table>", html, re.S)]
    for table in tables:
        cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line, re.S) for line in table]
        assert {len(line) for line in cells} == {len(cells[0])}
        assert len(cells) == 1 + len(NAMES)
    first = [re.findall(r"<td.*?>(.*?)</td>", line, re.S) for line in tables[0]][1:]
    assert {unescape(line[1]) for line in first} == {f"{one} ({one})" for one in labels()}
    assert "<script" not in html
    assert not re.search(r"://x|www\.x", writer("md")(board))  # GitHub makes links of such text
    assert f"The exact answer: rests on {printable(HOSTILE)}." in unescape(re.sub("<.*?>", "", html))


def test_latex_has_no_command_of_a_name(board):
    text = writer("latex")(board)
    known = {"usepackage", "begin", "end", "centering", "small", "toprule", "midrule", "bottomrule", "caption", "label"}
    known |= {"textbackslash", "textasciitilde", "textasciicircum", "textbar", "textless", "textgreater"}
    known |= {"ensuremath", "Vert", "hline"}
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= known
    assert not re.search(r"(?<!\\)[#~]", text)
    body = text[text.index("\\midrule") : text.index("\\bottomrule")]
    lines = [line for line in body.splitlines() if line.rstrip().endswith("\\\\")]
    assert len(lines) == len(NAMES)
    assert not [line for line in body.splitlines() if re.match(r"\s*[\[*]", line)]
    assert re.findall(r"\\label\{(.*)\}", text) == [f"tab:{slugs_of([group_names(board.groups())[0]])[0]}"]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(re.findall(r"(?<!\\)&", lines[0]))}


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_latex_compiles_with_them(board, tmp_path, engine):
    """pdflatex has no letters beyond those of Latin script: names with others are left out."""
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is a program of TeX Live, which is no Python package and is not on this machine")
    some = board
    if engine == "pdflatex":
        plain = [row for row in board.rows if row.fields["agent"].isascii()]
        assert len(plain) >= len(NAMES) - 2
        some = Leaderboard(plain, [])
    (tmp_path / "t.tex").write_text(writer("latex")(some))
    (tmp_path / "p.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{t}\\end{document}"
    )
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "p.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]


def test_csv_and_json_hold_names_in_a_cell_each_and_no_formula(board):
    """Failed at 5f2b401: a spreadsheet took names for formulas."""
    lines = list(csv.DictReader(io.StringIO(writer("csv")(board))))
    assert {line["agent"].removeprefix("'") for line in lines} == labels()
    assert not [cell for line in lines for cell in line.values() if cell.strip()[:1] in ("=", "+", "@")]
    assert not [cell for line in lines for cell in line.values() if cell[:1] == "-" and not float(cell)]
    assert {None} not in [set(line) for line in lines]
    assert {row["agent"] for row in json.loads(writer("json")(board))["rows"]} == labels()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("write", [to_terminal, to_compact])
def test_a_terminal_obeys_no_name_and_no_figure_is_cut(board, width, write):
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    plain = Console(file=io.StringIO(), width=width, color_system=None)
    for rows in (board.rows[::2], board.rows[1::2]):  # the compact table has no room for all
        write(Leaderboard(rows, []), console)
        write(Leaderboard(rows, []), plain)
    shown = console.file.getvalue()
    assert set(re.findall(r"\x1b(.{1,2})", shown)) <= {"[0", "[1", "[2", "[3", "[9"}  # rich's own styles
    assert "\x1b[31m" not in shown
    assert not set(shown) & {"\x07", "\u202e", "\t"}
    text = plain.file.getvalue()
    assert r"\x1b[31mred" in text
    assert "[bold]rich[/]" in text
    assert "50.0" in text


def test_the_page_and_its_pictures_hold_names_as_text(board):
    page = writer("html")(board)
    assert page.count("<script") == page.count("</script>") == 2
    heads = {unescape(one) for one in re.findall(r"<article.*?<h2[^>]*>(.*?)</h2>", page, re.S)}
    assert heads == labels()
    assert not set(page) & {"\x1b", "\x07", "\u202e"}
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg.replace("&nbsp;", " "))
    svg = as_svg(learning_curves(board.groups()[0]))
    texts = "".join(ElementTree.fromstring(svg).itertext())
    assert all(one in texts for one in ("p:$a$ and $b_{$", " _hidden", "p:a|b||c"))


def test_files_of_pictures_have_short_plain_names(make_run, tmp_path):
    """Failed at 5f2b401: a file system refuses a name of 8,000 letters."""
    for number in range(2):
        name = f"{'x' * 8000}/../{number}\0"
        make_run(tmp_path / "results", "p", [[1, 2]], domain={"name": name, "version": "1", "parameters": {}})
    files = draw_all(read_leaderboard(tmp_path / "results"), tmp_path / "pictures")
    assert len({file.name for file in files}) == len(files) > 2
    assert all(re.fullmatch(r"x{120}-[0-9a-f]{4}\.[a-z-]+\.(svg|png)", file.name) for file in files)
    assert {file.parent for file in files} == {tmp_path / "pictures"}


def test_folders_of_hostile_names_lie_below_the_results(board):
    results = board.rows[0].folder.parents[2]
    assert {row.folder.parents[2] for row in board.rows} == {results}
    assert all(Path(row.folder / "run.json").is_file() for row in board.rows)
