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

teach = typer.Typer(help="Make teaching data for language models (paper, section 5).", no_args_is_help=True)


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


def _number_of(users: str) -> int | None:
    if users == "all":
        return None
    try:
        return int(users)
    except ValueError as error:
        raise UsageError(f"users = {users}; expected all, or a number.") from error
