"""Where agents are asked changes no row: in this process, or on a real Ray whose workers may be killed at any time."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders
from beliefbench.released.storage import RecordedUsers, write_record
from beliefbench.running.answering import Job
from beliefbench.running.executors.base import Executor
from beliefbench.running.executors.local import LocalExecutor
from beliefbench.running.executors.registry import open_executor
from beliefbench.running.harness import Progress, execute
from beliefbench.running.store import RunStore

from .clerk import CLERK, PROTOCOL, Desk
from .processes import assert_none_left, descendants, ours

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")


DOMAIN = "flights-2"


@pytest.fixture(scope="module")
def plugin_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests: workers that are kept would find two clerks in two."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "clerk.py").write_text(CLERK)
    return folder


@pytest.fixture
def plugins(plugin_files: Path) -> Iterator[Path]:
    add_plugin_folder(plugin_files)
    yield plugin_files
    forget_plugin_folders()


@pytest.fixture
def desk(tmp_path: Path, plugins: Path) -> Desk:
    return Desk(tmp_path / "desk")


@pytest.fixture(scope="module")
def workers() -> Iterator[Callable[[int], Executor]]:
    """``workers(number)``: an executor of so many workers, which it keeps, on a local Ray that was there before.

    It ends all others; ``workers(0)`` does that alone.
    """
    opened, found = ExitStack(), {}

    def get(number: int) -> Executor | None:
        if not ray.is_initialized():
            os.environ.setdefault("RAY_worker_niceness", "0")  # beside other tests, nicer workers hardly run
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        if number not in found:
            opened.close()
            found.clear()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BELIEFBENCH_RAY_CPUS", str(2 // (number or 1)))
                found[number] = opened.enter_context(open_executor("ray")) if number else None
        return found[number]

    yield get
    opened.close()
    ray.shutdown()


def run(
    domain: str, agent: str, results: Path, where: Executor, progress: Progress | None = None, **changes: int
) -> bytes:
    """The bytes of rows.parquet: of `beliefbench.run`, by an executor that is open."""
    loaded, numbers = bb.load_domain(domain), {**PROTOCOL, **changes}
    job = Job(loaded, bb.load_agent(agent, loaded), bb.Protocol.of(loaded, **numbers), (domain, agent))
    return (execute(job, where, results, progress).folder / "rows.parquet").read_bytes()


HERE = LocalExecutor()


def answered(results: Path) -> Counter[int]:
    """How many users have answered each stage."""
    (record,) = results.rglob("run.json")
    rows = RunStore(record.parent).rows().to_pandas()
    return Counter(rows.drop_duplicates(["user", "stage"]).stage.tolist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("domain", "agent"),
    [
        (DOMAIN, "bayesian"),
        pytest.param(DOMAIN, "oracle", marks=pytest.mark.reference),
        pytest.param("flights", "bayesian", marks=pytest.mark.reference),
        pytest.param("flights", "oracle", marks=pytest.mark.reference),
    ],
)
def test_rows_are_equal_to_the_bit(workers, tmp_path, domain, agent):
    assert run(domain, agent, tmp_path / "far", workers(2)) == run(domain, agent, tmp_path / "near", HERE)


@pytest.mark.reference
def test_plugins_and_domains_with_settings_are_loaded_by_the_workers(workers, tmp_path, desk):
    domain = "trains,user_lapse=0.2"
    assert run(domain, desk.spec, tmp_path / "far", workers(2)) == run(domain, desk.spec, tmp_path / "near", HERE)


@pytest.mark.reference
def test_imported_data_is_found_by_the_workers(workers, tmp_path, data_folder):
    sets = [[[at / 10, (at + shift) % 4 / 10] for shift in range(3)] for at in range(4)]
    chosen = [[user % 3, 1, 2, 0] for user in range(5)]
    people = RecordedUsers(
        name="few",
        base="flights-2",
        sources={},
        options=[sets] * 5,
        chosen=chosen,
        heldout=None,
        truth=None,
        hypotheses=None,
        lapse=[0.1] * 5,
    )
    write_record(people, tmp_path / "people.jsonl")
    numbers = {"users": 5, "heldout": 1}
    far = run("released/few", "random", tmp_path / "far", workers(2), **numbers)
    assert far == run("released/few", "random", tmp_path / "near", HERE, **numbers)


@pytest.mark.reference
def test_a_worker_that_is_killed_loses_nothing(workers, tmp_path, desk):
    stage = 2  # the last
    expected = run(DOMAIN, desk.spec, tmp_path / "near", HERE)
    once = desk.asked()
    desk.plan("dies", stage, times=2)
    seen = []
    assert run(DOMAIN, desk.spec, tmp_path / "far", workers(2), lambda *n: seen.append(n)) == expected
    again = desk.asked() - once
    assert again.total() == 4  # two calls of two users, and nothing before them
    assert {at for at, _ in again} == {stage}
    assert (seen[0], seen[-1]) == ((0, 30), (30, 30))
    assert seen == sorted(seen)


@pytest.mark.reference
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("wanted", [10])
def test_no_worker_killed_at_a_random_moment_loses_an_answer(workers, tmp_path, desk, record_property, wanted):
    """A run may end because three workers died over one shard; the same command continues it."""
    rng, found, killed = random.Random(0), Counter[str](), threading.Event()
    expected = run(DOMAIN, desk.spec, tmp_path / "near", HERE)
    executor = workers(2)
    run(DOMAIN, desk.spec, tmp_path / "warm", executor)
    begun = time.monotonic()
    run(DOMAIN, desk.spec, tmp_path / "timed", executor)
    whole = time.monotonic() - begun

    def kill() -> None:
        while not killed.wait(rng.uniform(0, 2 * whole)):
            if found["kills"] < wanted and (able := descendants(os.getpid(), "ray::Worker")):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(able), signal.SIGKILL)
                    found["kills"] += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while found["kills"] < wanted or not found["runs"]:
            try:
                assert run(DOMAIN, desk.spec, tmp_path / str(found["runs"]), executor) == expected
                found["runs"] += 1
            except bb.BeliefBenchError as error:
                assert "Ray workers died" in str(error)  # noqa: PT017
                found["ended"] += 1
    finally:
        killed.set()
        killer.join()
    record_property("kills", dict(found))


@pytest.mark.reference
@pytest.mark.parametrize("first", ["here", "far"])
def test_a_run_stopped_in_one_place_goes_on_in_another(workers, tmp_path, desk, first):
    expected = run(DOMAIN, desk.spec, tmp_path / "whole", HERE)
    once = desk.asked()
    desk.plan("raises", 1)
    places = [HERE, workers(2)]
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'clerk' broke on flights-2: RuntimeError: the ink is dry$"):
        run(DOMAIN, desk.spec, tmp_path / "r", places.pop(0 if first == "here" else 1))
    kept = answered(tmp_path / "r").total()
    assert 2 <= kept < 30
    desk.asked()
    assert run(DOMAIN, desk.spec, tmp_path / "r", *places) == expected
    rest = desk.asked()
    assert rest.total() == 30 - kept
    assert rest == rest & once  # nobody twice


@pytest.mark.reference
def test_what_an_agent_refuses_to_do_is_told_as_it_says_it(workers, tmp_path, desk):
    desk.plan("refuses", 0)
    with pytest.raises(bb.BeliefBenchError, match=r"^no more than 3 lines\.$"):
        run(DOMAIN, desk.spec, tmp_path / "r", workers(1))


@pytest.mark.slow
def test_a_worker_that_would_load_something_else_says_so(workers, tmp_path, desk):
    with pytest.raises(
        bb.BeliefBenchError, match=r"^Ray worker on .*: agent 'clerk' differs from .* \(its process: \d+, not \d+\)"
    ):
        run(DOMAIN, f"{desk.spec},process=own", tmp_path, workers(2))
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.reference
def test_workers_that_die_again_and_again_end_the_run_and_what_was_answered_stays(workers, tmp_path, desk, monkeypatch):
    expected = run(DOMAIN, desk.spec, tmp_path / "near", HERE)
    once = desk.asked()
    workers(0)
    monkeypatch.setenv("BELIEFBENCH_RAY_CPUS", "2")  # one worker, so that the same shard is met each time
    desk.plan("dies", 1, times=3)
    message = r"3 Ray workers died .*'clerk' .*flights-2 about 2 users, number \d+"
    with pytest.raises(bb.BeliefBenchError, match=message):
        bb.run(DOMAIN, desk.spec, results=tmp_path / "far", executor="ray", **PROTOCOL)
    assert answered(tmp_path / "far") == {0: 2}
    desk.asked()
    assert run(DOMAIN, desk.spec, tmp_path / "far", HERE) == expected
    assert (once - desk.asked()).total() == 2


@pytest.mark.slow
def test_a_cluster_too_small_for_a_worker_says_so(workers, tmp_path, monkeypatch):
    workers(0)
    monkeypatch.setenv("BELIEFBENCH_RAY_GPUS", "0.5")
    with pytest.raises(bb.BeliefBenchError, match=r"no node of the Ray cluster has 1 CPUs and 0\.5 GPUs"):
        bb.run(DOMAIN, "first", results=tmp_path, executor="ray", **PROTOCOL)


def arguments(plugins: Path, desk: Desk, results: Path) -> list[str]:
    numbers = [text for name, number in PROTOCOL.items() for text in (f"--{name}", str(number))]
    clerk = ["run", "--domain", DOMAIN, "--agent", desk.spec, *numbers, "--plugins", str(plugins)]
    return [*clerk, "--results", str(results)]


def command(plugins: Path, desk: Desk, mark: Path) -> subprocess.Popen[str]:
    """``beliefbench run --executor ray`` with one worker, in a process group of its own, as a terminal starts it;
    ``mark`` tells its processes."""
    settings = {"RAY_ADDRESS": "local", "BELIEFBENCH_RAY_CPUS": str(os.cpu_count()), "COLUMNS": "200"}
    return subprocess.Popen(
        [Path(sys.executable).with_name("beliefbench"), *arguments(plugins, desk, mark), "--executor", "ray"],
        env={**os.environ, **settings, "MARK": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def without_seconds(tables: str) -> str:
    """Tables without the time that answers took, which is another in each run, and without the room that it takes."""
    return re.sub(r"\d+\.\d s\b|[─\s]+", " ", tables)


@pytest.mark.reference
def test_the_command_starts_a_ray_and_stops_it_and_keeps_it_off_the_terminal(call, tmp_path, plugins, desk):
    """What Ray says of a worker that died, too."""
    _, out, _ = call(*arguments(plugins, desk, tmp_path / "near"))
    desk.plan("dies", 2)
    process = command(plugins, desk, tmp_path / "far")
    seen: set[int] = set()
    while list(desk.folder.glob("dies-2-*")):
        assert process.poll() is None, process.stderr.read()
        seen |= set(ours("MARK", str(tmp_path)))
        time.sleep(0.2)
    printed, told = process.communicate()
    assert (without_seconds(printed), process.returncode) == (without_seconds(out), 0)
    assert len(told.strip().splitlines()) == 1, told  # the bar
    assert len(seen) > 5  # itself, and those of Ray
    assert_none_left(tmp_path)


@pytest.mark.reference  # without Ray, tests/running/test_interruptions.py interrupts the same command
def test_an_interrupt_stops_it_cleanly_and_it_goes_on(tmp_path, plugins, desk):
    expected = run(DOMAIN, desk.spec, tmp_path / "near", HERE)
    desk.asked()
    desk.plan("waits", 1)
    process = command(plugins, desk, tmp_path / "far")
    while not list((tmp_path / "far").rglob("parts/*.parquet")) or list(desk.folder.glob("waits-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip().splitlines()[-1] == "beliefbench: stopped; the same command continues the run."
    assert "Traceback" not in told
    assert_none_left(tmp_path)
    before = answered(tmp_path / "far").total()
    desk.asked()
    assert run(DOMAIN, desk.spec, tmp_path / "far", HERE) == expected
    assert desk.asked().total() == 30 - before
