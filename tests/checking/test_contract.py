"""Everything registered keeps its contract, and what breaks it is told in a sentence."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import beliefbench as bb
from beliefbench.agent import History, Prediction
from beliefbench.checking import check as checking
from beliefbench.checking.agent_contract import check_agent_contract
from beliefbench.checking.domain_contract import CHECKS, check_domain_contract
from beliefbench.checking.results import CheckResult, run_check
from beliefbench.errors import UsageError
from beliefbench.plugins.names import names

# Checked with their own tests: `prompted` and `endpoint` need a language model, `lowest` a feature.
AGENTS = [*sorted({*names("agent")} - {"prompted", "endpoint", "lowest"}), "lowest:duration"]


# Of the web shopping categories, which differ in their data alone, one.
DOMAINS = sorted({bb.load_suite(name)[0].name for name in names("domain")})


@pytest.mark.parametrize("name", DOMAINS)
def test_registered_domains_keep_the_contract(name):
    assert [result for result in check_domain_contract(bb.load_domain(name)) if not result.passed] == []


@pytest.mark.parametrize("spec", AGENTS)
def test_registered_agents_keep_the_contract(spec, flights):
    findings = check_agent_contract(lambda domain: bb.load_agent(spec, domain), flights)
    assert len(findings) == 7
    assert [result for result in findings if not result.passed] == []


def model_of(scores, latent=dist.Bernoulli(0.5), told=None):  # noqa: B008
    """A model in which ``person`` chooses by the softmax of ``scores(person, options)``, and of what it is told."""

    def model(options, choices=None):
        person = numpyro.sample("person", latent)
        logits = scores(person, options)
        if told is not None and choices is not None:
            logits = told(logits, choices)
        numpyro.sample("choice", dist.Categorical(probs=jax.nn.softmax(logits)), obs=choices)

    return model


def by_shine(person, options):
    return (2.0 * person - 1) * options[..., 0]


def tilted(options, choices=None):
    numpyro.factor("tilt", 0.5)
    model_of(by_shine)(options, choices)


def unobserved(options, choices=None):
    numpyro.sample("person", dist.Bernoulli(0.5))


def one_for_all_rounds(options, choices=None):
    person = numpyro.sample("person", dist.Bernoulli(0.5))
    numpyro.sample(
        "choice", dist.Categorical(probs=jax.nn.softmax(by_shine(person, options).mean(axis=0))), obs=choices
    )


def thirds(sets, value=0.5):
    return jnp.full((sets, 3, 1), value)


def shuffled_grid(name):
    return (bb.Feature(name, name, (1.0, 0.0, 0.5), str),)


BROKEN_DOMAINS = {
    "no version": ({"version": ""}, "names", "version is ''; expected some text."),
    "a list of features": (
        {"features": []},
        "features",
        "features is []; expected a tuple of one bb.Feature or more.",
    ),
    "a grid out of order": (
        {"features": shuffled_grid("shine")},
        "features",
        "the grid of shine is [1.0, 0.0, 0.5]; expected ascending numbers in [0, 1].",
    ),
    "not a number in its identity": ({"parameters": {"hit": float("nan")}}, "identity", "Out of range float values"),
    "a dimension missing": (
        {"draw": lambda key, sets: jnp.zeros((sets, 3))},
        "draw",
        "draw(key, 8) gave shape (8, 3); expected (8, 3, 1).",
    ),
    "off the grid": (
        {"draw": lambda key, sets: thirds(sets, 0.3)},
        "draw",
        "draw gave shine = 0.3, which is not on its",
    ),
    "the same for every key": ({"draw": lambda key, sets: thirds(sets)}, "draw", "the same sets for two keys"),
    "drawn without the key": (
        {"draw": lambda key, sets: np.random.default_rng().integers(0, 3, (sets, 3, 1)) / 2},
        "draw",
        "draw gave other sets for the same key; it may depend on the key alone.",
    ),
    "drawn in NumPy": (
        {"draw": lambda key, sets: thirds(sets, 0.5 * (int(jax.random.key_data(key)[1]) % 3))},
        "draw",
        "raised ConcretizationTypeError",
    ),
    "all options read alike": (
        {"describe": lambda option: "a coin"},
        "describe",
        "describe gave 'a coin' both for [0.0] and for [0.5].",
    ),
    "no text": ({"describe": lambda option: " "}, "describe", "describe([0.0]) gave ' '; expected some text."),
    "a continuous latent": (
        {"model": model_of(by_shine, dist.Normal(0, 1))},
        "latent sites",
        "latent site 'person' (Normal) is not discrete with finitely many values",
    ),
    "nothing observed": ({"model": unobserved}, "latent sites", "its model has no observed site 'choice'."),
    "a prior that does not sum to 1": (
        {"model": tilted},
        "prior",
        "the prior over all hypotheses sums to 1.64872127; expected 1.",
    ),
    "one choice for all rounds": (
        {"model": one_for_all_rounds},
        "choice",
        "site 'choice' has shape [] where rounds = 1; expected [1].",
    ),
    "a fourth option": (
        {"model": model_of(lambda person, options: jnp.zeros((len(options), 4)))},
        "choice",
        "the probabilities of options 0, 1 and 2 sum to 0.75 for some set; expected 1.",
    ),
    "rounds that look at each other": (
        {"model": model_of(lambda person, options: by_shine(person, options * (1 + options[0, 0, 0])))},
        "rounds independent",
        "what is chosen from set 1 depends on the sets of other rounds.",
    ),
    "choices that look at each other": (
        {"model": model_of(by_shine, told=lambda logits, choices: logits * choices.mean())},
        "rounds independent",
        "what is chosen in a round depends on the choices that the model is told.",
    ),
    "a taste for the first": (
        {"model": model_of(lambda person, options: by_shine(person, options) + jnp.array([0.5, 0.0, 0.0]))},
        "options exchangeable",
        "naming the options of a set in another order changes a probability by",
    ),
    "users of another kind": (
        {"user_model": model_of(by_shine, dist.DiscreteUniform(0, 4))},
        "user model",
        "the latent sites of user_model (person) are not those of model (person) value for value.",
    ),
}


@pytest.mark.parametrize("case", BROKEN_DOMAINS)
def test_a_broken_domain_is_told_in_a_sentence(case, make_coins):
    changes, check, sentence = BROKEN_DOMAINS[case]
    domain = make_coins("broken", 0.8, **changes)
    with jax.enable_x64(True):
        result = run_check(check, partial(CHECKS[check], domain))
    assert not result.passed
    assert sentence in result.detail


def test_a_broken_member_hides_no_other_check(make_coins):
    findings = check_domain_contract(make_coins("broken", 0.8, model=None, describe=None, version=None))
    assert [result.check for result in findings] == list(CHECKS)
    assert [result.check for result in findings if result.passed] == ["features", "identity", "draw"]


def test_a_sound_domain_has_no_failing_finding(coins):
    assert all(result.passed for result in check_domain_contract(coins))


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
    Unnormalised: ("answers", "probs must be numbers of 0 or more that sum to 1 for each set."),
    Transposed: ("answers", "choice is int64[4, 5]; expected int[5, 4]."),
    Undeclared: ("answers", "probabilistic is False, but probs is ndarray."),
    FourthOption: ("answers", "choices are 0, 1, 2, or -1 for none; got 3 to 3."),
    Counting: (
        "predict leaves the state as it is",
        "asked the same again, it answered otherwise: 20 of 20 choices differ.",
    ),
    Gossip: ("one user alone", "alone at stage 0, user 0 got others: a probability differs by"),
    Insistent: ("no usable answer", "raised IndexError: no option -1."),
    Forgetful: ("replay", "told the same rounds again without being asked, it answered otherwise"),
    Unwritten: ("identity", "raised TypeError: Object of type object is not JSON serializable."),
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


def test_an_agent_by_its_spec_leaves_evidence(tmp_path):
    lines = []
    assert checking.check("lowest:duration", evidence_folder=tmp_path / "checks", report=lines.append)
    record = json.loads((tmp_path / "checks" / "lowest-duration.json").read_text())
    *findings, where = lines
    assert len(findings) == len(record["findings"]) == 7
    assert where == f"--    evidence: {tmp_path / 'checks' / 'lowest-duration.json'}"
    assert lines[0] == "ok    members: lowest:duration, version 1; only chooses."
    assert record["identity"]["feature"] == "duration"
    assert record["versions"]["numpyro"]
    assert [file.name for file in (tmp_path / "checks").iterdir()] == ["lowest-duration.json"]


def test_a_name_that_is_a_domain_and_an_agent_is_checked_as_both(tmp_path, monkeypatch, coins):
    coins = replace(coins, name="random")
    monkeypatch.setattr(checking, "is_domain", lambda name: True)
    monkeypatch.setattr(checking, "load_suite", lambda name: (coins,))
    monkeypatch.setattr(checking, "check_domain_contract", lambda domain: [CheckResult("describe", False, "no text.")])
    lines = []
    assert not checking.check("random", evidence_folder=tmp_path, report=lines.append)
    assert "FAIL  describe: no text." in lines
    assert "--    exact inference was not compared with PyMC, since the contract does not hold." in lines
    kinds = {file.name: json.loads(file.read_text())["kind"] for file in tmp_path.iterdir()}
    assert kinds == {"random.domain.json": "domain", "random.agent.json": "agent"}


def test_an_unknown_name_is_answered_with_the_nearest_of_both_kinds(tmp_path):
    for given, near in (("flihgts", "flights"), ("bayesain", "bayesian")):
        with pytest.raises(UsageError, match=f"there is no domain or agent '{given}'; did you mean '{near}'?"):
            checking.check(given, evidence_folder=tmp_path, report=print)


def test_an_agent_that_needs_a_model_says_so(tmp_path):
    with pytest.raises(UsageError, match="agent 'lowest': lowest needs model"):
        checking.check("lowest", evidence_folder=tmp_path, report=print)
