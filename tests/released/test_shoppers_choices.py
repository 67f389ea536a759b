"""What the paper's web-shopping users choose: scores, the lapse and the exact answer, each by brute force."""

from pathlib import Path

import numpy as np

import beliefbench as bb
from beliefbench.protocol.episodes import choice_probs
from beliefbench.released.offers import Wanted, read_offer, score_agreement, wanted_by

from .shoppers_by_hand import (
    FIRST,
    FOURTH,
    SECOND,
    TEXTS,
    THIRD,
    USERS,
    build,
    goals_by_hand,
    read,
    rule_by_hand,
    score_by_hand,
    shown_in,
    without,
)


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
