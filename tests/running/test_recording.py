"""What run.json says of its sessions: servers that answered, and code that was another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from beliefbench.running import recording
from beliefbench.running.recording import changed_code, elsewhere
from beliefbench.running.store import RunRecord, Session


def record(*sessions: dict[str, dict[str, str]]) -> RunRecord:
    first, *rest = [Session(started="", versions={}, **{"machine": {}, **one}) for one in sessions]
    return RunRecord.model_construct(machine=first.machine, code=first.code, resumed=rest)


def on(*servers: str | None) -> RunRecord:
    return record(*({"machine": {} if one is None else {"server": one}} for one in servers))


def job(server: str | None = None) -> SimpleNamespace:
    agent = SimpleNamespace(name="asker") if server is None else SimpleNamespace(name="asker", server=server)
    return SimpleNamespace(agent=agent, domain=SimpleNamespace(name="d"), specs=None)


@pytest.mark.parametrize(
    ("servers", "now", "other"),
    [
        ((None,), None, None),
        (("b",), "b", None),
        (("b", "b"), "b", None),
        (("b",), "a", "b"),
        (("b",), "c", "b"),
        (("b",), None, "b"),
        ((None, "b"), "b", None),
        (("b", "a"), "b", "a"),
        (("b", "c", "a"), "b", "c"),
    ],
)
def test_elsewhere_is_a_server_that_answered_and_is_not_the_one_of_now(servers, now, other):
    assert elsewhere(on(*servers), job(now)) == other


@pytest.mark.parametrize(
    ("codes", "now", "what"),
    [
        ([{"domain": "x", "agent": "y"}], {"domain": "x", "agent": "y"}, None),
        ([{}], {"domain": "x"}, None),  # an earlier version kept none
        ([{"domain": "x"}], {}, None),  # it can no longer be read
        ([{"domain": "x"}, {"domain": "z"}], {"domain": "x"}, "domain 'd'"),
        ([{"domain": "x", "agent": "y"}], {"domain": "z", "agent": "y"}, "domain 'd'"),
        ([{"domain": "x", "agent": "y"}], {"domain": "x", "agent": "z"}, "agent 'asker'"),
        ([{"domain": "x", "agent": "y"}], {"domain": "z", "agent": "z"}, "domain 'd' and agent 'asker'"),
        ([{"agent": f"{recording.OWN}1"}], {"agent": f"{recording.OWN}2"}, None),  # its version says so
        ([{"agent": f"{recording.OWN}1"}], {"agent": "plugin"}, "agent 'asker'"),
        ([{"agent": "plugin"}], {"agent": f"{recording.OWN}1"}, "agent 'asker'"),
    ],
)
def test_code_that_was_another_in_any_session_is_named(monkeypatch, codes, now, what):
    monkeypatch.setattr(recording, "_code", lambda job: now)
    said = changed_code(Path("folder"), record(*({"code": one} for one in codes)), job())
    assert said == (
        what
        and f"folder was asked with other code of {what}: if the change matters, raise the version in the plugin, or "
        "remove this folder to ask again."
    )
