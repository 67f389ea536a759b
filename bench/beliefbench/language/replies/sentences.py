"""A text as sentences of plain words: lower case, single spaces, without Markdown and LaTeX, each word with its place.

Rules on plain words need no care for white space, and so none of them takes more than linear time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    \n
  | </?[a-z][\w-]{0,30}[ ]?/?>                      # a tag of XML or HTML: left out, as the next two
  | \\(?:text\w{0,2}|math[a-z]{2}|bf|displaystyle)(?![^\W_])
  | \\[(),;!\[\]]
  | (?<![^\s(:=])-\d[\d.,]*+                      # a number below 0
  | [$€£]\d[\d.,]*+(?!\$)                         # a price; "$2$" is a number in LaTeX
  | no\.(?=[ ]?\d)                                # "no. 2"
  | \d++(?:[.,:]\d++)*+(?:st|nd|rd|th)?(?!\w)     # 2, 2nd, 2.5, 10:30
  | \d++
  | [^\W\d_]+(?:'[^\W\d_]+)?                      # a word, "don't"
  | ([^\w\s*_`"“”«»~|{}\[\]\\#$])\1*+             # punctuation; marks of Markdown, LaTeX and JSON are left out
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Fullwidth and circled digits, keycaps, and a typographic apostrophe.
_PLAIN = str.maketrans("１２３４５６７８９０①②③④⑤⑥⑦⑧⑨\u2019\ufe0f\u20e3", "1234567890123456789'  ")
_LEFT_OUT = re.compile(r"<.+|\\.+", re.DOTALL)
_ENDS = ".!?;…。\uff01\uff1f\n"


@dataclass(frozen=True)
class Sentence:
    """A sentence: its words, where each begins there and in the text, and what ends it ("", "?", ".\\n").

    >>> [(one.words, one.end) for one in sentences_of("I'd take **Flight 2**.\\nWhy?")]
    [("i'd take flight 2", '.\\n'), ('why', '?')]
    """

    words: str
    begins: tuple[int, ...]
    places: tuple[int, ...]
    end: str

    def place(self, at: int) -> int:
        """Return the place in the text of the word that begins at a position of ``words``."""
        return self.places[bisect_right(self.begins, at) - 1]


def sentences_of(text: str, start: int = 0, end: int | None = None) -> list[Sentence]:
    """Return the sentences of a part of a text, in order."""
    found: list[Sentence] = []
    words: list[str] = []
    places: list[int] = []
    ending = ""
    plain = text.translate(_PLAIN)  # one character for one, so that places stay
    for token in _TOKEN.finditer(plain, start, len(text) if end is None else end):
        word = token.group()
        if _LEFT_OUT.fullmatch(word):
            continue
        if word[0] in _ENDS:
            ending += word[0]
            continue
        if ending:
            found += _sentence(words, places, ending)
            words, places, ending = [], [], ""
        if not words and set(word) == {">"}:  # a quotation in Markdown
            continue
        words.append(word.lower())
        places.append(token.start())
    return found + _sentence(words, places, ending)


def plain_words(text: str) -> str:
    """Return a name as it stands in sentences.

    >>> plain_words("Laptop Back-pack")
    'laptop back - pack'
    """
    return " ".join(one.words for one in sentences_of(text))


def _sentence(words: list[str], places: list[int], end: str) -> list[Sentence]:
    if not words:
        return []
    begins, at = [], 0
    for word in words:
        begins.append(at)
        at += len(word) + 1
    return [Sentence(" ".join(words), tuple(begins), tuple(places), end)]
