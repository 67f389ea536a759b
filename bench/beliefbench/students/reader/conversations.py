"""Interactions as the text that a student's template writes for them, as tokens, and where in them things stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.language import words
from beliefbench.language.dialogue import messages
from beliefbench.language.words import Turn
from beliefbench.students.reader.tokenizer import ANSWER, CHOSEN, END
from beliefbench.students.synthetic.interactions import Interaction

SLOTS = 9
"""Lines of an option that are told apart by their place."""
IGNORED = -100


@dataclass(frozen=True)
class Places:
    """A conversation's tokens, and what a student is asked at some of them.

    ids int[tokens]. Each other array has a row a place, its token first:

    - asks float[sets, 1 + 3]: where an option's number comes next, and the teacher's answer;
    - items float[items, 2 + 2 + 1]: the last token of a value, the set and the option; how it compares with the first and the second
      option of the set (0 lower, 1 equal, 2 higher, 3 other; -100 not asked); what the teacher believes it adds to the reward;
    - ends float[sets x 3, 1 + 1]: the last token of an option, and its believed reward;
    - told float[rounds, 1 + 1 + 2 x SLOTS]: the end of the user's words; which option they chose; for each line how much more of it the
      chosen option has than the set (NaN not asked); and how much the teacher believes a step on it adds to the reward.
    - liked float[values, 1 + 1]: the last token of a value of the option that the template repeats; how much more of it that option has
      than the set.
    - said int[tokens]: the token of an answer that comes next, -100 elsewhere.
    """

    ids: np.ndarray
    asks: np.ndarray
    items: np.ndarray
    ends: np.ndarray
    told: np.ndarray
    liked: np.ndarray
    said: np.ndarray


def chat_of(interaction: Interaction) -> list[dict[str, str]]:
    """Return the conversation, with an answer to its last question too."""
    domain = interaction.domain
    turns, before = [], words.instructions(domain.item, domain.purpose)
    for options, recommended, chosen in zip(
        interaction.options, interaction.recommended.tolist(), interaction.chosen.tolist(), strict=True
    ):
        question = words.question(domain.item, [domain.describe(one) for one in options])
        turns.append(Turn(words.opening(domain.item, before), question, words.answer(domain.item, recommended)))
        before = words.feedback(domain.item, recommended, chosen)
    return messages(turns, "", "")[:-1]


def places_of(interaction: Interaction, tokenizer: Any) -> Places:
    """Return a conversation as tokens, and its places.

    Raises
    ------
    ValueError
        Where the template does not write the conversation's parts in order.
    """
    chat = chat_of(interaction)
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = np.array(encoded["input_ids"]), np.array(encoded["offset_mapping"])
    stops = offsets[:, 1]

    def last_token(character: int) -> int:
        """The token that holds the text's character before this one."""
        return int(np.searchsorted(stops, character))

    domain, at = interaction.domain, 0
    asks, items, ends, told, liked = [], [], [], [], []
    said = np.full(len(ids), IGNORED)
    believed = interaction.believed
    columns = domain.expand(interaction.options)
    added = believed[:-1, None] * (columns - domain.mean) / domain.spread
    for number, options in enumerate(interaction.options):
        if number:  # the user's words, which stand before the question
            if text.startswith(CHOSEN, at + len(END)):
                for character, ahead in _liked(interaction, number - 1, text, at):
                    liked.append([last_token(character), ahead])
            words_end = text.index("\n\n", text.index(END, at + len(END)) if liked else at)
            told.append([last_token(words_end), *_told(interaction, number - 1, columns)])
        for option in range(OPTIONS):
            head = f"{domain.item} {option + 1}:\n"
            at = text.index(head, at) + len(head)
            end = at + len(domain.describe(options[option]))
            for line, part, column in zip(domain.lines, domain.features, domain.columns, strict=True):
                if line.label:
                    at = text.index(line.label, at) + len(line.label)
                for value, which in line.parts(options[option][part]):
                    at = text.index(value, at) + len(value)
                    ranks = [_compared(line, options[:, part], option, other, which) for other in (0, 1)]
                    own = added[number, option, column]
                    worth = own[which] if line.kind == "attributes" else own.sum()
                    items.append([last_token(at), number, option, *ranks, worth])
            at = end
            ends.append([last_token(end), added[number, option].sum()])
        start = text.index(ANSWER, at) + len(ANSWER)
        answer = chat[2 * number + 1]["content"]
        at = start + len(answer)
        digit = last_token(start + answer.rindex(str(interaction.recommended[number] + 1)) + 1)
        asks.append([digit - 1, *interaction.answers[number]])
        first = last_token(start + 1)
        stop = last_token(at) + 1  # with what ends the turn
        said[first - 1 : stop] = ids[first : stop + 1]
        said[digit - 1] = IGNORED  # asked of the teacher's whole answer
    shapes = ((asks, 4), (items, 6), (ends, 2), (told, 2 + 2 * SLOTS), (liked, 2))
    return Places(ids, *(np.array(one, dtype=float).reshape(-1, width) for one, width in shapes), said)


def _liked(interaction: Interaction, number: int, text: str, at: int) -> Iterator[tuple[int, float]]:
    """Where the values of the repeated option end, and how much more of each it has than the set."""
    domain, chosen = interaction.domain, int(interaction.chosen[number])
    options = interaction.options[number]
    at = text.index(CHOSEN, at) + len(CHOSEN)
    for line, part in zip(domain.lines, domain.features, strict=True):
        at = text.index(line.label, at) + len(line.label)
        for value, which in line.parts(options[chosen, part]):
            at = text.index(value, at) + len(value)
            values = options[:, part.start + which] if line.kind == "attributes" else options[:, part.start]
            if line.kind in ("category", "title"):
                values = (values == values[chosen]).astype(float)
            yield at, 2.5 * (values[chosen] - values.mean())


def _compared(line: Any, options: np.ndarray, option: int, other: int, which: int) -> float:
    """How a value compares with that of another option that was read before it."""
    if other >= option:
        return IGNORED
    if line.kind == "attributes":
        return 1.0 if options[other, which] > 0.5 else 3.0
    mine, theirs = options[option, 0], options[other, 0]
    if mine == theirs:
        return 1.0
    if line.kind != "ordered":
        return 3.0
    return 2.0 if mine > theirs else 0.0


def _told(interaction: Interaction, number: int, columns: np.ndarray) -> Sequence[float]:
    """What a choice tells: the option, how much more of each line it has, and what is believed after it."""
    domain = interaction.domain
    ahead, worth = np.full(SLOTS, np.nan), np.full(SLOTS, np.nan)
    chosen = int(interaction.chosen[number])
    for slot, (line, column) in enumerate(zip(domain.lines, domain.columns, strict=True)):
        if line.kind == "ordered":
            values = columns[number, :, column.start]
            ahead[slot] = 2.5 * (values[chosen] - values.mean())
            worth[slot] = interaction.believed[number + 1, column.start] / domain.spread / 3
    return [float(chosen), *ahead, *worth]
