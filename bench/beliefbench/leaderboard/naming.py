"""What agents, runs and groups of runs are called where they stand together: never two by one name.

An agent is its identity (`beliefbench.agent.Agent.identity`). Two agents of one name, such as two checkpoints, are told
apart by what differs in their identities. Nothing is numbered, so that a name does not change with a rank.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, TypeVar

from rich.cells import cell_len

from beliefbench.errors import BeliefBenchError, cut, printable
from beliefbench.leaderboard.row import Row
from beliefbench.plugins.settings import parse_spec
from beliefbench.running.store import RunRecord

T = TypeVar("T")
DIGEST = re.compile(r"[0-9a-f]{16,}")
LONGEST = 32
"""Characters of a value in a name; a longer one is cut where this leaves it another than the rest."""
WHOLE = 200
"""Characters of the longest value that stands in a name without a cut."""
LONGEST_SLUG = 120
"""Characters of the longest name in an address, a label or a file's name; file systems take 255."""
MOST = 1000
"""Properties of an identity that can stand in a name; identities that differ in others are told apart by digests."""


def agent_names(records: Sequence[RunRecord]) -> list[str]:
    """Return what the agent of each run is called: by its own name, with what tells it from others of that name.

    Equal identities have equal names, and others have others. Of weights, the folders in the SPECs are named where they
    tell them apart, and the first digits of their digest elsewhere.
    """
    agents: dict[str, dict[str, list[RunRecord]]] = {}
    for record in records:
        agents.setdefault(record.agent.name, {}).setdefault(_canonical(record.identity.agent), []).append(record)
    shown: dict[tuple[str, str], str] = {}
    for name, variants in agents.items():
        order = sorted(variants)
        told = differences(_described([variants[identity] for identity in order])) if len(order) > 1 else [""]
        for identity, what in zip(order, told, strict=True):
            shown[name, identity] = printable(f"{name} ({what})" if what else name)
    alike = {one: [other for other in shown if _seen(shown[other]) == _seen(shown[one])] for one in shown}
    for one, others in alike.items():
        if len(others) > 1:
            shown[one] += f" (identity {_digest(_canonical(one), [_canonical(other) for other in others])})"
    return [shown[record.agent.name, _canonical(record.identity.agent)] for record in records]


def _seen(name: str) -> str:
    """Return what a reader sees of a name: of letters in two forms of Unicode, and of many spaces, one."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def run_labels(group: Sequence[Row]) -> list[str]:
    """Return what the runs of a group are called: by their agents, and of one agent by how many users were asked."""
    names = [row.fields["agent"] for row in group]
    return [f"{name} ({what})" if what else name for name, what in zip(names, _told(names, group, _asked), strict=True)]


def group_names(groups: Sequence[Sequence[Row]]) -> list[str]:
    """Return what groups of comparable runs are called: by their domains, and of one domain by what differs."""
    domains = [group[0].fields["domain"] for group in groups]
    told = _told(domains, groups, _questions)
    return [f"{domain}, {what}" if what else domain for domain, what in zip(domains, told, strict=True)]


def _told(names: Sequence[str], things: Sequence[T], described: Callable[[T], Mapping[str, str]]) -> list[str]:
    """Return what tells each thing from the others of its name; an empty text if there are none."""
    told = [""] * len(names)
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        for place, what in zip(places, differences([described(things[place]) for place in places]), strict=True):
            told[place] = what
    return told


def differences(described: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what tells things apart, for each of them: as few of their properties as it takes, the first ones.

    >>> differences([{"users": "8 users", "seed": "seed 0"}, {"users": "8 users", "seed": "seed 1"}])
    ['seed 0', 'seed 1']
    >>> differences([{"weights": "weights 3f", "dtype": "float32"}, {"weights": "weights a1"}])
    ['weights 3f', 'weights a1']
    """

    def kinds(names: Iterable[str]) -> int:
        return len({tuple(one.get(name) for name in names) for one in described})

    chosen: list[str] = []
    for name in dict.fromkeys(name for one in described for name in one):
        if kinds([*chosen, name]) > kinds(chosen):
            chosen.append(name)
    for name in tuple(chosen):
        rest = [one for one in chosen if one != name]
        chosen = rest if kinds(rest) == kinds(chosen) else chosen
    return [", ".join(one[name] for name in chosen if name in one) for one in described]


