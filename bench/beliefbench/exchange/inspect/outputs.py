"""Requests as Inspect's models take them, and their outputs as replies.

An output is written as a response of OpenAI's chat completions, so that one reader (`language.servers.completions`)
judges the answers of all servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beliefbench.language.servers.completions import Reply, Request, read_replies

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, GenerateConfig, ModelOutput

WAYS = ("logprobs", "samples", "stated", "none")
"""The ways to probabilities that Inspect's models have."""
MODEL_ARGS = "model_args"
"""The parameter of a request with what ``get_model`` is given, such as ``{"do_sample": false}`` for ``hf``."""
CHANGES_NO_ANSWER = {
    *("max_retries", "timeout", "attempt_timeout", "stream_idle_timeout", "max_connections", "adaptive_connections"),
    *("cache", "cache_prompt", "batch", "fail_on_refusal", "reasoning_summary", "max_tool_output"),
    *("parallel_tool_calls", "internal_tools"),  # there are no tools
}
"""Options of Inspect that may be set for a task, since the text that the model reads and writes does not depend on
them."""
REASONS = {"max_tokens": "length", "model_length": "length", "tool_calls": "tool_calls", "unknown": "stop"}


def messages_of(request: Request) -> list[ChatMessage]:
    """Return the chat of a request."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser

    kinds = {"user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[one["role"]](content=one["content"]) for one in request.parameters["messages"]]


def config_of(request: Request, samples: int) -> GenerateConfig:
    """Return the options of a request for some of its samples."""
    from inspect_ai.model import GenerateConfig

    asked = request.parameters
    return GenerateConfig(
        temperature=asked["temperature"],
        max_tokens=asked["max_tokens"],
        num_choices=samples if samples > 1 else None,
        logprobs=asked.get("logprobs"),
        top_logprobs=asked.get("top_logprobs"),
        reasoning_effort=asked.get("reasoning_effort"),
    )


def other_options(config: GenerateConfig, own: GenerateConfig | None = None) -> dict[str, Any]:
    """Return the options of a config on which answers depend and that are not those of ``own``.

    >>> from inspect_ai.model import GenerateConfig
    >>> other_options(GenerateConfig(temperature=0.5, max_retries=3))
    {'temperature': 0.5}
    """
    expected = own.model_dump(exclude_none=True) if own else {}
    found = config.model_dump(exclude_none=True)
    names = (found.keys() | expected.keys()) - CHANGES_NO_ANSWER - {"num_choices"}
    return {name: found.get(name) for name in sorted(names) if found.get(name) != expected.get(name)}


def replies_of(output: ModelOutput, request: Request) -> list[Reply]:
    """Return the replies in an output, one for each choice.

    Raises
    ------
    BrokenReplyError
        If it holds no finished answer.
    NoLogprobsError
        If log-probabilities were requested, and there are none.
    """
    return read_replies(response_of(output), request, output.time or 0.0)


def response_of(output: ModelOutput) -> dict[str, Any]:
    """Return an output as the JSON of a chat completion.

    >>> from inspect_ai.model import ModelOutput
    >>> response_of(ModelOutput.from_content("m", "Flight 2"))["choices"][0]["message"]["content"]
    'Flight 2'
    """
    usage = output.usage
    response: dict[str, Any] = {"model": output.model, "choices": [_choice(one) for one in output.choices]}
    if usage is not None and (usage.input_tokens or usage.output_tokens):
        read = usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
        response["usage"] = {
            "prompt_tokens": read,
            "completion_tokens": usage.output_tokens,
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        }
    if output.error is not None and not any(one["message"]["content"] for one in response["choices"]):
        for one in response["choices"]:
            one["finish_reason"] = "content_filter"
    return response


def _choice(choice: Any) -> dict[str, Any]:
    content = choice.message.content
    parts = [] if isinstance(content, str) else content
    text = content if isinstance(content, str) else "".join(one.text for one in parts if one.type == "text")
    message: dict[str, Any] = {"content": text}
    if any(one.type == "reasoning" for one in parts):
        message["reasoning"] = "yes"  # that there was some is all that a reply keeps
    if choice.message.tool_calls:
        message["tool_calls"] = [{"function": {"name": one.function}} for one in choice.message.tool_calls]
    logprobs = None if choice.logprobs is None else {"content": [_token(one) for one in choice.logprobs.content]}
    return {
        "message": message,
        "finish_reason": REASONS.get(choice.stop_reason, choice.stop_reason),
        "logprobs": logprobs,
    }


def _token(token: Any) -> dict[str, Any]:
    return {**_logprob(token), "top_logprobs": [_logprob(one) for one in token.top_logprobs or ()]}


def _logprob(token: Any) -> Mapping[str, Any]:
    spelled = {"bytes": token.bytes} if token.bytes is not None else {}
    return {"token": token.token, "logprob": token.logprob, **spelled}
