"""What run.json says of the agent, against the agent that its SPEC loads here; and how it must have chosen."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from beliefbench.agent import Agent, break_ties
from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import BeliefBenchError, counted
from beliefbench.folders import well_formed
from beliefbench.plugins.names import load_agent
from beliefbench.plugins.reach import DOES, Reach, reach_of_agent, reach_of_domain
from beliefbench.plugins.settings import as_spec
from beliefbench.plugins.sources import is_builtin
from beliefbench.publishing.recompute import Recomputed, stopping_of
from beliefbench.running.answering import Job, run_identity
from beliefbench.running.packing import TIE


class CannotAskError(BeliefBenchError):
    """The agent of the run cannot be had here."""


def check_declared(run: Recomputed, allow: Collection[Reach]) -> str:
    """Return a sentence if the SPEC of a run loads the agent of its identity, and run.json says of the agent what it
    says of itself.

    Raises
    ------
    CheckFailedError
        If it is another agent, or run.json calls it privileged or probabilistic where it is not, or the other way.
    CannotAskError
        If its SPEC cannot be loaded here, or reaches for more than is in ``allow``; or if it is another version of
        the agent, or another model, which may be an honest difference of two machines.
    """
    record = run.record
    named = as_spec(record.agent.name)
    if is_builtin(named, "agent") and not reach_of_agent(named):  # whatever its SPEC says
        _check_flags(run, load_allowed(run, named, allow, "the SPEC was not checked"))
    if record.spec is None:
        raise CannotAskError("the SPEC was not checked: run.json has none, because the agent was given as an object.")
    agent = load_allowed(run, record.spec, allow, "the SPEC was not checked")
    if well_formed(agent.name) != record.agent.name:
        raise CheckFailedError(f"the SPEC '{record.spec}' loads {agent.name}; the run is one of {record.agent.name}.")
    _check_flags(run, agent)
    if record.agent.note and not hasattr(agent, "note"):
        raise CheckFailedError(f"run.json has the note '{record.agent.note}', and {agent.name} gives no notes.")
    here, theirs = run_identity(job_with(run, agent)).agent, record.identity.agent
    if differ := ", ".join(sorted(name for name in {*here, *theirs} if here.get(name) != theirs.get(name))):
        said = f"the SPEC '{record.spec}' loads another agent here than the one of the run: its {differ} differ."
        # The answers of a language model also depend on its files, its number type and the version of other packages.
        if is_builtin(record.spec, "agent") and here["version"] == theirs.get("version") and "model" not in here:
            raise CheckFailedError(said)
        raise CannotAskError(said)
    return f"the SPEC '{record.spec}' loads the agent of the identity{', which is privileged' * agent.privileged}."


def check_choices(run: Recomputed) -> str:
    """Return a sentence if every choice is an option with the largest probability, and ties are broken as
    `beliefbench.agent.break_ties` breaks them, by the run's seed.

    Raises
    ------
    CheckFailedError
        If this is not so, and the agent is one of this package; all of these choose in this way.
    CannotAskError
        If this is not so, and the agent is a plugin, which may choose by a rule of its own.
    """
    (choice,) = run.layout.columns(run.rows, "choice")
    if not run.record.agent.probabilistic:
        return "the agent states no probabilities that its choices could be compared with."
    wrong = (choice != expected_choices(run)) & (choice >= 0)
    if not wrong.any():
        return f"{(choice >= 0).sum():,} choices follow from the probabilities, and from the seed where these tie."
    best = _is_best(run.layout.options(run.rows, "prob"))
    tied = int((wrong & np.take_along_axis(best, np.maximum(choice, 0)[..., None], axis=-1)[..., 0]).sum())
    number = int(wrong.sum())
    said = (
        f"{counted(number, 'choice')} of {choice.size:,} do not follow from the probabilities: {tied:,} break a tie in "
        f"another way than the seed, {number - tied:,} are not the likeliest option"
    )
    named = run.record.spec or as_spec(run.record.agent.name)
    if is_builtin(named, "agent") or is_builtin(as_spec(run.record.agent.name), "agent"):
        raise CheckFailedError(f"{said}.")
    raise CannotAskError(f"{said}; {run.record.agent.name} is a plugin, which may choose by another rule.")


def expected_choices(run: Recomputed) -> np.ndarray:
    """Return the likeliest options in a run's rows, ties broken as agents break them: int[users, rows of a user]."""
    layout, heldout = run.layout, run.layout.heldout
    probs = layout.options(run.rows, "prob")
    best = _is_best(np.nan_to_num(probs))
    chosen = best.argmax(axis=-1)
    if (best.sum(axis=-1) > 1).any():
        keys = run.episodes.agent_keys(run.record.agent.name)[run.places]
        for stage in range(layout.rounds + 1):
            here = np.flatnonzero(layout.stage == stage)
            asked = np.zeros((len(probs), heldout + 1, probs.shape[-1]))
            at = np.where(layout.own[here], heldout, layout.question[here])  # the round's own set is asked last
            asked[:, at] = best[:, here]
            chosen[:, here] = break_ties(asked, keys, stage)[:, at]
    return chosen


