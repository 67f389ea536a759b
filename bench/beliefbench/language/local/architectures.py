"""Which scorer a model gets: the shared reading where it equals a plain pass, and a plain pass otherwise.

A probe compares the two on a short conversation when the model is loaded. If the model has a sliding window, the probe
runs twice: the second time with a window that is shorter than the conversation. A short conversation cannot show
everything. So a rotary embedding that depends on the length of the text is found in the configuration, and texts of
such a length are read plainly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.language.local.chat_format import ChatFormat
from beliefbench.language.local.full_pass import WholeTextScorer
from beliefbench.language.local.memory import out_of_memory, rope_limit
from beliefbench.language.local.scoring import Replies, Scores, SharedPrefixScorer, TooLongToShareError
from beliefbench.language.local.shared_attention import can_share_prefix, unshare
from beliefbench.language.questions.dialogue import Dialogue
from beliefbench.language.questions.words import Turn

PROBE = Dialogue((Turn("one? ", "a or b", "b."),), "so? ", ("c or d", "e"))
ANSWERS = ("abc", "abd", "acb", "bac")
PROBE_TOKENS = 40
"""More than the probe has."""
TOLERANCE, ROUNDED_TOLERANCE = 1e-4, 0.1
"""Differences in float32 and in bfloat16, as shares of the scores' spread. Rounding makes 1e-6 and a few percent, and a
wrong reading 0.2 and more."""
CAUSAL = 0.1
"""The share of these tolerances within which predictions do not depend on later tokens: there, less is rounded."""
PROBE_WINDOW = 8
OTHER_WINDOWS = ("attention_chunk_size", "attention_window", "attention_window_size", "keep_window_size", "window_size")
"""Windows that the shared reading does not know. It knows ``sliding_window``."""


class LimitedScorer:
    """Shares the reading of conversations up to a length, and reads longer ones plainly."""

    note = ""

    def __init__(self, shared: SharedPrefixScorer, plain: WholeTextScorer) -> None:
        self.shared, self.plain = shared, plain
        self.model, self.speech = shared.model, shared.speech

    def score(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> Scores:
        """Return the log-probability of each answer to each question; all dialogues have the same number of
        questions."""
        scores = [self._asked("score", dialogue, answers) for dialogue in dialogues]
        return Scores(*(np.concatenate([getattr(one, name) for one in scores]) for name in ("log_probs", "tokens")))

    def write(self, dialogues: Sequence[Dialogue], longest: int) -> Replies:
        """Return the model's answer to each question, with the likeliest token at each step, at most ``longest``
        tokens."""
        replies = [self._asked("write", dialogue, longest) for dialogue in dialogues]
        return Replies(*(np.concatenate([getattr(one, name) for one in replies]) for name in ("text", "tokens")))

    def _asked(self, how: str, dialogue: Dialogue, what: Any) -> Any:
        try:
            return getattr(self.shared, how)([dialogue], what)
        except TooLongToShareError:
            return getattr(self.plain, how)([dialogue], what)


Scorer = SharedPrefixScorer | WholeTextScorer | LimitedScorer


def scorer_of(model: Any, speech: ChatFormat, budget: int | None = None) -> Scorer:
    """Return the fastest scorer of a model that equals a plain pass.

    Parameters
    ----------
    model
        A language model of transformers.
    speech
        Its chat format.
    budget
        Memory for answers besides the weights, in bytes; None: a default.

    Raises
    ------
    BeliefBenchError
        If the model is not causal, so that its answers have no probability, or cannot read.
    """
    probe = _probe_format(model, speech)
    limit = _sharing_limit(model, probe, _causal_scores(model, probe))
    plain = WholeTextScorer(model, speech, budget)
    if limit == 0:
        unshare(model)
        return plain
    shared = SharedPrefixScorer(model, speech, budget, limit)
    return shared if limit is None else LimitedScorer(shared, plain)


def require_causal(model: Any, speech: ChatFormat) -> None:
    """Raise `BeliefBenchError` if a model is not causal, or cannot read."""
    _causal_scores(model, _probe_format(model, speech))


def _causal_scores(model: Any, probe: ChatFormat) -> np.ndarray:
    """Return the scores of the probe's answers by plain passes; raise `BeliefBenchError` if the model is not causal, or
    cannot read."""
    try:
        expected, causal = _plain_scores(model, probe), _is_causal(model, probe)
    except Exception as error:  # models may break in any way
        if out_of_memory(error) or isinstance(error, BeliefBenchError):
            raise
        raise BeliefBenchError(
            f"the model, a {type(model).__name__}, cannot read a short conversation ({first_line(error)}); "
            "name another model."
        ) from error
    if not causal:
        raise BeliefBenchError(
            f"the model, a {type(model).__name__}, predicts a token from the tokens after it, as an encoder does, so "
            "its answers have no probability; name a causal language model, such as a Llama or a Qwen."
        )
    return expected


def _sharing_limit(model: Any, probe: ChatFormat, expected: np.ndarray) -> int | None:
    """Return the longest text whose reading may be shared, in tokens; None: texts of any length; 0: none."""
    config = model.config.get_text_config()
    limit, window = rope_limit(config), getattr(config, "sliding_window", None)
    if not can_share_prefix(model) or any(getattr(config, name, None) for name in OTHER_WINDOWS):
        return 0
    if (limit is not None and limit < PROBE_TOKENS) or not _reads_alike(model, probe, expected):
        return 0
    if not window or _windows_are_known(model, probe, expected):
        return limit
    return min(window, limit or window)


def _windows_are_known(model: Any, probe: ChatFormat, expected: np.ndarray) -> bool:
    """Return True if the shared reading equals a plain pass with a short window, and the window is in effect."""
    with _windows_of(model, PROBE_WINDOW):
        slid = _plain_scores(model, probe)
        return _difference(slid, expected) > _tolerance(model) and _reads_alike(model, probe, slid)


@contextmanager
def _windows_of(model: Any, size: int) -> Iterator[None]:
    """Within, all sliding windows of a model are ``size`` tokens."""
    known = [model.config, model.config.get_text_config(), *model.modules()]
    known += [module.config for module in model.modules() if hasattr(module, "config")]
    holders = [one for one in known if isinstance(vars(one).get("sliding_window"), int)]
    before = [one.sliding_window for one in holders]
    try:
        for one in holders:
            one.sliding_window = size
        yield
    finally:
        for one, window in zip(holders, before, strict=True):
            one.sliding_window = window


def _reads_alike(model: Any, probe: ChatFormat, expected: np.ndarray) -> bool:
    """Return True if the shared reading of the probe equals a plain pass. Also the written answers, in float32."""
    shared = SharedPrefixScorer(model, probe)
    try:
        if not _difference(shared.score([PROBE], ANSWERS).log_probs, expected) <= _tolerance(model):
            return False
        if model.dtype != torch.float32:  # rounding alone may change the likeliest token
            return True
        one = replace(PROBE, questions=PROBE.questions[:1])
        written, plainly = (scorer.write([one], 2).text for scorer in (shared, WholeTextScorer(model, probe)))
        return bool((written == plainly).all())
    except Exception as error:  # an attention of another kind breaks in any way
        if out_of_memory(error):
            raise
        return False


def _plain_scores(model: Any, probe: ChatFormat) -> np.ndarray:
    return WholeTextScorer(model, probe).score([PROBE], ANSWERS).log_probs


def _difference(scores: np.ndarray, expected: np.ndarray) -> float:
    """Return the root mean square of the differences between two sets of scores, divided by the scores' spread."""
    one, other = (found - found.mean(axis=-1, keepdims=True) for found in (scores, expected))
    return float(np.sqrt(np.mean((one - other) ** 2)) / max(np.sqrt(np.mean(other**2)), 1e-12))


