"""What templates may do to a conversation: each kind of them, through the public commands where they can show it."""

from __future__ import annotations

import json
import random
import re
from datetime import datetime

import pytest
import transformers
from tokenizers import processors
from transformers.utils import chat_template_utils

import beliefbench as bb
from beliefbench.errors import BeliefBenchError
from beliefbench.language.local.chat_format import chat_format_of
from beliefbench.language.local.checkpoints import locate
from beliefbench.language.local.huggingface import HuggingFaceModel
from beliefbench.teaching.reading import Conversation, TaughtTurn
from beliefbench.teaching.targets import tokenize_conversation

pytestmark = pytest.mark.usefixtures("one_thread")

TURN = "{{ '[' + m.role + ']' + m.content + eos_token }}"
PROMPT = "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
PLAIN = "{{ bos_token }}{% for m in messages %}" + TURN + "{% endfor %}" + PROMPT
LAST = (
    "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
)
"""Sets ns.last to the index of the user's last message."""
ANSWERS = tuple(f"The best option is Flight {number}." for number in (1, 2, 3))
CHAT = [
    {"role": "user", "content": "Which?"},
    {"role": "assistant", "content": ANSWERS[1]},
    {"role": "user", "content": "No. Which?"},
]


def thinking(thought: str, switch: bool = True) -> str:
    """A template that writes an empty thought before the answer to the user's last message, and before no earlier one;
    ``switch``: the prompt has it if thinking is off, as that of Qwen3.
    """
    prompt = (
        "{% if add_generation_prompt %}{{ '[assistant]' }}"
        "{% if enable_thinking is defined and not enable_thinking %}THOUGHT{% endif %}{% endif %}"
        if switch
        else PROMPT
    ).replace("THOUGHT", thought)
    return (
        LAST + "{% for m in messages %}{% if m.role == 'assistant' and loop.index0 > ns.last %}"
        "{{ '[assistant]' }}"
        + thought
        + "{{ m.content + eos_token }}{% else %}"
        + TURN
        + "{% endif %}{% endfor %}"
        + prompt
    )


REWRITING = {
    "a thought, as Qwen3": (thinking("<think>\n\n</think>\n\n"), "[assistant]<think>\n\n</think>\n\n"),
    "a channel that the prompt lacks": (thinking("<|final|>", switch=False), "[assistant]<|final|>"),
    "a reminder after the last question": (
        LAST + "{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% if loop.index0 == ns.last %}"
        "{{ ' Be brief.' }}{% endif %}{{ eos_token }}{% endfor %}" + PROMPT,
        " Be brief.</s>[assistant]",
    ),
}


def speech_of(make_model, template):
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_model(template))
    return tokenizer, chat_format_of(tokenizer, frozenset([tokenizer.eos_token_id]))


def run(folder, settings="", **more):
    domain = bb.load_domain("flights-2")
    agent = bb.load_agent(f"prompted:{folder},dtype=float32{settings}", domain)
    return bb.run(domain, agent, users=1, rounds=1, heldout=2, results=folder.parent / "results", **more)


@pytest.mark.parametrize("kind", REWRITING)
@pytest.mark.parametrize("answers", [ANSWERS[:1], ANSWERS])
def test_the_last_answer_is_taught_after_the_prompt_that_it_is_asked_with(make_model, kind, answers):
    template, opening = REWRITING[kind]
    tokenizer, speech = speech_of(make_model, template)
    probs = (1.0,) if len(answers) == 1 else (0.2, 0.5, 0.3)
    said = Conversation((*CHAT, {"role": "assistant", "content": ANSWERS[0]}), (TaughtTurn(3, answers, probs),))
    (line,) = tokenize_conversation(said, speech)
    written = tokenizer.decode(line.tokens)
    assert written == speech.render(CHAT) + ANSWERS[0] + "</s>"
    assert written.endswith(opening + ANSWERS[0] + "</s>")
    assert written.count(opening.removeprefix("[assistant]")) == 1


