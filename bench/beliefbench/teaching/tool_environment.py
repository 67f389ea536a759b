"""Interactions for the ``environment_factory`` of TRL's GRPOTrainer, whose models act by calling tools."""

from __future__ import annotations

from typing import Any

from beliefbench.domain import Domain
from beliefbench.language.replies.alternatives import options_of
from beliefbench.teaching.environment import Environment, Reward

OVER = "Thank you. I have no further question."
"""What the user says after the last round."""


class ToolEnvironment:
    """One user's interaction, in which the model recommends an option by calling the tool `recommend`.

    The reward of the interaction is the mean over its rounds (`beliefbench.teaching.environment`); a round without a
    recommendation counts 0. The dataset has a column ``seed``, and ``prompt``, a chat to whose last message the user's
    first question is appended.

    Parameters
    ----------
    domain, reward, rounds
        As of `beliefbench.teaching.environment.Environment`.

    Raises
    ------
    UsageError
        As there.

    >>> import beliefbench as bb
    >>> environment = ToolEnvironment(bb.load_domain("flights-2"), rounds=2)
    >>> environment.reset(seed=0).splitlines()[0][:30]
    'Help me select the best flight'
    >>> environment.recommend(2)[:20]
    'Your option Flight 2'
    >>> environment.recommend(3), round(environment.get_reward(), 3)
    ('Thank you. I have no further question.', 0.251)
    """

    def __init__(self, domain: Domain, reward: Reward = "exact", rounds: int = 5) -> None:
        self._environment = Environment(domain, reward, "sentence", rounds)
        self._rewards: list[float] = []

    def reset(self, seed: int, **_: Any) -> str:
        """Begin the interaction of a seed, 0 to 2^31 - 1, and return the user's first message."""
        self._rewards = []
        return self._environment.reset(seed)

    def recommend(self, option: int) -> str:
        """Recommend an option to the user.

        Args:
            option: The number of the option: 1, 2 or 3.

        Returns:
            What the user says.
        """
        if len(self._rewards) >= self._environment.rounds:
            return OVER
        sentences = options_of(self._environment.domain.item).sentences
        named = isinstance(option, int) and 1 <= option <= len(sentences)
        step = self._environment.step(sentences[option - 1] if named else "")
        self._rewards.append(step.reward)
        return OVER if step.done else step.observation

    def get_reward(self) -> float:
        """Return the mean reward of the rounds, in [0, 1]."""
        return sum(self._rewards) / self._environment.rounds
