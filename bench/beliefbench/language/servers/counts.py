"""Counts of what was odd in a server's answers, and the words for them in the row.

Counts of several calls, sessions and processes can be added, so that the row of a run that was stopped counts all of
its answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from beliefbench.errors import counted
from beliefbench.language.servers.completions import Reply
from beliefbench.language.servers.logprobs import is_one_hot

SENT = "sent: "
"""Begins the keys that count answers to a request that the server made beliefbench change."""
SERVED = "served: "
"""Begins the keys that count answers by the model's name in the response."""


def counts_of(reply: Reply, *, wants_logprobs: bool, names_option: bool, usable: bool) -> Counter[str]:
    """Return the counts of one answer.

    ``names_option``: whether its text names an option; ``usable``: whether this gives an answer, with probabilities if
    they are wanted.
    """
    answered = bool(reply.text) and reply.ended in ("stop", "length")
    return +Counter(
        answers=1,
        cut=int(reply.ended == "length"),
        refused=int(reply.ended == "refusal"),
        calls=int(reply.ended == "tool call"),
        thoughts=int(reply.thought),
        thought_tokens=reply.thought_tokens or 0,
        one_hot=int(is_one_hot(reply.places or [])),
        of_another_text=int(wants_logprobs and answered and reply.places is None),
        unweighed=int(wants_logprobs and answered and reply.places is not None and names_option and not usable),
        **({f"{SERVED}{reply.served}": 1} if reply.served else {}),
    )


def notes_of(counts: Mapping[str, int], model: str, answer_tokens: int) -> list[str]:
    """Return a few words for each change of the requests and each kind of odd answers.

    >>> notes_of({"answers": 3, "cut": 1, "served: m-2026": 3}, "m", answer_tokens=32)
    ['served as m-2026', '1 of 3 answers used up their 32 tokens']
    """
    notes = [key.removeprefix(SENT) for key in counts if key.startswith(SENT)]
    served = sorted(key.removeprefix(SERVED) for key in counts if key.startswith(SERVED))
    if served and served != [model]:
        notes.append(f"served as {' and '.join(dict.fromkeys(map(_without_folder, served)))}")
    heard = f"of {counted(counts.get('answers', 0), 'answer')}"
    notes += [
        f"{counts[key]:,} {heard} {what}"
        for key, what in (
            ("cut", f"used up their {answer_tokens:,} tokens"),
            ("refused", "refused"),
            ("calls", "called a tool"),
            ("one_hot", "with log-probabilities that are 0 or minus infinity"),
            ("of_another_text", "with log-probabilities of another text"),
            ("unweighed", "name an option without its log-probability"),
        )
        if counts.get(key)
    ]
    if counts.get("thought_tokens"):
        notes.append(f"{counts['thought_tokens'] / counts['answers']:,.0f} tokens of thought an answer")
    elif counts.get("thoughts"):
        notes.append("it thinks, in tokens that the server does not count apart")
    return notes


def _without_folder(served: str) -> str:
    """Return what a server calls its model; of a path on its disk, the last part.

    >>> _without_folder("/home/ada/m-1b/"), _without_folder(r"C:\\models\\m.gguf"), _without_folder("accounts/org/m")
    ('m-1b', 'm.gguf', 'accounts/org/m')
    """
    if re.match(r"[/~\\.]|[A-Za-z]:[/\\]|file:", served) or "\\" in served:
        return re.split(r"[/\\]+", served.rstrip("/\\"))[-1] or "a folder"
    return served


def total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return the sum of counts.

    >>> total([{"answers": 1}, {"answers": 2, "cut": 1}])
    Counter({'answers': 3, 'cut': 1})
    """
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return found