@pytest.mark.parametrize("kind", REWRITING)
def test_every_answer_of_such_a_conversation_is_taught_as_it_is_asked(make_model, kind):
    tokenizer, speech = speech_of(make_model, REWRITING[kind][0])
    both = (TaughtTurn(1, ANSWERS[1:2], (1.0,)), TaughtTurn(3, ANSWERS[:1], (1.0,)))
    found = tokenize_conversation(Conversation((*CHAT, {"role": "assistant", "content": ANSWERS[0]}), both), speech)
    asked = [speech.render(chat) + answer + "</s>" for chat, answer in ((CHAT[:1], ANSWERS[1]), (CHAT, ANSWERS[0]))]
    assert [tokenizer.decode(line.tokens) for line in found] == asked
    assert all(len(line.targets) == len(ANSWERS[0]) + 1 for line in found)


OPENED = {
    "a thought": "<think>\n",
    "another thought": "<reasoning>",
    "a recipient": " to=",
}


@pytest.mark.parametrize("kind", OPENED)
def test_a_thought_that_the_prompt_opens_is_left_out_and_the_row_says_so(make_model, kind):
    folder = make_model(PLAIN.replace("'[assistant]'", f"'[assistant]{OPENED[kind]}'".replace("\n", "\\n")))
    model = HuggingFaceModel(locate(str(folder)), "float32")
    text = "<s>[user]Which?</s>[assistant]"
    assert model._scorer.speech.render(CHAT[:1]) == model._scorer.speech.prompt(CHAT[:1]) == text
    assert "prompts end as in finished turns, without a thought" in run(folder).record.agent.note


def test_a_thought_is_closed_as_the_template_closes_it(make_model):
    """The prompt opens a thought, and a finished turn closes it."""
    template = thinking("<think>\n\n</think>\n\n", switch=False).replace(
        "'[assistant]' }}{% endif", "'[assistant]<think>\n' }}{% endif"
    )
    _, speech = speech_of(make_model, template)
    assert speech.render(CHAT[:1]).endswith("[assistant]<think>\n\n</think>\n\n")
    assert "without a thought" in speech.note


