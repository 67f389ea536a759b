"""Logs of Inspect as runs: ``beliefbench import RUN.eval``.

Nothing that a log says of scores is believed. The protocol is played again, and a question has the answers that the log
has for exactly this conversation with this user. Then scores and metrics must be those of the log.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefbench.errors import UsageError, cut, first_line
from beliefbench.exchange.inspect.answers import ANSWERS, of_user
from beliefbench.exchange.inspect.answers import answers_of as as_json
from beliefbench.exchange.inspect.asking import needs_inspect
from beliefbench.exchange.inspect.logs import NUMBERS, check_samples, playings_of, read_log, task_of
from beliefbench.exchange.inspect.outputs import MODEL_ARGS, config_of, other_options, replies_of
from beliefbench.exchange.inspect.stopping import enough
from beliefbench.language.servers.completions import BrokenReplyError, ErrorInsideError, Reply, Request
from beliefbench.language.servers.limits import ServerLimits, limits_of
from beliefbench.language.servers.logprobs import NoLogprobsError
from beliefbench.plugins.settings import format_spec
from beliefbench.protocol.stopping import order_of_users
from beliefbench.running.answering import Job, ask, run_identity
from beliefbench.running.executors.local import LocalExecutor
from beliefbench.running.harness import Progress, episodes_of, execute, rows_of
from beliefbench.running.store import RunStore, prepare_results, run_folder, run_key
from beliefbench.scoring.heldout import HeldOut, answers_of

if TYPE_CHECKING:
    from inspect_ai.event import ModelEvent
    from inspect_ai.log import EvalLog, EvalSample

    from beliefbench.exchange.inspect.playing import Playing

SAME = 1e-9
"""How far numbers of a log may be from those computed here."""


@dataclass
class LoggedModel:
    """The answers in the samples of a log as a server: to a conversation that no sample has, there is no answer."""

    events: dict[str, list[ModelEvent]]
    file: Path
    workers: int = 1024
    address = None

    @classmethod
    def of(cls, sample: EvalSample, model: str, file: Path) -> LoggedModel:
        """Return the answers of a model in a user's sample, by conversation."""
        events: dict[str, list[ModelEvent]] = {}
        for event in sample.events:
            if event.event != "model" or event.error is not None or not event.output.choices:
                continue
            if event.model != model:
                raise UsageError(f"{file}: {sample.id} was answered by '{cut(event.model)}' and not by '{cut(model)}'.")
            asked = [{"role": one.role, "content": one.text} for one in event.input]
            events.setdefault(_key(asked), []).append(event)
        return cls(events, file)

    def limits(self, model: str) -> ServerLimits:
        return limits_of("inspect", model, "max_tokens")

    def ask(self, requests: Sequence[Request]) -> list[list[Reply]]:
        """Return the replies to requests, one for each sample."""
        return [self._replies(one) for one in requests]

    def _replies(self, request: Request) -> list[Reply]:
        found: list[Reply] = []
        for event in self.events.get(_key(request.parameters["messages"]), ()):
            if other := other_options(event.config, config_of(request, 1)):
                raise UsageError(
                    f"{self.file}: answers were asked for with {cut(str(other))}, which this task has not."
                )
            try:
                found += replies_of(event.output, request)
            except (BrokenReplyError, ErrorInsideError, NoLogprobsError) as error:
                raise UsageError(f"{self.file}: an answer in it cannot be read ({first_line(error)}).") from None
        if len(found) != request.samples:
            question = cut(repr(request.parameters["messages"][-1]["content"][-80:]))
            raise UsageError(
                f"{self.file} has {len(found)} answers to the question that ends with {question}; expected "
                f"{request.samples}: it was edited, or made with other words than this version's."
            )
        return found


def import_log(file: Path, results: Path, progress: Progress | None = None) -> list[Path]:
    """Import a log of a task of ours as runs, one for each domain; return their folders.

    Parameters
    ----------
    file
        The log, ``*.eval``, or in JSON.
    results
        The folder of runs.

    Raises
    ------
    UsageError
        If it is no log of a finished task of this version, or was edited. Nothing is written.
    """
    needs_inspect()
    log = read_log(file)
    task, model = task_of(log, file)
    playings = playings_of(log, file, task)
    check_samples(log, file, playings)
    prepare_results(results)
    with tempfile.TemporaryDirectory(dir=results, prefix=".import-") as folder:
        made = [_run(log, file, playing, model, Path(folder), progress) for playing in playings]
        _compare_metrics(log, file, [heldout for _, heldout, _ in made])
        targets = []
        for playing, (key, *_) in zip(playings, made, strict=True):
            targets.append(run_folder(results, playing.domain.name, f"inspect:{model}", key))
        for target, (_, _, run) in zip(targets, made, strict=True):
            record = RunStore(target).record()
            if record is not None and record.finished:
                if RunStore(target).rows() != RunStore(run).rows():
                    raise UsageError(f"{target} has another run of the same model; move it away to import {file}.")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(run, target)
    return targets


