"""The leaderboard as one HTML page that needs no network: a tab a domain, and a page an agent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from beliefbench.errors import printable
from beliefbench.leaderboard.comparing import matrix_of
from beliefbench.leaderboard.forms.cells import BELIEF_TABLES, SAMPLE_NOTE, STANDINGS, reproductions
from beliefbench.leaderboard.naming import group_names, slugs_of
from beliefbench.leaderboard.overview import gap_closed, overview_of
from beliefbench.leaderboard.page.columns import Column, rank, sections
from beliefbench.leaderboard.page.drawing import drawn
from beliefbench.leaderboard.page.pictures import exact_curve
from beliefbench.leaderboard.page.samples import domains_of, samples_of
from beliefbench.leaderboard.page.styles import interval, number, percent, styles_of
from beliefbench.leaderboard.ranking import Leaderboard
from beliefbench.leaderboard.reference.published import CAVEAT, SOURCE, published
from beliefbench.leaderboard.row import BOUNDED, BOUNDED_NOTE, DOUBTFUL, UNMARKED, Row, Standing, blocks_of, sound
from beliefbench.publishing.evidence import command_of
from beliefbench.skill.learning import Curve

WORDS = {
    Standing.doubtful: "doubtful",
    Standing.unknown: "",
    Standing.intact: "intact",
    Standing.claimed: "said to be reproduced",
    Standing.reproduced: "reproduced",
}
MOST_PAIRED = 12
"""Rows of a domain that are compared with each other on the page."""
TEMPLATES = Path(__file__).parent / "templates"


def to_html(board: Leaderboard, reference: bool = False) -> str:
    """Return the leaderboard as one self-contained HTML page.

    What the skill model says is shown where ``board`` has it (`Leaderboard.with_skill`); ``reference``: with what
    was published on a domain below its rows.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, interval=interval, breakable=_breakable)
    told = _Page(board, reference).told()
    # Files of this package.
    style, script = (Markup((TEMPLATES / f"page.{kind}").read_text("utf-8")) for kind in ("css", "js"))  # nosec B704
    return environment.get_template("page.html").render(**told, style=style, script=script)


