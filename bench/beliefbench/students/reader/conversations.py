"""Interactions as conversations: the text of the chat template, its tokens, and the targets at some tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS
from beliefbench.language.questions import words
from beliefbench.language.questions.dialogue import messages
from beliefbench.language.questions.words import Turn
from beliefbench.students.reader.tokenizer import ANSWER, CHOSEN, END
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.students.synthetic.lines import Line

MAX_LINES = 9
"""The most lines of an option, a title included."""
IGNORED = -100
"""The target of a cross-entropy where there is none."""
LOWER, EQUAL, HIGHER, OTHER = 0, 1, 2, 3
"""How a value compares with that of an earlier option; `OTHER`: it differs, and the values have no order."""
AHEAD_SCALE = 2.5
"""With it, what the chosen option has more than the set has about unit variance, as the other targets have."""
WEIGHT_SCALE = 3
"""The unit of weights, in standard deviations of the reward, for the same reason."""


@dataclass(frozen=True)
class AnnotatedConversation:
    """A conversation's tokens, and the targets of the answers and of the auxiliary heads.

    In each array but ``ids`` and ``labels``, a row is a token, and its first column is the token's index.

    Parameters
    ----------
    ids
        int[tokens].
    labels
        int[tokens]: the token that the assistant writes next; -100 outside its messages, and for an option's number.
    asks
        float[sets, 1 + 3]: the token before an option's number in an answer; the teacher's answer.
    values
        float[values, 1 + 5]: the last token of a value of an option; the index of its set and of its option; how it
        compares with the value of the set's first and second option (`LOWER`, `EQUAL`, `HIGHER` or `OTHER`; -100 for
        the option itself and later ones); the reward that the teacher expects from it, in standard deviations.
    ends
        float[sets x 3, 1 + 1]: the last token of an option; the reward that the teacher expects from it.
    restated
        float[values, 1 + 1]: the last token of a value in the option that the chat template repeats; how much more of
        the value the option has than the set has on average.
    told
        float[rounds, 1 + 1 + 2 x `MAX_LINES`]: the last token of the user's feedback; the chosen option; for each line,
        how much more of it the chosen option has than the set has on average; for each line, the weight that the
        teacher expects after the choice. Both are NaN for lines without an order.
    """

    ids: np.ndarray
    labels: np.ndarray
    asks: np.ndarray
    values: np.ndarray
    ends: np.ndarray
    restated: np.ndarray
    told: np.ndarray


def chat_of(interaction: Interaction) -> list[dict[str, str]]:
    """Return the conversation as chat messages; its last message is the answer to the last set.

    >>> from beliefbench.students.synthetic.domains import SyntheticDomain
    >>> rng = np.random.default_rng(0)
    >>> chat = chat_of(Interaction.draw(SyntheticDomain.draw(rng), rng, rounds=1))
    >>> [message["role"] for message in chat]
    ['user', 'assistant', 'user', 'assistant']
    """
    domain = interaction.domain
    turns, before = [], words.instructions(domain.item, domain.purpose)
    for options, recommended, chosen in zip(
        interaction.options, interaction.recommended.tolist(), interaction.chosen.tolist(), strict=True
    ):
        question = words.question(domain.item, [domain.describe(option) for option in options])
        turns.append(Turn(words.opening(domain.item, before), question, words.answer(domain.item, recommended)))
        before = words.feedback(domain.item, recommended, chosen)
    return messages(turns, "", "")[:-1]


def annotate(interaction: Interaction, tokenizer: Any) -> AnnotatedConversation:
    """Return a conversation as tokens and targets; the tokenizer is that of `tokenizer_of`.

    Raises
    ------
    ValueError
        If a part of the conversation is not found in the text of the chat template.
    """
    chat = chat_of(interaction)
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = np.array(encoded["input_ids"])
    cursor = _Cursor(text, np.array(encoded["offset_mapping"])[:, 1])
    domain = interaction.domain
    columns = domain.expand(interaction.options)
    # The reward that the teacher expects from each column of each option, compared with a random option.
    rewards = interaction.believed[:-1, None] * (columns - domain.column_means) / domain.reward_sd
    asks, values, ends, restated, told = [], [], [], [], []
    labels = np.full(len(ids), IGNORED)
    for number in range(len(interaction.options)):
        if number:
            cursor.skip(END)
            if text.startswith(CHOSEN, cursor.at):
                restated += _restated(interaction, number - 1, cursor)
                cursor.skip(END)
            told.append([cursor.token_before("\n\n"), *_told(interaction, number - 1, columns[number - 1])])
        for option in range(OPTIONS):
            cursor.skip(f"{domain.item} {option + 1}:\n")
            end = cursor.at + len(domain.describe(interaction.options[number, option]))
            values += _values(interaction, number, option, rewards[number, option], cursor)
            cursor.at = end
            ends.append([cursor.token(), rewards[number, option].sum()])
        cursor.skip(ANSWER)
        start, answer = cursor.at, chat[2 * number + 1]["content"]
        cursor.at = start + answer.rindex(str(interaction.recommended[number] + 1)) + 1
        ask = cursor.token() - 1
        asks.append([ask, *interaction.answers[number]])
        cursor.at = start + 1
        first = cursor.token()
        cursor.at = start + len(answer)
        end_token = cursor.token() + 1
        labels[first - 1 : end_token] = ids[first : end_token + 1]
        labels[ask] = IGNORED  # the target is the teacher's distribution
    widths = ((asks, 4), (values, 6), (ends, 2), (restated, 2), (told, 2 + 2 * MAX_LINES))
    arrays = [np.array(rows, dtype=float).reshape(-1, width) for rows, width in widths]
    return AnnotatedConversation(ids, labels, *arrays)


class _Cursor:
    """A position in the text of a conversation, and the tokens there; stops int[tokens]: where each token ends."""

    def __init__(self, text: str, stops: np.ndarray) -> None:
        self.text, self.stops, self.at = text, stops, 0

    def skip(self, part: str) -> None:
        """Move to the end of the next occurrence of a part."""
        self.at = self.text.index(part, self.at) + len(part)

    def token(self) -> int:
        """Return the index of the token that holds the character before the position."""
        return int(np.searchsorted(self.stops, self.at))

    def token_before(self, part: str) -> int:
        """Return the index of the token that holds the character before the next occurrence of a part."""
        return int(np.searchsorted(self.stops, self.text.index(part, self.at)))


def _values(
    interaction: Interaction, number: int, option: int, rewards: np.ndarray, cursor: _Cursor
) -> list[list[float]]:
    """Return the rows of an option's values; rewards float[columns]. The cursor is at the option's text."""
    domain, options = interaction.domain, interaction.options[number]
    rows = []
    for line, part, column in zip(domain.lines, domain.features, domain.columns, strict=True):
        cursor.skip(line.label)
        for text, which in line.parts(options[option, part]):
            cursor.skip(text)
            compared = [_compared(line, options[:, part], option, earlier, which) for earlier in (0, 1)]
            own = rewards[column]
            reward = own[which] if line.kind == "attributes" else own.sum()
            rows.append([cursor.token(), number, option, *compared, reward])
    return rows


def _compared(line: Line, features: np.ndarray, option: int, earlier: int, which: int) -> int:
    """Return how a value of an option compares with that of an earlier option; features float[3, features]."""
    if earlier >= option:
        return IGNORED
    if line.kind == "attributes":
        return EQUAL if features[earlier, which] > 0.5 else OTHER
    value, earlier_value = features[option, 0], features[earlier, 0]
    if value == earlier_value:
        return EQUAL
    if line.kind != "ordered":
        return OTHER
    return HIGHER if value > earlier_value else LOWER


def _restated(interaction: Interaction, number: int, cursor: _Cursor) -> list[list[float]]:
    """Return the rows of the values that the chat template repeats after a round."""
    domain, chosen = interaction.domain, int(interaction.chosen[number])
    options = interaction.options[number]
    cursor.skip(CHOSEN)
    rows = []
    for line, part in zip(domain.lines, domain.features, strict=True):
        cursor.skip(line.label)
        for text, which in line.parts(options[chosen, part]):
            cursor.skip(text)
            values = options[:, part.start + which if line.kind == "attributes" else part.start]
            if line.kind in ("category", "title"):
                values = (values == values[chosen]).astype(float)
            rows.append([cursor.token(), AHEAD_SCALE * (values[chosen] - values.mean())])
    return rows


def _told(interaction: Interaction, number: int, columns: np.ndarray) -> list[float]:
    """Return what a round's choice says, without the token; columns float[3, columns]."""
    domain, chosen = interaction.domain, int(interaction.chosen[number])
    ahead, weights = np.full((2, MAX_LINES), np.nan)
    for at, (line, column) in enumerate(zip(domain.lines, domain.columns, strict=True)):
        if line.kind == "ordered":
            values = columns[:, column.start]
            ahead[at] = AHEAD_SCALE * (values[chosen] - values.mean())
            weights[at] = interaction.believed[number + 1, column.start] / domain.reward_sd / WEIGHT_SCALE
    return [float(chosen), *ahead, *weights]
