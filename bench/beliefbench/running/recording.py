"""What run.json says of a run when it begins, and when it goes on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from beliefbench.folders import well_formed
from beliefbench.plugins.code import OWN, code_of
from beliefbench.running.answering import Job
from beliefbench.running.contract import note_of
from beliefbench.running.executors.base import Executor
from beliefbench.running.provenance import installed_versions, now
from beliefbench.running.store import SCHEMA, AgentRecord, RunIdentity, RunRecord, Session, run_key


def new_record(identity: RunIdentity, job: Job, executor: Executor) -> RunRecord:
    """Return the record of a run that begins."""
    agent = job.agent
    return RunRecord(
        schema_version=SCHEMA,
        key=run_key(identity.json_values()),
        identity=identity,
        agent=AgentRecord(
            name=well_formed(agent.name),
            version=agent.version,
            probabilistic=agent.probabilistic,
            privileged=agent.privileged,
            note=note_of(agent),
        ),
        spec=well_formed(job.specs[1]) if job.specs else None,
        **_session(job, executor).model_dump(),
    )


def resumed(record: RunRecord, job: Job, executor: Executor) -> RunRecord:
    """Return the record of a run that goes on, in a new session."""
    return record.model_copy(update={"finished": None, "resumed": [*record.resumed, _session(job, executor)]})


def elsewhere(record: RunRecord, job: Job) -> str | None:
    """Return the server that answered some of a run, if the agent's server is another one now."""
    servers = [session.machine.get("server") for session in (record, *record.resumed)]
    return next((one for one in servers if one and one != getattr(job.agent, "server", None)), None)


def changed_code(folder: Path, record: RunRecord, job: Job) -> str | None:
    """Return a sentence on the run in a folder, if a plugin's code is not that of each of its sessions."""
    now, sessions = _code(job), (record, *record.resumed)
    changed = [
        f"{what} '{getattr(job, what).name}'"
        for what, code in now.items()
        if any(_differ(session.code.get(what, code), code) for session in sessions)
    ]
    if not changed:
        return None
    return (
        f"{folder} was asked with other code of {' and '.join(changed)}: if the change matters, raise the version in "
        "the plugin, or remove this folder to ask again."
    )


def _differ(one: str, other: str) -> bool:
    """Return True if two codes differ; what comes with this package says by its own versions whether it changed."""
    return one != other and not (one.startswith(OWN) and other.startswith(OWN))


def _code(job: Job) -> dict[str, str]:
    domain_spec, agent_spec = job.specs or (None, None)
    found = {
        "domain": code_of("domain", job.domain, domain_spec),
        "agent": code_of("agent", job.agent, agent_spec),
    }
    return {what: code for what, code in found.items() if code is not None}


def _session(job: Job, executor: Executor) -> Session:
    machine = {"system": platform.platform(), "processor": platform.machine(), "cores": str(os.cpu_count())}
    machine["executor"] = executor.name
    if server := getattr(job.agent, "server", None):
        machine["server"] = server
    return Session(started=now(), versions=installed_versions(), machine=machine, code=_code(job))
