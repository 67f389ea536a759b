"""Where agents are asked changes no row: in this process, or on a real Ray whose workers may be killed at any time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import beliefbench as bb
from beliefbench.plugins.sources import add_plugin_folder
from beliefbench.released.storage import RecordedUsers, write_record
from beliefbench.running.executors.registry import open_executor
from beliefbench.running.store import RunStore

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

PROTOCOL = {"users": 10, "rounds": 2, "heldout": 4, "seed": 0}
CLERK = '''
import dataclasses, hashlib, os, signal, time
from pathlib import Path
import jax, numpy as np
import beliefbench as bb

class Refusal(bb.BeliefBenchError):
    def __init__(self, most, what):
        super().__init__(f"no more than {most} {what}.")

class Clerk:
    """Answers by the user's key and all that the user was shown, recommended and told; notes down what it is asked.

    Where there is a file FAULT-STAGE-* in its folder, it takes one away and dies, raises, refuses or waits there.
    """
    name, version = "clerk", "1"
    probabilistic, privileged, users_per_call = True, False, 2

    def __init__(self, domain, folder, process=None):
        self.folder, self.process = Path(folder), process

    def identity(self):
        return {"process": os.getpid()} if self.process else {}

    def begin(self, brief, keys, truth=None):
        ids = [bytes(np.asarray(jax.random.key_data(key))) for key in keys]
        return 0, ids, ids

    def predict(self, state, options):
        stage, ids, digests = state
        with (self.folder / "notes").open("a") as notes:
            notes.write("".join(f"{stage} {one.hex()}\\n" for one in ids))
        if self.fault("dies", stage):
            time.sleep(1)  # what was answered before may still be under way
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault("raises", stage):
            raise RuntimeError("the ink is dry")
        if self.fault("refuses", stage):
            raise Refusal(3, "lines")
        if self.fault("waits", stage):
            time.sleep(100)
        probs = np.empty(options.shape[:3])
        for user, sets in enumerate(options):
            for at, one in enumerate(sets):
                seed = hashlib.sha256(digests[user] + one.tobytes()).digest()
                probs[user, at] = np.random.default_rng(list(seed)).dirichlet(np.ones(3))
        choice = np.where(probs.max(axis=-1) > 0.45, probs.argmax(axis=-1), -1)
        text = np.array([[f"I say {one}" for one in row] for row in choice], dtype=object)
        return bb.Prediction(choice, probs, text=text, tokens=np.full(choice.shape, 3))

    def observe(self, state, options, recommended, chosen):
        stage, ids, digests = state
        rounds = zip(digests, options, recommended, chosen)
        return stage + 1, ids, [hashlib.sha256(d + o.tobytes() + bytes([r + 1, c])).digest() for d, o, r, c in rounds]

    def fault(self, what, stage):
        for file in sorted(self.folder.glob(f"{what}-{stage}-*")):
            try:
                file.unlink()
                return True
            except FileNotFoundError:
                continue
        return False

AGENTS = {"clerk": Clerk}
DOMAINS = {"trains": dataclasses.replace(bb.load_domain("flights"), name="trains")}
'''


class Desk:
    """A clerk's folder: its SPEC, the faults that are to happen, and what it noted down."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.spec = folder, f"clerk,folder={folder}"

    def plan(self, fault: str, stage: int, times: int = 1) -> None:
        for number in range(times):
            (self.folder / f"{fault}-{stage}-{number}").touch()

    def asked(self) -> Counter[tuple[int, str]]:
        """How often each (stage, user's key) was asked since this was last called."""
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return Counter((int(stage), one) for stage, one in (line.split() for line in lines))


@pytest.fixture
def plugins(plugin_folder: Path) -> Path:
    (plugin_folder / "clerk.py").write_text(CLERK)
    add_plugin_folder(plugin_folder)
    return plugin_folder


@pytest.fixture
def desk(tmp_path: Path, plugins: Path) -> Desk:
    return Desk(tmp_path / "desk")


@pytest.fixture(scope="module")
def ended():
    yield
    ray.shutdown()


@pytest.fixture
def cluster(ended):
    """A local Ray that was there before, with an environment of its own; one for all tests."""
    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)


@pytest.fixture
def no_cluster():
    """No Ray, in whatever order tests are run."""
    ray.shutdown()


def run(domain: str, agent: str, results: Path, executor: str = "ray", **changes: int) -> bytes:
    """The bytes of rows.parquet."""
    done = bb.run(domain, agent, results=results, executor=executor, **{**PROTOCOL, **changes})
    return (done.folder / "rows.parquet").read_bytes()


