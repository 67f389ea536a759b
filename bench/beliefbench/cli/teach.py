"""The commands ``beliefbench teach ...``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from beliefbench.cli.console import echo, report_errors
from beliefbench.errors import UsageError

teach = typer.Typer(help="Make teaching data, and teach a language model (paper, section 5).", no_args_is_help=True)


class Teacher(StrEnum):
    """Who answers."""

    bayesian = "bayesian"
    oracle = "oracle"
    posterior = "posterior"


class Recommender(StrEnum):
    """Whose recommendations stand in the conversation."""

    bayesian = "bayesian"
    oracle = "oracle"


@teach.command("data")
@report_errors
def data(
    out: Annotated[Path, typer.Option(help="The file to write, JSONL; it must not be there yet.")],
    teacher: Annotated[
        Teacher,
        typer.Option(
            help="bayesian: the guesses of the exact assistant. oracle: what the user chose. posterior: the exact "
            "predictive beside the guesses."
        ),
    ] = Teacher.bayesian,
    domain: Annotated[str, typer.Option(metavar="NAME", help="The domain that users come from.")] = "flights",
    users: Annotated[
        str,
        typer.Option(
            metavar="all|N", help="How many different users; the same in every interaction, the others never."
        ),
    ] = "all",
    interactions: Annotated[int, typer.Option(help="Interactions a user.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds an interaction.")] = 5,
    history: Annotated[
        Recommender | None,
        typer.Option(help="Whose recommendations stand in the conversation; the teacher's where left out."),
    ] = None,
    quiz: Annotated[int, typer.Option(help="Held-out questions at each stage, beside the rounds' own.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Each interaction once, an answer a round; else each round's prefix.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all draws; runs never meet what is drawn here.")] = 0,
) -> None:
    """Write what a teacher answers in simulated interactions, in the authors' format."""
    from beliefbench.plugins.names import load_domain
    from beliefbench.teaching.interactions import TeachingTask
    from beliefbench.teaching.records import write_records

    course = TeachingTask(
        load_domain(domain),
        teacher.value,
        history.value if history else None,
        _number_of(users),
        interactions=interactions,
        rounds=rounds,
        quiz=quiz,
        seed=seed,
    )
    columns = (SpinnerColumn(), TextColumn("interactions"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("", total=interactions)
        count = write_records(course, out, whole, lambda done, total: bars.update(bar, completed=done, total=total))
    echo(f"wrote {count:,} records to {out}; {out.name}.about.json beside it says what they were made from.")


class Turns(StrEnum):
    """Which of a conversation's answers are learnt from."""

    last = "last"
    every = "every"


@teach.command("run")
@report_errors
def run(
    base: Annotated[
        str, typer.Option(metavar="MODEL", help="What to teach: a folder, a GGUF file, or a Hugging Face name.")
    ],
    data: Annotated[Path, typer.Option(help="Teaching data, as `teach data` writes it, or the authors'.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the model goes: a new folder, or that of a stopped run.")
    ],
    lora: Annotated[int, typer.Option(metavar="RANK", help="Train a LoRA adapter of this rank; 0: all weights.")] = 0,
    dpo: Annotated[
        bool,
        typer.Option(
            "--dpo", help="Prefer the teacher's answer to each other one (direct preference optimisation, with TRL)."
        ),
    ] = False,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate; it warms up, then falls to 0.")] = 2e-6,
    batch: Annotated[int, typer.Option(help="Conversations a step, over all processes.")] = 128,
    at_once: Annotated[int, typer.Option(help="Conversations in memory at once, in each process.")] = 8,
    epochs: Annotated[float, typer.Option(help="How often the data is read.")] = 1.0,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which the learning rate warms up.")] = 0.1,
    longest: Annotated[int, typer.Option(help="Tokens that a conversation may have.")] = 2048,
    turns: Annotated[
        Turns | None,
        typer.Option(help="Which answers are learnt from; every one where the data is --whole, else the last."),
    ] = None,
    validate: Annotated[
        int,
        typer.Option(
            metavar="USERS",
            help="Users that the student is tried on ten times, never taught ones where there are any. 0: none.",
        ),
    ] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the data's order.")] = 0,
) -> None:
    """Teach a causal language model what teaching data says; run again, it goes on where it was stopped.

    The defaults are the paper's. Agent `prompted:DIR` is the taught model; with --lora, `prompted:MODEL,adapter=DIR`.
    """
    from beliefbench.language.huggingface import locate, require
    from beliefbench.teaching.validation import Validation

    require("torch", "transformers", "accelerate", *(["peft"] if lora else []), *(["trl"] if dpo else []))
    from beliefbench.teaching.progress import progress_bar
    from beliefbench.teaching.training import Settings
    from beliefbench.teaching.training import teach as teach_model

    settings = Settings(lora, learning_rate, batch, epochs, warmup, longest, at_once, seed, dpo)
    weights = locate(base)
    every_turn = None if turns is None else turns is Turns.every
    examined = Validation.of(data, validate) if validate else None
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = teach_model(weights, data, out, settings, every_turn, examined, on_progress)
    spec = f"prompted:{base},adapter={out}" if lora else f"prompted:{out}"
    echo(f"{'taught' if anew else 'was taught already'}: {out}; beliefbench run --domain flights --agent {spec}")


@teach.command("student")
@report_errors
def student(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the student goes: a new folder, or that of a stopped teaching.")
    ],
    teacher: Annotated[Teacher, typer.Option(help="Who answers, as for `teach data`.")] = Teacher.posterior,
    history: Annotated[
        Recommender | None,
        typer.Option(help="Whose recommendations stand in the conversation; the teacher's where left out."),
    ] = None,
    domain: Annotated[str, typer.Option(metavar="NAME", help="The domain that users come from.")] = "flights",
    interactions: Annotated[
        int, typer.Option(help="Interactions, each met once; 16 a step, and rounded up to whole steps.")
    ] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the first weights and of all draws.")] = 0,
) -> None:
    """Make a small language model and teach it from nothing; run again, it goes on where it was stopped.

    Agent `prompted:DIR` is the student. The taught agents that come with the package were made in this way.
    """
    from beliefbench.language.huggingface import require
    from beliefbench.plugins.names import load_domain

    require("torch", "transformers", "accelerate")
    from beliefbench.students.interactions import Source
    from beliefbench.students.student import Settings, teach_student
    from beliefbench.teaching.interactions import default_recommender
    from beliefbench.teaching.progress import progress_bar

    recommender = history.value if history else default_recommender(teacher.value)
    source = Source(load_domain(domain), teacher.value, recommender, seed=seed)
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = teach_student(source, Settings(interactions, seed), out, on_progress)
    spec = f"--domain {domain} --agent prompted:{out},dtype=float32"
    echo(f"{'taught' if anew else 'was taught already'}: {out}; beliefbench run {spec}")


@teach.command("curves")
@report_errors
def curves(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the curves go: a new folder, or that of curves that were begun.")
    ],
    domain: Annotated[str, typer.Option(metavar="NAME", help="The domain that users come from.")] = "flights",
    interactions: Annotated[int, typer.Option(help="Interactions that each student is taught.")] = 40_000,
    seeds: Annotated[int, typer.Option(help="Students of each teacher.")] = 3,
) -> None:
    """Teach students by each teacher and examine them on their way; run again, it teaches those that are missing.

    Writes each student's answers, curves.csv, differences.csv with 95% intervals over the seeds, and pictures.
    """
    from beliefbench.language.huggingface import require

    require("torch", "transformers", "accelerate")
    from beliefbench.students.curves import teach_curves

    if not 1 <= seeds <= 100:
        raise UsageError(f"seeds = {seeds}; expected 1 to 100.")
    columns = (SpinnerColumn(), TextColumn("students"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    bar = bars.add_task("", total=None)

    def on_progress(done: int, total: int) -> None:
        bars.start()  # no sooner: what is wrong with a call is said without a bar
        bars.update(bar, completed=done, total=total)

    try:
        teach_curves(domain, interactions, seeds, out, on_progress)
    finally:
        if bars.live.is_started:
            bars.stop()
    echo(f"{out}: curves.csv, differences.csv, curves.svg and curves.png.")


def _number_of(users: str) -> int | None:
    if users == "all":
        return None
    try:
        return int(users)
    except ValueError as error:
        raise UsageError(f"users = {users}; expected all, or a number.") from error