ENDS = {
    "a token that is not eos": PLAIN.replace("eos_token", "'<|im_end|>'"),
    "words": PLAIN.replace("eos_token", "'[/over]'"),
    "the next turn": PLAIN.replace(" + eos_token", "").replace("'['", "'\\n['"),
    "a token after a space": PLAIN.replace("eos_token", "' <|im_end|>\\n'"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_an_answer_ends_where_the_template_ends_a_turn(make_model, kind):
    folder = make_model(ENDS[kind])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if "im_end" in ENDS[kind]:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    speech = chat_format_of(tokenizer, frozenset([tokenizer.eos_token_id]))
    chat = [*CHAT, {"role": "assistant", "content": ANSWERS[2]}, *CHAT[:1]]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    (written,) = speech.encode([text[text.index(ANSWERS[1]) :]])
    over = next(at for at in range(1, len(written)) if speech.is_over(written[:at]))
    assert speech.reply(written[:over]) == speech.reply(written) == ANSWERS[1]
    (line,) = tokenize_conversation(
        Conversation((CHAT[0], {"role": "assistant", "content": ANSWERS[1]}), (TaughtTurn(1, ANSWERS[1:2], (1.0,)),)),
        speech,
    )
    assert [target.tokens[0] for target in line.targets] == written[:over]


PARTS = {
    "strings are dropped": "{% for part in m.content if part.type == 'text' %}{{ part.text }}{% endfor %}",
    "strings are errors": "{{ m.content[0].text.strip() }}",
    "only parts are written": "{% if m.content is not string %}{{ m.content | join(attribute='text') }}{% endif %}",
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_template_that_takes_parts_is_given_parts(make_model, kind):
    template = PLAIN.replace(TURN, "{{ '[' + m.role + ']' }}" + PARTS[kind] + "{{ eos_token }}")
    folder = make_model(template)
    text = f"<s>[user]Which?</s>[assistant]{ANSWERS[1]}</s>[user]No. Which?</s>[assistant]"
    assert HuggingFaceModel(locate(str(folder)), "float32")._scorer.speech.render(CHAT) == text
    assert run(folder).folder.exists()


REFUSED = {
    "refuses an assistant": "{% for m in messages if m.role != 'user' %}{{ raise_exception('users') }}{% endfor %}",
    "changes letters": "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
    "drops the assistant": "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
    "keeps the last message": "{{ messages[-1].content }}",
    "keeps the first line": "{% for m in messages %}{{ m.content.split('\\n')[0] + eos_token }}{% endfor %}",
    "repeats a message": "{% for m in messages %}{{ m.content + m.content + eos_token }}{% endfor %}",
    "changes the order": "{% for m in messages | reverse %}{{ m.content + eos_token }}{% endfor %}",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_template_that_loses_text_is_refused_in_one_sentence(call, make_model, kind):
    folder = make_model(REFUSED[kind])
    status, _, said = call("run", "--domain", "flights-2", "--agent", f"prompted:{folder}", "--users", "1")
    assert status == 1
    assert "the model's chat template " in said
    assert re.search(r"use another model(, or fix its template\.|, fix its template, or set \"rewrites_chat\")", said)


def test_a_base_model_reads_what_its_tokenizer_sets_before_a_text(make_model):
    folder = make_model(None)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> <s> $A", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert chat_format_of(tokenizer, frozenset()).render(CHAT[:1]) == "</s><s>Which?\n\n"


def test_text_that_a_template_changes_only_sometimes_is_noticed(make_model):
    _, speech = speech_of(make_model, PLAIN.replace("m.content", "m.content.split('</think>')[-1]"))
    chat = [{"role": "user", "content": "before </think> after"}]
    with pytest.raises(BeliefBenchError, match=r"drops, changes or repeats text of a chat \('before"):
        speech.render(chat)


def test_nothing_from_outside_the_conversation_is_in_its_text(make_model, monkeypatch):
    """Today's date, and numbers drawn at random."""
    template = "{{ strftime_now('%d %B %Y') }} {{ range(100000) | random }} {{ lipsum(1) | length }}" + PLAIN
    _, speech = speech_of(make_model, template)
    texts = []
    for day in (1, 2):
        monkeypatch.setattr(
            chat_template_utils, "datetime", type("Day", (), {"now": lambda day=day: datetime(2031, 5, day)})
        )
        random.seed(day)
        state = random.getstate()
        texts.append(speech.render(CHAT))
        assert random.getstate() == state
    assert texts[0] == texts[1]
    assert texts[0].startswith("01 January 2026 ")
    assert speech.note == "dated 2026-01-01"


def test_a_template_that_is_stored_for_the_processor_is_used(make_model):
    folder = make_model(None)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": PLAIN}))
    model = HuggingFaceModel(locate(str(folder)), "float32")
    text = "<s>[user]Which?</s>[assistant]"
    assert model._scorer.speech.render(CHAT[:1]) == text
    assert folder / "chat_template.json" in model.weights.files()
    for stored in ({"default": PLAIN, "other": "x"}, [{"name": "default", "template": PLAIN}]):
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": stored}))
        assert HuggingFaceModel(locate(str(folder)), "float32")._scorer.speech.render(CHAT[:1]) == text
    (folder / "chat_template.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"chat_template": PLAIN}))
    assert HuggingFaceModel(locate(str(folder)), "float32")._scorer.speech.render(CHAT[:1]) == text
    (folder / "processor_config.json").unlink()
    (folder / "chat_template.json").write_text("{}")
    with pytest.raises(BeliefBenchError, match=r"^'.*chat_template.json' is not a chat template; [^.]*\.$"):
        chat_format_of(transformers.AutoTokenizer.from_pretrained(folder), frozenset())


def test_the_template_is_part_of_the_identity(make_model):
    one = make_model(PLAIN)
    one = one.rename(one.with_name("one"))
    first, second = (HuggingFaceModel(locate(str(folder)), "float32") for folder in (one, make_model(PLAIN + " ")))
    assert first.identity() != second.identity()
    (one / "chat_template.jinja").rename(one / "old.txt")
    (one / "additional_chat_templates").mkdir()
    found = set()
    for template in (PLAIN, PLAIN + " "):
        (one / "additional_chat_templates" / "default.jinja").write_text(template)
        found.add(HuggingFaceModel(locate(str(one)), "float32").identity()["weights"])
    assert len(found) == 2
