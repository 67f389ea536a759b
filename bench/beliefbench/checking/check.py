"""``beliefbench check NAME``: checks a domain or an agent against its contract, and writes the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from beliefbench.agent import Agent
from beliefbench.checking.agent_contract import ROUNDS, SETS, USERS, check_agent_contract
from beliefbench.checking.cross_check import cross_check
from beliefbench.checking.domain_contract import check_domain_contract
from beliefbench.checking.results import CheckResult, Evidence, evidence
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, in_short, let_pass, unknown_name
from beliefbench.folders import file_name, write_atomically
from beliefbench.plugins.names import is_domain, known_domains, load_agent, load_suite, names, spec_meant
from beliefbench.plugins.settings import parse_spec
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population
from beliefbench.running.store import prepare_results

Report = Callable[[str], None]
LONGEST = 200
"""Bytes of a name in the name of its evidence: a file system takes 255, with all endings."""


def check(name: str, *, evidence_folder: Path, report: Report) -> bool:
    """Check the domain, each domain of the suite, or the agent with a name. Return True if everything passed.

    A domain is checked against its contract and compared with its PyMC model. An agent is checked against its contract
    on the first domain that it can serve. The evidence is written to ``<evidence_folder>/<name>.json``. If a domain and
    an agent have the same name, it is written to ``<name>.domain.json`` and ``<name>.agent.json``. A file with more
    evidence on the same subject is kept (`fuller`).

    Parameters
    ----------
    name
        A domain, or an agent's SPEC.
    report
        Called with each finding as a line.

    Raises
    ------
    UsageError
        If there is no such name, the agent refuses its model or options, or the folder cannot be written.
    BeliefBenchError
        If the plugin cannot be loaded.

    >>> import tempfile
    >>> check("random", evidence_folder=Path(tempfile.mkdtemp()), report=lambda line: None)
    True
    """
    name = name.strip()
    kinds: list[Literal["domain", "agent"]] = []
    if is_domain(name):
        kinds.append("domain")
    if parse_spec(name)[0] in names("agent"):
        kinds.append("agent")
    if not kinds:
        if error := spec_meant(*parse_spec(name)):
            raise error
        raise unknown_name("domain or agent", name, sorted({*known_domains(name), *names("agent")}))
    prepare_results(evidence_folder)
    passed = True
    for kind in kinds:
        domains = load_suite(name) if kind == "domain" else ()
        work = {name if len(domains) == 1 else one.name: partial(_domain_evidence, one) for one in domains}
        for what, attempt in (work or {name: partial(_agent_evidence, name)}).items():
            if len(domains) > 1:
                report(f"--    {what}")
            found = attempt(report=report)
            file = evidence_folder / f"{file_name(what, LONGEST)}{f'.{kind}' * (len(kinds) > 1)}.json"
            if earlier := fuller(file, found):
                date = earlier.date[:10]
                report(f"--    {file} stays as it is: its evidence, of {date}, has checks that were left out now.")
            else:
                write_atomically(file, (found.model_dump_json(indent=2) + "\n").encode())
                report(f"--    evidence: {file}")
            passed = passed and found.passed
    return passed


def fuller(file: Path, found: Evidence) -> Evidence | None:
    """Return the evidence in a file if it has checks that are not in ``found``, which passed, on the same subject."""
    try:
        earlier = Evidence.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    now = Evidence.model_validate_json(found.model_dump_json())  # as it would be read again
    same = (earlier.kind, earlier.identity) == (now.kind, now.identity)
    more = {result.check for result in earlier.findings} - {result.check for result in now.findings}
    return earlier if same and more and found.passed else None


def _domain_evidence(domain: Domain, *, report: Report) -> Evidence:
    name = domain.name
    findings = check_domain_contract(domain)
    _report(findings, report)
    if not all(result.passed for result in findings):
        left_out = "exact inference was not compared with PyMC, since the contract does not hold."
        report(f"--    {left_out}")
        return evidence("domain", _identity(findings, name, domain.identity), findings, left_out=(left_out,))
    compared = cross_check(domain)
    _report(compared.findings, report)
    for sentence in compared.left_out:
        report(f"--    {sentence}")
    return compared.model_copy(update={"findings": (*findings, *compared.findings)})


def _agent_evidence(spec: str, *, report: Report) -> Evidence:
    domain, agent = _made_somewhere(spec)
    findings = check_agent_contract(agent, domain)
    _report(findings, report)
    identity = _identity(findings, spec, lambda: {"name": agent.name, "version": agent.version, **agent.identity()})
    return evidence("agent", {**identity, "domain": domain.identity()}, findings)


def _made_somewhere(spec: str) -> tuple[Domain, Agent]:
    """Return the first domain that an agent can serve, and the agent; if there is none, raise the first refusal.

    Broken domains are skipped. If no other domain fits, the error of the broken domain is raised.
    """
    refusal: BeliefBenchError | None = None
    for name in names("domain"):
        try:
            domain = load_suite(name)[0]
        except BeliefBenchError:
            continue
        try:
            agent = load_agent(spec, domain)
        except BeliefBenchError as error:
            refusal = refusal or error
            continue
        try:
            _use(domain)
            return domain, agent
        except BeliefBenchError as error:
            refusal = error
    raise refusal or BeliefBenchError(f"there is no domain to try agent '{spec}' on; install one.")


def _use(domain: Domain) -> None:
    """Raise `BeliefBenchError` if a domain breaks when it is used for an agent."""
    try:  # as the agent's contract will, so that what is compiled is used again
        protocol = Protocol(users=min(USERS, population(domain)), rounds=ROUNDS, heldout=SETS)
        domain.describe(Episodes(domain, protocol).options[0, 0, 0])
    except BaseException as error:  # a plugin's domain may raise anything
        let_pass(error)
        raise BeliefBenchError(f"domain '{domain.name}' cannot be used: {in_short(error)}.") from error


def _identity(findings: list[CheckResult], name: str, identity: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the subject of a check as JSON values: its identity if that is valid, otherwise the name."""
    sound = any(result.check == "identity" and result.passed for result in findings)
    return dict(identity()) if sound else {"name": name}


def _report(findings: Iterable[CheckResult], report: Report) -> None:
    for result in findings:
        report(result.line())