def answered(results: Path) -> Counter[int]:
    """How many users have answered each stage."""
    (record,) = results.rglob("run.json")
    rows = RunStore(record.parent).rows().to_pandas()
    return Counter(rows.drop_duplicates(["user", "stage"]).stage.tolist())


def ours(*words: str) -> list[int]:
    """The processes whose command or environment has all these words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if all(word.encode() in told for word in words):
            found.append(int(process.name))
    return found


def assert_none_left(mark: Path) -> None:
    """Ray's processes see that they are no longer needed within seconds."""
    until = time.monotonic() + 20
    while left := ours("MARK", str(mark)):
        assert time.monotonic() < until, left
        time.sleep(0.2)


# --- what can be said without a cluster -----------------------------------------------------------


def test_an_unknown_executor_is_a_wrong_call(tmp_path):
    with pytest.raises(bb.UsageError, match="there is no executor 'spark'; expected local or ray"):
        bb.run("flights", "first", results=tmp_path, executor="spark", **PROTOCOL)
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("as_object", ["domain", "agent"])
def test_objects_cannot_be_sent(no_cluster, tmp_path, flights, as_object):
    domain = flights if as_object == "domain" else "flights"
    agent = bb.load_agent("first", flights) if as_object == "agent" else "first"
    with pytest.raises(bb.UsageError, match="needs the names of the domain and the agent"):
        bb.run(domain, agent, results=tmp_path, executor="ray", **PROTOCOL)
    assert not ray.is_initialized()
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    ("variable", "given"),
    [("CPUS", "0"), ("CPUS", "-1"), ("CPUS", "nan"), ("GPUS", "many"), ("GPUS", "1.5"), ("GPUS", "-0.5")],
)
def test_a_worker_is_given_a_sensible_share_of_the_machine(monkeypatch, variable, given):
    monkeypatch.setenv(f"BELIEFBENCH_RAY_{variable}", given)
    with pytest.raises(bb.UsageError, match=f"BELIEFBENCH_RAY_{variable} = '{given}'; expected a number"):
        open_executor("ray").__enter__()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", r"at '127\.0\.0\.1:1' \(RAY_ADDRESS\) cannot be reached \(.*refused\)"),
        ("nonsense", r"at 'nonsense' \(RAY_ADDRESS\) cannot be reached"),
        ("auto", r"at 'auto' \(RAY_ADDRESS\) cannot be reached"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_named_at_once(no_cluster, monkeypatch, tmp_path, address, says):
    if address == "auto" and ours("gcs_server"):
        pytest.skip("there is a cluster to be found on this machine")
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(bb.BeliefBenchError, match=says) as error:
        bb.run("flights", "first", results=tmp_path, executor="ray", **PROTOCOL)
    assert error.value.exit_status == 1
    assert time.monotonic() - started < 20


def test_ray_client_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    with pytest.raises(bb.UsageError, match="is for Ray Client"):
        open_executor("ray").__enter__()


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "beliefbench.running.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(bb.BeliefBenchError, match="pip install ray") as error:
        open_executor("ray").__enter__()
    assert error.value.exit_status == 1


# --- on a real Ray --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["bayesian", "oracle"])
def test_rows_are_equal_to_the_bit(cluster, tmp_path, agent):
    assert run("flights", agent, tmp_path / "far") == run("flights", agent, tmp_path / "near", "local")


@pytest.mark.slow
def test_plugins_and_domains_with_settings_are_loaded_by_the_workers(cluster, tmp_path, desk):
    domain = "trains,user_lapse=0.2"
    assert run(domain, desk.spec, tmp_path / "far") == run(domain, desk.spec, tmp_path / "near", "local")


@pytest.mark.slow
def test_imported_data_is_found_by_the_workers(cluster, tmp_path, data_folder):
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
    write_record(people)
    numbers = {"users": 5, "heldout": 1}
    far = run("released/few", "random", tmp_path / "far", **numbers)
    assert far == run("released/few", "random", tmp_path / "near", "local", **numbers)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(cluster, tmp_path, desk):
    stage = 2  # the last
    expected = run("flights", desk.spec, tmp_path / "near", "local")
    once = desk.asked()
    desk.plan("dies", stage, times=2)
    seen = []
    done = bb.run(
        "flights", desk.spec, results=tmp_path / "far", executor="ray", progress=lambda *n: seen.append(n), **PROTOCOL
    )
    assert (done.folder / "rows.parquet").read_bytes() == expected
    again = desk.asked() - once
    assert again.total() == 4  # two calls of two users, and nothing before them
    assert {at for at, _ in again} == {stage}
    assert (seen[0], seen[-1]) == ((0, 30), (30, 30))
    assert seen == sorted(seen)


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_run_and_what_was_answered_stays(cluster, tmp_path, desk, monkeypatch):
    expected = run("flights", desk.spec, tmp_path / "near", "local")
    once = desk.asked()
    monkeypatch.setenv("BELIEFBENCH_RAY_CPUS", "2")  # one worker, so that the same shard is met each time
    desk.plan("dies", 1, times=3)
    with pytest.raises(bb.BeliefBenchError, match=r"3 Ray workers died .*'clerk' .*flights about 2 users, number \d+"):
        run("flights", desk.spec, tmp_path / "far")
    assert answered(tmp_path / "far") == {0: 2}
    desk.asked()
    assert run("flights", desk.spec, tmp_path / "far") == expected
    assert (once - desk.asked()).total() == 2


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [("local", "ray"), ("ray", "local")])
def test_a_run_stopped_in_one_place_goes_on_in_another(cluster, tmp_path, desk, first, then):
    expected = run("flights", desk.spec, tmp_path / "whole", "local")
    once = desk.asked()
    desk.plan("raises", 1)
    with pytest.raises(bb.BeliefBenchError, match=r"^agent 'clerk' broke on flights: RuntimeError: the ink is dry$"):
        run("flights", desk.spec, tmp_path / "r", first)
    kept = answered(tmp_path / "r").total()
    assert 2 <= kept < 30
    desk.asked()
    assert run("flights", desk.spec, tmp_path / "r", then) == expected
    rest = desk.asked()
    assert rest.total() == 30 - kept
    assert rest == rest & once  # nobody twice


