"""The text that a model's own chat template writes for a conversation.

What is scored, written, taught and validated is the text of the finished conversation: the turns so far, the question,
and the answer. The template writes this conversation with a placeholder as the answer. The text before the placeholder
is read before the answer, and the text after it ends the answer. So an answer stands where the template puts it: after
a space, in a channel, after an empty thought. Earlier turns stand as the template writes them at that point; some
templates drop their thoughts later.

There is no system turn, and turns alternate, the user's first, so that strict templates work. If a template has the
switch ``enable_thinking``, thinking is turned off. What a template could take from outside the conversation is fixed:
the date is `DATE`, and Python's random numbers are seeded.

Before the first question, the template writes the conversation `TRIAL`. If a text is missing, messages are sent as
lists of parts, as templates of vision-language models need them. If this does not help, the model is refused.

A template must also write each text of the conversations that it is used for, unless the model's tokenizer says that it
is made to rewrite them (`REWRITES`). Rows then say so.
"""

from __future__ import annotations

import json
import random
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.folders import regular
from beliefbench.language.questions.dialogue import Message

DATE = datetime(2026, 1, 1)
"""The date of every conversation, for templates that write the date: else a run would change from day to day."""
ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]{6,}>")
"""How Python shows an object that has no text."""
OTHER_DATE = datetime(2001, 2, 3)
ANSWER = "Placeholder of the answer 4c1d."
FOLLOWING = "Placeholder of the next turn 9b7e."
THINKING_OFF = {"enable_thinking": False}
"""The switch by which templates of several makers turn thinking off; other templates do not read it."""
REWRITES = "rewrites_chat"
"""The key of ``tokenizer_config.json`` by which a model says that its template writes other text than the chat has."""
FINISHED = "prompts end as in finished turns, without a thought"
LONGEST = 10.0
"""Seconds of processor time in which a template must have written a chat; real ones take milliseconds."""
KEPT = 256
"""The number of texts that are kept: those of all questions of a stage are asked for several times in a row."""
PROCESSOR_FILES = ("chat_template.json", "processor_config.json")
"""The files in which older processors of vision-language models store the chat template."""


def user(text: str) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """Return an assistant's message."""
    return {"role": "assistant", "content": text}


TRIAL = [
    user("First question 51ac:\n  which?  this one & <that>"),
    assistant("First reply e07b."),
    user("Second question\n\n83fd."),
    assistant(ANSWER),
]
"""The conversation that every template writes before the first question."""


class EndlessTemplateError(BeliefBenchError):
    """A chat template does not end."""


