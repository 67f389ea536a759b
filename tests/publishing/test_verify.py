"""Verifying: what was changed after publishing, what was published false, and what only asking again can show."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import beliefbench as bb
from beliefbench.publishing.evidence import evidence_of, verified
from beliefbench.publishing.publish import exact_name, publish
from beliefbench.publishing.verify import Report, verify_all, verify_run
from beliefbench.running.packing import pack_exact, pack_rows, to_parquet
from beliefbench.running.store import RunStore, run_folder, run_key

AGENTS = ("bayesian", "random", "bayesian-mean")


@pytest.fixture(scope="session")
def sound(local, folder_of, tmp_path_factory) -> Path:
    """The runs, published; nobody changes them."""
    out = tmp_path_factory.mktemp("published")
    for agent in AGENTS:
        publish(folder_of(local, agent), out)
    return out


@pytest.fixture
def published(sound, tmp_path) -> Path:
    """A copy of the published runs, in another folder."""
    return Path(shutil.copytree(sound, tmp_path / "elsewhere"))


def failed(report: Report) -> set[str]:
    return {result.check for result in report.findings if not result.passed}


def said(report: Report) -> str:
    return "\n".join(report.lines())


# --- what is sound --------------------------------------------------------------------------------


def test_untouched_runs_pass_wherever_they_lie(published):
    reports = list(verify_all(published))
    assert [report.folder.parent.name for report in reports] == sorted(AGENTS)
    for report in reports:
        assert report.passed, said(report)
        assert not report.left_out
        assert verified(report.folder)


def test_a_run_that_is_not_published_passes_but_for_what_would_attest_it(local, folder_of):
    report = verify_run(folder_of(local, "bayesian"))
    assert report.passed, said(report)
    assert report.left_out == ["nothing attests its files: there is no evidence.json, since it is not published."]
    assert not verified(report.folder)


def test_a_run_of_another_machine_passes(local, folder_of, tmp_path):
    """It has other versions, and the last bits of its sums are others."""
    source = RunStore(folder_of(local, "bayesian"))
    elsewhere = {"versions": {"python": "3.13.0", "jax": "0.11"}, "machine": {"system": "macOS-15-arm64", "cores": "8"}}
    other = RunStore(tmp_path / "results" / source.folder.relative_to(local))
    other.folder.mkdir(parents=True)
    other.write_record(source.record().model_copy(update=elsewhere))
    rows = source.rows()
    for name in ("prob_0", "exact_0", "prob_1", "exact_1"):
        moved = pa.compute.multiply(rows[name], 1 + 1e-13)
        rows = rows.set_column(rows.column_names.index(name), name, moved)
    pq.write_table(rows, other.rows_file)
    for report in (verify_run(other.folder, rerun=2), verify_run(publish(other.folder, tmp_path / "out").folder, 2)):
        assert report.passed, said(report)


def test_a_run_that_stopped_early_passes(tmp_path):
    """Only some users were asked, in an order of their own."""
    small = {"users": 60, "rounds": 2, "heldout": 10}
    done = bb.run("flights", "random", **small, until_width=0.2, results=tmp_path / "results")
    assert done.record.asked == 48
    folder = publish(done.folder, tmp_path / "out").folder
    report = verify_run(folder, rerun=3)
    assert report.passed, said(report)
    assert "it ended after 48 users, as its rule (width 0.2) says" in said(report)

    rule = {**done.record.identity.stopping, "width": 0.01}
    edit_record(folder, {"identity": {"stopping": rule}}, follow=True)
    (folder,) = (file.parent for file in (tmp_path / "out").rglob("run.json"))
    assert failed(verify_run(folder)) == {"stopping"}


# --- what was changed after publishing ------------------------------------------------------------


def change_rows(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a published run's rows anew, changed."""
    file = folder / "rows.parquet"
    rows = pq.read_table(file, partitioning=None)
    file.write_bytes(to_parquet(change(rows).replace_schema_metadata(rows.schema.metadata)))


