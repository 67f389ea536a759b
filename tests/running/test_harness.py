"""The harness asks everything once, writes down every answer, and goes on where it stopped, whatever stopped it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.agent import Prediction
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import Job, run_identity
from beliefbench.running.store import OWN_SET, RunStore, run_folder, run_key

PROTOCOL = {"users": 6, "rounds": 2, "heldout": 4, "seed": 0}
STAGES = PROTOCOL["rounds"] + 1


@dataclass(frozen=True)
class Memory:
    """What a pupil knows: an id for each user (the user's key), and a digest of all that happened to the user."""

    ids: list[str]
    stage: int
    digests: list[bytes]


class Pupil:
    """An agent whose answers depend on the user's key and on all it was shown, recommended and told.

    It notes every stage it is asked about, a line a user, before it answers; a tenth of its answers cannot be used. It
    may pause before each answer, or break at its ``breaks_at``-th.
    """

    name, version = "pupil", "1"
    probabilistic, privileged = True, False

    def __init__(self, notes: Path, users_per_call: int = 2, pause: float = 0.0, breaks_at: int | None = None) -> None:
        self.notes, self.users_per_call, self.pause, self.breaks_at = notes, users_per_call, pause, breaks_at
        self.begun_with: list[object] = []
        self.told: list[tuple[str, int, int]] = []
        self.calls = 0

    def identity(self) -> dict[str, object]:
        return {"school": "old"}

    def begin(self, brief, keys, truth=None) -> Memory:
        self.begun_with.append(truth)
        ids = [bytes(np.asarray(jax.random.key_data(key))).hex() for key in keys]
        return Memory(ids, 0, [one.encode() for one in ids])

    def predict(self, state: Memory, options: np.ndarray) -> Prediction:
        with self.notes.open("a") as notes:
            notes.write("".join(f"{state.stage} {one}\n" for one in state.ids))
        time.sleep(self.pause)
        self.calls += 1
        if self.calls == self.breaks_at:
            raise RuntimeError("the pupil is tired")
        probs, usable = [], []
        for digest, sets in zip(state.digests, options, strict=True):
            seeds = [hashlib.sha256(digest + one.tobytes()).digest() for one in sets]
            rngs = [np.random.default_rng(int.from_bytes(seed[:8], "big")) for seed in seeds]
            probs.append([rng.dirichlet(np.ones(3)) for rng in rngs])
            usable.append([rng.random() > 0.1 for rng in rngs])
        choice = np.where(usable, np.argmax(probs, axis=-1), -1)
        text = np.array([[f"I say {one}" for one in row] for row in choice], dtype=object)
        return Prediction(choice, np.array(probs), text=text, tokens=np.full(choice.shape, 3))

    def observe(self, state: Memory, options, recommended, chosen) -> Memory:
        self.told += [(one, state.stage, int(answer)) for one, answer in zip(state.ids, recommended, strict=True)]
        rounds = zip(state.digests, options, recommended, chosen, strict=True)
        digests = [hashlib.sha256(d + o.tobytes() + bytes([r + 1, c])).digest() for d, o, r, c in rounds]
        return Memory(state.ids, state.stage + 1, digests)


@pytest.fixture
def make_pupil(tmp_path):
    """``make_pupil(**settings)``: pupils that all note down in one file what they are asked."""
    return lambda **settings: Pupil(tmp_path / "notes", **settings)


@pytest.fixture
def asked(tmp_path, flights):
    """``asked()``: how often each (user, stage) was asked since it was last called."""
    episodes = Episodes(flights, Protocol(**PROTOCOL))
    ids = np.asarray(jax.random.key_data(episodes.agent_keys("pupil")))
    user_of = {bytes(one).hex(): int(user) for one, user in zip(ids, episodes.users, strict=True)}

    def read() -> Counter[tuple[int, int]]:
        notes = tmp_path / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return Counter((user_of[one], int(stage)) for stage, one in (line.split() for line in lines))

    return read


@pytest.fixture(scope="module")
def uninterrupted(flights, tmp_path_factory) -> bytes:
    """The bytes of rows.parquet of a pupil's run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return (bb.run(flights, Pupil(folder / "notes"), results=folder, **PROTOCOL).folder / "rows.parquet").read_bytes()


def answered(folder: Path) -> set[tuple[int, int]]:
    """The (user, stage) pairs that a run has on disk."""
    rows = RunStore(folder).rows()
    return set(zip(rows["user"].to_pylist(), rows["stage"].to_pylist(), strict=True))


def every_unit(flights) -> set[tuple[int, int]]:
    return {(int(user), stage) for user in Episodes(flights, Protocol(**PROTOCOL)).users for stage in range(STAGES)}


# --- one sitting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("users_per_call", [1, 4, 1000])
def test_every_user_is_asked_once_at_every_stage(flights, tmp_path, make_pupil, asked, users_per_call):
    bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path / "r", **PROTOCOL)
    assert asked() == Counter(every_unit(flights))


@pytest.mark.parametrize("users_per_call", [1, 4, 1000])
def test_the_size_of_a_call_changes_no_byte(flights, tmp_path, make_pupil, uninterrupted, users_per_call):
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path, **PROTOCOL)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_the_rows_hold_the_protocol_and_the_answers(flights, tmp_path, make_pupil):
    rows = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).rows().to_pandas()
    episodes = Episodes(flights, Protocol(**PROTOCOL))
    assert len(rows) == 6 * (3 * 4 + 2)  # 4 held-out sets at each of 3 stages, and the own set of each of 2 rounds
    assert rows[["user", "stage", "question"]].equals(
        rows[["user", "stage", "question"]].sort_values(["user", "stage", "question"], ignore_index=True)
    )
    for at, user in enumerate(episodes.users):
        for stage in range(STAGES):
            mine = rows[(rows.user == user) & (rows.stage == stage)].set_index("question")
            assert list(mine.index) == ([OWN_SET, 0, 1, 2, 3] if stage < 2 else [0, 1, 2, 3])
            assert mine.truth[range(4)].tolist() == episodes.truth[at].tolist()
            np.testing.assert_array_equal(
                mine.loc[range(4), ["exact_0", "exact_1", "exact_2"]], episodes.exact[at, stage]
            )
            if stage < 2:
                assert mine.truth[OWN_SET] == episodes.chosen[at, stage]
    given = rows[["prob_0", "prob_1", "prob_2"]]
    unusable = rows.choice < 0
    assert 0 < unusable.sum() < len(rows) / 2
    assert given[unusable].isna().all(axis=None)
    assert given[~unusable].notna().all(axis=None)
    assert (rows.text == "I say " + rows.choice.astype(str)).all()
    assert (rows.tokens == 3).all()


def test_progress_counts_up_to_all_there_is(flights, tmp_path, make_pupil):
    seen = []
    bb.run(flights, make_pupil(), results=tmp_path, progress=lambda *counts: seen.append(counts), **PROTOCOL)
    assert seen[0] == (0, 18)
    assert seen[-1] == (18, 18)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_agent_is_told_its_own_recommendation(flights, tmp_path, make_pupil):
    pupil = make_pupil()
    rows = bb.run(flights, pupil, results=tmp_path, **PROTOCOL).rows().to_pandas()
    own = rows[rows.question == OWN_SET]
    assert sorted(answer for _, _, answer in pupil.told) == sorted(own.choice)
    assert len(pupil.told) == 6 * 2


def test_only_a_privileged_agent_is_handed_the_truth(flights, tmp_path, make_pupil):
    common, insider = make_pupil(), make_pupil()
    insider.name, insider.privileged = "insider", True
    bb.run(flights, common, results=tmp_path, **PROTOCOL)
    bb.run(flights, insider, results=tmp_path, **PROTOCOL)
    assert common.begun_with == [None, None, None]
    handed = np.concatenate([truth["person"] for truth in insider.begun_with])
    assert handed.tolist() == Episodes(flights, Protocol(**PROTOCOL)).users.tolist()


def test_zero_rounds_is_one_stage(flights, tmp_path, make_pupil):
    rows = bb.run(flights, make_pupil(), results=tmp_path, **{**PROTOCOL, "rounds": 0}).rows()
    assert rows.num_rows == 6 * 4
    assert set(rows["stage"].to_pylist()) == {0}


# --- a finished run -------------------------------------------------------------------------------


def test_a_finished_run_is_reused(flights, tmp_path, make_pupil, asked):
    first = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    asked()
    second = bb.run(flights, make_pupil(users_per_call=5), results=tmp_path / "r", **PROTOCOL)
    assert (first.reused, second.reused) == (False, True)
    assert second.folder == first.folder
    assert second.record == first.record
    assert asked() == Counter()


def changed(agent: Pupil, **fields: object) -> Pupil:
    for name, value in fields.items():
        setattr(agent, name, value)
    return agent


def test_what_answers_depend_on_changes_the_folder_and_nothing_else_does(flights, tmp_path, make_pupil):
    def folder(domain=flights, agent=None, **numbers):
        agent = agent or make_pupil()
        identity = run_identity(Job(domain, agent, Protocol(**{**PROTOCOL, **numbers})))
        return run_folder(tmp_path, domain.name, agent.name, run_key(identity.json_values()))

    base = folder()
    others = [
        folder(seed=1),
        folder(users=5),
        folder(rounds=1),
        folder(heldout=3),
        folder(agent=changed(make_pupil(), version="2")),
        folder(agent=changed(make_pupil(), name="another")),
        folder(agent=changed(make_pupil(), identity=lambda: {"school": "new"})),
        folder(replace(flights, version="2")),
        folder(replace(flights, name="planes")),
        folder(replace(flights, parameters={**flights.parameters, "choice": "worst"})),
    ]
    assert len({base, *others}) == 11
    assert folder(agent=make_pupil(users_per_call=3, pause=0.001)) == base
    assert folder(agent=changed(make_pupil(), note="a note")) == base
    assert bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL).folder == base


# --- interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("breaks_at", [1, 2, 5, 9])
@pytest.mark.parametrize("users_per_call", [2, 4])
def test_an_agent_that_breaks_loses_no_answer(
    flights, tmp_path, make_pupil, asked, uninterrupted, breaks_at, users_per_call
):
    """Nine calls of two users each; it breaks in one of them, and goes on in calls of the same or another size."""
    with pytest.raises(bb.BeliefBenchError, match=r"agent 'pupil' broke on flights: RuntimeError: the pupil is tired"):
        bb.run(flights, make_pupil(breaks_at=breaks_at), results=tmp_path / "r", **PROTOCOL)
    (record,) = (tmp_path / "r").rglob("run.json")
    before = answered(record.parent)
    assert len(before) == 2 * (breaks_at - 1)
    assert not RunStore(record.parent).record().finished
    asked()
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path / "r", **PROTOCOL)
    assert not done.reused
    assert asked() == Counter(every_unit(flights) - before)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_state_is_replayed_with_the_recorded_recommendations(flights, tmp_path, make_pupil):
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=3, users_per_call=6), results=tmp_path, **PROTOCOL)
    resumed = make_pupil(users_per_call=6)
    rows = bb.run(flights, resumed, results=tmp_path, **PROTOCOL).rows().to_pandas()
    assert resumed.calls == 1
    keys = np.asarray(jax.random.key_data(Episodes(flights, Protocol(**PROTOCOL)).agent_keys("pupil")))
    own = rows[rows.question == OWN_SET].set_index(["user", "stage"]).choice
    users = Episodes(flights, Protocol(**PROTOCOL)).users
    expected = {
        (bytes(key).hex(), stage, own[user, stage]) for key, user in zip(keys, users, strict=True) for stage in (0, 1)
    }
    assert set(resumed.told) == expected


def test_an_error_of_beliefbench_itself_passes_as_it_is(flights, tmp_path, make_pupil):
    def predict(state, options):
        raise bb.UsageError("name another model.")

    with pytest.raises(bb.UsageError, match=r"^name another model\.$"):
        bb.run(flights, changed(make_pupil(), predict=predict), results=tmp_path, **PROTOCOL)


def sit_down(results: Path, notes: Path) -> subprocess.Popen[bytes]:
    """Start the run in another process, with a pupil that takes a while over each answer."""
    code = (
        "import importlib.util as u, sys, beliefbench as bb\n"
        f"spec = u.spec_from_file_location('harness_tests', {__file__!r})\n"
        "tests = u.module_from_spec(spec); sys.modules['harness_tests'] = tests; spec.loader.exec_module(tests)\n"
        f"pupil = tests.Pupil(tests.Path({str(notes)!r}), pause=0.2)\n"
        f"bb.run(bb.load_domain('flights'), pupil, results={str(results)!r}, **tests.PROTOCOL)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_stopped(flights, tmp_path, asked, uninterrupted):
    """``kill -9``, twice, at moments drawn anew every time; then it finishes. Meanwhile nobody else gets in."""
    results, finished = tmp_path / "r", set()
    for sitting, parts_wanted in enumerate((random.randint(1, 3), random.randint(4, 6))):
        process = sit_down(results, tmp_path / "notes")
        try:
            while len(parts := list(results.rglob("parts/*.parquet"))) < parts_wanted:
                assert process.poll() is None, process.stderr.read().decode()
                time.sleep(0.01)
            folder = parts[0].parent.parent
            if sitting == 0:
                with pytest.raises(bb.BeliefBenchError, match="another process is at work on"):
                    bb.run(flights, Pupil(tmp_path / "intruder"), results=results, **PROTOCOL)
                assert not (tmp_path / "intruder").exists()
            time.sleep(random.uniform(0, 0.3))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL
        assert not set(asked()) & finished
        assert answered(folder) >= finished
        finished = answered(folder)
        assert finished < every_unit(flights)
    done = bb.run(flights, Pupil(tmp_path / "notes", users_per_call=3), results=results, **PROTOCOL)
    assert asked() == Counter(every_unit(flights) - finished)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


def test_a_kill_between_the_rows_and_the_record_asks_nobody_again(flights, tmp_path, make_pupil, asked, uninterrupted):
    done = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    asked()
    RunStore(done.folder).write_record(done.record.model_copy(update={"finished": None, "seconds": None}))
    again = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    assert asked() == Counter()
    assert again.record.finished
    assert (again.folder / "rows.parquet").read_bytes() == uninterrupted


# --- damage ---------------------------------------------------------------------------------------


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_truncated_finished_run_is_set_aside_and_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    rows_file = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL).folder / "rows.parquet"
    truncate(rows_file)
    again = bb.run(flights, make_pupil(), results=tmp_path / "r", **PROTOCOL)
    assert not again.reused
    assert again.damaged == (rows_file,)
    assert rows_file.read_bytes() == uninterrupted
    assert list(rows_file.parent.glob("*.damaged"))


@pytest.mark.parametrize("users_per_call", [1, 2, 4, 6])
def test_truncated_answers_of_an_unfinished_run_are_asked_again_in_calls_of_any_size(
    flights, tmp_path, make_pupil, uninterrupted, users_per_call
):
    """Calls 1 to 3 are the three stages of the first two users, 4 to 6 of the next; stage 1 of both is damaged."""
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=8), results=tmp_path, **PROTOCOL)
    damaged = sorted(tmp_path.rglob("parts/001-*.parquet"))
    assert len(damaged) == 2
    for part in damaged:
        truncate(part)
    done = bb.run(flights, make_pupil(users_per_call=users_per_call), results=tmp_path, **PROTOCOL)
    assert sorted(done.damaged) == damaged
    assert done.rows().num_rows == 6 * 14
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


# --- agents that break their contract -------------------------------------------------------------


def uniform(options: np.ndarray) -> Prediction:
    return Prediction(np.zeros(options.shape[:2], int), np.full(options.shape[:3], 1 / 3))


BREACHES = {
    "too few answers": (lambda options: uniform(options[:, 1:]), r"choice is int64\[2, 4\]; expected int\[2, 5\]"),
    "float choices": (lambda options: Prediction(np.zeros(options.shape[:2])), r"choice is float64"),
    "a choice of 3": (lambda options: replace(uniform(options), choice=np.full(options.shape[:2], 3)), r"got 3 to 3"),
    "a choice of -2": (
        lambda options: replace(uniform(options), choice=np.full(options.shape[:2], -2)),
        r"got -2 to -2",
    ),
    "no probabilities": (lambda options: replace(uniform(options), probs=None), r"probabilistic is True"),
    "probabilities of another shape": (
        lambda options: replace(uniform(options), probs=np.full(options.shape[:2], 1 / 3)),
        r"probs have shape \[2, 5\]; expected \[2, 5, 3\]",
    ),
    "sums other than 1": (
        lambda options: replace(uniform(options), probs=np.full(options.shape[:3], 0.3)),
        r"sum to 1",
    ),
    "negative probabilities": (
        lambda options: replace(uniform(options), probs=np.broadcast_to([-0.5, 0.5, 1.0], options.shape[:3])),
        r"0 or more",
    ),
    "NaN": (lambda options: replace(uniform(options), probs=np.full(options.shape[:3], np.nan)), r"must be numbers"),
    "nothing": (lambda options: None, r"agent 'pupil' broke"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_contract_is_named_and_writes_nothing(flights, tmp_path, make_pupil, breach):
    answer, says = BREACHES[breach]
    agent = changed(make_pupil(), predict=lambda state, options: answer(options))
    with pytest.raises(bb.BeliefBenchError, match=says) as error:
        bb.run(flights, agent, results=tmp_path, **PROTOCOL)
    assert "agent 'pupil' broke" in str(error.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_agent_that_only_chooses_must_not_state_probabilities(flights, tmp_path, make_pupil):
    agent = changed(make_pupil(), probabilistic=False)
    with pytest.raises(bb.BeliefBenchError, match="probabilistic is False, but probs is ndarray"):
        bb.run(flights, agent, results=tmp_path, **PROTOCOL)


def test_an_agent_that_spoils_its_arrays_spoils_nothing_else(flights, tmp_path, make_pupil, uninterrupted):
    class Vandal(Pupil):
        def predict(self, state, options):
            answers = super().predict(state, options)
            if options.flags.writeable:
                options[:] = -1
            return answers

        def observe(self, state, options, recommended, chosen):
            state = super().observe(state, options, recommended, chosen)
            for array in (options, recommended, chosen):
                if array.flags.writeable:
                    array[:] = 0
            return state

    done = bb.run(flights, Vandal(tmp_path / "notes"), results=tmp_path, **PROTOCOL)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted


# --- runs that were damaged after they were finished ----------------------------------------------


def test_missing_rows_of_a_finished_run_are_asked_again(flights, tmp_path, make_pupil, uninterrupted):
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    rows = done.folder / "rows.parquet"
    pq.write_table(pq.read_table(rows).slice(0, 5), rows)
    again = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert (again.reused, again.damaged) == (False, (rows,))
    assert rows.read_bytes() == uninterrupted


@pytest.mark.parametrize("content", ["{", '{"identity": {}}', '{"schema_version": 99}'])
def test_a_garbage_record_is_made_again_and_no_answer_is_asked_again(
    flights, tmp_path, make_pupil, uninterrupted, content
):
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    record = (done.folder / "run.json").read_text()
    (done.folder / "run.json").write_text(content)
    again = bb.run(flights, make_pupil(breaks_at=1), results=tmp_path, **PROTOCOL)
    assert again.damaged == (done.folder / "run.json",)
    assert (done.folder / "rows.parquet").read_bytes() == uninterrupted
    assert json.loads((done.folder / "run.json").read_text())["identity"] == json.loads(record)["identity"]


def test_each_sitting_is_on_record(flights, tmp_path, make_pupil):
    with pytest.raises(bb.BeliefBenchError):
        bb.run(flights, make_pupil(breaks_at=4), results=tmp_path, **PROTOCOL)
    done = bb.run(flights, make_pupil(), results=tmp_path, **PROTOCOL)
    assert len(done.record.resumed) == 1
    assert "numpyro" in done.record.resumed[0].versions
