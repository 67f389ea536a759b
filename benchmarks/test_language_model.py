"""How fast the embedded model answers after five rounds: against one `generate` call a question, against
lm-evaluation-harness where it is installed (``pip install lm-eval``), and against what the processor allows.

Each figure is the best of some tries, taken in turns, since
machines are noisy; compare ratios within one run. Threads that wait for a core that others hold spoil all figures: on a
busy machine, set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import beliefbench as bb
from beliefbench.language.local.memory import PrefixCache
from beliefbench.language.replies.alternatives import options_of

pytestmark = pytest.mark.timeout(1200)

QUESTIONS = 100
FEW = 4  # questions for `generate` and for lm-evaluation-harness, which take seconds for each
ROUNDS = 5
TRIES = 2


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def lm_eval_of(agent, model):
    """Return the log-probabilities of answers to chats as lm-evaluation-harness's ``hf`` model computes them."""
    from lm_eval.models.huggingface import HFLM

    weights = agent.model.model.weights
    tokenizer = AutoTokenizer.from_pretrained(weights.folder, gguf_file=weights.gguf)
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=FEW, add_bos_token=False)

    def loglikelihoods(chats, answers):
        asked = [SimpleNamespace(args=(chat, answer)) for chat in chats for answer in answers]
        found = theirs.loglikelihood(asked, disable_tqdm=True)
        return np.array([log_prob for log_prob, _ in found]).reshape(len(chats), len(answers))

    return loglikelihoods


def test_answers_a_second(flights, benchmark):
    agent = bb.load_agent("prompted:smollm2", flights)
    scorer = agent.model.model._scorer
    model, speech = scorer.model, scorer.speech
    sets = np.asarray(flights.draw(jax.random.key(0), ROUNDS + QUESTIONS))[None]
    state = agent.begin(bb.Brief.of(flights), jax.random.split(jax.random.key(0), 1))
    for at in range(ROUNDS):
        state = agent.observe(state, sets[:, at], np.array([at % 3]), np.array([at % 2]))
    asked = sets[:, ROUNDS:]
    first = agent.predict(state, asked[:, :FEW])
    (talk,) = state.dialogues(asked[:, :FEW])
    chats = [speech.render(talk.messages(question)) for question in talk.questions]
    sentences = options_of("Flight").sentences
    loglikelihoods = lm_eval_of(agent, model) if find_spec("lm_eval") else None

    def ours() -> None:
        scorer.kept = PrefixCache(scorer.kept.budget)  # the whole conversation is read anew
        agent.predict(state, asked)

    def generate() -> None:
        for chat in chats:
            given = torch.tensor(speech.encode([chat]))
            model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=10, do_sample=False)

    left, right = (torch.randn(2048, 2048, dtype=model.dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(10):
            left @ right

    def lm_eval() -> None:
        found = np.exp(loglikelihoods(chats, sentences))
        np.testing.assert_allclose(
            found / found.sum(axis=1, keepdims=True), first.probs[0], atol=0.1
        )  # bfloat16 rounds

    taken = {work: [] for work in (multiply, generate, ours, *([lm_eval] if loglikelihoods else []))}
    for _ in range(TRIES):
        for work, times in taken.items():
            times.append(seconds(work))
    benchmark.pedantic(ours, rounds=1)
    rate = 10 * 2 * 2048**3 / min(taken[multiply])
    us = QUESTIONS / min(taken[ours])
    print(f"\nours: {us:.2f} answers/s")
    times_as_many = {}
    for work in (generate, lm_eval):
        if work in taken:
            theirs = FEW / min(taken[work])
            times_as_many[work] = us / theirs
            print(f"{work.__name__}: {theirs:.3f} answers/s; ours are {us / theirs:.1f} times as many")
    embedding = model.get_input_embeddings().weight.numel()
    whole = sum(one.numel() for one in model.parameters())
    limit = min(taken[ours]) * rate
    tokens = first.tokens.mean() * QUESTIONS
    print(f"of what {rate / 1e9:.0f} Gflop/s in {model.dtype} allow: {2 * whole * tokens / limit:.0%}", end=" ")
    print(
        f"({2 * (whole - embedding) * tokens / limit:.0%} without the embedding, which few tokens are multiplied with)"
    )
    assert times_as_many[generate] >= 6
    assert times_as_many.get(lm_eval, 4) >= 4
