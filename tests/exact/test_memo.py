"""One sweep for all that a run asks: the same bits as a sweep a stage, and no answer to anything else."""

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.exact import inference
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.answering import questions_at


@pytest.fixture(scope="module", params=["flights-3", "webshop-headphones", "flights-3,lapse=0.1"])
def episodes(request):
    """Shared held-out sets, sets of one's own, and choices that no hypothesis is excluded by."""
    return bb.Episodes(bb.load_domain(request.param), Protocol(users=40, rounds=3, heldout=5))


@pytest.fixture
def sweeps(monkeypatch):
    """The stages of each sweep that is made."""
    made = []
    real = inference.sweep
    monkeypatch.setattr(inference, "sweep", lambda domain, query: made.append(query.stages) or real(domain, query))
    return made


def asked(episodes, stage, who):
    history = episodes.options[who, :stage], episodes.chosen[who, :stage], questions_at(episodes, who, stage)
    return bb.predictives(episodes.domain, *history, on_contradiction="ignore")


def test_all_stages_come_from_one_sweep_with_the_same_bits(episodes, sweeps):
    who = np.array([7, 3, 3, 39])
    alone = [asked(episodes, stage, who) for stage in range(4)]
    assert sweeps == ["last"] * 4
    with episodes.remembering():
        for stage in range(4):
            np.testing.assert_array_equal(asked(episodes, stage, who), alone[stage])
    assert sweeps == ["last"] * 4 + ["all"]
    np.testing.assert_array_equal(episodes.exact[who, 2], alone[2][:, 0, :5])
    assert len(sweeps) == 5


def test_what_the_run_does_not_ask_is_computed(episodes, sweeps):
    who = np.arange(3)
    with episodes.remembering():
        asked(episodes, 1, who)
        before = len(sweeps)
        other = episodes.chosen[who, :1] * 0 + (episodes.chosen[who, :1] + 1) % 3
        options, queries = episodes.options[who, :1], questions_at(episodes, who, 1)
        bb.predictives(episodes.domain, options, other, queries, on_contradiction="ignore")
        bb.predictives(episodes.domain, options, episodes.chosen[who, :1], queries[:, :2], on_contradiction="ignore")
        assert len(sweeps) > before + 1
        after = len(sweeps)
        found = asked(episodes, 1, who)
        found[:] = 0  # an agent may spoil what it is handed
        assert asked(episodes, 1, who).sum() > 0
    assert len(sweeps) == after


def test_a_random_agent_needs_no_predictive_of_the_rounds_own_sets(sweeps, tmp_path):
    bb.run("flights-2", "random", users=4, rounds=2, heldout=3, results=tmp_path)
    assert sweeps == ["all"]
