"""No key ever changes unnoticed: runs that were published have the keys that today's domains and agents give them."""

from __future__ import annotations

from pathlib import Path

import beliefbench as bb
from beliefbench.running.answering import Job, run_identity
from beliefbench.running.store import find_runs, run_key

RESULTS = Path(__file__).parents[2] / "results" / "published"


def test_published_runs_keep_their_keys():
    different, keys = [], set()
    for store in find_runs(RESULTS):
        record = store.record()
        identity = record.identity
        domain = bb.load_domain(identity.domain.name)
        job = Job(
            domain,
            bb.load_agent(record.spec, domain),
            bb.Protocol(identity.users, identity.rounds, identity.heldout, identity.seed),
        )
        key = run_key(run_identity(job).json_values())
        keys.add(key)
        if key != record.key:
            different.append(f"{identity.domain.name} {record.agent.name}")
    assert len(keys) > 100
    assert different == []
