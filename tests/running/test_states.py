"""What a state holds, and what counts as a change of it."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from beliefbench.running import states
from beliefbench.running.states import changed, held_by


def test_plain_values_are_found_at_their_places():
    state = SimpleNamespace(
        seen=[1, (True, None)], of={"a": 2.5, 3: "x", (4, 5): "left out"}, deep=SimpleNamespace(b=b"y")
    )
    found = held_by(state)
    assert found == {
        "len(.seen)": "2",
        ".seen[0]": "1",
        "len(.seen[1])": "2",
        ".seen[1][0]": "True",
        ".seen[1][1]": "None",
        ".of['a']": "2.5",
        ".of[3]": "'x'",
        ".deep.b": "b'y'",
    }
    assert held_by(7) == {"": "7"}


def test_arrays_are_told_apart_by_type_shape_and_values():
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.array([0.0, 0, 0, 1]), np.zeros(4, int)]
    found = [held_by([array])["[0]"] for array in arrays]
    assert len(set(found)) == len(found)
    assert held_by([np.zeros(4)])["[0]"] == found[0]


def test_what_cannot_be_compared_is_left_out(monkeypatch):
    monkeypatch.setattr(states, "LARGEST", 32)
    odd = [np.array([1, "a"], object), np.zeros(5), jnp.zeros(2), len, lambda: 0]
    assert held_by(odd) == {"len()": "5"}
    assert set(held_by([np.zeros(4), *odd])) == {"len()", "[0]"}


def test_arrays_of_64_mib_are_compared_and_no_larger_ones():
    assert set(held_by([np.zeros(67_108_864, np.uint8), np.zeros(67_108_865, np.uint8)])) == {"len()", "[0]"}


def test_a_state_that_holds_itself_has_an_end():
    state: list = [1]
    state.append(state)
    assert held_by(state) == {"len()": "2", "[0]": "1"}


@pytest.mark.parametrize("state", [list(range(50)), {str(one): one for one in range(50)}, SimpleNamespace(a=[0] * 50)])
def test_only_so_many_values_are_compared(monkeypatch, state):
    monkeypatch.setattr(states, "MOST", 10)
    assert len(held_by(state)) <= 11
    assert len(held_by(state)) >= 10


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, None),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, "b"),
        ({"a": "1"}, {"a": "1", "b": "2"}, None),  # a new cache
        ({"a": "None"}, {"a": "1"}, None),  # one that is filled
        ({"a": "1", "b": "2"}, {"b": "2"}, None),
        ({"a": "1"}, {"a": "None"}, "a"),
    ],
)
def test_a_change_is_another_value_at_the_same_place(before, after, where):
    assert changed(before, after) == where


def test_an_array_changed_in_place_and_a_longer_list_are_changes():
    state = SimpleNamespace(counts=np.zeros(3), seen=[1])
    before = held_by(state)
    state.counts[1] = 1
    assert changed(before, held_by(state)) == ".counts"
    state.counts[1] = 0
    state.seen.append(2)
    assert changed(before, held_by(state)) == "len(.seen)"
