"""Any function from chat messages to text as an agent: for an SDK, a chain, or a model with its own interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench.agent import Brief, Prediction
from beliefbench.domain import Domain
from beliefbench.errors import BeliefBenchError, UsageError, in_short
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.language.questions.dialogue import Message
from beliefbench.language.replies.alternatives import options_of
from beliefbench.language.replies.option_probs import option_probabilities
from beliefbench.language.servers.logprobs import NoLogprobsError, places_of

ChatFunction = Callable[[list[Message]], str | Mapping[str, Any]]
OPTIONAL = ("none", "logprobs")


def chat_agent(
    function: ChatFunction,
    *,
    name: str = "chat",
    version: str = "1",
    probabilities: str = "none",
    form: str = "sentence",
) -> ChatAgent:
    """Return an agent that asks a function. It uses the same words and the same parser as the other language-model
    agents.

    Parameters
    ----------
    function
        Takes a chat, a list of ``{"role": "user" or "assistant", "content": str}``, and returns the reply: a str, or
        ``{"text": str, "logprobs": [...]}`` with the tokens of the reply as OpenAI's ``logprobs.content`` has them,
        ``{"token": str, "logprob": float, "top_logprobs": [{"token": str, "logprob": float}, ...]}``.
    name, version
        The agent's name and version. Change the version whenever the replies may change: name, version and
        ``probabilities`` are everything that a run's identity contains about the function.
    probabilities
        ``"none"``: the agent only chooses. ``"logprobs"``: P(option) comes from the log-probabilities of the token that
        names an option.
    form
        ``"sentence"``: the question says the form of the answer. ``"paper"``: the paper's words, which do not.

    Raises
    ------
    UsageError
        If ``probabilities`` or ``form`` is unknown, or ``name`` or ``version`` is empty.

    >>> import beliefbench as bb, tempfile
    >>> agent = bb.chat_agent(lambda messages: "The best option is Flight 2.", name="second")
    >>> done = bb.run("flights", agent, users=2, rounds=1, heldout=3, results=tempfile.mkdtemp())
    >>> set(done.rows()["choice"].to_pylist())
    {1}
    """
    if probabilities not in OPTIONAL:
        raise UsageError(f"probabilities={probabilities} is not known; use {' or '.join(OPTIONAL)}.")
    if not callable(function):
        raise UsageError(f"chat_agent takes a function from messages to text, not {type(function).__name__}.")
    if not (name.strip() and version.strip()):
        raise UsageError("a chat agent needs a name and a version that are not empty.")
    return ChatAgent(function, name, version, probabilities, PromptStyle.of(written=True, form=form))


@dataclass(frozen=True)
class ChatAgent:
    """The agent that `chat_agent` returns."""

    function: ChatFunction
    name: str
    version: str
    probabilities: str
    asking: PromptStyle
    privileged: bool = False

    @property
    def probabilistic(self) -> bool:
        return self.probabilities == "logprobs"

    def identity(self) -> Mapping[str, Any]:
        return {"probabilities": self.probabilities, "words": "2", **self.asking.identity()}

    def begin(self, brief: Brief, keys: Any, truth: Mapping[str, np.ndarray] | None = None) -> Conversations:
        return Conversations.begin(brief, self.asking, keys, truth)

    def predict(self, state: Conversations, options: np.ndarray) -> Prediction:
        replies = [
            [self._reply(dialogue.messages(question), state.domain) for question in dialogue.questions]
            for dialogue in state.dialogues(options)
        ]
        probs = np.array([[found for _, found in of_user] for of_user in replies])
        text = np.array([[said for said, _ in of_user] for of_user in replies], dtype=object)
        return Prediction(state.likeliest(probs), probs if self.probabilistic else None, text=text)

    def observe(
        self, state: Conversations, options: np.ndarray, recommended: np.ndarray, chosen: np.ndarray
    ) -> Conversations:
        return state.observe(options, recommended, chosen)

    def _reply(self, messages: list[Message], brief: Brief | Domain) -> tuple[str, np.ndarray]:
        """Return a reply and its probabilities of the options, NaN if the reply cannot be used."""
        alternatives = options_of(brief.item)
        text, logprobs = self._said(self.function(messages))
        if not self.probabilistic:
            chosen = alternatives.chosen(text)
            return text, np.full(len(alternatives.labels), np.nan) if chosen is None else chosen
        try:
            found = option_probabilities(text, alternatives, places_of(text, logprobs))
        except NoLogprobsError as error:
            raise BeliefBenchError(
                f"agent '{self.name}' returned no log-probabilities that can be read ({in_short(error)}); "
                "return them as beliefbench.chat_agent describes, or use probabilities='none'."
            ) from error
        return text, np.full(len(alternatives.labels), np.nan) if found is None else found.probs

    def _said(self, reply: Any) -> tuple[str, Sequence[Any]]:
        if isinstance(reply, str):
            text, logprobs = reply, ()
        elif isinstance(reply, Mapping) and isinstance(reply.get("text"), str):
            text, logprobs = reply["text"], reply.get("logprobs") or ()
        elif inspect.isawaitable(reply):
            if inspect.iscoroutine(reply):
                reply.close()
            raise BeliefBenchError(
                f"the function of agent '{self.name}' is asynchronous; give chat_agent one that waits for it, such as "
                "lambda messages: asyncio.run(function(messages))."
            )
        else:
            raise BeliefBenchError(
                f"agent '{self.name}' returned {type(reply).__name__}; expected a str, or a dict with the str 'text': "
                "return the text of an SDK's response."
            )
        return text.strip().encode(errors="replace").decode(), logprobs  # an unpaired surrogate cannot be stored
