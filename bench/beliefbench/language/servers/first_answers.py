"""What a server's answers are worth: a run whose first answers are worthless stops, and the row says what was odd."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from beliefbench.errors import BeliefBenchError, counted
from beliefbench.language.servers.completions import Reply, Request
from beliefbench.language.servers.logprobs import is_one_hot
from beliefbench.language.servers.refusals import plain

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
        self._of_other_texts = 0

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
        """Add the replies to a request, and whether each can be used; ``named``: how many name an option.

        Raises
        ------
        BeliefBenchError
            If enough answers are there, and none is worth anything.
        """
        self._heard[request.key] = list(heard)
        self._of_other_texts += named if request.wants_logprobs else 0
        self._judge()

    def _judge(self) -> None:
        heard = [one for replies in self._heard.values() for one in replies]
        if self.settled or len(heard) < FIRST:
            return
        usable = [reply for reply, of_use in heard if of_use]
        if not usable:
            cause = _cause([reply for reply, _ in heard], self.answer_tokens, 2 * self._of_other_texts > len(heard))
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


def _cause(replies: Sequence[Reply], answer_tokens: int, of_other_texts: bool) -> str:
    """Return why answers cannot be used, and what helps."""
    cut = [reply for reply in replies if reply.ended == "length"]
    thought = [reply for reply in replies if reply.thought or _THOUGHT_MARK.search(reply.text)]
    if 2 * len(cut) > len(replies) and thought:
        return (
            f"{len(cut)} used up their {answer_tokens} tokens in thought; give the model room with think=2048 or more, "
            'or let it think less with reasoning_effort=low or chat_template_kwargs={"enable_thinking":false}'
        )
    if 2 * len(cut) > len(replies):
        return (
            f"{len(cut)} used up their {answer_tokens} tokens, such as {_quoted(cut)}; use a larger answer_tokens, or "
            "think=2048 if the model thinks before it answers"
        )
    refused = [reply for reply in replies if reply.ended == "refusal"]
    if 2 * len(refused) > len(replies):
        return f"{len(refused)} are refusals, such as {_quoted(refused)}; use another model"
    calls = [reply for reply in replies if reply.ended == "tool call"]
    if 2 * len(calls) > len(replies):
        return f'{len(calls)} call a tool; use extra_body={{"tool_choice":"none"}}'
    if all(not reply.text for reply in replies):
        return "they are empty; look at the server's log, or use another model"
    if of_other_texts:
        return "their log-probabilities belong to other texts; use probabilities=samples or stated"
    return f"they name no option, such as {_quoted(replies)}; use a model that follows instructions, or think=yes"


def _quoted(replies: Sequence[Reply]) -> str:
    said = plain(next((reply.text for reply in replies if reply.text), ""))
    return f"'{said[:80]}...'" if len(said) > 80 else f"'{said}'"


class Tally:
    """Counts of what was odd in the answers that this process has heard."""

    def __init__(self, answer_tokens: int) -> None:
        self.answer_tokens = answer_tokens
        self.answers = self.cut = self.refused = self.calls = 0
        self.thoughts = self.thought_tokens = self.one_hot = self.of_another_text = 0

    def add(self, reply: Reply, *, wants_logprobs: bool) -> None:
        """Count an answer."""
        self.answers += 1
        self.cut += reply.ended == "length"
        self.refused += reply.ended == "refusal"
        self.calls += reply.ended == "tool call"
        self.thoughts += reply.thought
        self.thought_tokens += reply.thought_tokens or 0
        self.one_hot += is_one_hot(reply.places or [])
        located = reply.places is not None or not reply.text or reply.ended in ("refusal", "tool call")
        self.of_another_text += wants_logprobs and not located

    def notes(self) -> list[str]:
        """Return a few words for each kind of odd answers.

        >>> tally = Tally(answer_tokens=32)
        >>> asked = {"prompt_tokens": 50, "completion_tokens": 32, "seconds": 1.0}
        >>> tally.add(Reply(text="Well, Flight", ended="length", **asked), wants_logprobs=False)
        >>> tally.notes()
        ['1 of 1 answer used up their 32 tokens']
        """
        heard = f"of {counted(self.answers, 'answer')}"
        notes = [
            f"{number:,} {heard} {what}"
            for number, what in (
                (self.cut, f"used up their {self.answer_tokens:,} tokens"),
                (self.refused, "refused"),
                (self.calls, "called a tool"),
                (self.one_hot, "with log-probabilities that are 0 or minus infinity"),
                (self.of_another_text, "with log-probabilities of another text"),
            )
            if number
        ]
        if self.thought_tokens:
            notes.append(f"{self.thought_tokens / self.answers:,.0f} tokens of thought an answer")
        elif self.thoughts:
            notes.append("it thinks, in tokens that the server does not count apart")
        return notes
