"""Parsing written answers: what a careful person reads is read, and nothing is guessed.

`thoughts.answer_span` finds the answer in the text; `picks` reads which option it picks. `stated_probs` reads
probabilities.
"""

from __future__ import annotations

import re

from beliefbench.domain import OPTIONS
from beliefbench.language.cues import BOUNDARY, DENIES
from beliefbench.language.picks import NEAR, Pick, pick_in
from beliefbench.language.sentences import Sentence, sentences_of
from beliefbench.language.thoughts import answer_span


def find_option(text: str, item: str) -> Pick | None:
    """Return the option that a text recommends, from 0, and the place in the text where it says so; None if it is
    unclear: it names two options without saying which is best, an option that does not exist, or none at all.

    >>> find_option("<think>Flight 1?</think>The best option is Flight 3.", "Flight")
    Pick(option=2, place=50)
    """
    span = answer_span(text)
    return pick_in(text, *span, item, OPTIONS) if span else None


def named_option(text: str, item: str) -> int:
    """Return the option that a text recommends, 0, 1 or 2; -1 if it is unclear.

    >>> [named_option(text, "Flight") for text in ("The best option is Flight 3.", "**Flight 2**, it is cheaper.", "2")]
    [2, 1, 1]
    >>> [named_option(text, "Flight") for text in ("Flight 1 or Flight 2?", "I would take Flight 7.", "")]
    [-1, -1, -1]
    """
    pick = find_option(text, item)
    return pick.option if pick else -1


_LEVEL_WORD = re.compile(r"\b(?:preference|answer|rating|level|score|boxed)\b")
_SCALE = r"(?:\b(?:out of|on a scale (?:of|from) (?:1|one) to|from 1 to|between 1 and)|/) {highest}(?= |$)"
_NUMBER = re.compile(r"(?:^|(?<= ))(- )?([$€£]?\d[^ ]*)(?= |$)")
_COPULA = re.compile(r"\b(?:is|be)\b|[:=]")


def find_level(text: str, highest: int) -> Pick | None:
    """Return the answer to a question of the questionnaire, from 0, and its place in the text; None if it is unclear.

    The last "preference is ..." or "answer: ..." counts; otherwise the only number, if nothing is denied.

    >>> find_level("On a scale of 1 to 5, your preference is 3.", highest=5)
    Pick(option=2, place=41)
    """
    if (span := answer_span(text)) is None:
        return None
    numbers: list[Pick] = []
    said: list[Pick | None] = []
    denied = False
    for sentence in sentences_of(text, *span):
        here = _levels_of(sentence, highest)
        numbers += [pick for pick, _ in here]
        answers = [pick for pick, is_answer in here if is_answer]
        if answers:
            said.append(answers[0] if "?" not in sentence.end else None)
        denied = denied or bool(DENIES.search(sentence.words))
    if not said and not denied and len({pick.option for pick in numbers}) == 1:
        said = [numbers[0]]
    found = said[-1] if said else None
    return found if found and found.option >= 0 else None


def named_level(text: str, highest: int) -> int:
    """Return the answer to a question of the questionnaire, from 0; -1 if it is unclear.

    >>> [named_level(text, highest=5) for text in ("Your preference is 3.", "**4**", "I would say 2 out of 5")]
    [2, 3, 1]
    >>> [named_level(text, highest=5) for text in ("1 or 2", "Your preference is 7.", "4.5", "cheaper flights")]
    [-1, -1, -1, -1]
    """
    pick = find_level(text, highest)
    return pick.option if pick else -1


def _levels_of(sentence: Sentence, highest: int) -> list[tuple[Pick, bool]]:
    """Return the numbers of a sentence, -1 for those that are no level, and whether each is said to be the answer."""
    words = re.sub(_SCALE.format(highest=highest), lambda found: " " * len(found.group()), sentence.words)
    found, end = [], 0
    for match in _NUMBER.finditer(words):
        before = words[max(end, match.start() - NEAR) : match.start()]
        end = match.end()
        level = int(match[2]) - 1 if not match[1] and match[2] in map(str, range(1, highest + 1)) else -1
        cue = list(_LEVEL_WORD.finditer(before))
        rest = BOUNDARY.split(before[cue[-1].end() :], maxsplit=1)[0] if cue else ""
        copula = before[cue[-1].end() :] if cue else ""
        is_answer = bool(cue) and (bool(_COPULA.search(copula)) or "boxed" in cue[-1].group())
        if is_answer and DENIES.search(rest):
            level = -1
        found.append((Pick(level, sentence.place(match.start(2))), is_answer))
    return found
