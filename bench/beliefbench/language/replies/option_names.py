"""The names of options in a sentence: "flight 2", "option two", "the second flight", "flights 1 and 3".

A bare number is a name where the words before it ask for one ("answer: 2").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from beliefbench.language.replies.cues import COPULA, NUMBERS, ORDINALS, PRAISE, PRAISE_OF_A_NOUN, VERB, VERDICT
from beliefbench.language.replies.sentences import Sentence, plain_words

UNKNOWN = -1
"""The option of a name that names none of the set, or several at once."""

_VALUES = {word: value for words in (NUMBERS, ORDINALS) for value, word in enumerate(words)}


@dataclass(frozen=True)
class Name:
    """A name in the words of a sentence: its option, from 0; where it begins and ends; where its number begins."""

    option: int
    begin: int
    end: int
    number: int


def names_in(sentence: Sentence, item: str, count: int, is_line: bool) -> list[Name]:
    """Return the names of options in a sentence, in order; a line may be a bare number.

    >>> from beliefbench.language.replies.sentences import sentences_of
    >>> (sentence,) = sentences_of("Flight 2 is cheaper than flights 1 and 3")
    >>> [name.option for name in names_in(sentence, "Flight", 3, is_line=False)]
    [1, -1]
    """
    line, named = _patterns(plain_words(item))
    matches = [line.fullmatch(sentence.words)] if is_line else []
    if not any(matches):
        matches = list(named.finditer(sentence.words))
    return [_name(match, count) for match in matches if match]


def _name(match: re.Match[str], count: int) -> Name:
    groups = match.groupdict()
    (group,) = (name for name in ("number", "ordinal", "bare") if groups.get(name))
    several = groups.get("others") or groups.get("bare_others")
    option = UNKNOWN if several else _value(match[group])
    begin = match.start(group) if group == "bare" else match.start()
    return Name(option if option < count else UNKNOWN, begin, match.end(), match.start(group))


def _value(word: str) -> int:
    digits = re.fullmatch(r"([1-9]|10)(?:st|nd|rd|th)?", word, re.ASCII)
    return int(digits[1]) - 1 if digits else _VALUES.get(word, UNKNOWN)


@lru_cache(maxsize=64)
def _patterns(item: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a line that is a bare number, and of names and bare numbers within a sentence."""
    item = re.escape(item)
    number = rf"(?:\d[^ ]*+|{'|'.join(NUMBERS)})(?= |$)(?! (?:%|' s\b(?! (?:the|my|your|best)\b)))"
    label = rf"(?:(?:{item}|option|alternative|candidate)s?(?: number| no\.| \()?|choice|number|no\.)"
    # "Flight 2, 1 stop": after a comma, a number is one more option only if the list goes on or ends there. "Flight 2
    # and Flight 1 is dear": the second is another sentence.
    another = (
        rf"(?: (?:,? ?(?:or|nor|&|/|and / or|vs)|to) (?:{label} )?{number}"
        rf"|(?: ,)? and (?:{label} )?{number}(?! (?:is|has|was|costs|takes|isn't|would)\b)"
        rf"|(?: ,) (?:{label} )?{number}(?= ,? ?(?:,|or|and|&|/|\)|are)|$))"
    )
    asked = (
        rf"(?:\b(?:{VERDICT}|{PRAISE}|{PRAISE_OF_A_NOUN}|{item}|option)(?: [^ \d]+){{0,6}}? {COPULA}(?: [:(])?"
        rf"|\bboxed(?: (?:text|math)\w*)?|\b{VERB})(?: number)? "
    )
    stop = r"(?= (?:[,:()—\u2013-]|because|since|as|with|for|due)|$)"
    line = re.compile(rf"(?:\( |(?:{item} |option )?: )?(?P<number>{number})(?: [)])?")
    named = re.compile(
        rf"\b{label} (?P<number>{number})(?P<others>{another}*)"
        rf"|\b(?P<ordinal>{'|'.join(ORDINALS)}|\d(?:st|nd|rd|th)) (?:{item}|option|one)(?= |$)"
        rf"|{asked}(?P<bare>{number})(?P<bare_others>{another}*){stop}"
    )
    return line, named
