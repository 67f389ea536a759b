"""What docs/teaching.md and docs/students.md say of the reader on domains that it was never taught: the published
answers say the same.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from beliefbench.running.store import find_runs
from beliefbench.scoring.metrics import calibration_error

RESULTS = Path(__file__).parents[2] / "results"
TITLE = re.compile(r"([a-z0-9-]+) \(version 1\): (\d+) users, 5 rounds, (\d+) held-out sets, seed 0")
READER, EXACT = "posterior-reader", "bayesian"


def tables():
    """The published tables by domain, users and sets, then by agent: its figures by the names of their columns."""
    found = {}
    for section in ("\n" + (RESULTS / "leaderboard.md").read_text()).split("\n**")[1:]:
        title, _, text = section.partition("**")
        group = TITLE.fullmatch(title)
        assert group, title
        agents = found.setdefault((group[1], int(group[2]), int(group[3])), {})
        for block in text.split("\n\n"):
            written = [line for line in block.splitlines() if line.startswith("|")]
            lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in written]
            if not lines or lines[0][:2] != ["#", "agent"]:
                continue
            for row in lines[2:]:
                agents.setdefault(row[1].split()[0], {}).update(zip(lines[0][2:], row[2:], strict=True))
    return found


def documented():
    """The rows of the table in docs/students.md, as the published tables have them."""
    for (domain, users, sets), agents in tables().items():
        if READER not in agents:
            continue
        reader, exact = agents[READER], agents[EXACT]
        figures = [
            f"{reader['acc 5']} ({reader['95%']})" if reader["95%"] != "-" else reader["acc 5"],
            f"{closed(reader).share:.0f}",
            *(reader["agree, %"], reader["ECE 5"], exact["ECE 5"], reader["KL exact"]),
        ]
        yield f"| {' | '.join([domain, str(users), str(sets), exact['acc 5'], *figures])} |"


class Closed(NamedTuple):
    """The share of the distance that is closed, and the ends of its interval, in %."""

    share: float
    low: float = np.nan
    high: float = np.nan

    def __str__(self):
        return f"{self.share:.0f}% ({self.low:.0f} to {self.high:.0f})"


def closed(reader):
    return Closed(*(100 * float(number) for number in re.findall(r"-?\d\.\d+", reader["gap closed"])))


def told():
    """The phrases of the text that tell of several domains, as the published tables have them."""
    readers = {domain: agents[READER] for (domain, *_), agents in tables().items() if READER in agents}
    shops = [one for domain, one in readers.items() if domain.startswith("webshop-")]
    flights = [one for domain, one in readers.items() if domain.startswith("flights")]
    yield f"{closed(readers['hotels'])} of the distance from chance to the exact answer on hotels"
    yield f"{closed(readers['flights-3'])} on flights-3"
    share, low, high = np.transpose([closed(one) for one in shops])
    half = np.sqrt((((high - low) / 2) ** 2).sum()) / len(shops)
    mean = Closed(share.mean(), share.mean() - half, share.mean() + half)
    yield f"{mean} on average over the 12 categories of web shopping"
    agreed = [np.mean([float(one["agree, %"]) for one in some]) for some in ([readers["hotels"]], flights, shops)]
    yield f"{agreed[0]:.0f}% of the answers on hotels"
    yield f"{agreed[1]:.0f}% on average over the flights domains, and {agreed[2]:.0f}% over web shopping"


def test_the_documentation_has_the_figures():
    expected = [*documented(), *told()]
    assert len(expected) == 25
    pages = [(RESULTS.parent / "docs" / name).read_text() for name in ("teaching.md", "students.md")]
    text = " ".join("\n".join(pages).split())
    assert [one for one in expected if one not in text] == []


def predictions(agent, domains):
    """Probabilities, choices and truths of the answers after round 5 to the reader's questions, domain by domain."""
    for reader in sorted((RESULTS / "published").glob(f"{domains}/{READER}")):
        (asked,) = (store.record().identity for store in find_runs(reader))
        for store in find_runs(reader.parent / agent):
            other = store.record().identity
            if (other.users, other.heldout) != (asked.users, asked.heldout):
                continue
            rows = store.rows().to_pandas()
            rows = rows[(rows["stage"] == 5) & (rows["question"] >= 0)]
            probs = rows[["prob_0", "prob_1", "prob_2"]].to_numpy(float)
            yield probs, rows["choice"].to_numpy(int), rows["truth"].to_numpy(int)


def answers(agent, domains):
    """Confidence in the choice, and whether it was right, domain by domain."""
    for probs, choice, truth in predictions(agent, domains):
        yield probs[np.arange(len(probs)), choice], choice == truth


@pytest.mark.parametrize(
    ("agent", "domains", "expected"),
    [(READER, "webshop-*", 0.99), (EXACT, "webshop-*", 0.79), (READER, "flights*", 2.32), (EXACT, "flights*", 1.27)],
)
def test_the_calibration_over_several_domains(agent, domains, expected):
    confidence, right = map(np.concatenate, zip(*answers(agent, domains), strict=True))
    assert 100 * calibration_error(confidence, right) == pytest.approx(expected, abs=0.005)


def at_temperature(temperature, probs):
    powers = probs ** (1 / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def test_no_temperature_of_the_other_domains_calibrates_running_shoes():
    """The temperature with the best log score on the answers of the other 19 domains, and what it leaves."""
    shoes = next(predictions(READER, "webshop-running-shoes"))
    other = [one for one in predictions(READER, "*") if not np.array_equal(one[0], shoes[0])]
    assert len(other) == 19
    probs, _, truth = map(np.concatenate, zip(*other, strict=True))

    def loss(temperature):
        return -np.log(at_temperature(temperature, probs)[np.arange(len(truth)), truth]).mean()

    fitted = minimize_scalar(loss, bounds=(0.5, 2), method="bounded").x
    assert fitted == pytest.approx(1.076, abs=0.001)
    probs, choice, truth = shoes
    confidence = at_temperature(fitted, probs)[np.arange(len(choice)), choice]
    assert 100 * calibration_error(confidence, choice == truth) == pytest.approx(5.55, abs=0.005)
