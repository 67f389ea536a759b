"""The agent contract as executable checks, for ``beliefbench check SPEC``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import numpy as np

from beliefbench.agent import Agent, Brief, Prediction
from beliefbench.checking.results import CheckFailedError, CheckResult, run_check
from beliefbench.domain import Domain
from beliefbench.errors import in_short, let_pass
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population
from beliefbench.running.answering import questions_at
from beliefbench.running.contract import check_answers, identity_of

USERS, ROUNDS, SETS = 5, 2, 3  # little, since language models are slow; unequal, so that no two axes can be mixed up
CLOSE = 1e-3  # how far probabilities may be apart that ought to be the same: language models are not exact to the bit


def check_agent_contract(agent: Agent | Callable[[Domain], Agent], domain: Domain) -> list[CheckResult]:
    """Check an agent against the agent contract (`beliefbench.agent.Agent`); return one finding per check.

    Raises nothing: an error in the agent is a finding. Checks that need answers run only if there are answers.

    Parameters
    ----------
    agent
        An agent, or a factory that makes one for a domain.

    >>> import beliefbench as bb
    >>> flights = bb.load_domain("flights")
    >>> findings = check_agent_contract(bb.load_agent("random", flights), flights)
    >>> [finding for finding in findings if not finding.passed]
    []
    """
    if isinstance(agent, type) or not hasattr(agent, "predict"):
        try:
            agent = cast(Callable[[Domain], Agent], agent)(domain)
        except BaseException as error:  # a plugin's factory may raise anything
            let_pass(error)
            return [CheckResult("made", False, f"making it for {domain.name} raised {in_short(error)}.")]
    trial = _Trial(cast(Agent, agent), domain)
    findings: list[CheckResult] = []
    for checks in (
        {"members": _members},
        {"identity": _identity, "answers": _answers},
        {
            "predict leaves the state as it is": _state_kept,
            "one user alone": _alone,
            "no usable answer": _no_answer,
            "replay": _replay,
        },
    ):
        if all(result.passed for result in findings):
            findings += [run_check(name, partial(check, trial)) for name, check in checks.items()]
    return findings


@dataclass(frozen=True)
class _Trial:
    """An agent, and everything that it is asked and observes in a check."""

    agent: Agent
    domain: Domain

    @cached_property
    def episodes(self) -> Episodes:
        users = min(USERS, population(self.domain))
        return Episodes(self.domain, Protocol(users=users, rounds=ROUNDS, heldout=SETS))

    @cached_property
    def everyone(self) -> np.ndarray:
        return np.arange(self.episodes.protocol.users)

    @cached_property
    def answers(self) -> list[Prediction]:
        """The agent's answers at the stages 0 .. rounds, for all users together."""
        return self.play(self.everyone)

    @property
    def recommended(self) -> np.ndarray:
        """int[users, rounds]: its answers to the rounds' own sets, which come last."""
        return np.stack([self.answers[stage].choice[:, -1] for stage in range(ROUNDS)], axis=1)

    def begin(self, users: np.ndarray) -> Any:
        truth = self.episodes.latents_of(users) if self.agent.privileged else None
        keys = self.episodes.agent_keys(self.agent.name)[users]
        return self.agent.begin(Brief.of(self.domain), keys, truth)

    def predict(self, state: Any, users: np.ndarray, stage: int) -> Prediction:
        questions = questions_at(self.episodes, users, stage)
        answers = self.agent.predict(state, questions)
        check_answers(answers, questions.shape[:2], self.agent)
        return answers

    def observe(self, state: Any, users: np.ndarray, round_: int, recommended: np.ndarray) -> Any:
        options, chosen = self.episodes.options[users, round_], self.episodes.chosen[users, round_]
        return self.agent.observe(state, options, recommended, chosen)

    def play(self, users: np.ndarray) -> list[Prediction]:
        state, answers = self.begin(users), []
        for stage in range(ROUNDS + 1):
            answers.append(self.predict(state, users, stage))
            if stage < ROUNDS:
                state = self.observe(state, users, stage, answers[-1].choice[:, -1])
        return answers


