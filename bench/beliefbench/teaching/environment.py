"""Interactions as an environment for reinforcement learning, with exact rewards.

The reward of a reply is its expected value under the exact posterior predictive (``"exact"``), or its value for the
choice that the user made (``"user"``). The second is a draw of the first, up to a constant that no reply changes: over
many users, both are largest for the same replies. The exact one has no noise from the user's choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import UsageError
from beliefbench.exact.inference import predictives
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.language.questions.dialogue import Message
from beliefbench.language.replies.alternatives import options_of
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population
from beliefbench.scoring.metrics import FLOOR
from beliefbench.teaching.interactions import set_apart

Reward = Literal["exact", "user"]
Form = Literal["sentence", "stated"]
USERS = 64
"""Users that are drawn together."""
WORST = math.log(FLOOR)
"""The reward of a reply without usable probabilities, in nats."""


class Step(NamedTuple):
    """What a reply leads to: the user's next message (empty at the end), the reward, and whether it is the end.

    ``option``: the option that the reply names, from 0, or the likeliest of those that it states; -1 if it is unusable.
    """

    observation: str
    reward: float
    done: bool
    option: int


@dataclass(frozen=True)
class Asked:
    """A question with what its rewards need: exact float[3], the posterior predictive; chosen, the user's choice."""

    messages: tuple[Message, ...]
    exact: tuple[float, ...]
    chosen: int


def reward_of(
    text: str, item: str, exact: Any, chosen: int, reward: Reward = "exact", form: Form = "sentence"
) -> float:
    """Return the reward of a reply.

    For ``form="sentence"``, a reply that names an option: its exact probability, or 1 if the user chose it and 0 if
    not. In [0, 1]; 0 for an unusable reply. For ``form="stated"``, a reply that states probabilities in JSON: -KL(exact
    || stated), or the log-probability of the user's choice, in nats. At most 0; ln(1e-6) for an unusable reply.
    Probabilities are floored at 1e-6, as in the metrics.

    >>> reward_of("The best option is Flight 2.", "Flight", [0.2, 0.5, 0.3], chosen=2)
    0.5
    >>> reward_of("The best option is Flight 2.", "Flight", [0.2, 0.5, 0.3], chosen=2, reward="user")
    0.0
    >>> stated = '{"Flight 1": 0.2, "Flight 2": 0.5, "Flight 3": 0.3}'
    >>> abs(reward_of(stated, "Flight", [0.2, 0.5, 0.3], chosen=2, form="stated")) < 1e-9
    True
    """
    alternatives = options_of(item)
    if form == "sentence":
        option = alternatives.named(text)
        if option < 0:
            return 0.0
        return float(exact[option]) if reward == "exact" else float(option == chosen)
    stated = alternatives.stated(text)
    if stated is None:
        return WORST
    q, p = (_floored(np.asarray(one, np.float64)) for one in (stated, exact))
    return float(np.log(q[chosen])) if reward == "user" else float(-(p * np.log(p / q)).sum())


def _floored(probs: np.ndarray) -> np.ndarray:
    floored = np.maximum(probs, FLOOR)
    return floored / floored.sum()


