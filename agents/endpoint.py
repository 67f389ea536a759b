"""A language model on an OpenAI-compatible server as the assistant: vLLM, llama.cpp, Ollama, or a hosted API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beliefbench import Domain, UsageError
from beliefbench.language.assistant import Assistant
from beliefbench.language.servers.answers_cache import AnswersCache
from beliefbench.language.servers.budget import process_budget
from beliefbench.language.servers.endpoint import ChatServer
from beliefbench.language.servers.methods import method_of
from beliefbench.language.servers.served_model import ServedModel
from beliefbench.language.settings import json_object, number
from beliefbench.plugins.reach import Reach, reaches

EXAMPLE = '{"enable_thinking":false}'
OWN_SETTINGS = {
    "messages": "history, show, given, think or beliefs",
    "model": "endpoint:MODEL",
    "n": "n",
    "temperature": "temperature",
    "max_tokens": "answer_tokens",
    "max_completion_tokens": "answer_tokens",
    "logprobs": "probabilities",
    "top_logprobs": "top_logprobs",
    "reasoning_effort": "reasoning_effort",
    "chat_template_kwargs": "chat_template_kwargs",
}
"""Parameters of a request that extra_body may not have, and the settings that give them."""


@reaches(lambda model, settings: {Reach.server})
def endpoint(
    domain: Domain,
    model: str,
    *,
    probabilities: str = "logprobs",
    n: str | None = None,
    temperature: str | None = None,
    answer_tokens: str | None = None,
    top_logprobs: str | None = None,
    reasoning_effort: str | None = None,
    chat_template_kwargs: str | None = None,
    extra_body: str | None = None,
    unusable: str = "stop",
    revision: str | None = None,
    workers: str | None = None,
    timeout: str | None = None,
    max_requests: str | None = None,
    token_budget: str | None = None,
    max_tokens: str | None = None,
    cache: str | None = None,
    history: str = "interactive",
    show: str = "words",
    given: str = "nothing",
    think: str = "no",
    form: str | None = None,
    beliefs: str = "no",
) -> Assistant:
    """``endpoint:MODEL[,key=value...]``: a model on a server with OpenAI's chat completions. $OPENAI_BASE_URL is the
    server's address, and $OPENAI_API_KEY your key, if the server needs one.

    probabilities=logprobs: from the log-probabilities of the tokens that name an option, among the top_logprobs=20
    likeliest. probabilities=samples: the shares of the options among n=8 answers at temperature 1, with 1/2 added to
    each count. probabilities=stated: the model writes them as JSON. probabilities=decision: from the decisions of
    transformers serve. probabilities=none: the model only chooses. temperature and answer_tokens (the maximum length of
    an answer) have a default for each of these. revision is a name of your choice: it tells versions of a model apart,
    because servers do not report them reliably.

    think=TOKENS: the model may write this many tokens of its own thoughts before an answer. think=yes: the question
    asks it to think. reasoning_effort, chat_template_kwargs (JSON) and extra_body (JSON: further parameters) are sent
    as they are. Other ways of asking (`beliefbench.language.questions.conversations.PromptStyle`): history=whole,
    show=numbers, given=preferences|posterior, beliefs=yes|only. If the model writes a choice, the question
    asks for it in the paper's sentence; with form=paper it ends with the options, as in the paper.

    workers=8 questions are asked at the same time. A try takes at most timeout=120 seconds. The folder cache stores the
    answers (default: the user's cache folder), and no question is asked twice. max_requests and token_budget limit what
    one process may spend. If none of the first 6 answers can be used, the run stops; unusable=count lets it go on.
    """
    if max_tokens is not None:
        raise UsageError(
            f"max_tokens={max_tokens} is not a setting: use answer_tokens=N for the length of an answer, or "
            "token_budget=N for what the process may spend."
        )
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
        extra=_extra(reasoning_effort, chat_template_kwargs, extra_body),
    )
    server = ChatServer(
        AnswersCache(Path(cache).expanduser() if cache else None),
        process_budget(
            number(int, "max_requests", max_requests, least=0, otherwise=None),
            number(int, "token_budget", token_budget, least=0, otherwise=None),
        ),
        workers=number(int, "workers", workers, least=1, otherwise=8),
        timeout=number(float, "timeout", timeout, least=0.001, otherwise=120.0),
    )
    served = ServedModel(
        model,
        revision,
        server,
        method.way,
        thinks_aloud=method.thinks_aloud,
        counts_unusable=method.counts_unusable,
    )
    return Assistant(f"endpoint:{model}", "3", domain, served, method.asking)


def _extra(effort: str | None, template: str | None, body: str | None) -> Mapping[str, Any]:
    """Return the further parameters of requests."""
    extra = json_object("extra_body", body, EXAMPLE)
    for name in extra:
        if name in OWN_SETTINGS:
            raise UsageError(f"extra_body may not have '{name}'; use the setting {OWN_SETTINGS[name]}.")
    if "stream" in extra:
        raise UsageError("extra_body may not have 'stream', because answers are read whole; leave it out.")
    if effort is not None:
        extra["reasoning_effort"] = effort
    if template is not None:
        extra["chat_template_kwargs"] = json_object("chat_template_kwargs", template, EXAMPLE)
    return extra
