"""A model of any provider that Inspect knows as the assistant: Anthropic, Google, Bedrock, Mistral, Ollama, ..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beliefbench import Domain, UsageError
from beliefbench.exchange.inspect.asking import InspectModels
from beliefbench.exchange.inspect.outputs import MODEL_ARGS, WAYS
from beliefbench.language.assistant import Assistant
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import process_budget
from beliefbench.language.servers.methods import method_of
from beliefbench.language.servers.served_model import ServedModel
from beliefbench.language.settings import json_object, number
from beliefbench.plugins.reach import Reach, reaches

EXAMPLE = "inspect:anthropic/claude-sonnet-4-5"


def _reach(model: str | None, settings: Mapping[str, str]) -> set[Reach]:
    """Any provider: some load weights from a path or a hub, and all may be given an address in model_args."""
    found = {Reach.server, Reach.hub, Reach.path}
    return found | ({Reach.remote_code} if "trust_remote_code" in settings.get("model_args", "") else set())


@reaches(_reach)
def inspect_model(
    domain: Domain,
    model: str,
    *,
    probabilities: str = "logprobs",
    n: str | None = None,
    temperature: str | None = None,
    answer_tokens: str | None = None,
    top_logprobs: str | None = None,
    reasoning_effort: str | None = None,
    model_args: str | None = None,
    unusable: str = "stop",
    revision: str | None = None,
    workers: str | None = None,
    max_requests: str | None = None,
    token_budget: str | None = None,
    cache: str | None = None,
    history: str = "interactive",
    show: str = "words",
    given: str = "nothing",
    think: str = "no",
    form: str | None = None,
    beliefs: str = "no",
) -> Assistant:
    """``inspect:PROVIDER/MODEL[,key=value...]``: a model of any provider of Inspect, named as ``inspect eval --model``
    names it. Keys are read from the environment, as Inspect reads them.

    probabilities=logprobs, samples, stated or none, and n, temperature, answer_tokens, top_logprobs, history, show,
    given, think, form, beliefs, unusable and revision are those of `endpoint`. Few providers have log-probabilities:
    Anthropic's, for one, has none. model_args is JSON for the provider, as ``-M`` of Inspect:
    ``{"do_sample":false}`` for hf.

    workers=8 questions are asked at the same time; Inspect tries again by itself. The folder cache stores the answers
    (default: the user's cache folder), and no question is asked twice. max_requests and token_budget limit what one
    process may spend.
    """
    if "/" not in model:
        raise UsageError(f"'inspect:{model}' names no provider; expected inspect:PROVIDER/MODEL, such as {EXAMPLE}.")
    arguments = json_object("model_args", model_args, '{"do_sample":false}')
    extra: dict[str, Any] = {} if reasoning_effort is None else {"reasoning_effort": reasoning_effort}
    if arguments:
        extra[MODEL_ARGS] = arguments
    method = method_of(
        probabilities=probabilities,
        n=n,
        temperature=temperature,
        answer_tokens=answer_tokens,
        top_logprobs=top_logprobs,
        unusable=unusable,
        history=history,
        show=show,
        given=given,
        think=think,
        form=form,
        beliefs=beliefs,
        extra=extra,
        known=WAYS,
    )
    models = InspectModels(
        AnswersCache(Path(cache).expanduser() if cache else None),
        process_budget(
            number(int, "max_requests", max_requests, least=0, otherwise=None),
            number(int, "token_budget", token_budget, least=0, otherwise=None),
        ),
        workers=number(int, "workers", workers, least=1, otherwise=8),
    )
    served = ServedModel(
        model,
        revision,
        models,
        method.way,
        thinks_aloud=method.thinks_aloud,
        counts_unusable=method.counts_unusable,
    )
    return Assistant(f"inspect:{model}", "1", domain, served, method.asking)
