"""Joining a Ray cluster, or starting one on this machine, with errors of one sentence."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import services

from beliefbench.errors import UsageError, first_line
from beliefbench.running.executors.base import ExecutorError

CPUS, GPUS = "BELIEFBENCH_RAY_CPUS", "BELIEFBENCH_RAY_GPUS"


def join() -> None:
    """Join the cluster that ``RAY_ADDRESS`` names or Ray finds, or start one here.

    Raises
    ------
    ExecutorError
        If there is no cluster to join and none can be started.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    address = _reachable()
    try:
        with _silence(), _interruptible():
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, include_dashboard=False)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        what = f"the Ray cluster at {address} cannot be joined" if address else "Ray cannot be started here"
        mend = "; it asks for a token: set RAY_AUTH_MODE=token" if "AuthToken" in str(error.__cause__) else ""
        raise ExecutorError(f"{what} ({first_line(error)}){mend}.") from error


def check_address() -> None:
    """Raise `UsageError` if ``RAY_ADDRESS`` is of a kind that cannot be used."""
    if "://" in (given := os.environ.get("RAY_ADDRESS", "")):
        raise UsageError(
            f"RAY_ADDRESS '{given}' is for Ray Client, which cannot stream answers; give HOST:PORT of the cluster, on "
            "a machine that belongs to it."
        )


def setting(variable: str) -> float | None:
    """Return the number of processors for each worker, or None if it is not set."""
    given = os.environ.get(variable)
    if not given:
        return None
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not (0 <= number <= 1 or number in range(1, 1025)) or (number == 0 and variable == CPUS):
        least = "above 0" if variable == CPUS else "0 or more"
        raise UsageError(f"{variable} = '{given}'; expected a number {least}, and a whole one above 1.")
    return number


@contextmanager
def _silence() -> Iterator[None]:
    """Hide standard error, including the output of native code, which ignores logging levels."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        # JAX warns of any fork; each of Ray's is followed by an exec at once.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _reachable() -> str | None:
    """Return the address of a cluster, HOST:PORT, or None if there is none; `ExecutorError` if it does not answer."""
    given = os.environ.get("RAY_ADDRESS")
    find: Any = services.canonicalize_bootstrap_address
    try:
        address: str | None = find(None)
        if address is not None:
            host, _, port = address.rpartition(":")
            # Ray itself tries for many minutes.
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        where, mend = f"at '{given}' (RAY_ADDRESS)", "start it, or name another, HOST:PORT"
        if not given:
            where, mend = "that `ray start` recorded", "`ray stop` removes the record"
        raise ExecutorError(f"the Ray cluster {where} cannot be reached ({first_line(error)}); {mend}.") from error
    return address


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the end if Ray swallowed it, as it sometimes does while it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, interrupts = signal.getsignal(signal.SIGINT), []

    def interrupt(number: int, frame: Any) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt
