"""Every registered agent keeps its contract, and an agent that breaks it is told so in a sentence."""

import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agent import History, Prediction
from beliefbench.checking.agent_contract import check_agent_contract
from beliefbench.plugins.names import names

# Checked with their own tests: `prompted` and `endpoint` need a language model, `lowest` a feature.
AGENTS = [*sorted({*names("agent")} - {"prompted", "endpoint", "inspect", "lowest"}), "lowest:duration"]


@pytest.mark.parametrize("spec", AGENTS)
def test_registered_agents_keep_the_contract(spec, flights):
    findings = check_agent_contract(lambda domain: bb.load_agent(spec, domain), flights)
    assert len(findings) == 7
    assert [result for result in findings if not result.passed] == []


class Steady:
    """Keeps the contract: it names the option that shines most, and counts the user's rounds into its confidence."""

    name, version = "steady", "1"
    probabilistic, privileged = True, False

    def identity(self):
        return {}

    def begin(self, brief, keys, truth=None):
        return History.begin(len(brief.features), keys)

    def predict(self, state, options):
        scores = np.exp((1 + state.stage) * options[..., 0])
        return Prediction(options[..., 0].argmax(axis=-1), scores / scores.sum(axis=-1, keepdims=True))

    def observe(self, state, options, recommended, chosen):
        return state.observe(options, chosen)


class Unnormalised(Steady):
    def predict(self, state, options):
        return Prediction(options[..., 0].argmax(axis=-1), np.ones(options.shape[:3]))


class Transposed(Steady):
    probabilistic = False

    def predict(self, state, options):
        return Prediction(super().predict(state, options).choice.T)


class Undeclared(Steady):
    probabilistic = False


class FourthOption(Steady):
    def predict(self, state, options):
        return Prediction(np.full(options.shape[:2], 3), np.full(options.shape[:3], 1 / 3))


class Counting(Steady):
    """Changes its state in predict."""

    def begin(self, brief, keys, truth=None):
        return {"asked": 0}

    def predict(self, state, options):
        state["asked"] += 1
        return Prediction(np.full(options.shape[:2], state["asked"] % 3), np.full(options.shape[:3], 1 / 3))

    def observe(self, state, options, recommended, chosen):
        return state


class Gossip(Steady):
    """A user's answers depend on the other users in the call."""

    def predict(self, state, options):
        scores = np.exp(options[..., 0] * (1 + state.chosen.sum() + len(options)))
        return Prediction(options[..., 0].argmax(axis=-1), scores / scores.sum(axis=-1, keepdims=True))


class Insistent(Steady):
    """Cannot go on where it gave no usable answer."""

    def observe(self, state, options, recommended, chosen):
        if (recommended < 0).any():
            raise IndexError("no option -1")
        return super().observe(state, options, recommended, chosen)


class Forgetful(Steady):
    """Learns of a round only where it was asked before, so that a stopped run cannot go on."""

    def begin(self, brief, keys, truth=None):
        return {"asked": set(), "stage": 0}

    def predict(self, state, options):
        state["asked"].add(state["stage"])
        return Prediction(np.full(options.shape[:2], len(state["asked"]) % 3), np.full(options.shape[:3], 1 / 3))

    def observe(self, state, options, recommended, chosen):
        return {"asked": set(state["asked"]), "stage": state["stage"] + 1}


class Unwritten(Steady):
    def identity(self):
        return {"model": object()}


class Speechless(Steady):
    predict = None


class Unmade(Steady):
    def __init__(self, domain):
        raise OSError("no weights here")


BROKEN_AGENTS = {
    Unnormalised: ("answers", "probs must sum to 1 for each set, to within 1e-06; a sum differs by 2.0e+00"),
    Transposed: ("answers", "choice is int64[4, 5]; expected int[5, 4]."),
    Undeclared: ("answers", "probabilistic is False, but probs is ndarray."),
    FourthOption: ("answers", "choices are 0, 1, 2, or -1 for none; got 3 to 3."),
    Counting: (
        "predict leaves the state as it is",
        "it answered differently when it was asked again: 20 of 20 choices differ.",
    ),
    Gossip: ("one user alone", "alone at stage 0, user 0 got others: a probability differs by"),
    Insistent: ("no usable answer", "raised IndexError: no option -1."),
    Forgetful: ("replay", "it answered differently after a replay of the same rounds"),
    Unwritten: ("identity", "identity()['model'] is a object; expected JSON"),
    Speechless: ("members", "there is no method predict."),
    Unmade: ("made", "raised OSError: no weights here."),
}


@pytest.mark.parametrize("broken", BROKEN_AGENTS, ids=lambda broken: broken.__name__)
def test_a_broken_agent_is_told_in_a_sentence(broken, flights):
    check, sentence = BROKEN_AGENTS[broken]
    findings = {
        result.check: result for result in check_agent_contract(broken if broken is Unmade else broken(), flights)
    }
    assert not findings[check].passed
    assert sentence in findings[check].detail


def test_a_sound_agent_has_no_failing_finding(coins):
    assert all(result.passed for result in check_agent_contract(Steady(), coins))
