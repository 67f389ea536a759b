"""The paper's web-shopping users as a domain: what a text says, the goals there can be, the lapse, the exact answer."""

import json
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

import beliefbench as bb
from beliefbench import UsageError
from beliefbench.checking.domain_contract import check_domain_contract
from beliefbench.domain import Domain
from beliefbench.protocol.episodes import choice_probs
from beliefbench.released.files import read_interactions, read_shopper_heldout, split_option
from beliefbench.released.offers import Offer, Wanted, read_offer, score_agreement, wanted_by
from beliefbench.released.shoppers import shopper_domain

# What the options of rounds are called here: texts without a description, as in the interaction files.
TEXTS = {
    "sofa": "Sofa of Faux-Leather\nColor: Red\nSize: L",
    "bed": "Twin Bed 2:1 with Storage Shelf, faux leather\nColor: Blue\nSize: S\n",
    "cot": "Cot\u2028for Two\n",
    "bench": "Storage Bench\nStyle: modern shelf\nColor: RED",
    "shelf": "A Shelf for STORAGE\nSize: L\nColor: green",
    "chair": "Chair, easy to clean\nsize: s\nColor: Red",
}
HELD = {
    "sofa+": "Title: Sofa\nDescription:\n- Faux leather that is easy to clean\n- Storage\nColor: Red\nSize: S",
    "bed+": "Title: Storage Bed\nDescription:\n- With a shelf\n- Color: red\nColor: Blue\nSize: L",
    "cot+": "Title: Cot\nDescription:\n- Storage shelf below\n\nColor: Green\n",
}


def user(idx: int, attrs: list[str], options: dict[str, str], rounds: list[str], held: list[str]) -> dict:
    """A user; a set is written as three names and the number of the one taken: "sofa bed cot 0"."""

    def asked(written: str) -> dict:
        *names, chosen = written.split()
        texts = [f"Product {place}: {(TEXTS | HELD)[name]}" for place, name in enumerate(names, 1)]
        return {"options": texts, "user_idx": int(chosen), "score": [0.0, 0.5, 1.0]}

    goal = {"idx": idx, "goal_attrs": attrs, "goal_options": options}
    return {"rounds": [asked(one) for one in rounds], "heldout": [asked(one) for one in held], **goal}


FIRST = user(
    7,
    ["faux leather", "Storage Shelf"],
    {"color": "red", "size": "L"},
    ["sofa bed cot 0", "bench shelf chair 1", "cot sofa shelf 2"],
    ["sofa+ bed+ cot+ 0", "bed+ cot+ sofa+ 1", "cot+ bed+ sofa+ 2"],
)
SECOND = user(
    3,
    ["faux leather", "easy clean"],
    {"Color": "Blue ", "size": "s"},
    ["bed sofa cot 0", "bench chair shelf 1", "sofa cot bed 0"],
    ["sofa+ bed+ cot+ 0", "bed+ cot+ sofa+ 2"],
)
THIRD = user(
    5,
    ["storage shelf", "easy clean"],
    {"color": "green", "size": "l"},
    ["shelf chair cot 0", "bed sofa shelf 2", "chair bench sofa 1"],
    ["sofa+ bed+ cot+ 2", "bed+ sofa+ cot+ 1"],
)
FOURTH = user(
    4,
    ["storage shelf", "faux leather"],
    {"color": "purple", "size": "s"},
    ["bed cot sofa 0", "chair cot sofa 0", "bench cot shelf 2"],
    ["cot+ bed+ sofa+ 0", "bed+ cot+ sofa+ 1"],
)
USERS = [FIRST, SECOND, THIRD, FOURTH]


def read(folder: Path, users: list[dict], heldout: list[dict] | None = None) -> tuple:
    """Return what the readers return of users; the held-out file has the goals too, and may have other users."""
    folder.mkdir(exist_ok=True, parents=True)
    rounds, held = folder / "beds.jsonl", folder / "heldout-beds.jsonl"
    rounds.write_text("\n".join(json.dumps({**one, "heldout": None}) for one in users))
    kept = [
        {"all_options": one["heldout"], **{key: one[key] for key in one if key not in ("rounds", "heldout")}}
        for one in (users if heldout is None else heldout)
    ]
    held.write_text("\n".join(json.dumps(one) for one in kept))
    return read_interactions(rounds), read_shopper_heldout(held)


def build(folder: Path, users: list[dict] = USERS, heldout: list[dict] | None = None) -> Domain:
    return shopper_domain("released/webshop-beds", *read(folder, users, heldout))


def without(one: dict, *keys: str) -> dict:
    return {key: value for key, value in one.items() if key not in keys}


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


