"""The commands ``beliefbench teach ...``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.console import say, sentences
from bench.errors import UsageError

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
@sentences
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
    from bench.plugins import load_domain
    from bench.teaching.lessons import Course
    from bench.teaching.records import write_records

    course = Course(
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
    say(f"wrote {count:,} records to {out}; {out.name}.about.json beside it says what they were made from.")


class Turns(StrEnum):
    """Which of a conversation's answers are learnt from."""

    last = "last"
    every = "every"


@teach.command("run")
@sentences
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
    from bench.language.huggingface import locate, require
    from bench.teaching.validation import Validation

    require("torch", "transformers", "accelerate", *(["peft"] if lora else []), *(["trl"] if dpo else []))
    from bench.teaching.training import Settings
    from bench.teaching.training import teach as teach_model
    from bench.teaching.watching import watched

    settings = Settings(lora, learning_rate, batch, epochs, warmup, longest, at_once, seed, dpo)
    weights = locate(base)
    every_turn = None if turns is None else turns is Turns.every
    examined = Validation.of(data, validate) if validate else None
    with watched(Console(stderr=True)) as told:
        anew = teach_model(weights, data, out, settings, every_turn, examined, told)
    spec = f"prompted:{base},adapter={out}" if lora else f"prompted:{out}"
    say(f"{'taught' if anew else 'was taught already'}: {out}; beliefbench run --domain flights --agent {spec}")


@teach.command("student")
@sentences
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
    from bench.language.huggingface import require
    from bench.plugins import load_domain

    require("torch", "transformers", "accelerate")
    from bench.students.interactions import Source
    from bench.students.student import Settings, teach_student
    from bench.teaching.lessons import usual_recommender
    from bench.teaching.watching import watched

    recommender = history.value if history else usual_recommender(teacher.value)
    source = Source(load_domain(domain), teacher.value, recommender, seed=seed)
    with watched(Console(stderr=True)) as told:
        anew = teach_student(source, Settings(interactions, seed), out, told)
    spec = f"--domain {domain} --agent prompted:{out},dtype=float32"
    say(f"{'taught' if anew else 'was taught already'}: {out}; beliefbench run {spec}")


@teach.command("curves")
@sentences
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
    from bench.language.huggingface import require

    require("torch", "transformers", "accelerate")
    from bench.students.curves import teach_curves

    if not 1 <= seeds <= 100:
        raise UsageError(f"seeds = {seeds}; expected 1 to 100.")
    columns = (SpinnerColumn(), TextColumn("students"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    bar = bars.add_task("", total=None)

    def told(done: int, total: int) -> None:
        bars.start()  # no sooner: what is wrong with a call is said without a bar
        bars.update(bar, completed=done, total=total)

    try:
        teach_curves(domain, interactions, seeds, out, told)
    finally:
        if bars.live.is_started:
            bars.stop()
    say(f"{out}: curves.csv, differences.csv, curves.svg and curves.png.")


def _number_of(users: str) -> int | None:
    if users == "all":
        return None
    try:
        return int(users)
    except ValueError as error:
        raise UsageError(f"users = {users}; expected all, or a number.") from error
