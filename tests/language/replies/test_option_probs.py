"""Option probabilities from top log-probabilities: read at the token that names the option, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from beliefbench.language.replies.alternatives import levels_of, options_of
from beliefbench.language.replies.option_probs import option_probabilities
from beliefbench.language.servers.completions import BrokenReplyError, Reply, Request, chat, read_replies
from beliefbench.language.servers.logprobs import NoLogprobsError

ASKED = Request("chat", "m", None, chat([], temperature=0, answer_tokens=9) | {"logprobs": True})


def sent(text: str, tokens: list[tuple[str, dict[str, float]]], with_bytes: bool = False) -> dict:
    """A server's answer: tokens with what could have stood there, {token: probability}."""

    def listed(token: str, prob: float) -> dict:
        codes = {"bytes": list(token.encode())} if with_bytes else {}
        return {"token": token, "logprob": float(np.log(prob)), **codes}

    content = [
        {**listed(token, top.get(token, 1.0)), "top_logprobs": [listed(*one) for one in (top or {token: 1.0}).items()]}
        for token, top in tokens
    ]
    return {"choices": [{"message": {"content": text}, "logprobs": {"content": content}}]}


def read_reply(answer: dict) -> Reply:
    (reply,) = read_replies(answer, ASKED, 0.0)
    return reply


def probs(text: str, tokens: list[tuple[str, dict[str, float]]], **how):
    reply = read_reply(sent(text, tokens, **how))
    return option_probabilities(reply.text, options_of("Flight"), reply.places)


def plain(*tokens: str) -> list[tuple[str, dict[str, float]]]:
    return [(token, {}) for token in tokens]


@pytest.mark.parametrize("with_bytes", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "top"),
    [
        (["The", " best", " option", " is", " Flight"], ["."], {" 2": 0.5, " 1": 0.3, " 3": 0.2}),
        (["The best option is Flight "], ["."], {"2": 0.5, "1": 0.3, "3": 0.2}),
        (["The best option is Flight"], [], {" 2.": 0.5, " 1.": 0.3, " 3.": 0.2}),
        (["The best option is **Flight "], ["."], {"2**": 0.4, "2": 0.1, "1": 0.3, "3**": 0.2}),
        (["The best option is Flight"], [" ✈️."], {" **2**": 0.25, " 2": 0.25, " 1": 0.3, " 3": 0.2}),
        ([], [], {"2": 0.5, "1": 0.3, "3": 0.2}),
        (["The price is 1", "00", " or 3. ", "The best option is"], ["."], {" Flight 2": 0.5, " 1": 0.3, "3": 0.2}),
    ],
)
def test_tokens_that_name_an_option_are_summed(before, after, top, with_bytes):
    written = next(iter(top))
    found = probs(
        "".join([*before, written, *after]), [*plain(*before), (written, top), *plain(*after)], with_bytes=with_bytes
    )
    np.testing.assert_allclose(found.probs, [0.3, 0.5, 0.2], atol=1e-12)
    assert not found.bounded


def test_only_the_naming_token_counts():
    """Flight 1 and flight 3 are spoken of first, and flight 3 again at the end."""
    first, last = {"1": 0.9, "2": 0.1}, {"3": 0.98, "1": 0.02}
    tokens = [("Flight ", {}), ("1", first), (" is not flight ", {}), ("3", last), (". The best option is Flight ", {})]
    tokens += [("2", {"2": 0.6, "3": 0.3, "1": 0.1}), (", cheaper than Flight ", {}), ("3", last), (".", {})]
    found = probs("".join(token for token, _ in tokens), tokens)
    np.testing.assert_allclose(found.probs, [0.1, 0.6, 0.3], atol=1e-12)


def test_what_is_not_listed_gets_the_least_listed_or_all_that_is_left():
    found = probs("2", [("2", {"2": 0.5, "1": 0.2, "the": 0.1})])
    np.testing.assert_allclose(found.probs, np.array([0.2, 0.5, 0.1]) / 0.8)
    assert found.bounded
    found = probs("2", [("2", {"2": 0.75, "1": 0.2})])
    np.testing.assert_allclose(found.probs, np.array([0.2, 0.75, 0.05]))
    assert found.bounded


def test_tokens_of_two_digits_and_words_are_no_options():
    found = probs("2", [("2", {"2": 0.5, "1": 0.1, "3": 0.1, "12": 0.1, "22": 0.1, "two": 0.1})])
    np.testing.assert_allclose(found.probs, np.array([0.1, 0.5, 0.1]) / 0.7)


def test_a_written_token_outside_the_list_counts():
    """Servers that sample may write what is not among the likeliest."""
    content = sent("2", [("2", {"2": 0.05})])
    content["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = [
        {"token": "1", "logprob": float(np.log(0.7))},
        {"token": "3", "logprob": float(np.log(0.25))},
    ]
    reply = read_reply(content)
    np.testing.assert_allclose(
        option_probabilities(reply.text, options_of("Flight"), reply.places).probs, [0.7, 0.05, 0.25]
    )


def test_thoughts_before_and_the_end_of_the_answer_are_passed_over():
    tokens = [("Flight 3? Flight ", {}), ("3", {"3": 1.0}), (".</think>\n\n", {}), ("Flight ", {})]
    tokens += [("2", {"2": 0.6, "3": 0.3, "1": 0.1}), ("<|im_end|>", {})]
    np.testing.assert_allclose(probs("Flight 2", tokens).probs, [0.1, 0.6, 0.3], atol=1e-12)


@pytest.mark.parametrize("text", ["Flight 1 or Flight 2", "I cannot say.", "Flight 4"])
def test_where_nothing_is_named_there_is_no_answer(text):
    assert probs(text, plain(*text)) is None


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"content": None},
        {"content": []},
        {"content": [{"token": "Flight 2", "logprob": -0.1}]},
        {"content": [{"token": "Flight 2", "logprob": float("nan")}]},
    ],
)
def test_an_answer_without_log_probabilities_of_other_tokens_is_refused(logprobs):
    answer = {"choices": [{"message": {"content": "Flight 2"}, "logprobs": logprobs}]}
    with pytest.raises(NoLogprobsError):
        read_reply(answer)


def test_log_probabilities_of_another_text_have_no_places():
    token = {"token": "token_id:7", "logprob": -0.1, "top_logprobs": [{"token": "x", "logprob": -1}]}
    answer = {"choices": [{"message": {"content": "Flight 2"}, "logprobs": {"content": [token]}}]}
    assert read_reply(answer).places is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Flight 2",
        {},
        {"choices": []},
        {"choices": [{"message": {"content": 2}}]},
        {"choices": [{"message": None}]},
    ],
)
def test_what_is_no_completion_is_refused(answer):
    with pytest.raises(BrokenReplyError):
        read_reply(answer)


def test_the_level_of_a_belief_is_read_where_it_is_named():
    """The scale's own numbers, before, are no answer."""
    top = {" 4": 0.5, " 5": 0.3, " 3": 0.15, " 2": 0.04, " 1": 0.01}
    tokens = [
        *plain("On", " a", " scale", " of", " ", "1", " to", " ", "5", ", your", " preference", " is"),
        (" 4", top),
    ]
    reply = read_reply(sent("".join(token for token, _ in tokens), tokens))
    found = option_probabilities(reply.text, levels_of(5), reply.places)
    np.testing.assert_allclose(found.probs, [0.01, 0.04, 0.15, 0.5, 0.3], atol=1e-12)