def slugs_of(names: Sequence[str]) -> list[str]:
    """Return names as they may stand in an address, a label or a file's name, no two alike.

    >>> slugs_of(["webshop-hats", "prompted:A/b", "prompted:a-b", "<>"])
    ['webshop-hats', 'prompted-a-b-ddc1', 'prompted-a-b-6c54', 'x']
    """
    plain = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x" for name in names]
    return told_apart(names, [slug[:LONGEST_SLUG].strip("-") for slug in plain])


def told_apart(names: Sequence[str], plain: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return plain forms of names, no two alike and none of ``taken``: those of several names end with a digest.

    >>> told_apart(["a b", "a,b", "c"], ["a_b", "a_b", "c"], taken=["c"])
    ['a_b-c868', 'a_b-1eb7', 'c-2e7d']
    """
    used, found = set(taken), {}
    of_plain = {slug: {name for name, same in zip(names, plain, strict=True) if same == slug} for slug in plain}
    for name, slug in sorted(zip(names, plain, strict=True), key=lambda pair: len(of_plain[pair[1]])):
        if name not in found:
            free, digits = slug, count(4)
            while free in used or (free == slug and len(of_plain[slug]) > 1):
                free = f"{slug}-{_digits(name, next(digits))}"
            found[name] = free
            used.add(free)
    return [found[name] for name in names]


def _digits(name: str, number: int) -> str:
    """Return so many digits of digests of a name: others may be named to end with those of the first."""
    return "".join(_sha(f"{name}{'/' * place}") for place in range(1 + number // 64))[:number]


def shortened(labels: Sequence[str], width: int) -> dict[str, str]:
    """Return labels in so many columns at most, no two alike: cut at the end, or elsewhere if that leaves two alike.

    >>> shortened(["prompted:model (dtype float32)", "prompted:model (dtype bfloat16)", "first"], 20)
    {'prompted:model (dtype float32)': 'prompt…type float32)', 'prompted:model (dtype bfloat16)': \
'prompt…ype bfloat16)', 'first': 'first'}
    """
    known = list(dict.fromkeys(labels))
    cuts = [(width - 1, 0), ((width - 1) // 3, width - 1 - (width - 1) // 3), (0, width - 1)]
    for head, tail in cuts:
        found = {label: _cut(label, width, head, tail) for label in known}
        if len(set(found.values())) == len(known):
            return found
    return {
        label: found[label] if cell_len(label) <= width else f"{_cut(label, width - 4, width - 5, 0)}{_sha(label)[:4]}"
        for label in known
    }


def _cut(label: str, width: int, head: int, tail: int) -> str:
    """Return a label with a piece of it left out, if it takes more columns than ``width``."""
    if cell_len(label) <= width:
        return label
    return f"{_within(label, head)}…{_within(label[::-1], tail)[::-1]}"


def _within(text: str, width: int) -> str:
    """Return the start of a text that takes so many columns at most."""
    start = text[: max(width, 0)]  # shorter than need be where accents are characters of their own
    while cell_len(start) > width:
        start = start[:-1]
    return start


def _described(variants: Sequence[Sequence[RunRecord]]) -> list[dict[str, str]]:
    """Return the properties in the identities of agents of one name, as they are shown; each has some runs."""
    flat = [dict(islice(_flat(runs[0].identity.agent), MOST)) for runs in variants]
    keys = [key for key in dict.fromkeys(key for one in flat for key in one) if key != "name"]
    found: list[dict[str, str]] = [{} for _ in variants]
    lasts = Counter(key.rpartition(".")[2] for key in keys)
    for key in keys:
        values = [one.get(key) for one in flat]
        known = [value for value in dict.fromkeys(values) if value]
        last = key.rpartition(".")[2]
        label = last if lasts[last] == 1 else key
        folders = _folders(known, values, variants) if known and all(map(DIGEST.fullmatch, known)) else {}
        for one, value in zip(found, values, strict=True):
            if value:
                one[key] = folders.get(value) or printable(f"{label} {_short(value, known)}")
    return found


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values in a JSON object as text, with their keys; those in objects in it with ``outer.inner``."""
    for key, one in value.items():
        if isinstance(one, Mapping):
            yield from _flat(one, f"{path}{key}.")
        elif one is not None:
            yield f"{path}{key}", one if isinstance(one, str) else _canonical(one)


def _short(value: str, others: Sequence[str]) -> str:
    """Return a value in few characters that no other value begins with; the whole if there are none."""
    if DIGEST.fullmatch(value):
        return f"{_digest(value, others)}"
    start = cut(value, LONGEST)
    if len(value) > LONGEST and not _ambiguous(value[: LONGEST - 1], value, others):
        return start
    return value if len(value) <= WHOLE else f"{start} {_digest(value, others)}"


def _digest(value: str, others: Sequence[str]) -> str:
    """Return the first digits of a digest, at least 4, or of that of another value."""
    digests = [one if DIGEST.fullmatch(one) else _sha(one) for one in others]
    own = value if DIGEST.fullmatch(value) else _sha(value)
    digits = next((digits for digits in range(4, len(own)) if not _ambiguous(own[:digits], own, digests)), len(own))
    return f"{own[:digits]}…" if digits < len(own) else own


def _ambiguous(start: str, value: str, others: Sequence[str]) -> bool:
    return any(other.startswith(start) for other in others if other != value)


def _folders(
    known: Sequence[str], values: Sequence[str | None], variants: Sequence[Sequence[RunRecord]]
) -> dict[str, str]:
    """Return the folder of each digest by the SPECs of its runs, as short as tells them apart; none if they do not."""
    paths: dict[str, set[str]] = {digest: set() for digest in known}
    for value, runs in zip(values, variants, strict=True):
        if value:
            paths[value] |= {_path(run.spec) for run in runs}
    single = [next(iter(found)) for found in paths.values() if len(found) == 1]
    if len(set(single)) < len(known) or "" in single:
        return {}
    parts = [re.split(r"[\\/]+", path.rstrip("\\/")) for path in single]
    for number in range(1, 1 + max(map(len, parts))):
        tails = ["/".join(one[-number:]) for one in parts]
        if len(set(tails)) == len(tails):
            return {digest: printable(tail) for digest, tail in zip(known, tails, strict=True)}
    return {}


def _path(spec: str | None) -> str:
    """Return the folder or file that a SPEC names as its MODEL, with that of its adapter; nothing if it names none."""
    try:
        _, model, options = parse_spec(spec or "")
    except BeliefBenchError:
        return ""
    return "+".join(one for one in (model, options.get("adapter")) if one and re.search(r"[\\/]", one))


def _asked(row: Row) -> dict[str, str]:
    stopping = row.record.identity.stopping
    if stopping is None:
        return {}
    rule = ", ".join(f"{name} {value}" for name, value in stopping.items())
    return {"users": f"{row.fields['users']} of {row.population} users", "rule": printable(cut(rule))}


def _questions(group: Sequence[Row]) -> dict[str, str]:
    row = group[0]
    identity = row.record.identity
    counts = {"user": row.population, "round": len(row.rounds) - 1, "held-out set": row.fields["heldout"]}
    found = {what: f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items()}
    parameters = _sha(_canonical(identity.domain.parameters))
    return {
        **found,
        "seed": f"seed {row.fields['seed']}",
        "version": f"version {row.fields['domain_version']}",
        "parameters": f"parameters {parameters[:8]}…",
    }


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