def goals_by_hand() -> list[tuple[set[str], dict[str, str]]]:
    names = ["easy clean", "faux leather", "storage shelf"]
    values = list(product(["blue", "green", "purple", "red"], ["l", "s"]))
    return [(set(pair), {"color": color, "size": size}) for pair in combinations(names, 2) for color, size in values]


def test_hypotheses_are_all_goals_of_what_anybody_wants(tmp_path):
    domain = build(tmp_path)
    assert domain.parameters["goals"] == len(goals_by_hand()) == 24
    wanted = [({name.lower() for name in one["goal_attrs"]}, one["goal_options"]) for one in USERS]
    cleaned = [(names, {k.lower(): v.strip().lower() for k, v in options.items()}) for names, options in wanted]
    assert sorted(domain.recorded.latents["goal"]) == sorted(goals_by_hand().index(one) for one in cleaned)
    assert domain.recorded.latents["goal"].tolist() == [goals_by_hand().index(one) for one in cleaned]


def read_by_hand(text: str) -> tuple[list[set[str]], dict[str, str]]:
    """Read a text anew: where the words of lines stand, and option values."""
    spoken, values = [], {}
    for number, line in enumerate(text.lower().strip().split("\n")):
        head, colon, tail = line.partition(": ")
        if number and colon and not line.startswith("-"):
            values[head] = tail
        else:
            plain = line.removeprefix("title: ")
            for mark in ",-:\u2028":
                plain = plain.replace(mark, " ")
            spoken.append(set(plain.split()))
    return spoken, values


def score_by_hand(text: str, goal: tuple[set[str], dict[str, str]]) -> int:
    spoken, values = read_by_hand(text)
    attributes = sum(any(set(name.split()) <= line for line in spoken) for name in goal[0])
    return attributes + sum(values.get(kind) == value for kind, value in goal[1].items())


def rule_by_hand(texts: list[str], goal: tuple[set[str], dict[str, str]], lapse: float) -> np.ndarray:
    scores = np.array([score_by_hand(text, goal) for text in texts])
    best = scores == scores.max()
    return (1 - lapse) * best / best.sum() + lapse / 3


def shown_in(one: dict, key: str) -> list[list[str]]:
    return [[split_option(text, at)[1] for at, text in enumerate(a_set["options"], 1)] for a_set in one[key]]


def test_the_exact_answer_is_that_of_brute_force(tmp_path):
    domain = build(tmp_path)
    episodes = bb.Episodes(domain, bb.Protocol.of(domain))
    for place, number in enumerate(episodes.users):
        one, lapse = USERS[number], domain.recorded.options[number, 0, 0, -1]
        weights = np.ones(24) / 24
        rounds = list(zip(shown_in(one, "rounds"), domain.recorded.chosen[number], strict=True))
        for stage in range(4):
            if stage:
                texts, chosen = rounds[stage - 1]
                weights *= [rule_by_hand(texts, goal, lapse)[chosen] for goal in goals_by_hand()]
                weights /= weights.sum()
            for at, texts in enumerate(shown_in(one, "heldout")[:2]):
                each = np.array([rule_by_hand(texts, goal, lapse) for goal in goals_by_hand()])
                np.testing.assert_allclose(episodes.exact[place, stage, at], weights @ each, atol=1e-12)


def test_somebody_known_chooses_as_the_texts_say(tmp_path):
    domain = build(tmp_path)
    options, lapses = domain.recorded.heldout, domain.recorded.options[:, 0, 0, -1]
    for number, goal in enumerate(goals_by_hand()):
        found = choice_probs(domain, {"goal": np.full(4, number)}, options)
        for place, one in enumerate(USERS):
            expected = [rule_by_hand(texts, goal, lapses[place]) for texts in shown_in(one, "heldout")[:2]]
            np.testing.assert_allclose(found[place], expected, atol=1e-12)


def test_lapses_are_fitted_on_the_others_by_brute_force(tmp_path):
    domain = build(tmp_path)
    grid = [step / 50 for step in range(1, 50)]
    goals = [goals_by_hand()[number] for number in domain.recorded.latents["goal"]]
    chosen = domain.recorded.chosen

    def likelihood(who: int, lapse: float) -> float:
        sets = zip(shown_in(USERS[who], "rounds"), chosen[who], strict=True)
        return float(np.prod([rule_by_hand(texts, goals[who], lapse)[choice] for texts, choice in sets]))

    for who in range(4):
        others = [np.prod([likelihood(other, lapse) for other in range(4) if other != who]) for lapse in grid]
        np.testing.assert_allclose(domain.recorded.options[who, ..., -1], grid[int(np.argmax(others))])
        np.testing.assert_allclose(domain.recorded.heldout[who, ..., -1], grid[int(np.argmax(others))])