@pytest.mark.slow
def test_what_an_agent_refuses_to_do_is_told_as_it_says_it(cluster, tmp_path, desk):
    desk.plan("refuses", 0)
    with pytest.raises(bb.BeliefBenchError, match=r"^no more than 3 lines\.$"):
        run("flights", desk.spec, tmp_path / "r")


@pytest.mark.slow
def test_a_worker_that_would_load_something_else_says_so(cluster, tmp_path, desk):
    with pytest.raises(
        bb.BeliefBenchError, match=r"^Ray worker on .*: agent 'clerk' is another .* \(its process: \d+, not \d+\)"
    ):
        run("flights", f"{desk.spec},process=own", tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.slow
def test_a_cluster_too_small_for_a_worker_says_so(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("BELIEFBENCH_RAY_GPUS", "0.5")
    with pytest.raises(bb.BeliefBenchError, match=r"no node of the Ray cluster has 1 CPUs and 0\.5 GPUs"):
        run("flights", "first", tmp_path)


def command(plugins: Path, desk: Desk, executor: str, mark: Path) -> subprocess.Popen[str]:
    """``beliefbench run`` in a process group of its own, as a terminal starts it; ``mark`` tells its processes."""
    numbers = [text for name, number in PROTOCOL.items() for text in (f"--{name}", str(number))]
    arguments = ["run", "--domain", "flights", "--agent", desk.spec, *numbers, "--plugins", str(plugins)]
    return subprocess.Popen(
        [Path(sys.executable).with_name("beliefbench"), *arguments, "--results", mark, "--executor", executor],
        env={**os.environ, "RAY_ADDRESS": "local", "MARK": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def without_seconds(tables: str) -> str:
    """Tables without the time that answers took, which is another in each run, and without the room that it takes."""
    return re.sub(r"\d+\.\d s\b|[─\s]+", " ", tables)


@pytest.mark.slow
def test_the_command_starts_a_ray_and_stops_it_and_keeps_it_off_the_terminal(tmp_path, plugins, desk):
    out, _ = command(plugins, desk, "local", tmp_path / "near").communicate()
    desk.plan("dies", 1)
    desk.plan("dies", 2)
    process = command(plugins, desk, "ray", tmp_path / "far")
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


@pytest.mark.slow
def test_an_interrupt_stops_it_cleanly_and_it_goes_on(tmp_path, plugins, desk):
    expected = run("flights", desk.spec, tmp_path / "near", "local")
    desk.asked()
    desk.plan("waits", 1, times=2)
    process = command(plugins, desk, "ray", tmp_path / "far")
    while len(list((tmp_path / "far").rglob("parts/*.parquet"))) < 2 or list(desk.folder.glob("waits-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip().splitlines()[-1] == "beliefbench: stopped; the same command goes on where it stopped."
    assert "Traceback" not in told
    assert_none_left(tmp_path)
    before = answered(tmp_path / "far").total()
    desk.asked()
    assert run("flights", desk.spec, tmp_path / "far", "local") == expected
    assert desk.asked().total() == 30 - before