def _tolerance(model: Any) -> float:
    return TOLERANCE if model.dtype == torch.float32 else ROUNDED_TOLERANCE


@torch.inference_mode()
def _is_causal(model: Any, probe: ChatFormat) -> bool:
    """Return True if predictions do not change with the tokens after them."""
    (tokens,) = probe.encode([probe.render(PROBE.messages(PROBE.questions[0]))])
    kept = len(tokens) // 2
    texts = torch.tensor([tokens, [*tokens[:kept], *reversed(tokens[kept:])]], device=model.device)
    one, other = model(input_ids=texts, use_cache=False).logits[:, :kept].float().cpu().numpy()
    return _difference(one, other) <= CAUSAL * _tolerance(model)


def _probe_format(model: Any, speech: ChatFormat) -> ChatFormat:
    """Return a format that gives each letter a token of ordinary text, so that the probe's length is known."""
    (known,) = speech.encode(["The quick brown fox jumps over the lazy dog, and 12 of 345 people saw it at 6:07 PM."])
    tokens = sorted(set(known))
    if len(tokens) < PROBE_WINDOW:  # a tokenizer of other words
        tokens = list(range(min(PROBE_TOKENS, model.get_input_embeddings().num_embeddings)))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [[tokens[ord(letter) % len(tokens)] for letter in text] for text in texts]

    def render(chat: list[dict[str, str]]) -> str:
        return "".join(f"{message['content']}|" for message in chat)

    return ChatFormat(render, encode, lambda written: " ".join(map(str, written)))
