"""What docs/students.md and docs/teaching.md say of the teachers and kinds of transfer: the published answers agree."""

import csv
import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
READERS = ROOT / "results" / "teaching" / "readers"
TEACHERS = ("posterior", "bayesian", "oracle")
AGENTS = {
    "flights alone": {teacher: f"{teacher}-taught" for teacher in TEACHERS},
    "synthetic, one core": {teacher: f"prompted:{teacher}" for teacher in TEACHERS},
    "synthetic, a GPU": {"posterior": "posterior-reader"},
    "synthetic, a GPU, then flights": {teacher: f"prompted:then-flights-{teacher}" for teacher in TEACHERS},
}
GROUPS = [
    ["flights"],
    ["flights-3"],
    ["flights-8"],
    ["hotels"],
    ["webshop-backpacks", "webshop-headphones", "webshop-yoga-mats"],
    ["restaurants"],
]
SHOWN = (0, 306, 612, 918, 1224, 1512)
"""Steps of 16 interactions."""


def answers():
    """The figures after the last round by agent and domain."""
    with (READERS / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {(row["agent"], row["domain"]): row for row in rows if row["round"] == "5"}


def means(found, agent, domains, *names):
    """Metrics of each domain, float[names, domains]: NaN where there is none, None in all if one was not asked."""
    if any((agent, domain) not in found for domain in domains):
        return None
    return [np.array([float(found[agent, domain][name] or "nan") for domain in domains]) for name in names]


def closed(found, agent, domains):
    """The share of the distance that is closed, in %, with its interval; without one where there are few users."""
    if (known := means(found, agent, domains, "gap_closed", "gap_closed_lo", "gap_closed_hi")) is None:
        return "-"
    share, low, high = known
    mean, half = 100 * share.mean(), 100 * np.sqrt((((high - low) / 2) ** 2).sum()) / len(domains)
    if np.isnan(half):
        return f"{round(mean)}"
    return f"{round(mean)} ({round(mean - half)} to {round(mean + half)})"


def others(found, agent, domains):
    """Agreement and ECE in %, KL in nats."""
    if (known := means(found, agent, domains, "agreement", "ece", "kl_exact")) is None:
        return "-"
    agreement, ece, kl = (one.mean() for one in known)
    return f"{100 * agreement:.0f}, {100 * ece:.1f}, {kl:.2f}"


def lines():
    """The rows of the two tables."""
    found = answers()
    for written in (closed, others):
        for kind, agents in AGENTS.items():
            for teacher, agent in agents.items():
                cells = [written(found, agent, domains) for domains in GROUPS]
                yield f"| {' | '.join([kind, teacher, *cells])} |"
    yield f"| the exact answer | | {' | '.join(others(found, 'bayesian', domains) for domains in GROUPS)} |"


def curves():
    """The rows of the learning curves on one core: agreement in %, KL in nats, on synthetic domains never taught."""
    found = {}
    for teacher in TEACHERS:
        with (READERS / f"{teacher}-one-core" / "validation.jsonl").open() as file:
            found[teacher] = {row["step"]: row for row in map(json.loads, file)}
    for step in SHOWN:
        figures = [found[teacher][step] for teacher in TEACHERS]
        cells = [f"{100 * one['agreement']:.0f}, {one['kl_exact']:.2f}" for one in figures]
        yield f"| {' | '.join([f'{16 * step:,}', *cells])} |"


def told():
    """The phrases of docs/teaching.md, as the published answers have them."""
    found = answers()

    def on(agent, domains=("hotels",)):
        return closed(found, agent, domains).replace(" (", "% (")

    yield f"on flights alone closes {on('posterior-taught')} on hotels"
    for teacher, agent in AGENTS["synthetic, one core"].items():
        yield f"`{teacher}` {on(agent)} and {on(agent, GROUPS[4])}"
    of = AGENTS["synthetic, a GPU, then flights"]
    before, *after = (on(agent).split(" ")[0] for agent in ("posterior-reader", *of.values()))
    yield f"closes {min(after)} to {max(after)} on hotels whoever the teacher is ({before} before)"
    eces = {teacher: others(found, of[teacher], ["flights-8"]).split(", ")[1] for teacher in TEACHERS}
    yield f"(an ECE of {eces['bayesian']}% on flights-8, and {eces['posterior']}% by `posterior`)"


def test_the_answers_say_what_the_documentation_tells():
    text = " ".join((ROOT / "docs" / "teaching.md").read_text().split())
    assert [one for one in told() if one not in text] == []


def test_the_documentation_has_the_tables():
    text = (ROOT / "docs" / "students.md").read_text()
    expected = [*lines(), *curves()]
    assert len(expected) == 27
    assert [one for one in expected if one not in text] == []
