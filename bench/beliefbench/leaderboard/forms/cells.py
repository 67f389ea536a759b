"""The cells of the tables for terminals, Markdown and LaTeX, and the notes below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from beliefbench.intervals import FEWEST
from beliefbench.leaderboard.forms.columns import (
    CALIBRATION,
    NEAR_NOTE,
    NONE,
    SKILL,
    SKILL_NOTE,
    UPDATING,
    UPDATING_NOTE,
    Column,
    number,
    percent,
)
from beliefbench.leaderboard.reference.published import CAVEAT, SOURCE
from beliefbench.leaderboard.row import BOUNDED, BOUNDED_NOTE, UNMARKED, Row, Standing, blocks_of

PRIVILEGED_MARK = "*"
MARKS = {
    Standing.doubtful: " ✗",
    Standing.unknown: "",
    Standing.intact: " ○",
    Standing.claimed: " ◐",
    Standing.reproduced: " ●",
}
"""The mark behind the name of a run; they have the same width."""
SAMPLE_NOTE = (
    "N of M users: the agent was asked about a random sample of the users. Accuracies of different users have no "
    "order, so a row with fewer users than others has no rank."
)
REFERENCE_HEADERS = ("model", "taught", "acc 1", "acc last")
REFERENCE_NOTE = f"Published, %: {SOURCE}; {CAVEAT}."
SCORE_HEADERS = ("agree, %", "log score", "Brier", "KL exact", "coverage, %")


STANDINGS = {
    Standing.doubtful: "doubtful: `beliefbench verify` found here that a check fails, or that the answers are not what "
    "honest runs look like; the note of the run says why. It has no rank, and counts for no mean, for no other "
    "run, and not for the skill model.",
    Standing.intact: "intact: the run is published, and `beliefbench verify` found here that its files, metrics and "
    "seed agree with each other. Anybody can make such files with any answers.",
    Standing.claimed: "intact, and said to be reproduced: a person says, below, that they asked the same agent again. "
    "Anybody can write this.",
    Standing.reproduced: "intact and reproduced: a person, named below, whose key is trusted here, asked the same "
    "agent again.",
}


def standings(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return the marks of rows, each with what it means."""
    found = {row.standing for row in rows}
    return [(MARKS[one].strip(), meaning) for one, meaning in STANDINGS.items() if one in found]


def reproductions(group: Sequence[Row]) -> list[str]:
    """Return what the records beside the runs of a group say of asking their agents again, a sentence each."""
    return [f"{row.label} is {claim.sentence()}" for row in group if row.intact for claim in row.claims]


def title_of(group: list[Row]) -> str:
    """Return the title of a group of comparable rows, one line."""
    row = group[0].fields
    sets = _count(row["heldout"], "held-out set")
    return (
        f"{row['domain']} (version {row['domain_version']}): {_count(group[0].population, 'user')}, "
        f"{_count(len(group[0].rounds) - 1, 'round')}, {sets}, seed {row['seed']}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def agent_of(row: Row) -> str:
    """Return a row's label, with a mark if its agent sees the users' true preferences."""
    return row.label + PRIVILEGED_MARK * row.fields["privileged"]


def rank_of(row: Row) -> str:
    """Return a row's rank, or `NONE`."""
    rank = row.fields["rank"]
    return NONE if rank is None else str(rank)


def accuracies(row: Row) -> list[str]:
    """Return the accuracy after each round, in percent."""
    return [percent(one["accuracy"]) for one in row.rounds]


def accuracy_interval(row: Row) -> str:
    """Return the 95% interval of the accuracy after the last round, in percent."""
    low, high = row.final["accuracy_lo"], row.final["accuracy_hi"]
    return NONE if low is None else f"{percent(low)}-{percent(high)}"


def eces(row: Row) -> list[str]:
    """Return the calibration error after each round, in percent."""
    return [percent(one["ece"]) for one in row.rounds]


def scores(row: Row) -> list[str]:
    """Return the cells under `SCORE_HEADERS`, after the last round."""
    final = row.final
    scores = [number(final[name]) for name in ("log_score", "brier", "kl_exact")]
    return [percent(final["agreement"]), *scores, percent(final["coverage"])]


def cost_headers(group: list[Row]) -> list[str]:
    """Return the headers of `costs`; none if no agent counts tokens."""
    return ["tokens", "time"] if any(row.tokens is not None for row in group) else []


def costs(row: Row) -> list[str]:
    """Return the cells under `cost_headers`: what all answers of a run took."""
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
    ("beliefs", "Stated beliefs: distance from the exact beliefs, % after round", partial(_belief, "distance")),
    ("implied acc", "Accuracy that the stated beliefs imply, % after round", partial(_belief, "accuracy")),
    ("consistent", "Share of choices that the stated beliefs imply, % after round", partial(_belief, "consistency")),
    ("stated", "Questions about the user with a usable answer, % after round", partial(_belief, "coverage")),
)
"""A short name, a title and the cells of each table of stated beliefs (`beliefbench.scoring.beliefs`)."""


