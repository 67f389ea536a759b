"""The leaderboard as LaTeX: a table a group, to paste into a paper that loads booktabs."""

from __future__ import annotations

import re

from tabulate import tabulate

from beliefbench.leaderboard.forms.cells import PRIVILEGED_MARK, accuracy_interval, agent_of, reproductions, title_of
from beliefbench.leaderboard.forms.columns import SKILL, number, percent
from beliefbench.leaderboard.naming import group_names, slugs_of
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.reference.published import CAVEAT, SOURCE, Published, published
from beliefbench.leaderboard.row import DOUBTFUL, UNMARKED, Row, blocks_of

ESCAPES = {one: f"\\{one}" for one in "&%$#_{}"}
ESCAPES |= {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
ESCAPES |= {"|": "\\textbar{}", "<": "\\textless{}", ">": "\\textgreater{}"}
_SKILL = {column.header: column.cell for column in SKILL}


def to_latex(board: Leaderboard, reference: bool = False) -> str:
    r"""Return a ``table`` environment for each group of comparable rows; it needs ``\usepackage{booktabs}``.

    Accuracy after each round with the interval of the last, the rank's interval where the skill model knows it, the
    share of the gap to the exact answer that is closed, ECE and KL after the last round. ``reference``: and a table of
    what was published on the domain.
    """
    parts = ["% \\usepackage{booktabs}"]
    groups = board.groups()
    names = group_names(groups)
    labels = slugs_of([*names, *(f"{name} published" for name in names)])
    for group, label, of_reference in zip(groups, labels, labels[len(groups) :], strict=False):
        parts.append(_table(group, label))
        if reference and (known := published(group[0].fields["domain"])):
            parts.append(_reference(group[0].fields["domain"], known, of_reference))
    return "\n\n".join(parts) + "\n"


def _table(group: list[Row], label: str) -> str:
    stages = [f"{one['round']}" for one in group[0].rounds]
    headers = ["agent", *stages, "95%", "rank", "gap closed", "ECE", "KL"]
    caption = (
        f"{_escaped(title_of(group))}. Accuracy (\\%) after each round, with its 95\\% interval after the last, "
        "clustered by user; rank: 95\\% interval by the skill model; gap closed: share of the gap between chance and "
        "the exact answer; ECE (\\%) and KL(exact $\\Vert$ agent) (nats an answer) after the last round."
    )
    if any(row.fields["privileged"] for row in group):
        caption += f" {PRIVILEGED_MARK}: sees the users' true preferences."
    headings = dict(blocks_of(group))
    if UNMARKED in headings:
        caption += f" Above ``{UNMARKED}'': intact (files, metrics and seed agree); ranks count all rows."
    if DOUBTFUL in headings:
        caption += f" Below ``{DOUBTFUL}'': a check failed, or the answers are not what honest runs look like."
    caption += "".join(f" {_escaped(f'{row.label}: {row.doubt}')}." for row in group if row.doubt)
    caption += "".join(f" {_escaped(said)}" for said in reproductions(group))
    lines = []
    for heading, rows in blocks_of(group):
        lines += [[f"{heading}:", *[""] * (len(headers) - 1)]] if heading else []
        lines += [_line(row) for row in rows]
    return _environment(headers, lines, 1, caption, label)


def _reference(domain: str, known: list[Published], label: str) -> str:
    caption = f"Published on {_escaped(domain)}, accuracy (\\%): {_escaped(f'{SOURCE}; {CAVEAT}')}."
    lines = [[str(value) for value in one] for one in known]
    return _environment(["model", "taught", "first round", "last round"], lines, 2, caption, label)


def _environment(headers: list[str], lines: list[list[str]], words: int, caption: str, label: str) -> str:
    """Return a table environment; the first ``words`` columns are flush left, numbers flush right."""
    body = tabulate(lines, headers=headers, tablefmt="latex_booktabs", disable_numparse=True)
    columns = len(headers)
    body = re.sub(r"^(\s*)(?=[\[*])", r"\1{}", body, flags=re.M)  # after a line's end, LaTeX takes them for its options
    body = body.replace("|", "\\textbar{}")  # in LaTeX's oldest encoding, which is its default, it is a dash
    body = body.replace("{" + "l" * columns + "}", "{" + "l" * words + "r" * (columns - words) + "}", 1)
    parts = ["\\begin{table}", "\\centering", "\\small", body, f"\\caption{{{caption}}}", f"\\label{{tab:{label}}}"]
    return "\n".join([*parts, "\\end{table}"])


def _line(row: Row) -> list[str]:
    last = row.diagnostics[-1]
    return [
        agent_of(row),
        *[percent(one["accuracy"]) for one in row.rounds],
        accuracy_interval(row).replace("-", "--"),
        _SKILL["rank"](row).replace("-", "--"),
        number(last["gap_closed"], 2),
        percent(row.final["ece"]),
        number(row.final["kl_exact"]),
    ]


def _escaped(text: str) -> str:
    r"""Return text as it stands in LaTeX.

    >>> print(_escaped(r"\input{a_b}~^|"))
    \textbackslash{}input\{a\_b\}\textasciitilde{}\textasciicircum{}\textbar{}
    """
    return "".join(ESCAPES.get(one, one) for one in text)
