"""The leaderboard as text: a table for the terminal, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.columns import CALIBRATION, NONE, SKILL, SKILL_NOTE, UPDATING, UPDATING_NOTE, Column, number, percent
from bench.reference.published import CAVEAT, SOURCE, published
from bench.standings import Row, Standings

PRIVILEGED_MARK, VERIFIED_MARK = "*", " ✓"
REFERENCE_HEADERS = ("model", "taught", "acc 1", "acc last")
REFERENCE_NOTE = f"Published, %: {SOURCE}; {CAVEAT}."
NOTE_WIDTH = 20  # so that a few rounds fit beside it


def to_terminal(standings: Standings, console: Console, reference: bool = False) -> None:
    """Print the leaderboard: for each group of comparable rows, accuracy and then calibration by round.

    ``reference``: with what was published on the domain below it.
    """
    for group in standings.groups():
        console.print(_group(group, console.width))
        if reference and (known := published(group[0].fields["domain"])):
            table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
            for header in REFERENCE_HEADERS:
                table.add_column(header, justify="left" if header in ("model", "taught") else "right")
            for one in known:
                table.add_row(*map(str, one))
            console.print(Text("Published", style="italic"), table, Text(REFERENCE_NOTE, style="dim"), sep="\n")


def to_text(standings: Standings, reference: bool = False) -> str:
    """Return what `to_terminal` prints on a page of 100 columns."""
    page = StringIO()
    to_terminal(standings, Console(file=page, width=100), reference)
    return page.getvalue()


def to_markdown(standings: Standings, reference: bool = False) -> str:
    """Return the leaderboard as Markdown tables, one a group; ``reference``: with what was published on its domain."""
    from tabulate import tabulate

    parts = []
    for group in standings.groups():
        table = tabulate(_lines(group), headers=_headers(group), tablefmt="github", disable_numparse=True)
        calibration = [Column(f"ECE {one['round']}", partial(_ece, stage)) for stage, one in enumerate(group[0].rounds)]
        further = [calibration, *[columns for _, columns in _further_tables(group)]]
        more = "".join(_further(group, columns) for columns in further) + _stated(group)
        parts.append(f"**{title_of(group)}**\n\n{table}\n\n{more}" + " ".join(_footnotes(group)))
        if reference and (known := published(group[0].fields["domain"])):
            table = tabulate(known, headers=REFERENCE_HEADERS, tablefmt="github")
            parts.append(f"Published:\n\n{table}\n\n{REFERENCE_NOTE}")
    return "\n\n".join(parts) + "\n"


def _stated(group: list[Row]) -> str:
    """Return the Markdown table of stated beliefs and what follows it; nothing where none are stated."""
    from tabulate import tabulate

    stating = [row for row in group if row.beliefs]
    stages = [one["round"] for one in group[0].rounds]
    headers = ["#", "agent", *[f"{short} {stage}" for short, _, _ in BELIEF_TABLES for stage in stages]]
    lines = [[*_name(row), *[cell for _, _, cells in BELIEF_TABLES for cell in cells(row)]] for row in stating]
    return f"{tabulate(lines, headers=headers, tablefmt='github', disable_numparse=True)}\n\n" if stating else ""


def _further(group: list[Row], columns: Sequence[Column]) -> str:
    from tabulate import tabulate

    headers = ["#", "agent", *[column.header for column in columns]]
    lines = [
        [
            str(row.fields["rank"]),
            row.fields["agent"] + PRIVILEGED_MARK * row.fields["privileged"],
            *_cells(columns, row),
        ]
        for row in group
    ]
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True) + "\n\n"


def _further_tables(group: list[Row]) -> list[tuple[str, Sequence[Column]]]:
    """Return the further tables of a group that was fitted: a title and the columns of each."""
    if all(row.skill is None for row in group):
        return []
    last = group[0].rounds[-1]["round"]
    return [
        (f"Updating, after round {last}", UPDATING),
        (f"Calibration, after round {last}", CALIBRATION),
        ("Skill model", SKILL),
    ]


def to_csv(standings: Standings) -> str:
    """Return one line for each row and round; the fields of JSON, an empty cell where an agent has none."""
    return standings.as_frame().to_csv(index=False)


def to_json(standings: Standings) -> str:
    """Return ``{"schema": 1, "rows": [...]}``."""
    return standings.as_json() + "\n"


def title_of(group: list[Row]) -> str:
    """Return what a group of comparable rows is of, in a line."""
    row = group[0].fields
    sets = _count(row["heldout"], "held-out set")
    return (
        f"{row['domain']} (version {row['domain_version']}): {_count(group[0].population, 'user')}, "
        f"{_count(len(group[0].rounds) - 1, 'round')}, {sets}, seed {row['seed']}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _headers(group: list[Row]) -> list[str]:
    stages = [f"{one['round']}" for one in group[0].rounds]
    return [
        "#",
        "agent",
        *[f"acc {stage}" for stage in stages],
        "95%",
        "agree",
        "log score",
        "Brier",
        "KL exact",
        "coverage",
        *_cost_headers(group),
    ]


def _lines(group: list[Row]) -> list[list[str]]:
    costs = _costs if _cost_headers(group) else lambda row: []
    return [[*_name(row), *_accuracies(row), accuracy_interval(row), *_scores(row), *costs(row)] for row in group]


def _group(group: list[Row], width: int) -> RenderableType:
    names = max(len(line) for row in group for line in _name(row, below=True)[1].splitlines())
    fitting = max(1, (width - names - 20) // 6)  # a stage takes 6 columns; rank, interval and edges 20
    stages = [f"{one['round']}" for one in group[0].rounds]
    parts: list[RenderableType] = [Text(f"\n{title_of(group)}", style="bold")]
    for title, cells in (("Accuracy, % after round", _accuracies), ("Calibration error (ECE), % after round", _eces)):
        for first in range(0, len(stages), fitting):
            shown = slice(first, first + fitting)
            last = title.startswith("Accuracy") and first + fitting >= len(stages)
            parts.append(_table(group, title, stages[shown] + ["95%"] * last, partial(_shown, cells, shown, last)))
    after = f"After round {stages[-1]}"
    parts.append(_table(group, after, ["agree, %", "log score", "Brier", "KL exact", "coverage, %"], _scores))
    stating = [row for row in group if row.beliefs]
    for _, title, beliefs in BELIEF_TABLES if stating else ():
        for first in range(0, len(stages), fitting):
            shown = slice(first, first + fitting)
            parts.append(_table(stating, title, stages[shown], partial(_shown, beliefs, shown, False)))
    for title, columns in _further_tables(group):
        cells = partial(_cells, columns)
        parts.append(_table(group, title, [column.header for column in columns], cells))
    if _cost_headers(group):
        counted = [row for row in group if row.tokens is not None]
        parts.append(_table(counted, "What all answers took", _cost_headers(group), _costs))
    return Group(*parts, *[Text(note, style="dim") for note in _footnotes(group)])


def _cells(columns: Sequence[Column], row: Row) -> list[str]:
    return [column.cell(row) for column in columns]


def _shown(cells: Callable[[Row], list[str]], shown: slice, interval: bool, row: Row) -> list[str]:
    return cells(row)[shown] + [accuracy_interval(row)] * interval


def _table(group: list[Row], title: str, headers: list[str], cells: Callable[[Row], list[str]]) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("#", justify="right")
    table.add_column("agent", no_wrap=True)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for row in group:
        table.add_row(*[Text(cell) for cell in (*_name(row, below=True), *cells(row))])
    return Group(Text(title, style="italic"), table)  # a title of the table's own would wrap at its width


def _name(row: Row, below: bool = False) -> list[str]:
    """Return the rank and the name of a row, its note in brackets or on lines below."""
    mark = PRIVILEGED_MARK * row.fields["privileged"] + VERIFIED_MARK * row.verified
    lines = wrap(row.note or "", NOTE_WIDTH) if below else [f"({row.note})"] if row.note else []
    return [str(row.fields["rank"]), ("\n  " if below else " ").join([f"{row.fields['agent']}{mark}", *lines])]


def _accuracies(row: Row) -> list[str]:
    return [percent(one["accuracy"]) for one in row.rounds]


def accuracy_interval(row: Row) -> str:
    """Return the 95% interval of the accuracy after the last round, in percent."""
    return f"{100 * row.final['accuracy_lo']:.1f}-{100 * row.final['accuracy_hi']:.1f}"


def _eces(row: Row) -> list[str]:
    return [_ece(stage, row) for stage in range(len(row.rounds))]


def _ece(stage: int, row: Row) -> str:
    return percent(row.rounds[stage]["ece"])


def _scores(row: Row) -> list[str]:
    final = row.final
    scores = [number(final[name]) for name in ("log_score", "brier", "kl_exact")]
    return [percent(final["agreement"]), *scores, percent(final["coverage"])]


def _cost_headers(group: list[Row]) -> list[str]:
    return ["tokens", "time"] if any(row.tokens is not None for row in group) else []


def _costs(row: Row) -> list[str]:
    return [NONE if row.tokens is None else f"{row.tokens:,}", NONE if row.seconds is None else duration(row.seconds)]


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(0.25), duration(75), duration(7260)
    ('0.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _belief(name: str, row: Row) -> list[str]:
    return [percent(one[name]) for one in row.beliefs or ()]


BELIEF_TABLES: tuple[tuple[str, str, Callable[[Row], list[str]]], ...] = (
    ("beliefs", "Stated beliefs: distance to the exact ones, % after round", partial(_belief, "distance")),
    ("implied acc", "Accuracy of what stated beliefs imply, % after round", partial(_belief, "accuracy")),
    ("consistent", "Choices that stated beliefs imply, % after round", partial(_belief, "consistency")),
    ("stated", "Questions about the user with a usable answer, % after round", partial(_belief, "coverage")),
)
"""A short name, a title and the cells of each table of stated beliefs (`bench.beliefs`)."""


def _footnotes(group: list[Row]) -> list[str]:
    notes = [
        f"95%: interval of the accuracy after the last round, clustered by user. "
        f"agree: share of answers that are the exact answer's (rule: {group[0].fields['agreement_rule']}). "
        "log score and KL exact in nats an answer, lower is better. ECE of few answers is mostly noise: that of the "
        "exact answer, which is calibrated where users are as its model says, shows how much."
    ]
    if _further_tables(group):
        notes += [UPDATING_NOTE, SKILL_NOTE]
    if group[0].exact_answer:
        notes.append(f"The exact answer: {group[0].exact_answer}.")
    if any(row.fields["privileged"] for row in group):
        notes.append(f"{PRIVILEGED_MARK} is told the truth about the users.")
    if any(row.verified for row in group):
        notes.append(
            f"{VERIFIED_MARK.strip()} is published, and nothing of it was changed since (`beliefbench verify`)."
        )
    if not all(row.fields["probabilistic"] for row in group):
        notes.append(f"{NONE}: the agent only chooses and states no probabilities.")
    if any(one["coverage"] < 1 for row in group for one in row.rounds):
        notes.append("An answer that cannot be used (coverage) counts as wrong, and as a third for each option.")
    if any(row.fields["users"] < row.population for row in group):
        notes.append("N of M users: a random sample, asked until the 95% interval was narrow enough.")
    if _cost_headers(group):
        notes.append(
            "tokens: read and written; a server counts the conversation with each question, a model on this machine "
            "reads it once and does not count it. time: spent in answers, in all sittings."
        )
    if any(row.beliefs for row in group):
        notes.append("Stated beliefs: usable answers to the questionnaire about the user; distance: total variation.")
    return notes
