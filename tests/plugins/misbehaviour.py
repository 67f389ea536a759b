"""A plugin file whose agents and domains misbehave, each in its own way; `test_misbehaviour.py` runs them all."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import beliefbench as bb
from beliefbench.agents.first import First
from beliefbench.domain import Recorded


class OwnInterrupt(KeyboardInterrupt):
    pass


class OwnBase(BaseException):
    def __str__(self):
        raise SystemExit("even its text")


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def raising(error):
    def function(self, *given):
        raise error

    return function


def answering(**changes):
    def predict(self, state, options):
        return dataclasses.replace(First.predict(self, state, options), **{k: v(options) for k, v in changes.items()})

    return predict


def probable(change):
    def predict(self, state, options):
        probs = np.random.default_rng(0).dirichlet([1, 1, 1], options.shape[:2])
        return bb.Prediction(probs.argmax(-1), change(probs))

    return predict


def fill(value):
    return lambda options: np.full(options.shape[:2], value)


class Bag:
    """A state that anybody can change."""

    def __init__(self):
        self.calls, self.seen, self.cache = 0, [], {}


def change_calls(self, state, options):
    state.calls += 1
    return First.predict(self, state, options)


def change_seen(self, state, options):
    state.seen.append(1)
    return First.predict(self, state, options)


def change_cache(self, state, options):
    state.cache[len(state.cache)] = 1
    return First.predict(self, state, options)


def asked_now(self, state, options):
    self.asked = True
    return First.predict(self, state, options)


def begin_bag(self, brief, keys, truth=None):
    return Bag()


def observe_bag(self, state, *given):
    return state


count = itertools.count()
identity = {
    "set": lambda self: {"seen": {1, 2}},
    "nan": lambda self: {"rate": float("nan")},
    "numpy": lambda self: {"rate": np.float32(0.5)},
    "array": lambda self: {"weights": np.zeros(2)},
    "bytes": lambda self: {"digest": b"abc"},
    "deep": lambda self: {"deep": deep(100_000)},
    "cyclic": lambda self: {"deep": (lambda one: one.append(one) or one)([])},
    "numbered": lambda self: {"widths": {1: 2}},
    "large": lambda self: {"prompt": "x" * 2_000_000},
    "digits": lambda self: {"size": 10**5000},
    "no-dict": lambda self: ["name", "x"],
    "raising": raising(RuntimeError("no identity")),
    "exiting": raising(SystemExit(0)),
    "restless": lambda self: {"time": next(count)},
    "another": lambda self: {"name": "somebody"},
}
AGENTS = {f"identity-{name}": {"identity": function} for name, function in identity.items()}
AGENTS |= {
    "exits": {"predict": raising(SystemExit(0))},
    "generator-exit": {"predict": raising(GeneratorExit())},
    "stops": {"predict": raising(StopIteration())},
    "interrupts": {"predict": raising(OwnInterrupt("mine"))},
    "base": {"predict": raising(OwnBase())},
    "deep-recursion": {"predict": lambda self, *given: self.predict(*given)},
    "begin-exits": {"begin": raising(SystemExit(0))},
    "observe-exits": {"observe": raising(GeneratorExit())},
    "made-exits": {"__init__": raising(SystemExit(0))},
    "made-base": {"__init__": raising(OwnBase())},
    "talks": {"predict": raising(RuntimeError("x" * 1_000_000))},
    "escapes": {"predict": raising(RuntimeError("\x1b[2J\x1b]0;owned\x07 gone \u202e"))},
    "counts-calls": {"begin": begin_bag, "observe": observe_bag, "predict": change_calls},
    "grows-a-list": {"begin": begin_bag, "observe": observe_bag, "predict": change_seen},
    "no-prediction": {"predict": lambda self, state, options: None},
    "list-of-choices": {"predict": lambda self, state, options: bb.Prediction([[0] * options.shape[1]] * 99)},
    "tokens-overflow": {"predict": answering(tokens=fill(3_000_000_000))},
    "tokens-negative": {"predict": answering(tokens=fill(-1))},
    "tokens-of-text": {"predict": answering(tokens=fill("many"))},
    "seconds-infinite": {"predict": answering(seconds=fill(float("inf")))},
    "text-of-bytes": {"predict": answering(text=fill(b"said"))},
    "text-of-numbers": {"predict": answering(text=fill(3))},
    "text-too-long": {"predict": answering(text=lambda options: np.full(options.shape[:2], "x" * 2_000_000, object))},
    "counts-of-text": {"predict": answering(counts=lambda options: {"refusals": "many"})},
    "note-of-bytes": {"note": b"noted"},
    "note-later": {"note": property(lambda self: 3 if self.asked else None), "asked": False, "predict": asked_now},
    "name-too-long": {"name": "n" * 5000},
    "half": {"probabilistic": True, "predict": probable(lambda probs: probs.astype(np.float16))},
    "off": {"probabilistic": True, "predict": probable(lambda probs: probs * (1 + 1.1e-6))},
    "doubled": {"probabilistic": True, "predict": probable(lambda probs: 2 * probs)},
}
BROKEN = set(AGENTS)
AGENTS |= {
    "long-name": {"name": "long-" + "n" * 1000},
    "surrogate": {"name": "path-\udcff", "identity": lambda self: {"path": "/\udcff", "widths": (1, 2)}},
    "text-surrogate": {"predict": answering(text=fill("said \ud800"))},
    "caches": {"begin": begin_bag, "observe": observe_bag, "predict": change_cache},
    "single": {"probabilistic": True, "predict": probable(lambda probs: probs.astype(np.float32))},
    "nearly": {"probabilistic": True, "predict": probable(lambda probs: probs * (1 + 9e-7))},
    "escaped": {"note": "\x1b[2J a long note " * 1000},
}
SOUND = set(AGENTS) - BROKEN
AGENTS = {
    name: type(name, (First,), {"name": name, **changes}) if "name" not in changes else type(name, (First,), changes)
    for name, changes in AGENTS.items()
}

flights = bb.load_domain("flights-2")
sets = np.tile(np.array(flights.features[0].grid[:1]), (3, 4, 4, 2))


def four(options, choices=None):
    person = numpyro.sample("person", dist.Bernoulli(0.5))
    logits = jnp.concatenate([options[..., 0] * (2 * person - 1), options[..., :1, 0]], axis=-1)
    numpyro.sample("choice", dist.Categorical(logits=logits), obs=choices)


def exiting(*given):
    raise SystemExit(0)


DOMAINS = {
    "four-drawn": {"draw": lambda key, count: jnp.zeros((count, 4, 2))},
    "four-recorded": {"recorded": Recorded(sets[:, :2], np.zeros((3, 2), int), sets[0], np.zeros((3, 4), int))},
    "four-chosen": {"model": four, "user_model": four},
    "parameters-set": {"parameters": {"seen": {1}}},
    "parameters-nan": {"parameters": {"rate": float("nan")}},
    "parameters-numpy": {"parameters": {"rate": np.int64(1)}},
    "model-exits": {"model": exiting, "user_model": exiting},
    "describe-exits": {"describe": exiting},
    "draw-exits": {"draw": exiting},
    "surrogate-domain": {"name": "trains-\udcff"},
    "long-domain": {"name": "n" * 5000},
}
BROKEN_DOMAINS = set(DOMAINS)
DOMAINS |= {"tuples": {"parameters": {"widths": (1, (2, 3)), "none": None}}}
DOMAINS = {name: dataclasses.replace(flights, **({"name": name} | changes)) for name, changes in DOMAINS.items()}