def _shown(value: Any) -> Any:
    """Return a value as a template shows it: text without control characters."""
    return printable(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """Return a name that may be broken after a colon or a slash, and not inside a word where this is enough.

    >>> _breakable("prompted:org/model")
    Markup('prompted:<wbr>org/<wbr>model')
    """
    escaped = escape(printable(name, keep="\n\t"))
    return Markup(re.sub(r"(?<=[:/])", "<wbr>", escaped))  # nosec B704


class _Page:
    """What the templates show of a leaderboard."""

    def __init__(self, board: Leaderboard, reference: bool) -> None:
        self.board, self.reference = board, reference
        self.groups = board.groups()
        self.agents = list(dict.fromkeys(row.fields["agent"] for row in board.rows))
        self.anchors = dict(zip(self.agents, (f"agent-{slug}" for slug in slugs_of(self.agents)), strict=True))
        self.styles = styles_of(row.label for group in self.groups for row in group)
        self.titles = group_names(self.groups)
        self.tabs = [f"domain-{slug}" for slug in slugs_of(self.titles)]
        self.domains = domains_of(group[0].record.identity.domain.name for group in self.groups)
        self.exact = [exact_curve(sound(group) or group) for group in self.groups]

    def told(self) -> dict[str, Any]:
        rows = self.board.rows
        with drawn(self.groups, self.tabs, self.styles) as pictures:
            agents = [self.agent(name) for name in self.agents]  # meanwhile
            domains = [self.domain(place, pictures[place]()) for place in range(len(self.groups))]
        return {
            "domains": domains,
            "overview": self.overview() if len(self.groups) > 1 else None,
            "agents": agents,
            "columns": _meanings(self.groups),
            "problems": self.board.problems,
            "source": f"{SOURCE}; {CAVEAT}.",
            "different_domains": len(self.domains),
            "runs": len(rows),
            "finished": max((row.record.finished or "" for row in rows), default=""),
            "versions": sorted({row.record.versions.get("beliefbench", "") for row in rows} - {""}),
        }

    def domain(self, place: int, pictures: list[dict[str, Any]]) -> dict[str, Any]:
        group, title, anchor = self.groups[place], self.titles[place], self.tabs[place]
        known = [(row.label, row.skill) for row in group if row.skill is not None]
        fields = group[0].fields
        return {
            "title": title,
            "anchor": anchor,
            "name": fields["domain"],
            "version": fields["domain_version"],
            "asked": _asked(group),
            "rounds": len(group[0].rounds) - 1,
            "sections": sections(group),
            "blocks": [(heading, [self.line(row) for row in rows]) for heading, rows in blocks_of(group)],
            "unmarked": UNMARKED in dict(blocks_of(group)),
            "exact": self.exact[place],
            "exact_answer": group[0].exact_answer,
            "privileged": any(row.fields["privileged"] for row in group),
            "fitted": bool(known),
            "bounded": BOUNDED_NOTE if any(BOUNDED in (row.note or "") for row in group) else "",
            "partial": SAMPLE_NOTE if any(row.fields["users"] < row.population for row in group) else "",
            "standings": _standings(group),
            "reproductions": reproductions(group),
            "beats": [(label, skill.beats) for label, skill in known],
            "curves": [(label, _curves(skill.curves)) for label, skill in known if skill.curves],
            "beliefs": _beliefs(group),
            "pairs": _pairs(group, self.anchors),
            "pictures": pictures,
            "published": published(fields["domain"]) if self.reference else [],
            "parameters": _short_json(group[0].record.identity.domain.parameters),
        }

    def line(self, row: Row) -> dict[str, Any]:
        return {
            "row": row,
            "rank": rank(row),
            "agent": row.label,
            "anchor": self.anchors[row.fields["agent"]],
            "note": row.note,
            "privileged": row.fields["privileged"],
            "standing": WORDS[row.standing],
            "colour": self.styles[row.label].number,
            "problems": row.skill.problems if row.skill else [],
        }

    def overview(self) -> dict[str, Any]:
        """Return the accuracy after the last round of all agents on all domains (`overview_of`)."""
        agents = overview_of(self.groups)
        lines = [
            {
                "agent": one.agent,
                "anchor": self.anchors[one.agent],
                "rows": [next((row for row in group if row.folder in one.folders), None) for group in self.groups],
                "mean": gap_closed(one),
                "domains": one.domains,
                "everywhere": one.everywhere,
                "privileged": one.privileged,
                "standing": WORDS[one.standing],
                "counts_as": one.standing_of_mean,
                "problems": [],  # they belong to a domain
            }
            for one in agents
        ]
        blocks = []
        for heading, some in blocks_of(lines, itemgetter("counts_as")):
            doubtful = heading == DOUBTFUL
            whole = [line for line in some if line["everywhere"] or doubtful]
            partial = [line for line in some if not line["everywhere"] and not doubtful]
            blocks += [(heading, whole)] if whole or heading else []
            blocks += [("on some domains only", partial)] if partial else []
        return {
            "domains": list(zip(self.titles, self.tabs, strict=True)),
            "exact": [curve[-1] for curve in self.exact],
            "privileged": any(line["privileged"] for line in lines),
            "standings": _standings(row for one in agents for row in (*one.rows, *one.doubtful)),
            "whole": all(line["everywhere"] for line in lines if line["counts_as"] != Standing.doubtful),
            "blocks": blocks,
        }

    def agent(self, name: str) -> dict[str, Any]:
        runs = [
            {
                "row": row,
                "title": title,
                "tab": tab,
                "rank": rank(row),
                "of": sum(other.fields["rank"] is not None for other in group),
                "standing": WORDS[row.standing],
                **_provenance(row),
            }
            for group, title, tab in zip(self.groups, self.titles, self.tabs, strict=True)
            for row in group
            if row.fields["agent"] == name
        ]
        rows: list[Row] = [run["row"] for run in runs]
        samples, problems = samples_of(rows, self.domains)
        return {
            "name": name,
            "anchor": self.anchors[name],
            "notes": list(dict.fromkeys(row.note for row in rows if row.note)),
            "privileged": any(row.fields["privileged"] for row in rows),
            "probabilistic": all(row.fields["probabilistic"] for row in rows),
            "version": ", ".join(dict.fromkeys(row.record.agent.version for row in rows)),
            "runs": runs,
            "samples": samples,
            "problems": problems,
        }


def _standings(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return the words of runs, each with what it means."""
    found = {row.standing for row in rows}
    said = {one: meaning.removeprefix(f"{WORDS[one]}: ").replace("`", "") for one, meaning in STANDINGS.items()}
    return [(WORDS[one], meaning) for one, meaning in said.items() if one in found]


def _asked(group: list[Row]) -> str:
    fields = group[0].fields
    counts = (
        (group[0].population, "user"),
        (len(group[0].rounds) - 1, "round"),
        (fields["heldout"], "held-out set"),
    )
    told = ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counts)
    return f"{told}, seed {fields['seed']}"


def _curves(curves: dict[str, Curve]) -> list[tuple[str, Curve, bool]]:
    """Return curves with their names, and which of them predicts best."""
    best = max(curves, key=lambda name: curves[name].elpd_difference)
    return [(name, curve, name == best) for name, curve in curves.items()]


def _beliefs(group: list[Row]) -> list[dict[str, Any]]:
    stating = [row for row in group if row.beliefs]
    if not stating:
        return []
    return [{"title": title, "rows": [(row.label, cells(row)) for row in stating]} for _, title, cells in BELIEF_TABLES]


def _pairs(group: list[Row], anchors: dict[str, str]) -> dict[str, Any] | None:
    """Return the differences of accuracies of each two rows, of the first `MOST_PAIRED`; None if there is no pair."""
    shown = group[:MOST_PAIRED]
    if len(shown) < 2:
        return None
    lines = [
        (row.label, anchors[row.fields["agent"]], cells) for row, cells in zip(shown, matrix_of(shown), strict=True)
    ]
    return {"labels": [row.label for row in shown], "lines": lines, "left_out": len(group) - len(shown)}


def _provenance(row: Row) -> dict[str, Any]:
    record = row.record
    settings = {name: value for name, value in record.identity.agent.items() if name not in ("name", "version")}
    return {
        "command": command_of(record),
        "settings": [
            (name, value if isinstance(value, str) else _short_json(value)) for name, value in settings.items()
        ],
        "facts": [
            ("run", "/".join(row.folder.parts[-3:])),
            ("key", record.key),
            ("started", record.started),
            ("finished", record.finished or ""),
            *([("signed", f"with {row.signer.words()}")] if row.signer else []),
            *(("reproduced", claim.sentence()) for claim in row.claims if row.intact),
            ("sessions", str(1 + len(record.resumed))),
            ("machine", ", ".join(f"{name} {value}" for name, value in record.machine.items())),
            ("versions", ", ".join(f"{name} {value}" for name, value in record.versions.items())),
        ],
    }


def _meanings(groups: Sequence[list[Row]]) -> list[Column]:
    """Return the columns of all groups that are to be explained, each once."""
    columns = [column for group in groups for section in sections(group) for column in section.columns]
    return list({column.head: column for column in columns if column.meaning}.values())


def _short_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
