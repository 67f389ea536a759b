"""The commands ``beliefbench teach ...``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from beliefbench.cli.console import echo, report_errors
from beliefbench.cli.options import Plugins, SimulatedDomain, add_plugins, run_command
from beliefbench.errors import UsageError, counted

teach = typer.Typer(
    help="Make teaching data, and teach language models (section 5 of the paper).", no_args_is_help=True
)


class Teacher(StrEnum):
    """Whose answers are taught."""

    bayesian = "bayesian"
    oracle = "oracle"
    posterior = "posterior"


class Recommender(StrEnum):
    """Who makes the recommendations in the conversation."""

    bayesian = "bayesian"
    oracle = "oracle"


@teach.command("data")
@report_errors
def data(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The JSONL file to write. It must not exist yet.")],
    teacher: Annotated[
        Teacher,
        typer.Option(
            help="Whose answers are written. bayesian: the guesses of the exact Bayesian assistant. oracle: the "
            "user's choices. posterior: the guesses, with the exact predictive probabilities as `probs`."
        ),
    ] = Teacher.bayesian,
    domain: SimulatedDomain = "flights",
    users: Annotated[
        str,
        typer.Option(metavar="all|N", help="The number of users in the data. All other users are in no interaction."),
    ] = "all",
    interactions: Annotated[int, typer.Option(help="Interactions of each user.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds of each interaction.")] = 5,
    history: Annotated[
        Recommender | None,
        typer.Option(help="Who makes the recommendations in the conversation. The default is the teacher."),
    ] = None,
    quiz: Annotated[int, typer.Option(help="Held-out questions at each stage, besides the question of the round.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Write each interaction once. The default is one record a round.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random draws. Runs never use these draws.")] = 0,
    plugins: Plugins = None,
) -> None:
    """Write a teacher's answers in simulated interactions, in the format of the paper's authors.

    Each line is {"idx": USER, "messages": [{"role": ..., "content": ...}, ...]}. An assistant's message also has
    `answer` if the teacher's answer differs from the recommendation in `content`; the model then learns `answer`.
    """
    from beliefbench.plugins.names import load_domain
    from beliefbench.teaching.interactions import TeachingTask
    from beliefbench.teaching.records import write_records

    add_plugins(plugins)
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
    echo(f"wrote {counted(count, 'record')} to {out}; {out.name}.about.json has their settings.")


class Turns(StrEnum):
    """Which answers of a conversation are learnt."""

    last = "last"
    every = "every"


@teach.command("run")
@report_errors
def run(
    base: Annotated[
        str, typer.Option(metavar="MODEL", help="The model to teach: a folder, a GGUF file, or a Hugging Face name.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Teaching data: a file that `teach data` wrote, or one of the paper's authors."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the taught model: a new one, or that of a stopped run.")
    ],
    lora: Annotated[
        int, typer.Option(metavar="RANK", help="Train a LoRA adapter of this rank. 0 trains all weights.")
    ] = 0,
    dpo: Annotated[
        bool,
        typer.Option(
            "--dpo",
            help="Use direct preference optimisation (TRL), which prefers the teacher's answer to each other answer.",
        ),
    ] = False,
    learning_rate: Annotated[
        float, typer.Option(help="The highest learning rate. It rises to this value, then falls to 0.")
    ] = 2e-6,
    batch: Annotated[
        int,
        typer.Option(
            help="Conversations in a step, over all processes: a multiple of --at-once times the number of processes."
        ),
    ] = 128,
    at_once: Annotated[int, typer.Option(help="Conversations in memory at once in each process.")] = 8,
    epochs: Annotated[float, typer.Option(help="How many times the data is read.")] = 1.0,
    warmup: Annotated[float, typer.Option(help="The share of the steps in which the learning rate rises.")] = 0.1,
    longest: Annotated[
        int, typer.Option(help="The most tokens of a conversation. Data with a longer one is refused.")
    ] = 2048,
    turns: Annotated[
        Turns | None,
        typer.Option(help="Which answers are learnt. The default is every answer of --whole data, otherwise the last."),
    ] = None,
    validate: Annotated[
        int,
        typer.Option(
            metavar="USERS",
            help="The number of users that the model is tested on, before training and up to ten times during it. "
            "They are users that are not taught, if there are any. 0 switches the tests off.",
        ),
    ] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the order of the data.")] = 0,
    plugins: Plugins = None,
) -> None:
    """Teach a causal language model with teaching data. The same command continues a stopped run.

    The defaults are the paper's. The taught model is the agent `prompted:DIR`, or `prompted:MODEL,adapter=DIR` with
    --lora.
    """
    from beliefbench.language.local.checkpoints import locate, require

    require("torch", "transformers", "accelerate", *(["peft"] if lora else []), *(["trl"] if dpo else []))
    from beliefbench.plugins.settings import format_spec
    from beliefbench.teaching.progress import progress_bar
    from beliefbench.teaching.training import Settings
    from beliefbench.teaching.training import teach as teach_model
    from beliefbench.teaching.validation import Validation

    add_plugins(plugins)
    settings = Settings(lora, learning_rate, batch, epochs, warmup, longest, at_once, seed, dpo)
    weights = locate(base)
    every_turn = None if turns is None else turns is Turns.every
    examined = Validation.of(data, validate) if validate else None
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = teach_model(weights, data, out, settings, every_turn, examined, on_progress)
    spec = format_spec("prompted", base, {"adapter": str(out)}) if lora else format_spec("prompted", str(out))
    _taught(anew, out, examined.course.domain.name if examined else "flights", spec, plugins)


Student = Annotated[
    Path, typer.Option(metavar="DIR", help="The folder of the student: a new one, or that of a stopped run.")
]
Taught = Annotated[Teacher, typer.Option(help="Whose answers are taught, as for `teach data`.")]
Interactions = Annotated[
    int, typer.Option(help="Interactions, each used once. A step has 16; the number is rounded up to whole steps.")
]
Seed = Annotated[int, typer.Option(help="Seed of the initial weights and of all random draws.")]


@teach.command("student")
@report_errors
def student(
    out: Student,
    teacher: Taught = Teacher.posterior,
    history: Annotated[
        Recommender | None,
        typer.Option(help="Who makes the recommendations in the conversation. The default is the teacher."),
    ] = None,
    domain: SimulatedDomain = "flights",
    interactions: Interactions = 100_000,
    seed: Seed = 0,
    plugins: Plugins = None,
) -> None:
    """Train a small language model from random weights. The same command continues a stopped run.

    The student is the agent `prompted:DIR`. The package's own taught agents were made in this way.
    """
    from beliefbench.language.local.checkpoints import require
    from beliefbench.plugins.names import load_domain

    require("torch", "transformers", "accelerate")
    from beliefbench.students.interactions import Source
    from beliefbench.students.student import Settings, teach_student
    from beliefbench.teaching.interactions import default_recommender
    from beliefbench.teaching.progress import progress_bar

    add_plugins(plugins)
    recommender = history.value if history else default_recommender(teacher.value)
    source = Source(load_domain(domain), teacher.value, recommender, seed=seed)
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = teach_student(source, Settings(interactions, seed), out, on_progress)
    _taught(anew, out, domain, _as_agent(out), plugins)


@teach.command("reader")
@report_errors
def reader(
    out: Student,
    teacher: Taught = Teacher.posterior,
    interactions: Annotated[
        int, typer.Option(help="Interactions, each used once; the number is rounded up to whole steps.")
    ] = 100_000,
    batch: Annotated[int, typer.Option(help="Interactions in a step, a multiple of 16; 128 keeps a GPU busy.")] = 16,
    workers: Annotated[int, typer.Option(help="Processes that draw interactions ahead of the training.")] = 0,
    seed: Seed = 0,
) -> None:
    """Train a small language model on synthetic domains, to read any domain. The same command continues a stopped run.

    Each interaction is on a domain of its own, with random items, features, units, layouts and users. A GPU is used if
    there is one. The reader is the agent `prompted:DIR`.
    """
    from beliefbench.language.local.checkpoints import require

    require("torch", "transformers", "accelerate")
    from beliefbench.students.reader.teaching import Settings, teach_reader
    from beliefbench.teaching.progress import progress_bar

    if not 0 <= workers <= 256:
        raise UsageError(f"workers = {workers}; expected 0 to 256.")
    with progress_bar(Console(stderr=True)) as on_progress:
        anew = teach_reader(Settings(teacher.value, interactions, batch, seed), out, on_progress, workers)
    _taught(anew, out, "hotels", _as_agent(out))


@teach.command("curves")
@report_errors
def curves(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the curves: a new one, or that of a stopped run.")
    ],
    domain: SimulatedDomain = "flights",
    interactions: Annotated[int, typer.Option(help="Interactions that each student learns from.")] = 40_000,
    seeds: Annotated[int, typer.Option(help="Students of each teacher.")] = 3,
    plugins: Plugins = None,
) -> None:
    """Train students of each teacher, and test them while they learn. The same command continues a stopped run.

    It writes each student's answers, curves.csv, differences.csv with 95% intervals over the seeds, and pictures.
    """
    from beliefbench.language.local.checkpoints import require

    require("torch", "transformers", "accelerate")
    from beliefbench.students.curves import teach_curves

    add_plugins(plugins)
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


def _as_agent(student: Path) -> str:
    from beliefbench.plugins.settings import format_spec

    return format_spec("prompted", str(student), {"dtype": "float32"})


def _taught(anew: bool, out: Path, domain: str, spec: str, plugins: list[Path] | None = None) -> None:
    echo(f"{'taught' if anew else 'was taught already'}: {out}; next: {run_command(domain, spec, plugins)}")


def _number_of(users: str) -> int | None:
    if users == "all":
        return None
    try:
        return int(users)
    except ValueError as error:
        raise UsageError(f"users = {users}; expected all or a number.") from error