def test_nobodys_lapse_depends_on_their_own_choices(tmp_path):
    def lapses(folder: Path, users: list[dict]) -> np.ndarray:
        return build(folder, users).recorded.options[:, 0, 0, -1]

    before = lapses(tmp_path / "before", USERS)
    moved = 0
    for who, one in enumerate(USERS):
        for change in (1, 2):
            rounds = [{**a_set, "user_idx": (a_set["user_idx"] + change) % 3} for a_set in one["rounds"]]
            others = [{**one, "rounds": rounds} if place == who else other for place, other in enumerate(USERS)]
            after = lapses(tmp_path / f"{who}-{change}", others)
            assert after[who] == before[who]
            moved += (np.delete(after, who) != np.delete(before, who)).any()
    assert moved >= 4  # and it does depend on the others'


def test_the_lapse_is_the_models_alone(tmp_path):
    domain = build(tmp_path)
    option = domain.recorded.options[0, 0, 0].copy()
    text = domain.describe(option)
    option[-1] = 0.5
    assert domain.describe(option) == text == TEXTS["sofa"]
    assert "takes a share of choices for random" in domain.parameters["exact_answer"]


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


def test_how_many_scores_the_texts_reproduce(tmp_path):
    users, heldout = read(tmp_path, USERS)
    goals = [goals_by_hand()[number] for number in build(tmp_path).recorded.latents["goal"]]
    pairs = [
        (score_by_hand(text, goal) / 4, score)
        for one, goal in zip(USERS, goals, strict=True)
        for key in ("rounds", "heldout")
        for texts in shown_in(one, key)
        for text, score in zip(texts, (0.0, 0.5, 1.0), strict=True)
    ]
    expected = sum(own == stored for own, stored in pairs), len(pairs)
    assert score_agreement(users, heldout) == expected
    assert 0 < expected[0] < expected[1] == 63
    assert build(tmp_path).parameters["scores_reproduced"] == list(expected)
    bare = [{**one, "heldout": [without(a_set, "score") for a_set in one["heldout"]]} for one in USERS]
    assert score_agreement(*read(tmp_path / "bare", USERS, bare))[1] == 36


def test_a_score_of_stored_texts_is_the_share_of_the_goal(tmp_path):
    wanted = wanted_by(read(tmp_path, USERS)[0][0])
    assert wanted == Wanted(("faux leather", "storage shelf"), (("color", "red"), ("size", "l")))
    assert [read_offer(TEXTS[name]).score(wanted) for name in ("sofa", "bed", "cot", "bench", "shelf")] == [
        0.75,
        0.5,
        0.0,
        0.25,
        0.5,
    ]


def test_goals_of_other_sizes(tmp_path):
    """Goals of as many attributes and values as somebody has: here one and one besides two and two."""
    small = {**FOURTH, "goal_attrs": ["easy clean"], "goal_options": {"style": "modern shelf"}}
    domain = build(tmp_path, [FIRST, SECOND, THIRD, small])
    colors, sizes, styles = 3, 2, 1
    values = colors * sizes + colors * styles + sizes * styles
    assert domain.parameters["goals"] == 3 * (colors + sizes + styles) + 3 * values
    sets = build(tmp_path, [FIRST, SECOND, THIRD, small]).recorded.options
    found = choice_probs(domain, {"goal": domain.recorded.latents["goal"]}, sets)[3]
    lapse = sets[3, 0, 0, -1]
    for probs, texts in zip(found, shown_in(small, "rounds"), strict=True):
        expected = rule_by_hand(texts, ({"easy clean"}, {"style": "modern shelf"}), lapse)
        np.testing.assert_allclose(probs, expected, atol=1e-12)


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
    refused("heldout-beds.jsonl, line 1: the user wants something else", lambda: build(tmp_path, heldout=others))
    unknown = [without({**one, "idx": one["idx"] + 1}, "goal_attrs", "goal_options") for one in USERS]
    refused("heldout-beds.jsonl, line 1: `idx` is 8, and 7 in ", lambda: build(tmp_path, heldout=unknown))


def test_what_makes_no_domain(tmp_path):
    refused("beds.jsonl: a lapse is fitted on other users; expected 2 users or more", lambda: build(tmp_path, [FIRST]))
    nothing = [FIRST, {**SECOND, "goal_attrs": [], "goal_options": {}}]
    refused("beds.jsonl, line 2: the user wants nothing", lambda: build(tmp_path, nothing))
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
