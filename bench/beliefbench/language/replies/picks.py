"""Which option a reply picks: every name of an option is judged by the words before and after it in its sentence.

The last clear pick counts ("The best option is Flight 2."). If there is none, hints count if they agree ("Flight 2 is a
good choice.", "Flight 2"). What is asked, conditional, denied, compared against, or told of earlier rounds is no pick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from beliefbench.language.replies import cues
from beliefbench.language.replies.option_names import UNKNOWN, Name, names_in
from beliefbench.language.replies.sentences import Sentence, plain_words, sentences_of

NEAR = 240
"""Characters on each side of a name that are looked at: with a bound, the time grows linearly with the text."""

CLEAR, HINT, NOTHING, DENIED = "clear", "hint", "nothing", "denied"


@dataclass(frozen=True)
class Pick:
    """An option that a text picks, from 0, UNKNOWN if that is none or several; the place of its number in the text."""

    option: int
    place: int


@dataclass
class _Picks:
    """The picks of a text so far, and all options that it names."""

    clear: list[Pick]
    hints: list[Pick]
    named: set[int]

    def take_back(self) -> None:
        self.clear.clear()
        self.hints.clear()

    def decided(self, count: int) -> Pick | None:
        """Return the last clear pick, or the hint that all hints agree on; the first place where it is decided. A text
        that picks every one of the ``count`` options picks none."""
        if count > 2 and {pick.option for pick in self.clear} >= set(range(count)):
            return None
        for picks in (self.clear, self.hints):
            if picks:
                option = picks[-1].option
                agreeing = [pick for pick in picks if pick.option == option]
                if option == UNKNOWN or (picks is self.hints and len(agreeing) < len(picks)):
                    return None
                others = [at for at, pick in enumerate(picks) if pick.option != option]
                return picks[others[-1] + 1 if others else 0]
        return None


def pick_in(text: str, start: int, end: int, item: str, count: int) -> Pick | None:
    """Return what a part of a text picks; None if it picks nothing, or several options at once.

    >>> text = "Flight 1 is dear. I'd go with Flight 3."
    >>> pick_in(text, 0, len(text), "Flight", 3)
    Pick(option=2, place=37)
    >>> pick_in("Flight 1 or 2", 0, 13, "Flight", 3) is None
    True
    """
    sentences = sentences_of(text, start, end)
    found = _Picks([], [], set())
    header = fed_back = denied = False
    opening: Pick | None = None
    before = "\n"
    for at, sentence in enumerate(sentences):
        is_line = "\n" in before and ("\n" in sentence.end or at == len(sentences) - 1)
        names = names_in(sentence, item, count, is_line)
        taken_back = cues.TAKEN_BACK.search(sentence.words[:NEAR])
        if taken_back and (taken_back["always"] or names):
            found.take_back()
        was_fed_back, fed_back = fed_back, bool(cues.FEEDBACK.search(sentence.words[:NEAR]))
        if fed_back and found.clear and "\n" in before and sentence.words.startswith("your option"):
            break  # a model that goes on with the conversation writes the user's next turn too
        said_by_user = fed_back or (was_fed_back and sentence.words.startswith("i prefer"))
        if names and "?" not in sentence.end and not said_by_user:
            denied = _read(sentence, names, item, found, header, denied) == DENIED
            if at == 0 and _opens(sentence, names):
                opening = Pick(names[0].option, sentence.place(names[0].number))
        found.named |= {name.option for name in names}
        if not (header and sentence.words.isdigit()):  # "My ranking:", "1.", "Flight 2"
            header = not names and "?" not in sentence.end and _announces(sentence.words[-NEAR:], item)
        before = sentence.end
    if opening and not found.clear and not found.hints and found.named == {opening.option} != {UNKNOWN}:
        return opening
    return found.decided(count)


def _read(sentence: Sentence, names: Sequence[Name], item: str, found: _Picks, header: bool, denied: bool) -> str:
    """Add the picks of a sentence, and return the kind of the last name; ``header``: the sentence before it announces
    one ("My recommendation:"); ``denied``: that sentence denies an option."""
    words, kind = sentence.words, DENIED if denied else NOTHING
    if cues.UNFINISHED.search(words):
        return NOTHING
    turn = words.rfind(" but ") + 1  # "at first flight 1 seems best, but flight 3 is": each part commits or does not
    afterthought = cues.AFTERTHOUGHT.search(words)
    stop = afterthought.start() if afterthought else len(words)
    uncommitted = [_uncommitted(words[: min(turn, stop)]), _uncommitted(words[turn:stop])]
    for at, name in enumerate(names):
        begin = names[at - 1].end if at else 0
        end = names[at + 1].begin if at + 1 < len(names) else len(words)
        before, after = words[begin : name.begin][-NEAR:].strip(), words[name.end : end][:NEAR]
        inherits = kind == DENIED and re.fullmatch(r"(?:, )?(?:but|rather|instead)(?: rather| instead)?", before)
        if kind == DENIED and re.fullmatch(r" (?:is|does|would be)(?: (?:the )?(?:one|best))?", after):
            kind = CLEAR  # "flight 1 is not the best option; flight 2 is"
        elif kind in (CLEAR, HINT) and at and cues.ONE_RESPECT.match(after.strip()):
            kind = HINT  # "flight 1 for price and flight 2 for duration"
        else:
            kind = CLEAR if inherits else _kind(before, after, item, first=at == 0, header=header)
        if at and cues.TAKEN_BACK.search(f"{before} @"):
            found.take_back()
            if kind == NOTHING and cues.LEAD.fullmatch(before):
                kind = HINT
        if name.begin >= stop or uncommitted[name.begin >= turn]:
            continue
        pick = Pick(name.option, sentence.place(name.number))
        if kind == CLEAR:
            found.clear.append(pick)
        elif kind == HINT:
            found.hints.append(pick)
    return kind


def _kind(before: str, after: str, item: str, first: bool, header: bool) -> str:
    """Return what the words around a name make of it."""
    if cues.COMPARED.search(before) or after in (" or", " and"):  # the text ends within a list
        return NOTHING
    forward = _said_before(before, item)
    if forward != NOTHING:
        return _in_one_respect(forward, f"{before} @{after}")
    if _denies(_last_clause(before)):
        return DENIED
    if cues.WINS.match(after):
        return CLEAR
    backward = _said_after(after, item)
    if backward != NOTHING:
        return _in_one_respect(backward, f"{before} @{after}")
    alone = first and (cues.LEAD.fullmatch(before) or before == f"{plain_words(item)} :")
    if alone and header:
        return CLEAR
    return HINT if alone and cues.ALONE.match(after) else NOTHING


def _in_one_respect(kind: str, words: str) -> str:
    return HINT if kind == CLEAR and cues.ONE_RESPECT.search(words) else kind


def _said_before(before: str, item: str) -> str:
    """Judge a name by a verb that it is the object of ("I recommend"), or praise before it ("the best option is")."""
    if verb := _last(_VERB, before):
        subject, gap = before[: verb.start()].rstrip(), before[verb.end() :]
        infinitive = cues.INFINITIVE.search(subject) and not cues.WILLING.search(subject)
        clause = _last_clause(subject)
        past = cues.PAST_VERB.search(verb.group()) and cues.PAST_TIME.search(clause)
        if gap.count(" ") <= 8 and not (
            infinitive
            or past
            or (cues.OTHERS.search(subject) and not verb["modal"])
            or cues.NO_OBJECT.search(gap)
            or cues.SECOND.search(clause)
            or cues.MISTAKE.search(clause)
        ):
            return DENIED if _denies(clause + " " + verb.group() + gap) else CLEAR
    if praise := _last(_patterns(item).praise, before):
        clause, rest = _last_clause(before[: praise.start()]), before[praise.end() :]
        if _COPULA.search(rest) and not cues.SECOND.search(clause + " " + praise.group()):
            if _denies(clause + " " + rest):
                return DENIED
            return HINT if cues.MAYBE.search(rest) else CLEAR
    if cues.POINTS.search(before):
        return DENIED if _denies(_last_clause(before)) else CLEAR
    return NOTHING


def _said_after(after: str, item: str) -> str:
    """Judge a name by what follows it: "is the best option", "would be a good choice", "is not the best"."""
    after = re.sub(r"^ (?:\( [^()]{0,100} \)|, [^,]{0,100} ,|,(?= (?:is|would be|seems) ))", "", after)
    clause = cues.BOUNDARY.split(after.replace(" and ", " + "), maxsplit=1)[0]
    fits = _FITS.search(clause)
    praise = fits or _patterns(item).praise.search(clause)
    said = clause[: praise.start()] if praise else clause
    if _patterns(item).after_all.search(after):
        return CLEAR
    if _denies(said):
        return DENIED
    if praise and re.match(r" to (?:avoid|skip|rule out)\b", clause[praise.end() :]):
        return DENIED
    if praise and (fits or _COPULA.search(said)):
        if cues.SECOND.search(said) or re.search(r"\bwas\b", said):
            return NOTHING
        return HINT if cues.MAYBE.search(said) else CLEAR
    if cues.GOOD.search(clause) and not cues.SECOND.search(clause):
        return HINT
    return NOTHING


def _opens(sentence: Sentence, names: Sequence[Name]) -> bool:
    """Return whether a reply begins with a name that it goes on to speak well of: "Flight 2 has the lowest price"."""
    return (
        names[0].begin == 0
        and len(names) == 1
        and bool(re.match(r" (?:has|is|offers|with|at|\()", sentence.words[names[0].end :]))
        and not cues.LACKS.search(sentence.words[:NEAR])
        and not cues.SECOND.search(sentence.words[:NEAR])
        and not _denies(sentence.words[:NEAR])
    )


def _announces(words: str, item: str) -> bool:
    """Return whether a sentence announces the pick in the next: "My recommendation:"."""
    ranks = cues.RANKING.search(words)
    return bool(ranks or _patterns(item).header.search(words)) and not cues.SEARCH.search(words)


def _uncommitted(words: str) -> bool:
    return bool(cues.UNCOMMITTED.search(cues.COMMITTED.sub("", words)))


def _denies(words: str) -> bool:
    return bool(cues.DENIES.search(cues.NO_DENIAL.sub("", words)))


def _last_clause(words: str) -> str:
    return cues.BOUNDARY.split(words)[-1]


def _last(pattern: re.Pattern[str], words: str) -> re.Match[str] | None:
    match = None
    for match in pattern.finditer(words):  # noqa: B007
        pass
    return match


_VERB = re.compile(rf"\b{cues.VERB}(?= |$)")
_COPULA = re.compile(rf"(?:^|(?<= )){cues.COPULA}(?= |$)")
_FITS = re.compile(rf"\b{cues.FITS}\b")


@dataclass(frozen=True)
class _ItemPatterns:
    praise: re.Pattern[str]
    after_all: re.Pattern[str]
    header: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(item: str) -> _ItemPatterns:
    noun = rf"(?:{re.escape(plain_words(item))}|option|match|fit|candidate|one|overall|{cues.VERDICT})"
    attribute = r"(?! (?:price|value|time|times|duration|rating|deal|balance|combination|mix|compromise|in terms|on)\b)"
    praise = (
        rf"(?:(?:{cues.PRAISE}|{cues.PRAISE_OF_A_NOUN})(?: [^ ]+){{0,3}}? {noun}|{cues.PRAISE}{attribute}|{cues.FITS}"
        rf"|(?:(?:my|the|final|our|overall|a|your) )?{cues.VERDICT})"
    )
    announced = rf"(?:(?:{cues.PRAISE}|{cues.PRAISE_OF_A_NOUN}) {noun}(?: [^ ]+){{0,6}}|{cues.VERDICT})"
    whose = r"(?:^|\b(?:the|my|our|your|final|overall|is) )(?:final |overall )?"
    return _ItemPatterns(
        re.compile(rf"\b{praise}(?= |$)"),
        re.compile(rf" but (?:it|this one|it's)(?: is| remains| would be| still|'s)* (?:the |my )?{praise}(?= |$)"),
        re.compile(rf"{whose}{announced}(?: (?:is|would be|:|is :|would be :))?$"),
    )