class ChatTemplate:
    """A tokenizer's chat template.

    ``parts``: whether messages are sent as lists of parts; ``followed``: whether the template writes an answer only if
    another turn follows.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Find how the template takes messages: in one of two ways it must write each text of `TRIAL` once, in order.

        Raises
        ------
        BeliefBenchError
            If it does so in neither.
        """
        self.tokenizer, failures = tokenizer, []
        self.rewrites = tokenizer.init_kwargs.get(REWRITES) is True
        self._kept = lru_cache(maxsize=KEPT)(self._apply)
        for self.parts in (False, True):
            self.followed = self._needs_following()
            try:
                for text, chat in ((self.finished(TRIAL), TRIAL), (self.write(TRIAL[:-1], True), TRIAL[:-1])):
                    _hold(text, chat)
                    for message in chat:
                        if text.count(message["content"]) > 1:
                            raise _changed(message["content"])
            except EndlessTemplateError:
                raise
            except BeliefBenchError as error:
                failures.append(error)
            else:
                if ADDRESS.search(self.finished(TRIAL)):
                    raise BeliefBenchError(
                        "the model's chat template writes an address in memory, which differs each time; use another "
                        "model, or fix its template."
                    )
                return
        raise failures[0]

    @classmethod
    def of(cls, tokenizer: Any) -> ChatTemplate | None:
        """Return the template of a tokenizer, or that of the processor of its model; None if there is none."""
        for name in PROCESSOR_FILES:
            file = Path(tokenizer.name_or_path or "") / name
            if not tokenizer.chat_template and tokenizer.name_or_path and file.is_file():
                tokenizer.chat_template = _stored(file)
        return cls(tokenizer) if tokenizer.chat_template else None

    def before(self, chat: list[Message]) -> str:
        """Return the text before the answer of a finished conversation."""
        said = [*chat, assistant(ANSWER)]
        text = self.finished(said)
        _hold(text, said[-1:] if self.rewrites else said)
        return text[: text.rindex(ANSWER)]

    def check(self, chat: list[Message], answers: Sequence[str]) -> None:
        """Raise `BeliefBenchError` if the template changes an answer, or writes other text before it than before other
        answers."""
        before = self.before(chat)
        for answer in answers:
            if not self.finished([*chat, assistant(answer)]).startswith(before + answer):
                raise BeliefBenchError(
                    f"the model's chat template changes the answer '{answer}', or the text before it depends on the "
                    "answer; use another model, or fix its template."
                )

    def opening(self, chat: list[Message]) -> str:
        """Return the text that a written answer continues."""
        before, prompt = self.before(chat), self.write(chat, True)
        if before.startswith(prompt) and not before[len(prompt) :].strip():
            return prompt
        return before.rstrip(" ")  # a model writes a word's space with the word

    def endings(self, chat: list[Message], answer: str) -> Iterator[str]:
        """Yield what follows the last answer of a conversation; then what is between it and the user's next words,
        because some templates end a turn only there."""
        said = [*chat, assistant(answer)]
        text = self.finished(said)
        yield text[text.rindex(answer) + len(answer) :].partition(FOLLOWING)[0]
        text = self.write([*said, user(FOLLOWING)], False)
        yield text[text.rindex(answer) + len(answer) :].partition(FOLLOWING)[0]

    def trial_endings(self) -> list[str]:
        """Return what follows an answer, at the end of a conversation and within one."""
        return list(self.endings(TRIAL[:-1], ANSWER))

    def finished(self, chat: list[Message]) -> str:
        """Return a conversation that ends with an answer; with another turn after it if the template needs one."""
        return self.write([*chat, user(FOLLOWING)] if self.followed else chat, False)

    def _needs_following(self) -> bool:
        """Return True if the template does not write an answer at the end of a conversation."""
        try:
            return ANSWER not in self.write(TRIAL, False)
        except EndlessTemplateError:
            raise
        except BeliefBenchError:
            return True

    def write(
        self, chat: list[Message], prompt: bool, date: datetime = DATE, switches: Mapping[str, Any] = THINKING_OFF
    ) -> str:
        """Return a chat as the template writes it; ``prompt``: with the beginning of an answer at its end."""
        said = tuple((message["role"], message["content"]) for message in chat)
        return self._kept(said, prompt, date, tuple(switches.items()), self.parts)

    def _apply(
        self,
        said: tuple[tuple[str, str], ...],
        prompt: bool,
        date: datetime,
        switches: tuple[tuple[str, Any], ...],
        parts: bool,
    ) -> str:
        given: list[Any] = [
            {"role": role, "content": [{"type": "text", "text": text}] if parts else text} for role, text in said
        ]
        try:
            with _fixed(date), _limited():
                text = self.tokenizer.apply_chat_template(
                    given, tokenize=False, add_generation_prompt=prompt, **dict(switches)
                )
        except EndlessTemplateError:
            raise
        except Exception as error:  # templates are programs, and raise what they like
            raise BeliefBenchError(
                f"the model's chat template refuses a chat of user and assistant ({first_line(error)}); "
                "use another model, or fix its template."
            ) from error
        return str(text)

    def note(self) -> str:
        """Return what a row should say of the prompts."""
        chat = TRIAL[:-1]
        before, prompt = self.before(chat), self.write(chat, True)
        notes = {
            "its template rewrites the chat": self.rewrites,
            FINISHED: not before.startswith(prompt) or before[len(prompt) :].strip(),
            "thinking off": self.write(chat, True, switches={}) != prompt,
            f"dated {DATE:%Y-%m-%d}": self.write(chat, True, OTHER_DATE) != prompt,
        }
        return ", ".join(note for note, holds in notes.items() if holds)


def _stored(file: Path) -> str | dict[str, str] | None:
    """Return the chat template in a file of a processor, or its templates by their names; None if it has none."""
    try:
        found = json.loads(regular(file).read_text(encoding="utf-8"))
        template = found["chat_template"] if file.name == PROCESSOR_FILES[0] else found.get("chat_template")
        if isinstance(template, list):  # as tokenizers store several
            template = {one["name"]: one["template"] for one in template}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BeliefBenchError(f"'{file}' is not a chat template; correct it, or remove it.") from error
    texts = template.values() if isinstance(template, dict) else [template or ""]
    if not all(isinstance(text, str) for text in texts):
        raise BeliefBenchError(f"'{file}' is not a chat template; correct it, or remove it.")
    return template


def _hold(text: str, chat: Sequence[Message]) -> None:
    """Raise `BeliefBenchError` if a text lacks a message of the chat, spaces at its ends aside."""
    at = 0
    for message in chat:
        said = message["content"].strip()
        if (found := text.find(said, at)) < 0:
            raise _changed(said)
        at = found + len(said)


def _changed(said: str) -> BeliefBenchError:
    return BeliefBenchError(
        f"the model's chat template drops, changes or repeats text of a chat ('{said.splitlines()[0][:40]}'); "
        f'use another model, fix its template, or set "{REWRITES}": true in tokenizer_config.json if it should do so.'
    )


@contextmanager
def _fixed(date: datetime) -> Iterator[None]:
    """Fix what a template may take from outside a conversation: the date, and random numbers."""
    from transformers.utils import chat_template_utils

    state = random.getstate()
    random.seed(0)
    try:
        with patch.object(chat_template_utils, "datetime", SimpleNamespace(now=lambda: date)):
            yield
    finally:
        random.setstate(state)


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `EndlessTemplateError` after `LONGEST` seconds of processor time; without a limit outside the main thread,
    where Python receives no signals."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGVTALRM"):
        yield
        return

    def end(*_: object) -> None:
        raise EndlessTemplateError(
            f"the model's chat template has not ended after {LONGEST:g} s; use another model, or fix its template."
        )

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
