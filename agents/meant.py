"""SPECs as other tools write them, such as ``openai:gpt-4o``: which SPEC of a language model was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping

from beliefbench.errors import UsageError
from beliefbench.plugins.settings import format_spec

HERE, SERVED = "prompted", "endpoint"
"""The agents that ask a model on this machine, and a model on a server."""
SERVERS = {
    *("anthropic", "api", "azure", "bedrock", "cerebras", "chat", "fireworks", "gemini", "google", "grok", "groq"),
    *("litellm", "llamacpp", "llama.cpp", "llama-cpp", "lmstudio", "local-chat-completions", "mistral", "nim"),
    *("ollama", "openai", "openai-api", "openai-chat-completions", "openrouter", "server", "sglang", "tgi"),
    *("together", "vllm", "xai"),
}
ORGANISATIONS = {"google", "mistral", "openai"}
"""Those of `SERVERS` that have models on Hugging Face too, as OWNER/NAME."""
LIBRARIES = {"gguf", "hf", "hf-auto", "hf-local", "huggingface", "local", "model", "path", "peft", "transformers"}
HOSTED = re.compile(r"(chatgpt|claude|gemini|gpt-\d|grok|mistral-(large|medium|small)|o\d($|-))", re.IGNORECASE)
"""Names of models that only servers have."""
FAMILY = re.compile(r"(codellama|deepseek|falcon|gemma|gpt|llama|mistral|mixtral|olmo|phi|pythia|qwen|smollm)", re.I)
"""Names of models that anybody can have."""


def model_meant(name: str, model: str | None, options: Mapping[str, str]) -> UsageError | None:
    """Return the error for a SPEC that names a language model in another way; None if it does not.

    Parameters
    ----------
    name, model, options
        The SPEC, parsed. There is no agent of that name.

    >>> print(model_meant("openai", "gpt-4o", {"temperature": "0"}))
    there is no agent 'openai'; for a model on a server write 'endpoint:gpt-4o,temperature=0'.
    >>> print(model_meant("meta-llama/Llama-3-8B", None, {}))
    there is no agent 'meta-llama/Llama-3-8B'; for a model on this machine write 'prompted:meta-llama/Llama-3-8B', for \
a model on a server 'endpoint:meta-llama/Llama-3-8B'.
    >>> model_meant("randm", None, {})
    """
    agents, meant = _meant(name, model)
    where = {HERE: "on this machine", SERVED: "on a server"}
    specs = [(where[agent], format_spec(agent, meant, options)) for agent in agents]
    if not specs:
        return None
    (place, spec), *others = specs
    said = f"for a model {place} write '{spec}'" + "".join(f", for a model {at} '{other}'" for at, other in others)
    return UsageError(f"there is no agent '{name}'; {said}.")


def _meant(name: str, model: str | None) -> tuple[list[str], str]:
    """Return the agents that a SPEC may mean, and the MODEL."""
    whole = name if model is None else f"{name}:{model}"
    kind, slash, rest = name.partition("/")
    if name.startswith((".", "/", "~", "\\")) or whole.endswith(".gguf") or re.match(r"[A-Za-z]:[\\/]", whole):
        agents, found = [HERE], whole
    elif model is not None and name.lower() in SERVERS:
        agents, found = [SERVED], model
    elif model is not None and name.lower() in LIBRARIES:
        agents, found = [HERE], model
    elif slash and kind.lower() in SERVERS and (HOSTED.match(rest) or kind.lower() not in ORGANISATIONS):
        agents, found = [SERVED], whole[len(kind) + 1 :]
    elif slash and kind.lower() in LIBRARIES:
        agents, found = [HERE], whole[len(kind) + 1 :]
    elif HOSTED.match(rest or name):
        agents, found = [SERVED], whole
    elif slash or FAMILY.match(name):
        agents, found = [HERE, SERVED], whole
    else:
        agents, found = [], whole
    return agents, found