def _run(
    log: EvalLog, file: Path, playing: Playing, model: str, folder: Path, progress: Progress | None
) -> tuple[str, tuple[str, HeldOut], Path]:
    """Make the run of one domain below a folder; return its key, its answers, and its folder."""
    samples = {str(one.id): one for one in log.samples or [] if str(one.id).startswith(f"{playing.domain.name}/")}
    if playing.rule is not None:
        samples = _needed(samples, playing, file)
    # The task went on although none of a user's first answers could be used, if it did.
    believed = replace(playing, method=replace(playing.method, counts_unusable=True))
    job = Job(playing.domain, believed.agent(model, LoggedModel({}, file)), playing.protocol, None, playing.rule)
    key = run_key(run_identity(job).json_values())
    store = RunStore(run_folder(folder, playing.domain.name, job.agent.name, key))
    store.folder.mkdir(parents=True)
    for number, sample in enumerate(samples.values(), 1):
        _write_parts(replace(job, agent=believed.agent(model, LoggedModel.of(sample, model, file))), sample, store)
        if progress:
            progress(number, len(samples))
    done = execute(job, LocalExecutor(), folder)
    record = done.record
    heldout = answers_of(record, done.rows())
    for place, user in enumerate(heldout.users):
        found = samples.get(f"{playing.domain.name}/{user}")
        if found is None or not _same(as_json(of_user(heldout, place)), _said(found, ANSWERS)):
            raise UsageError(f"{file}: the scores of user {user} are not those of the answers; it was edited.")
    if len(heldout.users) != len(samples):
        raise UsageError(
            f"{file} has {len(samples)} users, and the rule stops after {len(heldout.users)}; it was edited."
        )
    note = ", ".join(filter(None, [record.agent.note, "from a log of Inspect"]))
    started = {"started": log.stats.started_at or record.started, "machine": _machine(log)}
    seconds = sum(one.total_time or 0.0 for one in samples.values())
    agent_record = record.agent.model_copy(update={"note": note})
    spec = _spec(log, model)
    changed = {"agent": agent_record, "spec": spec, "seconds": round(seconds, 3), **started}
    RunStore(done.folder).write_record(record.model_copy(update=changed))
    return record.key, (playing.domain.name, heldout), done.folder


def _needed(samples: dict[str, EvalSample], playing: Playing, file: Path) -> dict[str, EvalSample]:
    """Return the samples of the users after whom the rule stops; others had begun already."""
    from beliefbench.exchange.inspect.scoring import final_accuracy

    protocol, rule = playing.protocol, playing.rule
    assert rule is not None
    order = order_of_users(protocol.seed, playing.domain.name, protocol.users)
    users = episodes_of(playing.domain, protocol).users[order]
    ids = [f"{playing.domain.name}/{user}" for user in users]
    try:
        accuracy = {at: final_accuracy(_said(samples[id], ANSWERS)) for at, id in enumerate(ids) if id in samples}
        look = enough(rule, protocol.users, accuracy)
    except (KeyError, TypeError, ValueError, IndexError):
        look = None
    if look is None:
        raise UsageError(f"{file} has {len(samples)} users, and the rule needs more: inspect eval-retry {file}")
    return {id: samples[id] for id in ids[:look]}


def _write_parts(job: Job, sample: EvalSample, store: RunStore) -> None:
    """Write what a user's sample answers, as a run that is not finished has it."""
    from beliefbench.exchange.inspect.playing import place_of, shard_of

    user = str(sample.id).rpartition("/")[2]
    episodes = episodes_of(job.domain, job.protocol)
    if not user.isdecimal() or int(user) not in episodes.users:
        raise UsageError(f"the log has a user {cut(user)} whom {job.domain.name} has not; it was edited.")
    place = place_of(job, int(user))
    for answers in ask(job, shard_of(job, place)):
        rows = rows_of(episodes, np.array([place]), answers)
        store.write_part(f"{answers.stage:03d}-{place:07d}", rows, answers.seconds, answers.counts)


def _said(sample: EvalSample, name: str) -> Any:
    scores = list((sample.scores or {}).values())
    return (scores[0].metadata or {}).get(name) if len(scores) == 1 else None


def _same(one: Any, other: Any) -> bool:
    """Return True if two JSON values are equal, numbers to within rounding."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if one is None or other is None:
        return one is other
    try:
        left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
    except (TypeError, ValueError):
        return False
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=0, atol=SAME, equal_nan=True))


def _compare_metrics(log: EvalLog, file: Path, runs: Sequence[tuple[str, HeldOut]]) -> None:
    """Raise `UsageError` if the metrics of a log are not those of its answers."""
    from beliefbench.exchange.inspect.scoring import metrics_of

    every = [
        {"domain": name, ANSWERS: as_json(of_user(heldout, at))}
        for name, heldout in runs
        for at in range(len(heldout.users))
    ]
    expected = metrics_of(every)
    found = {
        name: one.value for score in (log.results.scores if log.results else []) for name, one in score.metrics.items()
    }
    if not _same(expected, found):
        raise UsageError(f"{file}: its metrics are not those of its answers; it was edited.")


def _machine(log: EvalLog) -> dict[str, str]:
    version = log.eval.packages.get("inspect_ai", "of an unknown version")
    return {"executor": f"Inspect {version}", "task": log.eval.task_id, "run": log.eval.run_id}


def _spec(log: EvalLog, model: str) -> str:
    """Return the SPEC that asks the same through ``beliefbench run``."""
    from beliefbench.exchange.inspect.playing import json_values

    kept = {name: value for name, value in log.eval.task_args_passed.items() if value is not None}
    settings = {name: _text(value) for name, value in kept.items() if name not in NUMBERS}
    if given := json_values(log.eval.model_args):
        settings[MODEL_ARGS] = json.dumps(given, separators=(",", ":"))
    return format_spec("inspect", model, settings)


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _key(messages: Sequence[Mapping[str, str]]) -> str:
    return json.dumps([[one["role"], one["content"]] for one in messages])
