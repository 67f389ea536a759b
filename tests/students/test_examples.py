"""The examples beside docs/students.md, "Transfer"."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import beliefbench as bb
from beliefbench.agent import Brief
from beliefbench.plugins.sources import add_plugin_folder, forget_plugin_folders

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example():
    """``example(NAME)``: the plugins of an example, which are forgotten after the test."""
    yield lambda name: add_plugin_folder(EXAMPLES / name)
    forget_plugin_folders()


def test_the_shoes_with_the_number_first_differ_in_nothing_else(example):
    example("number-first-shoes")
    swapped, original = map(bb.load_domain, ("number-first-shoes", "webshop-running-shoes"))
    for ours, theirs in zip(swapped.features, original.features, strict=True):
        values, others = ([one.show(value) for value in one.grid] for one in (ours, theirs))
        assert (ours.label, values) == (theirs.label, [re.sub(r"US (\d+)", r"\1 US", value) for value in others])
    assert "8 US" in [value for one in swapped.features for value in map(one.show, one.grid)]


def test_an_answer_in_every_order_follows_the_options(example):
    example("every-order")
    domain = bb.load_domain("flights-2")
    agent, reader = (bb.load_agent(name, domain) for name in ("every-order", "posterior-reader"))
    rounds, asked = np.asarray(domain.draw(jax.random.key(0), 6)).reshape(2, 3, 3, 2)
    keys = jax.random.split(jax.random.key(1), 1)
    states = [one.begin(Brief.of(domain), keys) for one in (agent, reader)]
    for options in rounds:
        states = [
            one.observe(state, options[None], np.array([0]), np.array([1]))
            for one, state in zip((agent, reader), states, strict=True)
        ]
    order = [2, 0, 1]
    probs, moved = (agent.predict(states[0], one[None]).probs for one in (asked, asked[:, order]))
    np.testing.assert_allclose(moved, probs[..., order], atol=1e-5)
    single, moved = (reader.predict(states[1], one[None]).probs for one in (asked, asked[:, order]))
    assert abs(moved - single[..., order]).max() > 0.001
