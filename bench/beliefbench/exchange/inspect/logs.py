"""Logs of Inspect: read within bounds, and held against the task that they say they are of."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from beliefbench.errors import BeliefBenchError, UsageError, cut, first_line
from beliefbench.exchange.inspect.outputs import MODEL_ARGS
from beliefbench.plugins.names import load_suite
from beliefbench.running.files import is_plain

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from beliefbench.exchange.inspect.playing import Playing

PACKAGE = "beliefbench/"
NUMBERS = ("users", "rounds", "heldout", "seed", "preset", "until_width")
"""The arguments of a task that are not about how the model is asked."""
MOST_BYTES = 4 * 2**30
"""How much a log may unpack to."""
MOST_PACKED = 1000
"""How many times its own size a log may unpack to, above 256 MB."""


def read_log(file: Path) -> EvalLog:
    from inspect_ai.log import read_eval_log

    if not is_plain(file):
        raise UsageError(f"'{file}' is not there, or no file; name a log of Inspect (*.eval).")
    try:
        if file.suffix == ".eval":
            with zipfile.ZipFile(file) as packed:
                size = sum(one.file_size for one in packed.infolist())
            if size > MOST_BYTES or size > max(2**28, MOST_PACKED * file.stat().st_size):
                raise UsageError(f"{file} unpacks to {size / 2**30:,.1f} GB, which no log of ours does.")
        elif file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{file} has {file.stat().st_size / 2**30:,.1f} GB; expected a log of 4 GB at most.")
        return read_eval_log(file, resolve_attachments="full")
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{file} cannot be read as a log of Inspect ({first_line(error)}); copy it anew from where it was written."
        ) from error


def task_of(log: EvalLog, file: Path) -> tuple[str, str]:
    """Return the task and the model of a log of a finished task of ours."""
    from beliefbench.exchange.inspect.tasks import VERSION

    task = log.eval.task
    name = task.removeprefix(PACKAGE)
    if (
        not task.startswith(PACKAGE)
        or not isinstance(log.eval.metadata, dict)
        or "beliefbench" not in log.eval.metadata
    ):
        raise UsageError(
            f"{file} is of the task '{cut(task)}'; expected one of beliefbench, such as beliefbench/flights."
        )
    if log.eval.task_version != VERSION:
        raise UsageError(
            f"{file} is of version {cut(str(log.eval.task_version))} of the task, and beliefbench here reads version "
            f"{VERSION}: run the task again, or import the log with the beliefbench that made it."
        )
    if log.status != "success" or log.results is None:
        raise UsageError(
            f"{file} is of a task that did not end well ({log.status}); finish it: inspect eval-retry {file}."
        )
    if log.eval.config.epochs not in (None, 1):
        raise UsageError(f"{file} has {log.eval.config.epochs} epochs; run the task without --epochs.")
    if log.invalidated or log.log_updates:
        raise UsageError(f"{file} was edited after it was made; import the log as Inspect wrote it.")
    return name, log.eval.model


def playings_of(log: EvalLog, file: Path, task: str) -> list[Playing]:
    """Return what the task played, made anew; raise `UsageError` if it is not what the log says."""
    from beliefbench.exchange.inspect.playing import Playing

    arguments = {name: value for name, value in log.eval.task_args.items() if value is not None}
    numbers = {name: arguments.pop(name, None) for name in ("users", "rounds", "heldout")}
    numbers |= {"seed": arguments.pop("seed", 0), "preset": arguments.pop("preset", "quick")}
    width = arguments.pop("until_width", None)
    from beliefbench.exchange.inspect.playing import json_values

    if given := json_values(log.eval.model_args):
        arguments[MODEL_ARGS] = json.dumps(given)
    try:
        playings = [Playing.of(one, numbers, width, arguments) for one in load_suite(task)]
    except (BeliefBenchError, TypeError, ValueError) as error:
        raise UsageError(f"{file}: its arguments are not those of the task ({first_line(error)}).") from None
    said = (log.eval.metadata or {})["beliefbench"]
    for playing in playings:
        described = playing.described()
        described["asked"].get("extra", {}).pop(MODEL_ARGS, None)
        if not described["asked"].get("extra", True):
            del described["asked"]["extra"]
        if not isinstance(said, dict) or said.get(playing.domain.name) != json.loads(json.dumps(described)):
            raise UsageError(
                f"{file} was made with another version of {playing.domain.name} or with other settings than its "
                "arguments say; run the task again with this version."
            )
    return playings


def check_samples(log: EvalLog, file: Path, playings: Sequence[Playing]) -> None:
    samples = log.samples or []
    wrong = [one for one in samples if one.error is not None or one.limit is not None or one.invalidation is not None]
    if wrong:
        raise UsageError(
            f"{file}: {len(wrong)} of {len(samples)} users were not finished; finish it: inspect eval-retry."
        )
    ids = [one.id for one in samples]
    if len(set(ids)) < len(ids):
        raise UsageError(f"{file} has a user twice; it was edited.")
    expected = sum(one.protocol.users for one in playings)
    if len(ids) > expected or (len(ids) < expected and not any(one.rule for one in playings)):
        raise UsageError(
            f"{file} has {len(ids)} of {expected} users; run the task without --limit and --sample-id, or with "
            "-T users=N."
        )
