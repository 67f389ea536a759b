"""The paper's web-shopping users as a domain: what a text says, the goals there can be, what makes no domain."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from beliefbench import UsageError
from beliefbench.checking.domain_contract import check_domain_contract
from beliefbench.released.files import split_option
from beliefbench.released.offers import Offer, read_offer
from beliefbench.released.shoppers import shopper_domain

from .shoppers_by_hand import (
    FIRST,
    HELD,
    SECOND,
    TEXTS,
    USERS,
    build,
    goals_by_hand,
    read,
    without,
)


def test_what_a_text_says():
    assert read_offer(TEXTS["bed"]) == Offer(
        lines=(frozenset({"twin", "bed", "2", "1", "with", "storage", "shelf", "faux", "leather"}), frozenset()),
        values={"color": "blue", "size": "s"},
    )
    assert read_offer(HELD["bed+"]) == Offer(
        lines=(frozenset({"storage", "bed"}), frozenset({"with", "a", "shelf"}), frozenset({"color", "red"})),
        values={"color": "blue", "size": "l"},
    )


@pytest.mark.parametrize(
    ("attribute", "having"),
    [
        ("faux leather", {"sofa", "bed", "sofa+"}),
        ("Storage  shelf", {"bed", "shelf", "cot+"}),  # "bench" has the shelf in an option, "bed+" in another line
        ("easy clean", {"chair", "sofa+"}),
        ("leath", set()),
        ("+", set()),
    ],
)
def test_an_attribute_stands_in_one_line(attribute, having):
    assert {name for name, text in (TEXTS | HELD).items() if read_offer(text).has(attribute)} == having


def test_features_are_the_hand_made_ones(tmp_path):
    domain = build(tmp_path)
    names = ["has_easy_clean", "has_faux_leather", "has_storage_shelf", "option_color", "option_size", "text", "lapse"]
    assert [feature.name for feature in domain.features] == names
    by_name = dict(zip(names, domain.features, strict=True))
    colors, sizes = (by_name[f"option_{kind}"] for kind in ("color", "size"))
    # Seen in any text or wanted by anybody ("purple" stands nowhere), in the order of the alphabet.
    assert [colors.show(at) for at in colors.grid] == ["(not stated)", "blue", "green", "purple", "red"]
    assert [sizes.show(at) for at in sizes.grid] == ["(not stated)", "l", "s"]
    expected = {
        "sofa": [0, 1, 0, 1, 0.5],
        "bed": [0, 1, 1, 0.25, 1],
        "cot": [0, 0, 0, 0, 0],
        "bench": [0, 0, 0, 1, 0],
        "shelf": [0, 0, 1, 0.5, 0.5],
        "chair": [1, 0, 0, 1, 1],
        "sofa+": [1, 1, 0, 1, 1],
        "bed+": [0, 0, 0, 0.25, 0.5],
        "cot+": [0, 0, 1, 0.5, 0],
    }
    found = {}
    for sets in (domain.recorded.options, domain.recorded.heldout):
        for option in sets.reshape(-1, 7):
            found[domain.describe(option)] = option[:5].tolist()
    assert found == {(TEXTS | HELD)[name]: values for name, values in expected.items()}


def test_texts_are_given_back_to_the_letter(tmp_path):
    users, heldout = read(tmp_path, USERS)
    domain = shopper_domain("released/webshop-beds", users, heldout)
    recorded = domain.recorded
    for texts, options in ((users[0].options, recorded.options[0]), (heldout[1].options, recorded.heldout[1])):
        for shown, values in zip(texts, options, strict=True):
            assert [split_option(text, at)[1] for at, text in enumerate(shown, 1)] == [
                domain.describe(value) for value in values
            ]


def test_users_are_those_of_the_files(tmp_path):
    domain = build(tmp_path)
    recorded = domain.recorded
    assert (domain.name, domain.item, domain.heldout) == ("released/webshop-beds", "Product", "own")
    assert recorded.chosen.tolist() == [[0, 1, 2], [0, 1, 0], [0, 2, 1], [0, 0, 2]]
    assert recorded.options.shape == (4, 3, 3, 7)
    # The first has three held-out sets, the others two: all are cut to two.
    assert recorded.heldout.shape == (4, 2, 3, 7)
    assert recorded.truth.tolist() == [[0, 1], [0, 2], [2, 1], [0, 1]]


def test_hypotheses_are_all_goals_of_what_anybody_wants(tmp_path):
    domain = build(tmp_path)
    assert domain.parameters["goals"] == len(goals_by_hand()) == 24
    wanted = [({name.lower() for name in one["goal_attrs"]}, one["goal_options"]) for one in USERS]
    cleaned = [(names, {k.lower(): v.strip().lower() for k, v in options.items()}) for names, options in wanted]
    assert sorted(domain.recorded.latents["goal"]) == sorted(goals_by_hand().index(one) for one in cleaned)
    assert domain.recorded.latents["goal"].tolist() == [goals_by_hand().index(one) for one in cleaned]


def test_identity_is_that_of_the_recorded(tmp_path):
    before = build(tmp_path / "before").identity()
    assert build(tmp_path / "again").identity() == before
    changed = json.loads(json.dumps(USERS))
    changed[3]["heldout"][1]["user_idx"] = 2
    assert build(tmp_path / "changed", changed).identity() != before


def test_sets_that_are_drawn_are_three_recorded_texts(tmp_path):
    import jax

    domain = build(tmp_path)
    sets = np.asarray(domain.draw(jax.random.key(0), 200))
    texts = [[domain.describe(option) for option in one] for one in sets]
    assert all(len(set(one)) == 3 for one in texts)
    assert {text for one in texts for text in one} == set((TEXTS | HELD).values())


@pytest.mark.slow
def test_the_contract_holds(tmp_path):
    """But that a text drawn for two users reads alike, as it should: the lapse is nobody's to see."""
    failed = {finding.check for finding in check_domain_contract(build(tmp_path)) if not finding.passed}
    assert failed <= {"describe"}


