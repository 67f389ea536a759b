"""Teaching data in the authors' format: one conversation per line, {"idx": ..., "messages": [...]} (paper, section 5).

Besides the authors' ``role`` and ``content``, an assistant's message may have two more fields. ``answer`` is the
teacher's answer, if it differs from ``content``, the text in the conversation. ``probs`` are the teacher's
probabilities of the options.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from beliefbench.errors import UsageError
from beliefbench.folders import write_atomically
from beliefbench.language.questions import words
from beliefbench.language.questions.conversations import Conversations, PromptStyle
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.running.provenance import installed_versions, now
from beliefbench.teaching.interactions import Lesson, TeachingTask, lessons
from beliefbench.teaching.reading import ABOUT

Record = dict[str, Any]

PROBABILITY_DIGITS = 6


def records(course: TeachingTask, lesson: Lesson, whole: bool = False) -> Iterator[Record]:
    """Yield the records of a lesson, user by user.

    There is one record per round: the conversation so far, with the teacher's answer at the end. With ``whole`` there
    is one record per interaction, with the teacher's answer to every round. Then follows one record for each quiz
    question at each stage.
    """
    item, rounds = course.domain.item, course.rounds
    for place, user in enumerate(lesson.users):
        idx = {"idx": int(user)}
        talks = [asked(course, lesson, place, stage) for stage in range(rounds + 1)]
        if whole:
            messages = talks[rounds - 1].messages(talks[rounds - 1].questions[-1])
            for stage in range(rounds):
                said = words.answer(item, int(lesson.recommended[place, stage]))
                taught = _taught(item, lesson, place, stage, -1)
                if said != taught["content"]:
                    taught = {**taught, "content": said, "answer": taught["content"]}
                messages[2 * stage + 1 : 2 * stage + 2] = [taught]
            yield {**idx, "messages": messages}
        else:
            for stage in range(rounds):
                chat = talks[stage].messages(talks[stage].questions[-1])
                yield {**idx, "messages": [*chat, _taught(item, lesson, place, stage, -1)]}
        for stage in range(rounds + 1):
            for number in range(course.quiz):
                chat = talks[stage].messages(talks[stage].questions[number])
                yield {**idx, "messages": [*chat, _taught(item, lesson, place, stage, number)]}


def write_records(
    course: TeachingTask,
    file: Path,
    whole: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write all records of a task to a new file, and a second file that records how the data was made.

    Parameters
    ----------
    progress
        Called as ``progress(done, interactions)``.

    Raises
    ------
    UsageError
        If the file exists already, or cannot be written.
    """
    if not file.name:
        raise UsageError(f"'{file}' is a folder; name a file, such as data.jsonl.")
    about = file.with_name(file.name + ABOUT)
    if file.exists() or about.exists():
        raise UsageError(f"'{file}' is there already; name another file, or remove it.")
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    count = 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as out:
            progress(0, course.interactions)
            for done, lesson in enumerate(lessons(course), 1):
                for record in records(course, lesson, whole):
                    out.write(json.dumps(record, ensure_ascii=False) + "\n")
                    count += 1
                progress(done, course.interactions)
        taught = course.taught()
        told = {
            "domain": course.domain.identity(),
            "teacher": course.teacher,
            "history": course.recommends,
            "users": course.users if taught is None else taught.tolist(),
            **{name: getattr(course, name) for name in ("interactions", "rounds", "quiz", "seed")},
            "whole": whole,
            "records": count,
            "versions": installed_versions(),
            "date": now(),
        }
        draft.replace(file)
        write_atomically(about, (json.dumps(told, indent=2) + "\n").encode())
    except OSError as error:
        raise UsageError(f"'{file}' cannot be written ({error.strerror}); name another file.") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return count


def asked(course: TeachingTask, lesson: Lesson, place: int, stage: int) -> Dialogue:
    """Return the conversation before a stage, and its questions: the quiz, then the round's own."""
    state = Conversations(
        course.domain,
        PromptStyle(),
        None,
        lesson.options[[place], :stage],
        lesson.recommended[[place], :stage],
        lesson.chosen[[place], :stage],
        ("",),
    )
    sets = np.concatenate([lesson.sets[place], lesson.options[place, stage : stage + 1]])
    return state.dialogues(sets[None])[0]


def _taught(item: str, lesson: Lesson, place: int, stage: int, question: int) -> Record:
    message: Record = {"role": "assistant", "content": words.answer(item, int(lesson.answers[place, stage, question]))}
    if lesson.probs is not None:
        message["probs"] = [round(float(one), PROBABILITY_DIGITS) for one in lesson.probs[place, stage, question]]
    return message