def diagnostic_columns(group: list[Row]) -> list[tuple[str, Sequence[Column]]]:
    """Return the further tables of a group that was fitted: a title and the columns of each."""
    if all(row.skill is None for row in group):
        return []
    last = group[0].rounds[-1]["round"]
    return [
        (f"Updating, after round {last}", UPDATING),
        (f"Calibration, after round {last}", CALIBRATION),
        ("Skill model", SKILL),
    ]


def cells_of(columns: Sequence[Column], row: Row) -> list[str]:
    """Return a row's cells under columns."""
    return [column.cell(row) for column in columns]


def footnotes(group: list[Row], escaped: Callable[[str], str] = str) -> list[str]:
    """Return the notes below the tables of a group; ``escaped``: how a form shows text of a domain."""
    notes = [
        f"95%: confidence interval of the accuracy after the last round, clustered by user. There is none with fewer "
        f"than {FEWEST} users, {NEAR_NOTE}.",
        f"agree: share of answers that name the exact answer's option (rule: {group[0].fields['agreement_rule']}).",
        "log score and KL exact: nats per answer, lower is better.",
        "ECE: with few answers it is mostly noise. Compare it with the ECE of `bayesian`, which is calibrated if the "
        "users choose as the exact answer assumes.",
    ]
    if diagnostic_columns(group):
        notes += [UPDATING_NOTE, SKILL_NOTE]
    if group[0].exact_answer:
        notes.append(f"The exact answer: {escaped(group[0].exact_answer)}.")
    if any(row.fields["privileged"] for row in group):
        notes.append(f"{PRIVILEGED_MARK}: the agent sees the users' true preferences.")
    notes += [f"{mark}: {meaning}" for mark, meaning in standings(group)]
    if UNMARKED in dict(blocks_of(group)):
        notes.append(f"Ranks count all rows that have one, also those that are {UNMARKED}.")
    if not all(row.fields["probabilistic"] for row in group) or diagnostic_columns(group):
        notes.append(f"{NONE}: not available. An agent that only chooses has no probabilities.")
    if any(one["coverage"] < 1 for row in group for one in row.rounds):
        notes.append("An unusable answer (coverage below 100%) counts as wrong, with probability 1/3 for each option.")
    if any(row.fields["users"] < row.population for row in group):
        notes.append(SAMPLE_NOTE)
    if any(BOUNDED in (row.note or "") for row in group):
        notes.append(BOUNDED_NOTE)
    if cost_headers(group):
        notes.append(
            "tokens: read and written. A server counts the whole conversation with each question. A model on this "
            "machine reads the conversation once, and only the tokens of questions and answers are counted. time: "
            "that all answers took, in all sessions."
        )
    if any(row.beliefs for row in group):
        notes.append("Stated beliefs: usable answers to the questionnaire about the user. distance: total variation.")
    return notes