def with_value(rows: pa.Table, name: str, at: int, value: float) -> pa.Table:
    values = rows[name].to_pylist()
    values[at] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, rows.schema.field(name).type))


def flip_answer(folder: Path) -> None:
    change_rows(folder, lambda rows: with_value(rows, "choice", 7, (rows["choice"][7].as_py() + 1) % 3))


def change_probability(folder: Path) -> None:
    rows = pq.read_table(folder / "rows.parquet", partitioning=None)
    given = pa.compute.and_(pa.compute.is_valid(rows["prob_1"]), pa.compute.greater_equal(rows["question"], 0))
    at = given.to_pylist().index(True)
    off = np.float16(rows["prob_1"][at].as_py() + 0.001)
    change_rows(folder, lambda rows: with_value(rows, "prob_1", at, off))


def drop_user(folder: Path) -> None:
    change_rows(folder, lambda rows: rows.filter(pa.compute.not_equal(rows["user"], rows["user"][0])))


def duplicate_row(folder: Path) -> None:
    change_rows(folder, lambda rows: pa.concat_tables([rows, rows[3:4]]))


def drop_row(folder: Path) -> None:
    change_rows(folder, lambda rows: rows[1:])


def edit_run_json(folder: Path) -> None:
    edit_record(folder, {"seconds": 0.001})


