"""Where the answer stands in a text that a model wrote: after its thoughts, and before its turn ends.

Each family of models has its own marks. Servers remove some of them, so that only the closing mark may be left, or
only the names of the channels.
"""

from __future__ import annotations

import re

_TAGS = r"(?:seed:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)"
_ANSWER = r"(?:(?:final_|my_)?(?:answer|choice)|final|solution|(?:final_)?recommendation|best_option)"
_OPEN = [
    rf"<{_TAGS}>",  # Qwen, DeepSeek, SmolLM, Phi, Claude, EXAONE, Seed
    r"\[THINK\]",  # Magistral
    r"<\|channel\|>(?:analysis|commentary)",  # gpt-oss
    r"\Aanalysis(?=\w)",  # gpt-oss where its marks are removed: "analysisWe need ... assistantfinalThe best"
    r"<\|channel>thought",  # Gemma 4
    r"<unused94>",  # MedGemma
    r"<\|begin_of_thought\|>|<\|START_THINKING\|>|◁think▷",  # Sky-T1, Command A, Kimi
]
_CLOSE = [
    rf"</{_TAGS}>",
    r"\[/THINK\]",
    r"<\|channel\|>final(?:<\|message\|>)?",
    r"assistantfinal",
    r"<channel\|>",
    r"<unused95>",
    r"<\|end_of_thought\|>|<\|END_THINKING\|>|◁/think▷",
    rf"<{_ANSWER}>|<\|begin_of_(?:solution|box)\|>|<\|START_RESPONSE\|>",  # what comes before is work
]
_MARK = re.compile(rf"(?P<open>{'|'.join(_OPEN)})|(?P<close>{'|'.join(_CLOSE)})", re.IGNORECASE)
_END = re.compile(
    rf"</{_ANSWER}>|<\|end_of_(?:solution|box)\|>|<\|END_RESPONSE\|>"
    r"|<\|(?:im_end|im_start|eot_id|start_header_id|end|start|return|endoftext|end_of_text|user|END_OF_TURN_TOKEN)\|>"
    r"|<(?:tool|function)_call>|\[TOOL_CALLS\]|<(?:end|start)_of_turn>|<turn\|>|</s>|<\uff5c[^<>\uff5c]{1,40}\uff5c>|\[INST\]"
    r"|^(?:user|human):",  # a model that goes on with the conversation writes the user's next turn too
    re.IGNORECASE | re.MULTILINE,
)


def answer_span(text: str) -> tuple[int, int] | None:
    """Return the start and the end of the answer in a text; None if the text ends within a thought.

    >>> text = "<think>Flight 1?</think>Flight 2.<|im_end|>"
    >>> start, end = answer_span(text)
    >>> text[start:end]
    'Flight 2.'
    >>> answer_span("<think>Flight 1? Or perhaps") is None
    True
    """
    start = 0
    unfinished = False
    for mark in _MARK.finditer(text):
        unfinished = mark.lastgroup == "open"
        start = mark.end()
    if unfinished:
        return None
    end = _END.search(text, start)
    return start, end.start() if end else len(text)
