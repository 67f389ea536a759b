"""Tasks of `inspect eval`: ``beliefbench/NAME`` for each domain and suite that is installed.

Inspect finds this module by the entry point ``inspect_ai``. One sample is one user.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from typing import Any

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample

from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.exchange.inspect.playing import Playing, play
from beliefbench.exchange.inspect.scoring import by_round, by_user
from beliefbench.exchange.inspect.stopping import StopAtWidth
from beliefbench.plugins.names import list_domains, load_suite
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import QUICK
from beliefbench.protocol.stopping import order_of_users
from beliefbench.running.harness import episodes_of

VERSION = 1
"""Of the task: raised when logs of earlier versions can no longer be imported."""


def make_task(
    domain: str,
    users: int | None = None,
    rounds: int | None = None,
    heldout: int | None = None,
    seed: int = 0,
    preset: str = QUICK,
    until_width: float | None = None,
    **settings: Any,
) -> Task:
    """Return the task of a domain or a suite: a sample for each user, the protocol as solver, the metrics as scorer.

    Parameters
    ----------
    domain
        Its SPEC.
    users, rounds, heldout, seed, preset, until_width
        As `beliefbench.run` takes them. ``until_width`` needs a domain that is no suite.
    settings
        How the model is asked: the settings of ``inspect:MODEL`` (`beliefbench.agents.inspect_model`).

    Raises
    ------
    PrerequisiteError
        If an argument is wrong. Inspect prints its sentence.

    >>> made = make_task("flights-2", users=2, rounds=1, heldout=3)
    >>> len(made.dataset), made.dataset[0].input.splitlines()[0][:30]
    (2, 'Help me select the best flight')
    """
    numbers = {"users": users, "rounds": rounds, "heldout": heldout, "seed": seed, "preset": preset}
    try:
        if until_width is not None and len(load_suite(domain)) > 1:
            raise UsageError(f"until_width needs one domain, and '{domain}' is a suite; name one of its domains.")
        playings = [Playing.of(one, numbers, until_width, settings) for one in load_suite(domain)]
        samples = [sample for one in playings for sample in _samples(one)]
    except BeliefBenchError as error:
        raise PrerequisiteError(f"beliefbench: {error}") from error
    (first, *others) = playings
    return Task(
        dataset=MemoryDataset(samples, name=domain),
        solver=play(domain, numbers, until_width, settings),
        scorer=by_user(),
        metrics=[by_round(until_width, first.protocol.users)],
        early_stopping=None if others or first.rule is None else StopAtWidth(first.rule),
        version=VERSION,
        metadata={"beliefbench": {one.domain.name: one.described() for one in playings}},
    )


def _samples(playing: Playing) -> list[Sample]:
    """Return a sample for each user, in the order in which they are asked."""
    episodes = episodes_of(playing.domain, playing.protocol)
    order = range(playing.protocol.users)
    if playing.rule is not None:
        order = order_of_users(playing.protocol.seed, playing.domain.name, playing.protocol.users).tolist()
    return [
        Sample(
            id=f"{playing.domain.name}/{episodes.users[place]}",
            input=playing.first_question(place),
            metadata={
                "domain": playing.domain.name,
                "user": int(episodes.users[place]),
                "place": number,
                "chosen": _chosen(episodes, place),
            },
        )
        for number, place in enumerate(order)
    ]


def _chosen(episodes: Episodes, place: int) -> list[str]:
    """Return the options that the user chose in the rounds, as people read them."""
    describe, rounds = episodes.domain.describe, episodes.options[place]
    return [describe(options[one]) for options, one in zip(rounds, episodes.chosen[place], strict=True)]


def _register(name: str) -> Callable[..., Task]:
    def made(
        users: int | None = None,
        rounds: int | None = None,
        heldout: int | None = None,
        seed: int = 0,
        preset: str = QUICK,
        until_width: float | None = None,
        probabilities: str = "logprobs",
        n: int | None = None,
        temperature: float | None = None,
        answer_tokens: int | None = None,
        top_logprobs: int | None = None,
        reasoning_effort: str | None = None,
        unusable: str = "stop",
        history: str = "interactive",
        show: str = "words",
        given: str = "nothing",
        think: str | int | bool = "no",
        form: str | None = None,
        beliefs: str | bool = "no",
        **unknown: Any,
    ) -> Task:
        if unknown:  # Inspect leaves out an argument that a task does not have, with a warning
            raise PrerequisiteError(f"beliefbench: {_unknown(next(iter(unknown)))}")
        settings = {
            "probabilities": probabilities,
            "n": n,
            "temperature": temperature,
            "answer_tokens": answer_tokens,
            "top_logprobs": top_logprobs,
            "reasoning_effort": reasoning_effort,
            "unusable": unusable,
            "history": history,
            "show": show,
            "given": given,
            "think": think,
            "form": form,
            "beliefs": beliefs,
        }
        return make_task(name, users, rounds, heldout, seed, preset, until_width, **settings)

    def _unknown(argument: str) -> str:
        known = [one for one in signature(made).parameters if one != "unknown"]
        near = get_close_matches(argument, known, 1)
        return f"there is no argument '{argument}'; " + (
            f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}."
        )

    made.__doc__ = f"Learn the preferences of simulated users of {name}, round by round."
    made.__name__ = made.__qualname__ = name
    return task(name=name)(made)


TASKS = {name: _register(name) for name in list_domains()}
