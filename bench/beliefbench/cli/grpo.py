"""``beliefbench teach grpo``: reinforcement learning against exact rewards."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import Plugins, SimulatedDomain, add_plugins, run_command


class Reward(StrEnum):
    """What an answer is rewarded by."""

    exact = "exact"
    user = "user"


class Form(StrEnum):
    """What an answer is."""

    sentence = "sentence"
    stated = "stated"


@report_errors
def grpo(
    base: Annotated[
        str, typer.Option(metavar="MODEL", help="The model to improve: a folder, a GGUF file, or a Hugging Face name.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the improved model: a new one, or that of a stopped run.")
    ],
    domain: SimulatedDomain = "flights",
    reward: Annotated[
        Reward,
        typer.Option(
            help="exact: the expected reward under the exact posterior predictive. user: the reward for the choice "
            "that the user made."
        ),
    ] = Reward.exact,
    form: Annotated[
        Form,
        typer.Option(
            help="sentence: an answer names an option, and its reward is the option's probability. stated: an answer "
            "states probabilities, and its reward is minus their KL divergence from the exact ones."
        ),
    ] = Form.sentence,
    rounds: Annotated[int, typer.Option(help="Rounds of each interaction.")] = 5,
    steps: Annotated[int, typer.Option(help="Steps of the optimiser.")] = 200,
    batch: Annotated[int, typer.Option(help="Answers in a step, a multiple of --answers.")] = 64,
    answers: Annotated[int, typer.Option(help="Answers to each question, which are compared with each other.")] = 8,
    answer_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="The learning rate.")] = 1e-6,
    seed: Annotated[int, typer.Option(help="Seed of the users, their rounds and the answers.")] = 0,
    plugins: Plugins = None,
) -> None:
    """Improve a language model with GRPO (TRL) against exact rewards. The same command continues a stopped run.

    The conversations before each question have the recommendations of the exact assistant. Users are drawn apart from
    those of runs. The improved model is the agent `prompted:DIR`.
    """
    from beliefbench.language.local.checkpoints import locate, require
    from beliefbench.plugins.names import load_domain
    from beliefbench.plugins.settings import format_spec

    require("torch", "transformers", "accelerate", "trl")
    from beliefbench.teaching.grpo import Settings, improve
    from beliefbench.teaching.progress import progress_bar

    # TRL uses names of transformers that are deprecated, and says so to the user in each training.
    warnings.filterwarnings("ignore", category=FutureWarning)
    add_plugins(plugins)
    settings = Settings(reward.value, form.value, rounds, steps, batch, answers, answer_tokens, learning_rate, seed)
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = improve(locate(base), load_domain(domain), out, settings, on_progress)
    asked = {"probabilities": "none"} if form is Form.sentence else {"probabilities": "stated"}
    command = run_command(domain, format_spec("prompted", str(out), asked), plugins)
    echo(f"{'improved' if anew else 'was improved already'}: {out}; next: {command}")
