"""Synthetic domains: exact answers, users, texts; and no phrase of the domains on which transfer is measured."""

import itertools
import re

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.checking.domain_contract import check_domain_contract
from beliefbench.plugins.names import load_suite
from beliefbench.students.reader.conversations import chat_of
from beliefbench.students.synthetic import lexicon
from beliefbench.students.synthetic.domains import SyntheticDomain
from beliefbench.students.synthetic.interactions import Interaction
from beliefbench.students.synthetic.lines import Line
from beliefbench.students.synthetic.users import lexicographic, linear, matching

ORDERED = Line("scale", "size", ("small", "medium", "large"))
KIND = Line("category", "kind", ("red", "blue"))
HAS = Line("attributes", "has", ("lid", "lock", "lamp"))


@pytest.mark.parametrize("seed", [0, 5, 10], ids=["linear", "matching", "lexicographic"])
def test_the_answers_are_those_of_exact_inference(seed):
    rng = np.random.default_rng(seed)
    made = SyntheticDomain.draw(rng, 2, 3)
    domain = made.as_domain("synthetic")
    one = Interaction.draw(made, rng, rounds=2)
    for stage in range(3):
        found = bb.predictive(domain, one.options[:stage], one.chosen[:stage], one.options[stage : stage + 1])
        np.testing.assert_allclose(one.exact[stage], found[0], atol=1e-12)
    posterior = bb.posterior(domain, one.options[:2], one.chosen[:2])
    np.testing.assert_allclose(one.believed[2], posterior @ made.weights, atol=1e-12)


@pytest.mark.slow
def test_a_synthetic_domain_keeps_the_contract():
    """A catalogue: a title, categories and attributes."""
    domain = SyntheticDomain.draw(np.random.default_rng(7), 2, 3).as_domain("synthetic")
    assert [result for result in check_domain_contract(domain) if not result.passed] == []


def test_teachers_answer_in_their_own_kind():
    made = SyntheticDomain.draw(np.random.default_rng(3), 3, 3)
    by_teacher = {
        teacher: Interaction.draw(made, np.random.default_rng(5), 4, teacher)
        for teacher in ("posterior", "bayesian", "oracle")
    }
    first, *others = by_teacher.values()
    for other in others:  # the same user and sets
        np.testing.assert_array_equal(first.options, other.options)
        np.testing.assert_array_equal(first.chosen, other.chosen)
        np.testing.assert_array_equal(first.exact, other.exact)
    np.testing.assert_array_equal(by_teacher["posterior"].answers, first.exact)
    guessed = by_teacher["bayesian"].answers.argmax(axis=-1)
    assert (np.take_along_axis(first.exact, guessed[:, None], 1)[:, 0] >= first.exact.max(axis=1) - 1e-9).all()
    np.testing.assert_array_equal(by_teacher["oracle"].answers.argmax(axis=-1), first.chosen)


def test_linear_users_are_all_but_the_one_who_does_not_care():
    table = linear(np.random.default_rng(0), (ORDERED, KIND))
    assert len(np.unique(table, axis=0)) == len(table)
    assert (table != 0).any(axis=1).all()


def test_lexicographic_users_let_the_first_difference_decide():
    lines = (ORDERED, Line("scale", "age", tuple("abcdef")))
    table = lexicographic(np.random.default_rng(0), lines)
    assert len(table) == 2 * 4  # orders and directions
    grids = [np.linspace(0, 1, len(line.values)) for line in lines]
    options = np.array(list(itertools.product(*grids)))
    for weights in table:
        first, second = np.argsort(-abs(weights))
        wanted = sorted(
            range(len(options)),
            key=lambda at: (
                np.sign(weights[first]) * options[at, first],
                np.sign(weights[second]) * options[at, second],
            ),
        )
        assert (np.diff((options @ weights)[wanted]) > 0).all()


def test_matching_users_want_things_and_one_value_of_a_category():
    table = matching(np.random.default_rng(0), (HAS, KIND))
    assert set(np.unique(table)) <= {0.0, 1.0}
    assert (table[:, 3:].sum(axis=1) <= 1).all()
    assert len(set(table.sum(axis=1))) == 1  # each wants as many things


def test_texts_say_all_that_users_weigh():
    """Two options that read alike are worth the same to everybody."""
    for seed in range(20):
        made = SyntheticDomain.draw(np.random.default_rng(seed))
        options = made.draw_options(np.random.default_rng(seed), 40, 1)[:, 0]
        texts = [made.describe(one) for one in options]
        columns = made.expand(options)
        for first, second in itertools.combinations(range(len(options)), 2):
            if texts[first] == texts[second]:
                np.testing.assert_array_equal(columns[first], columns[second])


def test_units_come_after_their_numbers():
    """What docs/students.md says of running shoes: `US 9` is a format that no reader was taught."""
    values = [
        value
        for seed in range(200)
        for line in SyntheticDomain.draw(np.random.default_rng(seed)).lines
        if line.kind != "title"
        for value in line.values
    ]
    assert sum(bool(re.search(r"\d", value)) for value in values) > 1000
    assert [value for value in values if re.match(r"[A-Za-z]+ ?\d", value)] == []


def kept_out() -> set[str]:
    """Labels, units and values of the domains that transfer is measured on."""
    domains = [bb.load_domain(name) for name in ("hotels", "flights-8")]  # which has the features of all flights
    phrases = {feature.label for domain in domains for feature in domain.features}
    shown = {feature.show(value) for domain in domains for feature in domain.features for value in feature.grid}
    phrases |= {re.sub(r"[\d:$.,]+|\b(AM|PM)\b", "", text).strip() for text in shown}
    for domain in load_suite("webshop"):
        own = [
            feature for feature in domain.features if feature.name == "product" or feature.name.startswith("option_")
        ]
        phrases |= {feature.label for feature in domain.features}
        values = {feature.show(value) for feature in own for value in feature.grid}
        phrases |= values | {
            unit for value in values if len(unit := re.sub(r"[\d ]+", "", value)) > 1 and unit != value
        }
    common = {"yes", "no", "0 hr", "hr", "min", "hr  min", "", "0"}
    return {one.lower() for one in phrases} - common


def test_nothing_that_transfer_is_measured_on_is_taught():
    """No label, unit, value or title of hotels, web shopping or flights, as a whole phrase."""
    phrases = kept_out()
    assert {"distance to downtown", "fully refundable", "navy", "layover duration"} <= phrases
    found = re.compile(
        r"(?<![a-z])(" + "|".join(map(re.escape, sorted(phrases, key=len, reverse=True))) + r")(?![a-z])"
    )
    words = [*lexicon.ITEMS, *lexicon.PURPOSES, *lexicon.QUANTITIES, *lexicon.TIMES, *lexicon.DURATIONS, *lexicon.COSTS]
    words += [*lexicon.UNITS, *lexicon.ORDINALS, *lexicon.KINDS, *lexicon.CATEGORIES, *lexicon.ATTRIBUTES]
    words += [value for scale in lexicon.SCALES for value in scale]
    assert {match[0]: word for word in words if (match := found.search(word.lower()))} == {}
    for seed in range(200):
        made = SyntheticDomain.draw(np.random.default_rng([1, seed]))
        texts = [message["content"] for message in chat_of(Interaction.draw(made, np.random.default_rng(seed), 1))]
        text = re.sub(r"help me select.*?more information\.", "", "\n".join(texts).lower(), flags=re.S)
        assert not (match := found.search(text)), f"{match[0]} in {text}"