def _is_best(probs: np.ndarray) -> np.ndarray:
    return probs >= probs.max(axis=-1, keepdims=True) - TIE


def _check_flags(run: Recomputed, agent: Agent) -> None:
    for flag in ("probabilistic", "privileged"):
        said, here = getattr(run.record.agent, flag), getattr(agent, flag)
        if said != here:
            raise CheckFailedError(f"run.json says that {agent.name} has {flag} = {said}, and it is {here}.")


def job_of(run: Recomputed, allow: Collection[Reach]) -> Job:
    """Return the job that asks a run's agent again. Its SPEC may reach for what is in ``allow`` only.

    Raises
    ------
    CannotAskError
        If the agent cannot be loaded here, reaches for anything else, uses a server, or has another identity than the
        agent of the run.
    """
    record = run.record
    spec = record.spec or as_spec(record.agent.name)
    agent = load_allowed(run, spec, allow, "the agent was not asked again")
    job = job_with(run, agent)
    here, theirs = run_identity(job).agent, record.identity.agent
    if here != theirs:
        differ = ", ".join(sorted(name for name in {*here, *theirs} if here.get(name) != theirs.get(name)))
        raise CannotAskError(f"'{spec}' is another agent here than the one that answered: its {differ} differ.")
    return job


def job_with(run: Recomputed, agent: Agent) -> Job:
    """Return the job that asks an agent what a run asked."""
    return Job(run.domain, agent, run.protocol, stopping=stopping_of(run.record.identity))


def load_allowed(run: Recomputed, spec: str, allow: Collection[Reach], what: str) -> Agent:
    """Return the agent that a SPEC in a run loads, if it reaches for nothing but what is in ``allow``; ``what`` was not
    done otherwise. Raise `CannotAskError`."""
    server = f"{what}: '{spec}' uses a server, and nobody can tell whether the server still has the same model."
    try:
        found = reach_of_agent(spec)
        if Reach.server in found:
            raise CannotAskError(server)
        refuse_beyond(allow, found, f"{what}: its SPEC in run.json, '{spec}',")
        agent = load_agent(spec, run.domain)
    except CannotAskError:
        raise
    except BeliefBenchError as error:
        raise CannotAskError(f"{what}, because it cannot be loaded here: {error}") from error
    if getattr(agent, "cost", None) is not None:
        raise CannotAskError(server)
    return agent


def refuse_domain_beyond(allow: Collection[Reach], name: str) -> None:
    """Raise `CannotAskError` if the SPEC of a run's domain reaches for what the verifier does not allow."""
    refuse_beyond(allow, reach_of_domain(name), f"the domain in run.json, '{name}', was not loaded: it")


def refuse_beyond(allow: Collection[Reach], found: Collection[Reach], what: str) -> None:
    """Raise `CannotAskError` if ``what`` a run names reaches for (``found``) more than the verifier allows.

    >>> refuse_beyond([], [Reach.path], "it")
    Traceback (most recent call last):
    ...
    beliefbench.publishing.declared.CannotAskError: it names a path on this machine; add --allow path if you trust it.
    """
    refused = [one for one in found if one not in allow]
    if refused:
        flags = " ".join(f"--allow {one}" for one in refused)
        raise CannotAskError(f"{what} {' and '.join(DOES[one] for one in refused)}; add {flags} if you trust it.")