class Environment:
    """One user's interaction: `reset` begins one, and `step` takes the assistant's reply and gives its reward.

    Users, rounds and choices are drawn apart from those of runs, of teaching data and of validation, whatever the seed.

    Parameters
    ----------
    domain
        The domain of the simulated users.
    reward
        ``"exact"`` or ``"user"`` (`reward_of`).
    form
        ``"sentence"``: replies name an option; ``"stated"``: they state probabilities in JSON.
    rounds
        Replies of an interaction, 1 or more.

    Raises
    ------
    UsageError
        If a parameter is out of range, or the users of the domain were recorded.

    >>> import beliefbench as bb
    >>> environment = Environment(bb.load_domain("flights-2"), rounds=2)
    >>> environment.reset(seed=0).splitlines()[0][:30]
    'Help me select the best flight'
    >>> first = environment.step("The best option is Flight 2.")
    >>> round(first.reward, 3), first.done, first.observation[:20]
    (0.472, False, 'Your option Flight 2')
    >>> environment.step("I do not know.")[1:]
    (0.0, True, -1)
    """

    def __init__(self, domain: Domain, reward: Reward = "exact", form: Form = "sentence", rounds: int = 5) -> None:
        for name, value, known in (("reward", reward, ("exact", "user")), ("form", form, ("sentence", "stated"))):
            if value not in known:
                raise UsageError(f"{name} = {value}; expected {' or '.join(known)}.")
        if not 1 <= rounds <= 1000:
            raise UsageError(f"rounds = {rounds}; expected 1 to 1,000.")
        if domain.recorded is not None:
            raise UsageError(f"the users of {domain.name} were recorded; learn from simulated ones.")
        self.domain, self.reward, self.form, self.rounds = domain, reward, form, rounds
        self._state: Conversations | None = None
        self._place, self._round = 0, 0

    def reset(self, seed: int) -> str:
        """Begin the interaction of a seed, 0 to 2^31 - 1, and return the user's first message."""
        if not 0 <= seed < 2**31:
            raise UsageError(f"seed = {seed}; expected 0 to {2**31 - 1:,}.")
        users = min(USERS, population(self.domain))
        self._drawn = _drawn(self.domain, self.rounds, users, seed // users)
        self._place, self._round = seed % users, 0
        self._state = Conversations.begin(self.domain, PromptStyle(form="sentence"), np.zeros(1))
        return self._message()

    def step(self, text: str) -> Step:
        """Take the assistant's reply to the last message.

        Raises
        ------
        UsageError
            If no interaction has begun, or it is over.
        """
        if self._state is None or self._round >= self.rounds:
            raise UsageError("the interaction is over, or none has begun: call reset(seed) first.")
        options, chosen, exact = (values[self._place, self._round] for values in self._drawn)
        reward = reward_of(text, self.domain.item, exact, int(chosen), self.reward, self.form)
        option = self._option(text)
        self._state = self._state.observe(options[None], np.array([option]), np.array([chosen]))
        self._round += 1
        done = self._round == self.rounds
        return Step("" if done else self._message(), reward, done, option)

    @property
    def messages(self) -> list[Message]:
        """The chat so far, which ends with the user's last message."""
        if self._state is None or self._round >= self.rounds:
            raise UsageError("the interaction is over, or none has begun: call reset(seed) first.")
        options = self._drawn[0][self._place, self._round]
        (dialogue,) = self._state.dialogues(options[None, None])
        return dialogue.messages(dialogue.questions[0] + self._ending)

    def asked(self) -> Asked:
        """Return the last message with what its rewards need."""
        messages = tuple(self.messages)
        _, chosen, exact = (values[self._place, self._round] for values in self._drawn)
        return Asked(messages, tuple(exact.tolist()), int(chosen))

    @property
    def _ending(self) -> str:
        return options_of(self.domain.item).in_json if self.form == "stated" else ""

    def _message(self) -> str:
        return self.messages[-1]["content"]

    def _option(self, text: str) -> int:
        alternatives = options_of(self.domain.item)
        if self.form == "sentence":
            return alternatives.named(text)
        stated = alternatives.stated(text)
        return -1 if stated is None else int(stated.argmax())


@lru_cache(maxsize=16)
def _drawn(domain: Domain, rounds: int, users: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return options float[users, rounds, 3, features], choices int[users, rounds], and the exact posterior predictive
    of each round's own options, float[users, rounds, 3]."""
    episodes = Episodes(set_apart(domain, "rewards"), Protocol(users, rounds, 1, seed))
    every = predictives(
        domain, episodes.options, episodes.chosen, episodes.options, stages="all", on_contradiction="ignore"
    )
    own = every[:, np.arange(rounds), np.arange(rounds)]
    assert own.shape == (users, rounds, OPTIONS)
    return episodes.options, episodes.chosen, own


def questions(environment: Environment, count: int, seed: int = 0) -> list[Asked]:
    """Return questions of so many interactions, one for each round, in which the exact assistant recommends.

    >>> import beliefbench as bb
    >>> found = questions(Environment(bb.load_domain("flights-2"), rounds=3), count=2)
    >>> len(found), [len(one.messages) for one in found]
    (6, [1, 3, 5, 1, 3, 5])
    """
    found = []
    for number in range(count):
        environment.reset(seed * count + number)
        done = False
        while not done:
            found.append(environment.asked())
            best = int(np.argmax(found[-1].exact))
            labels = options_of(environment.domain.item)
            reply = labels.sentences[best]
            if environment.form == "stated":
                reply = "{" + ", ".join(f'"{one}": {float(at == best)}' for at, one in enumerate(labels.labels)) + "}"
            done = environment.step(reply).done
    return found
