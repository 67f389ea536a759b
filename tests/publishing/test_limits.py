"""To which figure a run, its evidence, its times and its records pass, and from which on they fail."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beliefbench.checking.results import CheckFailedError
from beliefbench.errors import UsageError
from beliefbench.publishing import reproductions
from beliefbench.publishing.evidence import Evidence, check_metrics, command_of, metrics_of
from beliefbench.publishing.plausibility import time_flag
from beliefbench.publishing.reproductions import Claim, Reproduction, read_attested, record_files, write_record
from beliefbench.publishing.signatures import Signer
from beliefbench.running.store import AgentRecord, DomainIdentity, RunIdentity, RunRecord, Session

TODAY = datetime(2026, 6, 1, tzinfo=UTC)
FILES = {"run.json": "1" * 64}
IDENTITY = {
    "schema": 1,
    "domain": DomainIdentity(name="d", version="1", parameters={}),
    "agent": {"name": "a b", "version": "1"},
    "seed": 3,
    "users": 10,
    "rounds": 2,
    "heldout": 4,
    "stopping": None,
}


def record(**changes: object) -> RunRecord:
    """A run of 10 users, 14 rows each, that took 100 s and lasted from 12:00 to 12:02."""
    given = {
        "schema_version": 1,
        "key": "k" * 64,
        "identity": RunIdentity(**IDENTITY),
        "agent": AgentRecord(name="a b", version="1", probabilistic=True, privileged=False),
        "versions": {},
        "machine": {"executor": "local"},
        "started": "2026-05-01T12:00:00+00:00",
        "finished": "2026-05-01T12:02:00+00:00",
        "seconds": 100.0,
    }
    return RunRecord(**given | changes)


# --- times ----------------------------------------------------------------------------------------


def session(started: str) -> Session:
    return Session(started=started, versions={}, machine={"executor": "local"})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seconds": None},
        {"seconds": 122.0},  # both times are whole seconds
        {"finished": "2026-05-01T12:00:00+00:00", "seconds": 2.0},
        {"finished": "2026-06-02T00:00:00+00:00"},  # a clock that is a day fast
        {"started": "2026-05-01T14:00:00+02:00"},
        {"resumed": [session("2026-05-01T12:00:00+00:00"), session("2026-05-01T12:02:00+00:00")]},
        {"resumed": [session("2026-05-01T12:01:00+00:00")], "seconds": 1e6},  # two sessions: some time may be lost
        {"machine": {"executor": "ray"}, "seconds": 1e6},
    ],
)
def test_times_of_a_machine_are_not_flagged(changes):
    assert time_flag(record(**changes), 140, None, TODAY) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": 122.1}, "its answers took 122.1 s, longer than the run, by the times in run.json"),
        ({"finished": "2026-05-01T11:59:59+00:00"}, "it ended before it began, by the times in run.json"),
        ({"finished": "2026-06-02T00:00:01+00:00"}, "it ends in the future, on 2026-06-02"),
        ({"resumed": [session("2026-05-01T11:00:00+00:00")]}, "it ended before it began, by the times in run.json"),
        ({"resumed": [session("2026-05-01T12:03:00+00:00")]}, "it ended before it began, by the times in run.json"),
        ({"finished": None}, "run.json has times that are no times with a time zone"),
        ({"started": "2026-05-01T12:00:00"}, "run.json has times that are no times with a time zone"),
        ({"seconds": 0.0}, "its answers took 0 s, and no machine gives them in less than 2 s"),
    ],
)
def test_times_of_no_machine_are_flagged(changes, said):
    assert time_flag(record(**changes), 140, 20_000_000, TODAY) == said


@pytest.mark.parametrize(
    ("answers", "tokens", "seconds", "flagged"),
    [
        (10**9, None, 0.998, True),  # a nanosecond an answer
        (10**9, None, 0.9995, False),  # seconds are rounded to a thousandth
        (1, 10**7, 0.998, True),  # 100 nanoseconds a token
        (1, 10**7, 0.9995, False),
        (10**9, 10**6, 0.5, True),
    ],
)
def test_a_machine_gives_a_token_in_100_ns_and_an_answer_in_one_at_the_fastest(answers, tokens, seconds, flagged):
    assert (time_flag(record(seconds=seconds), answers, tokens, TODAY) is not None) == flagged


# --- evidence -------------------------------------------------------------------------------------

STAGES = [{"round": 0, "accuracy": 0.5, "ece": None}, {"round": 1, "accuracy": 0.75, "ece": 0.1}]


def evidence(rounds: list[dict[str, float | None]] = STAGES, answers: int = 140) -> Evidence:
    return Evidence(files=FILES, answers=answers, rounds=rounds, command="c", beliefbench="0")


def stages(**changes: float | None) -> list[dict[str, float | None]]:
    return [STAGES[0], STAGES[1] | changes]


@pytest.mark.parametrize("found", [STAGES, stages(accuracy=0.75 + 9e-10), stages(more=3.0)])
def test_metrics_are_the_same_to_a_billionth(found):
    for answers in (140, 10**6):
        assert check_metrics(evidence(answers=answers), int(str(answers)), found) == (
            "the metrics of 2 stages, recomputed from the rows, match evidence.json."
        )


@pytest.mark.parametrize(
    ("found", "answers", "said"),
    [
        (stages(accuracy=0.75 + 2e-9), 140, "accuracy after round 1 is 0.750000002; evidence.json says 0.75."),
        (stages(ece=None), 140, "ece after round 1 is None; evidence.json says 0.1."),
        ([STAGES[0] | {"ece": 0.0}, STAGES[1]], 140, "ece after round 0 is 0.0; evidence.json says None."),
        ([{"round": 0, "accuracy": 0.5}, STAGES[1]], 140, "ece after round 0 is None; evidence.json says None."),
        (STAGES, 139, "evidence.json has 140 rows and 2 stages; the run has others."),
        (STAGES[:1], 140, "evidence.json has 140 rows and 2 stages; the run has others."),
    ],
)
def test_other_metrics_are_named(found, answers, said):
    with pytest.raises(CheckFailedError) as error:
        check_metrics(evidence(), answers, found)
    assert str(error.value) == said


def test_intervals_are_neither_stated_nor_compared():
    stated = [one | {"accuracy_lo": 0.1, "accuracy_hi": 0.9} for one in STAGES]
    assert metrics_of(stated, None) == STAGES
    assert check_metrics(evidence(stated), 140, STAGES)
    assert metrics_of(STAGES, [{"coverage": 1.0}, {"coverage": 0.5}]) == [
        STAGES[0] | {"belief_coverage": 1.0},
        STAGES[1] | {"belief_coverage": 0.5},
    ]


@pytest.mark.parametrize(
    ("stopping", "more"),
    [
        (None, ""),
        ({"rule": "sample", "users": 4}, " --sample 4"),
        ({"rule": "Wilson interval width", "width": 0.05, "first": 48, "growth": 1.5}, " --until-width 0.05"),
    ],
)
def test_the_command_makes_the_run_again(stopping, more):
    one = record(identity=RunIdentity(**IDENTITY | {"stopping": stopping}), spec="a:b c,d=e")
    numbers = "--users 10 --rounds 2 --heldout 4 --seed 3"
    assert command_of(one) == f"beliefbench run --domain d --agent 'a:b c,d=e' {numbers}{more}"


# --- records of reproductions ---------------------------------------------------------------------


def reproduction(**changes: object) -> Reproduction:
    given = {
        "run": "k" * 64,
        "files": FILES,
        "by": "Ada",
        "when": "2026-05-02T00:00:00+00:00",
        "users": 2,
        "answers": 28,
        "seed": 1,
        "choices_differ": 0.0,
        "probabilities_differ": 1e-4,
        "beliefbench": "0",
    }
    return Reproduction(**given | changes)


def attested(folder: Path, run: RunRecord, *records: Reproduction) -> tuple[int, dict[str, str]]:
    (folder / "evidence.json").write_text("{}")
    for number, one in enumerate(records, 1):
        (folder / f"reproduced-{number}.json").write_text(one.model_dump_json())
    found = read_attested(folder, run, FILES)
    return len(found.claims), found.wrong


CHOOSES = AgentRecord(name="a b", version="1", probabilistic=False, privileged=False)


@pytest.mark.parametrize(
    ("changes", "of_run"),
    [
        ({}, {}),
        ({"users": 10, "answers": 140}, {}),
        ({"users": 4, "answers": 56}, {"asked": 4}),
        ({"probabilities_differ": 0.005}, {}),
        ({"choices_differ": 0.5}, {}),  # near ties, since the probabilities are the same
        ({"choices_differ": 0.01, "probabilities_differ": None}, {"agent": CHOOSES}),
    ],
)
def test_a_record_may_say_as_much_as_the_run_has(tmp_path, changes, of_run):
    assert attested(tmp_path, record(**of_run), reproduction(**changes)) == (1, {})


@pytest.mark.parametrize(
    ("changes", "of_run", "said"),
    [
        ({"users": 11}, {}, "it has more users or answers than this run, which has 10 users."),
        ({"users": 5}, {"asked": 4}, "it has more users or answers than this run, which has 4 users."),
        ({"answers": 29}, {}, "it has more users or answers than this run, which has 10 users."),
        ({"probabilities_differ": 0.0051}, {}, "by its own figures, the agent gave other answers."),
        ({"probabilities_differ": None}, {}, "it and run.json differ in whether the agent states probabilities."),
        ({}, {"agent": CHOOSES}, "it and run.json differ in whether the agent states probabilities."),
        (
            {"choices_differ": 0.011, "probabilities_differ": None},
            {"agent": CHOOSES},
            "by its own figures, the agent gave other answers.",
        ),
    ],
)
def test_a_record_that_says_more_is_named(tmp_path, changes, of_run, said):
    assert attested(tmp_path, record(**of_run), reproduction(**changes)) == (0, {"reproduced-1.json": said})


def test_twenty_records_are_read_by_their_numbers(tmp_path):
    assert attested(tmp_path, record(), *[reproduction()] * 20) == (20, {})
    assert [file.name for file in record_files(tmp_path)][8:11] == [f"reproduced-{at}.json" for at in (9, 10, 11)]
    assert attested(tmp_path, record(), *[reproduction()] * 22) == (
        20,
        {"reproduced-21.json": "there are more than 20 records."},
    )
    for name in ("reproduced-0.json", "reproduced-01.json", "reproduced-1000.json", "reproduced-1.json.sig"):
        (tmp_path / name).write_text("")
    assert len(record_files(tmp_path)) == 22


def test_a_record_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    def refuse(file: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    figures = {"users": 2, "answers": 28, "seed": 1, "choices_differ": 0.0}
    assert write_record(tmp_path, "k", FILES, "Ada", figures).name == "reproduced-1.json"
    assert write_record(tmp_path, "k", FILES, "Ada", figures).name == "reproduced-2.json"
    monkeypatch.setattr(reproductions, "write_atomically", refuse)
    with pytest.raises(
        UsageError, match=r"reproduced-3.json cannot be written \(Permission denied\); copy the run else"
    ):
        write_record(tmp_path, "k", FILES, "Ada", figures)


@pytest.mark.parametrize(
    ("signer", "of_publisher", "trusted", "words"),
    [
        (None, False, False, "said to be reproduced: by Ada, .*not signed: anybody can write this"),
        (Signer("SHA256:x", None), False, False, "said to be reproduced: .*: anybody can make a key"),
        (Signer("SHA256:x", "Ada"), False, True, "^reproduced: by Ada, "),
        (Signer("SHA256:x", "Ada"), True, False, "said to be .*signed with the key that published the run, SHA256:x"),
    ],
)
def test_a_claim_is_trusted_if_another_than_the_publisher_signed_it_with_a_known_key(
    signer, of_publisher, trusted, words
):
    claim = Claim("reproduced-1.json", reproduction(), signer, of_publisher)
    assert claim.trusted == trusted
    assert re.search(words, claim.sentence())
    assert "2026-05-02, 2 users asked again: 0.00% of 28 choices differ, and probabilities by 1.0e-04 at most" in (
        claim.sentence()
    )
    assert claim.as_json()["key"] == (signer and "SHA256:x")
