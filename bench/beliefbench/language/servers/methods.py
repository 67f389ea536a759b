"""How a served model is asked, from the settings of a SPEC: the way to its probabilities, and the words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from beliefbench.errors import UsageError
from beliefbench.language.questions.conversations import PromptStyle
from beliefbench.language.servers.served_model import ProbabilityMethod, named, ways
from beliefbench.language.settings import number

EVERY_WAY = ("logprobs", "samples", "stated", "decision", "none")


@dataclass(frozen=True)
class Method:
    """The way to probabilities, the way of asking, whether the model may write thoughts before its answer, and whether
    a run goes on if none of the first answers can be used."""

    way: ProbabilityMethod
    asking: PromptStyle
    thinks_aloud: bool
    counts_unusable: bool


def method_of(
    *,
    probabilities: str = "logprobs",
    n: str | None = None,
    temperature: str | None = None,
    answer_tokens: str | None = None,
    top_logprobs: str | None = None,
    unusable: str = "stop",
    history: str = "interactive",
    show: str = "words",
    given: str = "nothing",
    think: str = "no",
    form: str | None = None,
    beliefs: str = "no",
    extra: Mapping[str, Any] | None = None,
    known: Collection[str] = EVERY_WAY,
) -> Method:
    """Return the method for the settings of a SPEC, as `beliefbench.agents.endpoint` describes them.

    ``extra``: further parameters of requests. ``known``: the ways that can be used.

    Raises
    ------
    UsageError
        If a setting has an unknown value, or two settings exclude each other.

    >>> method_of(probabilities="samples", n="4").way.samples
    4
    >>> method_of(probabilities="stated", n="4")
    Traceback (most recent call last):
    ...
    beliefbench.errors.UsageError: n=4 is the number of samples; it needs probabilities=samples.
    """
    if unusable not in ("stop", "count"):
        raise UsageError(f"unusable={unusable} is not known; use stop or count.")
    thinks = number(int, "think", think, least=1, otherwise=0) if think not in ("no", "yes") else 0
    asked_to = "no" if thinks else think
    written = probabilities in ("logprobs", "samples", "none")
    asking = PromptStyle.of(written, form, history=history, show=show, given=given, think=asked_to, beliefs=beliefs)
    if probabilities not in known:
        raise UsageError(f"probabilities={probabilities} is not known; use {', '.join(known)}.")
    way = ways(512 if think == "yes" else 32)[probabilities]
    if n is not None and probabilities != "samples":
        raise UsageError(f"n={n} is the number of samples; it needs probabilities=samples.")
    if top_logprobs is not None and probabilities != "logprobs":
        raise UsageError(f"top_logprobs={top_logprobs} needs probabilities=logprobs.")
    if probabilities == "decision" and (temperature is not None or answer_tokens is not None or extra or thinks):
        raise UsageError(
            "with probabilities=decision the model writes nothing: leave out temperature, answer_tokens, think=TOKENS, "
            "reasoning_effort, chat_template_kwargs and extra_body."
        )
    if think == "yes" and probabilities in ("stated", "decision"):
        raise UsageError(f"think=yes does not work with probabilities={probabilities}; use logprobs, samples or none.")
    way = replace(
        way,
        temperature=number(float, "temperature", temperature, least=0, otherwise=way.temperature),
        answer_tokens=number(int, "answer_tokens", answer_tokens, least=1, otherwise=way.answer_tokens),
        samples=number(int, "n", n, least=1, otherwise=way.samples),
        top_logprobs=number(int, "top_logprobs", top_logprobs, least=1, otherwise=way.top_logprobs),
        thinks=thinks,
        extra=dict(extra or {}),
    )
    return Method(named(way), asking, think != "no", unusable == "count")
