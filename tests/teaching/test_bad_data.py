"""Teaching data that nobody can learn from: each ends in one sentence, and no weights are written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.errors import BeliefBenchError, UsageError
from beliefbench.language.local.checkpoints import locate
from beliefbench.students import interactions as student_interactions
from beliefbench.students.interactions import Source
from beliefbench.teaching import reading
from beliefbench.teaching.reading import conversations
from beliefbench.teaching.training import Settings, teach
from beliefbench.teaching.validation import Validation

pytestmark = pytest.mark.usefixtures("one_thread")


def line(probs: str) -> str:
    said = '{"role": "assistant", "content": "The best option is Flight 1.", "probs": PROBS}'.replace("PROBS", probs)
    return '{"messages": [{"role": "user", "content": "Which?"}, ' + said + "]}\n"


@pytest.mark.parametrize(
    "probs",
    [
        *("[NaN, 0.5, 0.5]", "[0.5, NaN, 0.5]", "[0.5, 0.5, NaN]", "[NaN, NaN, NaN]"),
        *("[Infinity, 0, 0]", "[1e999, 0, 0]", "[-0.5, 1, 0.5]", "[1, 1, 1]", "[0.2, 0.2, 0.2]", "[0, 0, 0]"),
        *("[1]", "[0.5, 0.5]", '["a", "b", "c"]', "{}", "[[1], [0], [0]]"),
    ],
)
def test_probabilities_that_are_none_are_refused_with_their_line(tmp_path, probs):
    """Failed at 5f2b401 for NaN: the training ended with success, and with 48 tensors of NaN."""
    file = tmp_path / "data.jsonl"
    file.write_text(line("[0.5, 0.3, 0.2]") + line(probs))
    with pytest.raises(UsageError, match=r"^'.*data.jsonl', line 2: messages\.1(\.probs.*)?: ") as refused:
        list(conversations(file))
    assert "\n" not in str(refused.value)


def pipe(file: Path) -> None:
    os.mkfifo(file)


def sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(2**31 + 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (pipe, "is not a file; name a file of teaching data"),
        (Path.mkdir, "is not a file; name a file of teaching data"),
        (sparse, r"has 2,147,483,649 bytes; expected 2,147,483,648 at most: split it"),
        (lambda file: file.write_text("[" * 100_000), "line 1: too deep"),
        (lambda file: file.write_text('{"messages": ' + "9" * 5000 + "}"), "line 1: "),
        (lambda file: file.write_text(" " * 2000), "line 1 has more than 1,000 characters; expected one conversation"),
        (lambda file: file.write_bytes(b"\xff\n"), "cannot be read"),
        (lambda file: None, "is not a file"),
    ],
)
def test_files_that_never_end_are_refused(tmp_path, monkeypatch, make, sentence):
    """Failed at 5f2b401: a pipe was waited for, and a line of any length read into memory."""
    file = tmp_path / "data.jsonl"
    make(file)
    if "1,000" in sentence:
        monkeypatch.setattr(reading, "LONGEST_LINE", 1000)
    with pytest.raises(UsageError, match=sentence) as refused:
        list(conversations(file))
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("said", ["[1]", "null", "[" * 100_000, '{"users": []}', "\0"])
def test_what_lies_beside_the_data_is_read_or_refused(tmp_path, said):
    file = tmp_path / "data.jsonl"
    file.write_text(line("[1, 0, 0]"))
    (tmp_path / "data.jsonl.about.json").write_text(said)
    with pytest.raises(UsageError):
        Validation.of(file, 2)


@pytest.mark.slow
def test_a_training_that_comes_to_no_numbers_ends_in_a_sentence(make_model, tmp_path):
    """Failed at 5f2b401: the loss of NaN was shown as a mean of the others, and the weights were written."""
    data = tmp_path / "data.jsonl"
    data.write_text(line("[0.5, 0.3, 0.2]") * 8)
    settings = Settings(learning_rate=1e30, batch=2, at_once=2, epochs=2.0)
    with pytest.raises(BeliefBenchError, match=r"^the training ended, because its .* not finite numbers: ") as ended:
        teach(locate(str(make_model())), data, tmp_path / "out", settings)
    assert str(tmp_path / "out") in str(ended.value)
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize("spoilt", ["probs", "beliefs", "told"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 0.9])
def test_no_student_is_taught_probabilities_that_are_none(monkeypatch, spoilt, value):
    source = Source(bb.load_domain("flights-2"), "posterior", "bayesian", rounds=1)
    drawn = student_interactions._draw

    def spoil(*given):
        found = dict(drawn(*given))
        part = np.array(found[spoilt])
        part[0, 0, 0] = value
        return found | {spoilt: part}

    monkeypatch.setattr(student_interactions, "_draw", spoil)
    with pytest.raises(BeliefBenchError, match="flights-2: some exact probabilities are below 0, no"):
        source.draw("teaching", 0, users=2)


def test_no_model_is_taught_by_a_domain_without_probabilities(monkeypatch):
    """`teach data` asks teachers as runs do, which refuses such answers."""
    from beliefbench.agents.bayesian import Bayesian
    from beliefbench.teaching.interactions import TeachingTask, lessons

    predict = Bayesian.predict

    def spoilt(self, state, options):
        found = predict(self, state, options)
        return replace(found, probs=np.where(np.arange(3) == 0, np.nan, found.probs))

    monkeypatch.setattr(Bayesian, "predict", spoilt)
    course = TeachingTask(bb.load_domain("flights-2"), "posterior", users=2, interactions=1, rounds=1)
    with pytest.raises(BeliefBenchError, match="agent 'bayesian' broke its contract: probs must be numbers"):
        list(lessons(course))


def test_sound_data_is_still_read(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text(line("[0.5, 0.3, 0.2]") + line("[0.333333, 0.333333, 0.333333]"))
    assert [one.taught[0].probs[0] for one in conversations(file)] == [0.5, 0.333333]
    assert json.loads(file.read_text().splitlines()[0])["messages"][1]["probs"] == [0.5, 0.3, 0.2]
