"""A scripted model of Inspect that reads the options, and a log of it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest

inspect_ai = pytest.importorskip("inspect_ai")

from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402
from inspect_ai.model._model_output import Logprob, Logprobs, TopLogprob  # noqa: E402

NUMBERS = {"users": 3, "rounds": 2, "heldout": 4}


def scripted(input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
    """Answer by a hash of the whole conversation, so that each question has an answer of its own."""
    digest = hashlib.sha256("\n".join(one.text for one in input).encode()).digest()
    weights = [1 + byte for byte in digest[:3]]
    shares = [one / sum(weights) for one in weights]
    best = shares.index(max(shares)) + 1
    output = ModelOutput.from_content("mockllm/model", f"The best option is Flight {best}.")
    output.usage = ModelUsage(input_tokens=10, output_tokens=7, total_tokens=17)
    if config.logprobs:
        listed = [TopLogprob(token=str(at + 1), logprob=math.log(share)) for at, share in enumerate(shares)]
        tokens = ["The", " best", " option", " is", " Flight", " ", str(best), "."]
        output.choices[0].logprobs = Logprobs(
            content=[
                Logprob(token=one, logprob=math.log(max(shares)), top_logprobs=listed)
                if one == str(best)
                else Logprob(token=one, logprob=0.0, top_logprobs=[TopLogprob(token=one, logprob=0.0)])
                for one in tokens
            ]
        )
    return output


@pytest.fixture(scope="session")
def scripted_model() -> Any:
    """A function that makes the model, with another answer for each conversation."""
    return lambda outputs=scripted: get_model("mockllm/model", custom_outputs=outputs, memoize=False)


@pytest.fixture(scope="session")
def evaluate(scripted_model, tmp_path_factory) -> Any:
    """``evaluate(task, model=..., **options of inspect_ai.eval, and arguments of the task) -> the log``."""

    def run(task: str, arguments: dict[str, Any], model: Any = None, **options: Any) -> Any:
        folder = tmp_path_factory.mktemp("logs")
        (log,) = inspect_ai.eval(
            task,
            model=model or scripted_model(),
            task_args=arguments,
            log_dir=str(folder),
            display="none",
            **options,
        )
        return log

    return run


@pytest.fixture(scope="session")
def log(evaluate) -> Any:
    """The log of the scripted model on flights-2; nobody changes it."""
    found = evaluate("beliefbench/flights-2", dict(NUMBERS))
    assert found.status == "success", found.error
    return found


@pytest.fixture
def log_file(log) -> Path:
    return Path(log.location)
