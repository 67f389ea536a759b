"""What a server's first answers are worth: a run stops if none can be used, and the error names what helps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from beliefbench.errors import BeliefBenchError
from beliefbench.language.servers.completions import Reply, Request
from beliefbench.language.servers.logprobs import is_one_hot
from beliefbench.language.servers.place import plain

FIRST = 6
"""The number of answers after which a run stops if none can be used. A model with 30% usable answers is stopped in 12%
of runs, and one with 60% in 0.4%; ``unusable=count`` lets both go on."""
_THOUGHT_MARK = re.compile(
    r"</?(?:think|thinking|thought|reasoning)>|\[/?THINK\]|<\|channel\|>|<\|?start_of_thought", re.I
)


class FirstAnswers:
    """The first answers of a model, until some of them can be used."""

    def __init__(self, model: str, answer_tokens: int, *, settled: bool = False) -> None:
        """Take the model's name and the longest answer; ``settled`` if worthless answers shall be counted."""
        self.model, self.answer_tokens, self.settled = model, answer_tokens, settled
        self._heard: dict[str, list[tuple[Reply, bool]]] = {}
        self._of_other_texts = self._unweighed = 0

    def next(self, requests: Sequence[Request]) -> list[Request]:
        """Return the requests to ask first, none if enough is known."""
        self._judge()
        found: dict[str, Request] = {}
        count = sum(map(len, self._heard.values()))
        for request in requests if not self.settled else ():
            if count >= FIRST:
                break
            if request.key not in self._heard and request.key not in found:
                found[request.key] = request
                count += request.samples
        return list(found.values())

    def add(self, request: Request, heard: Iterable[tuple[Reply, bool]], named: int) -> None:
        """Add the replies to a request, and whether each can be used; ``named``: how many of those that cannot be used
        name an option.

        Raises
        ------
        BeliefBenchError
            If enough answers are there, and none is worth anything.
        """
        self._heard[request.key] = list(heard)
        if request.wants_logprobs and any(reply.places is None for reply, _ in self._heard[request.key]):
            self._of_other_texts += named
        elif request.wants_logprobs:
            self._unweighed += named
        self._judge()

    def _judge(self) -> None:
        heard = [one for replies in self._heard.values() for one in replies]
        if self.settled or len(heard) < FIRST:
            return
        usable = [reply for reply, of_use in heard if of_use]
        if not usable:
            cause = _cause([reply for reply, _ in heard], self.answer_tokens)
            if 2 * self._of_other_texts > len(heard):
                cause = "their log-probabilities belong to other texts; use probabilities=samples or stated"
            elif 2 * self._unweighed > len(heard):
                cause = (
                    f"they name an option, such as {_quoted([reply for reply, _ in heard])}, but the server gives no "
                    "log-probability of it; use probabilities=samples or stated"
                )
            raise BeliefBenchError(
                f"none of the first {len(heard)} answers of '{self.model}' can be used: {cause}; or count them as "
                "wrong with unusable=count (they are stored, and not asked again)."
            )
        if all(reply.places and is_one_hot(reply.places) for reply in usable):
            raise BeliefBenchError(
                f"all log-probabilities in the first answers of '{self.model}' are 0 or minus infinity: the server "
                "computes them after the temperature, which is 0; use temperature=1, or let the server return "
                "the model's own (vLLM: --logprobs-mode raw_logprobs), or use probabilities=samples."
            )
        self.settled = True


def _cause(replies: Sequence[Reply], answer_tokens: int) -> str:
    """Return why answers cannot be used, and what helps."""
    cut = [reply for reply in replies if reply.ended == "length"]
    thought = [reply for reply in replies if reply.thought or _THOUGHT_MARK.search(reply.text)]
    if 2 * len(cut) > len(replies) and thought:
        return (
            f"{len(cut)} used up their {answer_tokens:,} tokens in thought; give the model more room with "
            f"think={max(2048, 2 * answer_tokens)}, "
            'or let it think less with reasoning_effort=low or chat_template_kwargs={"enable_thinking":false}'
        )
    if 2 * len(cut) > len(replies):
        return (
            f"{len(cut)} used up their {answer_tokens:,} tokens, such as {_quoted(cut)}; use a larger answer_tokens, "
            "or think=2048 if the model thinks before it answers"
        )
    refused = [reply for reply in replies if reply.ended == "refusal"]
    if 2 * len(refused) > len(replies):
        said = (
            f"are refusals, such as {_quoted(refused)}" if any(reply.text for reply in refused) else "were filtered out"
        )
        return f"{len(refused)} {said}; use another model"
    calls = [reply for reply in replies if reply.ended == "tool call"]
    if 2 * len(calls) > len(replies):
        return f'{len(calls)} call a tool; use extra_body={{"tool_choice":"none"}}'
    if all(not reply.text for reply in replies):
        return "they are empty; look at the server's log, or use another model"
    return f"they name no option, such as {_quoted(replies)}; use a model that follows instructions, or think=yes"


def _quoted(replies: Sequence[Reply]) -> str:
    said = plain(next((reply.text for reply in replies if reply.text), ""))
    return f"'{said[:80]}...'" if len(said) > 80 else f"'{said}'"
