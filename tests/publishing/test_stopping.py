"""Whether a run ended where its stopping rule says, by the accuracy after the last round of those who were asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.checking.results import CheckFailedError
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.protocol.stopping import SampleOf, StoppingRule, UntilWidth, order_of_users
from beliefbench.publishing.layout import Layout
from beliefbench.publishing.recompute import Recomputed
from beliefbench.running.store import AgentRecord, RunIdentity, RunRecord

USERS, SETS = 100, 10
ALIKE, UNLIKE = np.tile([4, 6], 50), np.tile([0, 10], 50)
"""Right answers of 10, by the order in which users are asked. After 48 users, the interval of the first is .06 wide,
that of the second .29; the bounds of the tests are .2 and, after 72 users, .24."""


@pytest.fixture(scope="module")
def domain() -> bb.Domain:
    return bb.load_domain("flights-3")


def recomputed(
    domain: bb.Domain, rule: StoppingRule | None, asked: int | None, first: np.ndarray, last: np.ndarray
) -> Recomputed:
    """A run with one round, whose users have so many right answers before and after it."""
    identity = RunIdentity(
        schema=1,
        domain=domain.identity(),
        agent={},
        seed=0,
        users=USERS,
        rounds=1,
        heldout=SETS,
        stopping=None if rule is None else rule.identity(),
    )
    agent = AgentRecord(name="a", version="1", probabilistic=False, privileged=False)
    record = RunRecord(
        schema_version=1, key="k", identity=identity, agent=agent, asked=asked, versions={}, machine={}, started=""
    )
    count = asked or USERS
    layout = Layout.of_shape(count, 1, SETS)
    users = Episodes(domain, Protocol(USERS, 1, SETS)).users[order_of_users(0, domain.name, USERS)[:count]]
    right = np.where(layout.stage == 1, last[:count, None], first[:count, None])
    truth = np.where(layout.own, 1, layout.question >= right)  # the round's own set is always wrong, and does not count
    columns = {
        "user": np.repeat(users, len(layout.stage)),
        "stage": np.tile(layout.stage, count),
        "question": np.tile(layout.question, count),
        "choice": np.zeros(truth.size, int),
        "truth": truth.ravel().astype(int),
    }
    return Recomputed(record, pa.table(columns), domain)


@pytest.mark.parametrize(
    ("rule", "asked", "first", "last", "said"),
    [
        (None, None, ALIKE, UNLIKE, "all users were asked."),
        (UntilWidth(0.2), 48, UNLIKE, ALIKE, "it ended after 48 users, as its rule (width 0.2) says."),
        (UntilWidth(0.24), 72, ALIKE, UNLIKE, "it ended after 72 users, as its rule (width 0.24) says."),
        (UntilWidth(0.01), 100, ALIKE, UNLIKE, "it ended after 100 users, as its rule (width 0.01) says."),
        (SampleOf(7), 7, ALIKE, UNLIKE, "it ended after 7 users, as its rule (a sample of 7) says."),
        (SampleOf(200), 100, ALIKE, UNLIKE, "it ended after 100 users, as its rule (a sample of 200) says."),
    ],
)
def test_a_run_that_ended_by_its_rule_passes(domain, rule, asked, first, last, said):
    assert recomputed(domain, rule, asked, first, last).check_stopping() == said


@pytest.mark.parametrize(
    ("rule", "asked", "first", "last"),
    [
        (UntilWidth(0.2), 48, ALIKE, UNLIKE),  # it had to go on
        (UntilWidth(0.2), 72, UNLIKE, ALIKE),  # it had to end after 48
        (UntilWidth(0.2), 100, UNLIKE, ALIKE),
        (UntilWidth(0.2), 60, UNLIKE, ALIKE),  # it does not look after 60
        (UntilWidth(0.24), 48, ALIKE, UNLIKE),
        (UntilWidth(0.24), 100, ALIKE, UNLIKE),
        (SampleOf(7), 8, ALIKE, UNLIKE),
        (SampleOf(7), 6, ALIKE, UNLIKE),
    ],
)
def test_a_run_that_ended_elsewhere_is_named(domain, rule, asked, first, last):
    with pytest.raises(CheckFailedError, match=f"^it ended after {asked} users, which its rule .* does not allow"):
        recomputed(domain, rule, asked, first, last).check_stopping()


def test_a_rule_of_another_version_is_named(domain):
    run = recomputed(domain, UntilWidth(0.2), 48, UNLIKE, ALIKE)
    run.record.identity.stopping["first"] = 12
    with pytest.raises(CheckFailedError, match="it stopped by a rule that this version does not know"):
        run.check_stopping()