def test_users_and_their_sets_are_matched_by_idx(tmp_path):
    turned = build(tmp_path / "turned", heldout=USERS[::-1])
    straight = build(tmp_path / "straight")
    np.testing.assert_array_equal(turned.recorded.heldout, straight.recorded.heldout)
    np.testing.assert_array_equal(turned.recorded.truth, straight.recorded.truth)


@pytest.mark.parametrize("keys", [("idx",), ("goal_attrs", "goal_options"), ("idx", "goal_attrs", "goal_options")])
def test_without_an_idx_or_a_goal_they_stand_in_one_order(tmp_path, keys):
    plain = build(tmp_path / "plain", heldout=[without(one, *keys) for one in USERS])
    np.testing.assert_array_equal(plain.recorded.truth, build(tmp_path / "whole").recorded.truth)


def test_goals_without_attributes_or_without_options(tmp_path):
    plain = [{**one, "goal_attrs": []} for one in USERS]
    assert build(tmp_path / "options", plain).parameters["goals"] == 8
    bare = [{**one, "goal_options": {}} for one in USERS]
    assert build(tmp_path / "attributes", bare).parameters["goals"] == 3


def refused(expected: str, make: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert expected in str(caught.value)


def test_files_that_do_not_belong_together(tmp_path):
    refused("heldout-beds.jsonl: 3 users; expected 4, as in ", lambda: build(tmp_path, heldout=USERS[:3]))
    others = [without(one, "idx") for one in USERS[::-1]]
    refused("heldout-beds.jsonl, line 1: the user's goal is not the one in", lambda: build(tmp_path, heldout=others))
    unknown = [without({**one, "idx": one["idx"] + 1}, "goal_attrs", "goal_options") for one in USERS]
    refused("heldout-beds.jsonl, line 1: `idx` is 8, and 7 in ", lambda: build(tmp_path, heldout=unknown))


def test_what_makes_no_domain(tmp_path):
    refused("beds.jsonl: a lapse is fitted on other users; expected 2 users or more", lambda: build(tmp_path, [FIRST]))
    nothing = [FIRST, {**SECOND, "goal_attrs": [], "goal_options": {}}]
    refused("beds.jsonl, line 2: the user has no goal", lambda: build(tmp_path, nothing))
    alike = [FIRST, {**FIRST, "idx": 8}]
    refused("beds.jsonl: what its users want makes 1 goal; expected 2 to 1,000,000", lambda: build(tmp_path, alike))
    few = [
        {**one, "rounds": [{**one["rounds"][0], "options": ["Product 1: A", "Product 2: B", "Product 3: A"]}]}
        for one in USERS
    ]
    bare = [{**one, "heldout": one["rounds"]} for one in few]
    refused("beds.jsonl: 2 different options; expected 3 or more", lambda: build(tmp_path, bare))


def test_an_option_of_the_wrong_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"an option has 6 features; got an array of shape \(8,\)"):
        build(tmp_path).describe(np.zeros(9))
