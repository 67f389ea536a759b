"""Replies of models, SPECs and names: any text is read in time, and parsing takes linear time."""

from __future__ import annotations

import time

from hypothesis import strategies as st

import beliefbench as bb
from beliefbench.language.replies.alternatives import levels_of, options_of
from beliefbench.language.replies.option_probs import Place, option_probabilities
from beliefbench.language.replies.parsing import find_option
from beliefbench.plugins.names import load_suite
from beliefbench.plugins.settings import as_spec, format_spec, parse_spec

WORDS = (
    "Flight ;1;2;3;10;0.2;50%;$300; or ; and ;not ;The best option is ;?;.;!;,;:;\n;\n\n; ;\t;<think>;</think>;[THINK]"
    ';if ;I recommend ;no, ;**;{;};[;];(;);";\';"Flight 1": ;"probability": ;\\boxed{;<|channel|>final<|message|>;\x00'
    ";\u2028;\ud800;\uff11;\u2460;\u2014;<|im_end|>;second ;the third ;option ;if i had to pick ;preference is "
    ";answer: ;between 1 and ;let me know ;wait, ;but ;best ;match ;would be ;because ;your option ;is correct;-;- "
    ";1e400;NaN;null;e;'s ;n't ;|"
)
PIECES = st.sampled_from(WORDS.split(";")) | st.text(max_size=8)
TEXTS = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=400)
ALTERNATIVES = (options_of("Flight"), options_of("Hotel Room"), options_of("."), levels_of(5))


@st.composite
def replies(draw: st.DrawFn) -> tuple[str, list[Place]]:
    """A reply, and the tokens of a server at places of it."""
    text = draw(TEXTS)
    at = st.integers(0, len(text.encode(errors="surrogatepass")) + 3)
    listed = st.lists(st.tuples(PIECES, st.floats(-800, 0)), max_size=5)
    token = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    return text, [
        Place.model_construct(at=draw(at), token=draw(token), listed=draw(listed))
        for _ in range(draw(st.integers(0, 4)))
    ]


def read_reply(reply: tuple[str, list[Place]]) -> None:
    text, places = reply
    for alternatives in ALTERNATIVES:
        count = len(alternatives.labels)
        assert -1 <= alternatives.named(text) < count
        stated = alternatives.stated(text)
        weighed = option_probabilities(text, alternatives, places)
        for probs in (stated, weighed and weighed.probs):
            assert probs is None or (probs.shape == (count,) and abs(probs.sum() - 1) < 1e-6 and (probs >= 0).all())


def test_replies(tried):
    tried(read_reply, replies(), examples=400)


def seconds(text: str) -> float:
    """Processor time of one reading of a reply."""
    begun = time.process_time()
    find_option(text, "Flight")
    for alternatives in ALTERNATIVES[::3]:
        alternatives.named(text)
        alternatives.stated(text)
    return time.process_time() - begun


def is_linear(unit: str) -> None:
    """A text of 40 kB may take 8 times as long as one of 10 kB: 4 times, and what a busy machine adds."""
    if not unit:
        return
    short, long = (
        min(seconds(unit * (length // len(unit)) + " Flight 2") for _ in range(2)) for length in (10_000, 40_000)
    )
    assert long < 8 * short + 0.2, (unit, short, long)


def test_time_is_linear(tried):
    tried(is_linear, st.lists(PIECES, min_size=1, max_size=5).map("".join), examples=12)


SPEC_WORDS = (
    "prompted endpoint random lowest flights user_lapse webshop released/ dtype= model= information= temperature= : , ="
    ' = " "" 0.5 nan -1 1e9 \\ \x00 \ud800'
)
SPEC_PIECES = st.sampled_from([*SPEC_WORDS.split(" "), " ", "\n"]) | st.text(max_size=6)
SPECS = st.lists(SPEC_PIECES, max_size=12).map("".join)


def read_spec(spec: str) -> None:
    for kind in ("agent", "domain"):
        name, model, options = parse_spec(spec, kind)
        assert isinstance(format_spec(name, model, options), str)
    as_spec(spec)


def test_specs(tried):
    tried(read_spec, SPECS, examples=400)


SETTINGS = st.sampled_from(["user_lapse", "user_noise", "information", "noise", "lapse", "options", "x"])
DOMAIN_SPECS = st.builds(
    lambda name, options: format_spec(name, None, options),
    st.sampled_from(["flights-2", "hotels", "flights-n", "nowhere", "released/x", ""]) | SPECS,
    st.dictionaries(SETTINGS, st.sampled_from(["0.2", "nan", "inf", "-1", "2", "", "x", "\ud800"]), max_size=2),
)
AGENT_SPECS = st.builds(
    format_spec,
    st.sampled_from(["random", "bayesian", "lowest", "first", "cheapest", "oracle", "nobody"]) | SPECS,
    st.none() | st.sampled_from(["", "price", "duration", "nothing"]) | SPEC_PIECES,
    st.dictionaries(SETTINGS, SPEC_PIECES, max_size=2),
)


def load_domain(spec: str) -> None:
    for domain in load_suite(spec):
        assert isinstance(domain, bb.Domain)


def test_domains_by_name(tried):
    tried(load_domain, DOMAIN_SPECS, examples=60)


def test_agents_by_name(tried):
    flights = bb.load_domain("flights-2")

    def load(spec: str) -> None:
        if not spec.lstrip(' "').startswith(("prompted", "endpoint", "inspect")):  # these look for models
            assert bb.load_agent(spec, flights)

    tried(load, AGENT_SPECS, examples=100)