def _members(trial: _Trial) -> str:
    agent = trial.agent
    for name in ("name", "version"):
        value = getattr(agent, name, None)
        if not (isinstance(value, str) and value.strip()):
            raise CheckFailedError(f"{name} is {value!r}; expected some text.")
    for name in ("probabilistic", "privileged"):
        if not isinstance(getattr(agent, name, None), bool):
            raise CheckFailedError(f"{name} is {getattr(agent, name, None)!r}; expected True or False.")
    for name in ("identity", "begin", "predict", "observe"):
        if not callable(getattr(agent, name, None)):
            raise CheckFailedError(f"there is no method {name}.")
    note, users = getattr(agent, "note", None), getattr(agent, "users_per_call", 1)
    if not (note is None or isinstance(note, str)):
        raise CheckFailedError(f"note is {note!r}; expected a few words or None.")
    if not (isinstance(users, int) and users >= 1):
        raise CheckFailedError(f"users_per_call is {users!r}; expected a whole number of 1 or more.")
    quick = getattr(agent, "quick_users", None)
    if not (quick is None or (isinstance(quick, int) and quick >= 1)):
        raise CheckFailedError(f"quick_users is {quick!r}; expected None, or a whole number of 1 or more.")
    kind = "states probabilities" if agent.probabilistic else "only chooses"
    return f"{agent.name}, version {agent.version}; {kind}{', and sees true latents' * agent.privileged}."


def _identity(trial: _Trial) -> str:
    identity_of(trial.agent)
    return "identity() is canonical JSON."


def _answers(trial: _Trial) -> str:
    stages, users = len(trial.answers), len(trial.everyone)
    return f"{users} users at stages 0 to {stages - 1}, of the right shapes and kinds."


def _state_kept(trial: _Trial) -> str:
    users, stage = trial.everyone, 1
    state = trial.observe(trial.begin(users), users, 0, trial.recommended[:, 0])
    first = trial.predict(state, users, stage)
    trial.agent.predict(state, questions_at(trial.episodes, users, stage)[:, ::-1])
    _compare(first, trial.predict(state, users, stage), "it answered differently when it was asked again")
    return "it gave the same answers when it was asked again after other questions."


def _alone(trial: _Trial) -> str:
    for user in {0, len(trial.everyone) - 1}:
        for stage, alone in enumerate(trial.play(np.array([user]))):
            among = trial.answers[stage]
            probs = None if among.probs is None else among.probs[[user]]
            _compare(Prediction(among.choice[[user]], probs), alone, f"alone at stage {stage}, user {user} got others")
    return "a user gets the same answers alone and among other users."


def _no_answer(trial: _Trial) -> str:
    users = trial.everyone
    state = trial.begin(users)
    for stage in range(ROUNDS):
        state = trial.observe(state, users, stage, np.full(len(users), -1))
    trial.predict(state, users, ROUNDS)
    return "observe accepts recommended = -1, and the agent still answers."


def _replay(trial: _Trial) -> str:
    users = trial.everyone
    state = trial.begin(users)
    for stage in range(ROUNDS):
        state = trial.observe(state, users, stage, trial.recommended[:, stage])
    again = trial.predict(state, users, ROUNDS)
    _compare(trial.answers[-1], again, "it answered differently after a replay of the same rounds")
    return "it gave the same answers after a replay of the same rounds, so a stopped run can continue."


def _compare(one: Prediction, other: Prediction, what: str) -> None:
    changed = int((one.choice != other.choice).sum())
    if changed:
        raise CheckFailedError(f"{what}: {changed} of {one.choice.size} choices differ.")
    if one.probs is not None and other.probs is not None:
        gap = float(np.nanmax(np.where(one.choice[..., None] < 0, 0, abs(one.probs - other.probs))))
        if not gap <= CLOSE:
            raise CheckFailedError(f"{what}: a probability differs by {gap:.3g}; at most {CLOSE:g} is allowed.")