def truncate(folder: Path) -> None:
    content = (folder / "rows.parquet").read_bytes()
    (folder / "rows.parquet").write_bytes(content[: len(content) // 2])


def truncate_run_json(folder: Path) -> None:
    content = (folder / "run.json").read_bytes()
    (folder / "run.json").write_bytes(content[: len(content) // 2])


def truncate_evidence(folder: Path) -> None:
    content = (folder / "evidence.json").read_bytes()
    (folder / "evidence.json").write_bytes(content[: len(content) // 2])


def other_seed(folder: Path) -> None:
    """Another seed's run in its place: other users, other options."""
    rows, (exact,) = of_seed(1), folder.parents[1].glob("exact-*.parquet")
    exact.write_bytes(to_parquet(pack_exact(rows)))
    change_rows(folder, lambda _: pack_rows(rows, exact.name))


def swap_exact_answers(folder: Path) -> None:
    (file,) = folder.parents[1].glob("exact-*.parquet")
    exact = pq.read_table(file)
    file.write_bytes(to_parquet(exact.set_column(3, "exact_0", exact["exact_0"].take(np.arange(len(exact))[::-1]))))


def lose(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        (folder / name).unlink()

    remove.__name__ = f"lose_{name}"
    return remove


def edit_metric(folder: Path) -> None:
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["rounds"][-1]["accuracy"] += 0.01
    (folder / "evidence.json").write_text(json.dumps(evidence))


def edit_record(folder: Path, changes: dict, *, follow: bool = False) -> None:
    """Edit run.json; ``follow``: with the key, the folder and the evidence that go with it."""
    record = json.loads((folder / "run.json").read_text())
    for name, change in changes.items():
        record[name] = {**record[name], **change} if isinstance(change, dict) else change
    if follow:
        record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))
    if follow:
        attest(folder)


def of_seed(seed: int) -> pa.Table:
    """The rows of `bayesian` at a seed, made as all runs are."""
    shape = {"users": 6, "rounds": 2, "heldout": 10}
    return bb.run("flights", "bayesian", **shape, seed=seed, results=tempfile.mkdtemp()).rows()


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (flip_answer, {"files", "metrics"}),
        (change_probability, {"files", "metrics"}),
        (drop_user, {"files", "rows"}),
        (duplicate_row, {"files", "rows"}),
        (drop_row, {"files", "rows"}),
        (other_seed, {"files", "metrics", "users"}),
        (edit_run_json, {"files"}),
        (truncate, {"files", "rows.parquet"}),
        (truncate_run_json, {"files", "run.json"}),
        (truncate_evidence, {"evidence.json"}),
        (swap_exact_answers, {"files", "metrics", "exact answers"}),
        (lose("run.json"), {"files", "run.json"}),
        (lose("rows.parquet"), {"files", "run.json"}),
        (lose("evidence.json"), {"evidence.json"}),
        (edit_metric, {"metrics"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_changed_is_found(published, folder_of, change, checks):
    """Each by the checks that should, and whatever is broken, the report ends."""
    folder = folder_of(published, "bayesian")
    change(folder)
    report = verify_run(folder)
    assert failed(report) >= checks, said(report)
    assert not report.passed
    assert not verified(folder)
    assert not [result for result in report.findings if "raised" in result.detail], said(report)


def test_only_what_was_changed_is_found(published, folder_of):
    flip_answer(folder_of(published, "random"))
    reports = {report.folder.parent.name: report for report in verify_all(published)}
    assert {agent: report.passed for agent, report in reports.items()} == {
        "bayesian": True,
        "bayesian-mean": True,
        "random": False,
    }


def test_sentences_say_what_is_wrong(published, folder_of):
    folder = folder_of(published, "bayesian")
    user = int(pq.read_table(folder / "rows.parquet", partitioning=None)["user"][0].as_py())
    drop_row(folder)
    report = said(verify_run(folder))
    assert "FAIL  files: rows.parquet was changed: its SHA-256 is not that of evidence.json." in report
    assert f"FAIL  rows: 1 answers are missing, such as user {user}, stage 0, own set." in report
    assert "--    nothing was recomputed, since its rows are not whole." in report


def test_a_run_that_lies_there_twice_is_found(published, folder_of):
    shutil.copytree(published, published / "again")
    found = [failed(report) for report in verify_all(published)]
    assert found.count({"duplicate"}) == found.count(set()) == 3


# --- what was published false: digests, key and metrics all made anew -----------------------------


def attest(folder: Path) -> Path:
    """Make evidence.json of what lies there, and put the run where its key says; return where."""
    store = RunStore(folder)
    record = store.record()
    exact = sorted(folder.parents[1].glob("exact-*.parquet"))[0]
    exact = exact.rename(exact.with_name(exact_name(record)))
    rows = pq.read_table(store.rows_file, partitioning=None)
    store.rows_file.write_bytes(to_parquet(rows.replace_schema_metadata({"exact_answers": exact.name})))
    files = {file.name: file.read_bytes() for file in (folder / "run.json", store.rows_file)}
    files[f"../../{exact.name}"] = exact.read_bytes()
    (folder / "evidence.json").write_bytes(evidence_of(record, store.rows(), files).as_bytes())
    place = run_folder(folder.parents[2], record.identity.domain.name, record.agent.name, record.key)
    return folder if place == folder else folder.rename(place)


@pytest.fixture
def forged(published, folder_of) -> Callable[..., Path]:
    """``forged(agent, change)``: a published run, changed with care: everything that can be made anew is."""

    def forge(agent: str, change: Callable[[Path], None]) -> Path:
        folder = folder_of(published, agent)
        for other in AGENTS:
            if other != agent:
                shutil.rmtree(published / "flights" / other)
        change(folder)
        folder = attest(folder)
        assert verified(folder)
        return folder

    return forge


def leave_a_user_out(folder: Path) -> None:
    drop_user(folder)
    edit_record(folder, {"asked": 5})


def count_fewer_users(folder: Path) -> None:
    drop_user(folder)
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["users"] = 5
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def claim_another_seed(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["seed"] = 1
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def claim_another_version(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["domain"]["version"] = "0"
    record["key"] = run_key(record["identity"])
    (folder / "run.json").write_text(json.dumps(record))


def want_what_is_recommended(folder: Path) -> None:
    change_rows(
        folder, lambda rows: rows.set_column(rows.column_names.index("truth"), "truth", rows["choice"].cast(pa.int8()))
    )


def make_the_exact_answers_ours(folder: Path) -> None:
    rows = RunStore(folder).rows()
    own = pa.compute.equal(rows["question"], -1)
    for option in range(3):
        ours = pa.compute.if_else(own, None, rows[f"prob_{option}"])
        rows = rows.set_column(rows.column_names.index(f"exact_{option}"), f"exact_{option}", ours)
    (file,) = folder.parents[1].glob("exact-*.parquet")
    file.write_bytes(to_parquet(pack_exact(rows)))


@pytest.mark.parametrize(
    ("agent", "change", "check"),
    [
        ("bayesian", leave_a_user_out, "users"),
        ("bayesian", count_fewer_users, "users"),
        ("bayesian", other_seed, "users"),
        ("bayesian", claim_another_seed, "users"),
        ("bayesian", claim_another_version, "domain"),
        ("bayesian", want_what_is_recommended, "truth"),
        ("random", make_the_exact_answers_ours, "exact answers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_published_false_is_found(forged, agent, change, check):
    report = verify_run(forged(agent, change))
    assert check in failed(report), said(report)
    assert not [result for result in report.findings if "raised" in result.detail], said(report)


def test_evidence_has_to_name_every_file(published, folder_of):
    folder = folder_of(published, "random")
    evidence = json.loads((folder / "evidence.json").read_text())
    for name in list(evidence["files"]):
        files = {one: digest for one, digest in evidence["files"].items() if one != name}
        (folder / "evidence.json").write_text(json.dumps({**evidence, "files": files}))
        assert failed(verify_run(folder)) == {"files"}
        assert not verified(folder)


def test_the_key_and_the_folder_follow_from_the_identity(published, folder_of):
    folder = folder_of(published, "random")
    moved = folder.rename(folder.parent / "0123456789abcdef")
    assert failed(verify_run(moved)) == {"key"}
    moved = moved.rename(folder)
    edit_record(moved, {"key": "0" * 64})
    assert failed(verify_run(moved)) == {"files", "key"}


# --- what cannot be checked here ------------------------------------------------------------------


def test_a_domain_that_is_not_here_is_no_failure(flights, tmp_path):
    """As imported users are not, on a machine where nobody imported them."""
    domain = replace(flights, name="released/people")
    done = bb.run(domain, "random", users=6, rounds=2, heldout=10, results=tmp_path / "results")
    report = verify_run(publish(done.folder, tmp_path / "out").folder, rerun=1)
    assert report.passed, said(report)
    (sentence,) = report.left_out
    assert sentence.startswith("users, held-out sets and exact answers were not recomputed: there is no domain")


# --- asking again ---------------------------------------------------------------------------------


def test_honest_runs_pass_when_asked_again(published):
    for report in verify_all(published, rerun=3, seed=1):
        assert report.passed, said(report)
        assert "ok    agent: 3 users asked again (--seed 1): 0.00% of 96 choices differ" in said(report)


def test_who_is_asked_again_cannot_be_foreseen(published, folder_of):
    folder = folder_of(published, "random")
    seeds = {re.search(r"--seed (\d+)", said(verify_run(folder, rerun=1))).group(1) for _ in range(3)}
    assert len(seeds) == 3
    assert said(verify_run(folder, rerun=1, seed=5)) == said(verify_run(folder, rerun=1, seed=5))


@pytest.mark.parametrize(("agent", "of"), [("random", "bayesian"), ("bayesian", "random"), ("bayesian-mean", "random")])
def test_copied_answers_are_found_by_asking_again(forged, local, folder_of, agent, of):
    """The rows of one agent, presented as another's: all else is in order."""

    def copy(folder: Path) -> None:
        rows = RunStore(folder_of(local, of)).rows()
        if agent == "bayesian-mean":
            for name in ("prob_0", "prob_1", "prob_2"):
                rows = rows.set_column(rows.column_names.index(name), name, pa.nulls(rows.num_rows, pa.float64()))
        change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))

    folder = forged(agent, copy)
    assert verify_run(folder).passed
    report = verify_run(folder, rerun=2)
    assert failed(report) == {"agent"}
    assert f"these are not the answers of {agent}." in said(report)


@pytest.mark.parametrize("off", [0.004, 0.02])
def test_probabilities_may_differ_as_those_of_machines_do(forged, off):
    def move(folder: Path) -> None:
        rows = RunStore(folder).rows()
        kept = [rows[f"prob_{option}"].to_numpy() for option in range(3)]
        given = np.where(kept[0] > 0.3, -off, 0.0)
        for option, by in ((0, given), (1, -given)):
            name = f"prob_{option}"
            rows = rows.set_column(rows.column_names.index(name), name, pa.array(kept[option] + by))
        change_rows(folder, lambda _: pack_rows(rows, exact_name(RunStore(folder).record())))

    report = verify_run(forged("bayesian", move), rerun=6)
    assert failed(report) == (set() if off < 0.005 else {"agent"}), said(report)


def test_an_oracle_that_hides_what_it_was_told_is_found(tmp_path):
    done = bb.run("flights", "oracle", users=6, rounds=2, heldout=10, results=tmp_path)
    edit_record(done.folder, {"agent": {"privileged": False}})
    assert verify_run(done.folder).passed
    report = verify_run(done.folder, rerun=1)
    assert "run.json says that oracle has privileged = False, and it is True." in said(report)


class Lazy:
    """Names the first option; without a SPEC, since it was given as an object."""

    name, version, probabilistic, privileged = "lazy", "1", False, False

    def identity(self) -> dict:
        return {}

    def begin(self, brief, keys, truth=None) -> None:
        return None

    def predict(self, state, options) -> bb.Prediction:
        return bb.Prediction(np.zeros(options.shape[:2], int))

    def observe(self, state, options, recommended, chosen) -> None:
        return None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, r"the agent cannot be asked again here: there is no agent 'lazy'"),
        ({"name": "first", "version": "0"}, r"'first' is another agent here .*: its version differ"),
    ],
)
def test_an_agent_that_cannot_be_had_is_no_failure(flights, tmp_path, changes, sentence):
    agent = Lazy()
    vars(agent).update(changes)
    done = bb.run(flights, agent, users=6, rounds=2, heldout=10, results=tmp_path)
    report = verify_run(done.folder, rerun=1)
    assert report.passed, said(report)
    assert re.search(sentence, report.left_out[-1])


def test_a_server_cannot_be_asked_again(published, folder_of, monkeypatch):
    """Whoever it is that answers there now."""
    folder = folder_of(published, "random")
    edit_record(folder, {"spec": "endpoint:model"})
    for address in ("", "http://localhost:9/v1"):
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        report = verify_run(folder, rerun=1)
        assert ("nobody can tell" if address else "no server is named") in report.left_out[-1]


# --- the command ----------------------------------------------------------------------------------


def test_the_command_reports_each_run(call, published, folder_of):
    status, out, err = call("verify", str(published), "--rerun", "1")
    assert status == 0
    assert out.count("ok    agent: 1 users asked again") == 3
    assert "3 of 3 runs are sound in all that was checked" in err
    flip_answer(folder_of(published, "random"))
    status, out, err = call("verify", str(folder_of(published, "random")))
    assert status == 1
    assert "FAIL  files: rows.parquet was changed" in out
    assert "0 of 1 runs are sound" in err


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["nowhere", "--rerun", "-1"], ["nowhere", "--seed", "x"]])
def test_a_wrong_call_has_status_2(call, arguments):
    status, out, _ = call("verify", *arguments)
    assert (status, out) == (2, "")
