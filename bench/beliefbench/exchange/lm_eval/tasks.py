"""Tasks for ``lm_eval --include_path DIR``: one for each stage of a domain, and a group over them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from beliefbench.domain import Domain
from beliefbench.errors import UsageError
from beliefbench.folders import write_atomically
from beliefbench.language.local.chat_format import GAP
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.language.replies.alternatives import options_of
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol

ASKING = PromptStyle(history="whole")
"""All rounds in one turn: a task of lm-eval cannot know what the model itself would have recommended."""
METRICS = ("acc", "agreement", "log_score", "brier", "kl_exact")
LOWER_IS_BETTER = ("log_score", "brier", "kl_exact")


def write_tasks(domains: tuple[Domain, ...], protocols: tuple[Protocol, ...], out: Path) -> list[str]:
    """Write the tasks of domains to a folder; return the names of the groups.

    Each stage has a YAML file and a JSONL file with its questions: all users, all held-out sets. A model reads the same
    text as from the agent ``prompted:MODEL,history=whole``.

    Raises
    ------
    UsageError
        If the folder cannot be written, or two domains would have the same tasks.

    >>> import tempfile, beliefbench as bb
    >>> domain = bb.load_domain("flights-2")
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_tasks((domain,), (Protocol.of(domain, users=2, rounds=1, heldout=3),), folder)
    ['beliefbench_flights_2']
    >>> sorted(file.name for file in folder.iterdir())[:2]
    ['beliefbench_flights_2.yaml', 'beliefbench_flights_2_after_0.jsonl']
    """
    named: dict[str, str] = {}
    for domain in domains:
        if (other := named.setdefault(group_of(domain), domain.name)) != domain.name:
            raise UsageError(
                f"the tasks of '{other}' and '{domain.name}' would both be called {group_of(domain)}; write them to "
                "two folders."
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        groups = [_write_domain(domain, protocol, out) for domain, protocol in zip(domains, protocols, strict=True)]
        write_atomically(out / "utils.py", UTILS.encode())
    except OSError as error:
        raise UsageError(f"'{out}' cannot be written ({error.strerror or error}); name another folder.") from error
    return groups


UTILS = '''"""How lm-eval reads and scores the tasks of this folder; it needs `pip install beliefbench`."""

from pathlib import Path

from datasets import load_dataset

from beliefbench.exchange.lm_eval.scoring import process_results  # noqa: F401


def questions(file, **_):
    """Read the questions of a task, wherever this folder lies."""
    return load_dataset("json", data_files={"test": str(Path(__file__).parent / file)})
'''


def group_of(domain: Domain) -> str:
    """Return the name of a domain's group.

    >>> import beliefbench as bb
    >>> group_of(bb.load_domain("flights-2"))
    'beliefbench_flights_2'
    """
    return f"beliefbench_{re.sub(r'[^a-z0-9]+', '_', domain.name.lower())}"


def _write_domain(domain: Domain, protocol: Protocol, out: Path) -> str:
    episodes, group = Episodes(domain, protocol), group_of(domain)
    tasks = [f"{group}_after_{stage}" for stage in range(protocol.rounds + 1)]
    for stage, task in enumerate(tasks):
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in questions(domain, episodes, stage))
        write_atomically(out / f"{task}.jsonl", "".join(lines).encode())
        _write_yaml(out / f"{task}.yaml", _task(task, domain, protocol))
    means = [{"metric": name, "aggregation": "mean", "weight_by_size": True} for name in METRICS]
    about = {"version": domain.version, **protocol.identity(), "beliefbench": version("beliefbench")}
    _write_yaml(
        out / f"{group}.yaml",
        {"group": group, "task": tasks, "aggregate_metric_list": means, "metadata": about},
    )
    return group


def questions(domain: Domain, episodes: Episodes, stage: int) -> Iterator[dict[str, Any]]:
    """Yield the held-out questions of all users after some rounds, as JSON values."""
    labels = options_of(domain.item)
    state = Conversations.begin(domain, ASKING, np.zeros(len(episodes.users)))
    nothing = np.full(len(episodes.users), -1)
    for round_ in range(stage):
        state = state.observe(episodes.options[:, round_], nothing, episodes.chosen[:, round_])
    sets = episodes.heldout if episodes.heldout.ndim == 4 else np.repeat(episodes.heldout[None], len(nothing), axis=0)
    for place, dialogue in enumerate(state.dialogues(sets)):
        for number, question in enumerate(dialogue.questions):
            (message,) = dialogue.messages(question)
            yield {
                "user": int(episodes.users[place]),
                "round": stage,
                "set": number,
                "prompt": message["content"],
                "choices": list(labels.sentences),
                "gold": int(episodes.truth[place, number]),
                "exact": episodes.exact[place, stage, number].tolist(),
            }


def _task(task: str, domain: Domain, protocol: Protocol) -> dict[str, Any]:
    return {
        "task": task,
        "custom_dataset": Function("utils.questions"),
        "dataset_kwargs": {"file": f"{task}.jsonl"},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "target_delimiter": GAP,  # lm-eval leaves it out where it applies a chat template
        "num_fewshot": 0,
        "process_results": Function("utils.process_results"),
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": name not in LOWER_IS_BETTER} for name in METRICS
        ],
        "metadata": {"version": domain.version, **protocol.identity()},
    }


class Function(str):
    """The name of a function, which lm-eval's YAML tags with ``!function``."""


def _tagged(dumper: yaml.SafeDumper, name: Function) -> yaml.Node:
    return dumper.represent_scalar("!function", str(name))


class _Dumper(yaml.SafeDumper):
    """Knows `Function`."""


_Dumper.add_representer(Function, _tagged)


def _write_yaml(file: Path, values: dict[str, Any]) -> None:
    write_atomically(file, yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode())
