"""A language model as an agent, with a scripted model: what it is asked in each way, and what its answers become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agents.prompted import Scoring, Writing
from beliefbench.checking.agent_contract import check_agent_contract
from beliefbench.exact.questionnaire import choices_of_levels
from beliefbench.language.assistant import Assistant
from beliefbench.language.questions.conversations import PromptStyle
from beliefbench.language.replies.alternatives import levels_of, options_of
from beliefbench.leaderboard.forms.markdown import to_markdown
from beliefbench.leaderboard.forms.terminal import to_full_text
from beliefbench.leaderboard.ranking import read_leaderboard

LEVELS = np.array([0.05, 0.1, 0.2, 0.25, 0.4])


@dataclass
class Scored:
    log_probs: np.ndarray
    tokens: np.ndarray


@dataclass
class Written:
    text: np.ndarray
    tokens: np.ndarray


@dataclass
class ScriptedModel:
    """Finds options as likely as `OPTIONS` and levels as `LEVELS`; writes what a script says to a question."""

    says: Callable[[str], str] = lambda question: ""
    asked: list[str] = field(default_factory=list)
    note = ""

    def identity(self) -> dict[str, str]:
        return {"script": "test"}

    def score(self, dialogues, answers: Sequence[str]) -> Scored:
        self.asked += [question for dialogue in dialogues for question in dialogue.questions]
        probs = LEVELS if len(answers) == 5 else OPTIONS
        shape = len(dialogues), len(dialogues[0].questions)
        return Scored(np.log(np.tile(probs / 7, (*shape, 1))), np.full(shape, 7))

    def write(self, dialogues, longest: int) -> Written:
        questions = [list(dialogue.questions) for dialogue in dialogues]
        self.asked += [question for row in questions for question in row]
        text = np.array([[self.says(question) for question in row] for row in questions], dtype=object)
        return Written(text, np.full(text.shape, longest))


OPTIONS = np.array([0.5, 0.3, 0.2])


def keys(users: int):
    return jax.random.split(jax.random.key(0), users)


def scoring(domain: bb.Domain, model: ScriptedModel, **ways: str) -> Assistant:
    return Assistant("script", "1", domain, Scoring(model), PromptStyle.of(**ways))


def writing(domain: bb.Domain, says: Callable[[str], str], probabilistic: bool, **ways: str) -> Assistant:
    return Assistant("script", "1", domain, Writing(ScriptedModel(says), probabilistic, 9, ""), PromptStyle.of(**ways))


def asked_once(agent: Assistant, flights: bb.Domain, sets: np.ndarray) -> bb.Prediction:
    return agent.predict(agent.begin(bb.Brief.of(flights), keys(len(sets))), sets)


@pytest.fixture
def sets(simulator) -> np.ndarray:
    return simulator.options(np.random.default_rng(0), 2, 3)


def test_what_is_written_is_read(flights, sets):
    agent = writing(flights, lambda question: "I would take Flight 2.", probabilistic=False)
    answers = asked_once(agent, flights, sets)
    assert answers.probs is None
    assert (answers.choice == 1).all()
    assert (answers.tokens == 9).all()
    assert answers.text[0, 0] == "I would take Flight 2."


def test_probabilities_in_json_are_asked_for_and_read(flights, sets):
    said = '{"Flight 1": 0.2, "Flight 2": 0.2, "Flight 3": 0.6}'
    agent = writing(flights, lambda question: said, probabilistic=True)
    answers = asked_once(agent, flights, sets)
    np.testing.assert_allclose(answers.probs, np.tile([0.2, 0.2, 0.6], (2, 3, 1)))
    assert all(question.endswith(options_of("Flight").in_json) for question in agent.model.model.asked)


def test_what_cannot_be_used_is_no_answer(flights, sets):
    for probabilistic in (True, False):
        answers = asked_once(writing(flights, lambda question: "Flight 1 or 2.", probabilistic), flights, sets)
        assert (answers.choice == -1).all()


def test_thoughts_are_asked_for_and_only_the_conclusion_counts(flights, sets):
    says = "Flight 1 is cheap, Flight 3 is short. The best option is Flight 3."
    agent = writing(flights, lambda question: says, probabilistic=False, think="yes")
    assert (asked_once(agent, flights, sets).choice == 2).all()
    assert all("Think step by step" in question for question in agent.model.model.asked)


def test_beliefs_beside_choices_change_no_choice_and_cost_their_tokens(flights, sets):
    plain, beside = (asked_once(scoring(flights, ScriptedModel(), beliefs=way), flights, sets) for way in ("no", "yes"))
    np.testing.assert_array_equal(beside.choice, plain.choice)
    np.testing.assert_array_equal(beside.probs, plain.probs)
    assert plain.beliefs is None
    np.testing.assert_allclose(beside.beliefs, np.tile(LEVELS, (2, 4, 1)))
    assert plain.tokens.tolist() == [[7, 7, 7]] * 2
    assert beside.tokens.tolist() == [[7 + 4 * 7, 7, 7]] * 2  # one question a feature


def test_beliefs_alone_are_turned_into_choices_by_the_domains_model(flights, sets):
    model = ScriptedModel()
    answers = asked_once(scoring(flights, model, beliefs="only"), flights, sets)
    for user in range(2):
        expected = choices_of_levels(flights, np.tile(LEVELS, (4, 1)), sets[user])
        np.testing.assert_allclose(answers.probs[user], expected)
    assert answers.tokens.tolist() == [[4 * 7, 0, 0]] * 2
    assert len(model.asked) == 2 * 4
    assert all(question.endswith(levels_of(5).in_words) for question in model.asked)


def test_beliefs_that_cannot_be_used_imply_nothing(flights, sets):
    answers = asked_once(writing(flights, lambda question: "it depends", True, beliefs="only"), flights, sets)
    assert np.isnan(answers.beliefs).all()
    assert (answers.choice == -1).all()


def test_an_agent_that_only_chooses_has_probabilities_by_its_beliefs(flights, sets):
    agent = writing(flights, lambda question: "Your preference is 5.", probabilistic=False, beliefs="only")
    assert agent.probabilistic
    highest = np.tile(np.eye(5)[4], (4, 1))
    answers = asked_once(agent, flights, sets)
    np.testing.assert_allclose(answers.probs[0], choices_of_levels(flights, highest, sets[0]))


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"beliefs": "yes"},
        {"beliefs": "only"},
        {"history": "whole"},
        {"given": "preferences"},
        {"given": "posterior", "show": "numbers"},
    ],
)
def test_each_way_keeps_the_agent_contract(flights, ways):
    findings = check_agent_contract(scoring(flights, ScriptedModel(), **ways), flights)
    assert not [finding for finding in findings if not finding.passed]


def test_ways_are_part_of_a_runs_identity_and_stand_in_its_row(flights):
    plain, whole = (scoring(flights, ScriptedModel(), **ways) for ways in ({}, {"history": "whole", "beliefs": "yes"}))
    assert dict(whole.identity()) == {**plain.identity(), "history": "whole", "beliefs": "yes"}
    assert (plain.note, whole.note) == (None, "history=whole, beliefs=yes")
    assert scoring(flights, ScriptedModel(), given="preferences").privileged


@pytest.mark.parametrize("ways", [{"beliefs": "yes"}, {"given": "posterior"}])
def test_a_domain_without_a_questionnaire_is_refused_at_once(ways):
    with pytest.raises(bb.UsageError, match="webshop-backpacks has no questionnaire"):
        scoring(bb.load_domain("webshop-backpacks"), ScriptedModel(), **ways)


def test_a_run_holds_beliefs_beside_the_exact_ones(flights, tmp_path):
    """Before anything is seen, 125 of 624 people have each level but 3, "no strong preference", which 124 have."""
    agent = scoring(flights, ScriptedModel(), beliefs="yes")
    done = bb.run(flights, agent, users=3, rounds=2, heldout=4, results=tmp_path)
    rows = done.rows().to_pandas()
    stated = rows[rows["beliefs"].notna()]
    assert stated[["user", "stage", "question"]].drop_duplicates().shape[0] == 3 * 3
    first = stated[stated["stage"] == 0]
    exact = np.array([np.stack(one) for one in first["exact_beliefs"]])
    np.testing.assert_allclose(exact, np.tile(np.array([125, 125, 124, 125, 125]) / 624, (3, 4, 1)), atol=1e-12)
    np.testing.assert_allclose([np.stack(one) for one in first["beliefs"]], np.tile(LEVELS, (3, 4, 1)))
    assert rows["by_beliefs"].isin([0, 1, 2]).all()

    table = bb.leaderboard(tmp_path)
    start = table[table["round"] == 0].iloc[0]
    expected = abs(LEVELS - np.array([125, 125, 124, 125, 125]) / 624).sum() / 2
    assert start["belief_distance"] == pytest.approx(expected)
    heldout = rows[(rows["question"] >= 0) & (rows["stage"] == 0)]
    assert start["belief_accuracy"] == pytest.approx((heldout["by_beliefs"] == heldout["truth"]).mean())
    assert start["belief_consistency"] == pytest.approx((heldout["by_beliefs"] == heldout["choice"]).mean())
    assert start["tokens"] == rows["tokens"].sum() == 3 * (5 + 5 + 4) * 7 + 3 * 3 * 4 * 7


def test_what_is_not_stated_is_no_belief(flights, tmp_path):
    """It answers of the price alone: its distance is that of the price, and the rest counts as unknown."""
    says = '{"1": 1, "2": 0, "3": 0, "4": 0, "5": 0}'
    agent = writing(flights, lambda question: says if "for price" in question else "no idea", True, beliefs="only")
    bb.run(flights, agent, users=2, rounds=0, heldout=3, results=tmp_path / "price")
    row = bb.leaderboard(tmp_path / "price").iloc[0]
    assert row["belief_coverage"] == 0.25
    assert row["belief_distance"] == pytest.approx(1 - 125 / 624)
    assert row["coverage"] == 1
    silent = writing(flights, lambda question: "no idea", True, beliefs="only")
    bb.run(flights, silent, users=2, rounds=0, heldout=3, results=tmp_path / "silent")
    row = bb.leaderboard(tmp_path / "silent").iloc[0]
    assert np.isnan(row["belief_distance"])
    assert row["belief_coverage"] == row["coverage"] == row["belief_accuracy"] == 0
    assert "unusable answer" in to_full_text(read_leaderboard(tmp_path / "silent"))


def test_who_chooses_by_beliefs_is_consistent_with_them(flights, tmp_path):
    bb.run(flights, scoring(flights, ScriptedModel(), beliefs="only"), users=4, rounds=1, heldout=9, results=tmp_path)
    assert (bb.leaderboard(tmp_path)["belief_consistency"] == 1).all()


def test_tables_show_beliefs_and_what_answers_took_where_there_are_any(flights, tmp_path):
    protocol = {"users": 2, "rounds": 1, "heldout": 3, "results": tmp_path}
    bb.run(flights, "first", **protocol)
    plain = read_leaderboard(tmp_path)
    for page in (to_markdown(plain), to_full_text(plain)):
        assert "tokens" not in page
        assert "elief" not in page
    bb.run(flights, scoring(flights, ScriptedModel(), beliefs="yes"), **protocol)
    both = read_leaderboard(tmp_path)
    tokens = f"{2 * (4 + 3) * 7 + 2 * 2 * 4 * 7:,}"
    for page in (to_markdown(both), to_full_text(both)):
        assert tokens in page
    assert "beliefs 0" in to_markdown(both)
    assert "Stated beliefs: distance from the exact beliefs, % after round" in to_full_text(both)
    assert len([line for line in to_markdown(both).splitlines() if "script" in line]) == 3  # answers, ECE, beliefs
    assert len([line for line in to_markdown(both).splitlines() if "first" in line]) == 2
