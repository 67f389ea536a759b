"""How often recorded people choose at random is fitted, for each of them, on all the others."""

from __future__ import annotations

import numpy as np

import beliefbench as bb
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol
from beliefbench.released.people import LAPSES, fitted_lapses, log_evidence, with_lapse


def test_nobodys_own_choices_set_their_lapse(flights):
    """Lapse 0.3 among 60 people: fitted within 0.12 (some 3 standard errors; it fails at 3 seeds in 1,000)."""
    noisy = bb.load_domain("flights,user_lapse=0.3")
    episodes = Episodes(noisy, Protocol(users=60, rounds=12, heldout=1))
    lapses = fitted_lapses(flights, episodes.options, episodes.chosen)
    assert abs(lapses - 0.3).max() < 0.12
    changed = episodes.chosen.copy()
    changed[0] = (changed[0] + 1) % 3
    again = fitted_lapses(flights, episodes.options, changed)
    assert again[0] == lapses[0]
    assert set(lapses) <= set(LAPSES)


def test_the_evidence_of_a_lapse_is_the_sum_over_people_written_anew(flights, people):
    episodes = Episodes(flights, Protocol(users=3, rounds=4, heldout=1))
    reward = np.einsum("urkf,hf->uhrk", episodes.options, people)
    top = reward >= reward.max(axis=-1, keepdims=True) - 1e-9
    probs = np.take_along_axis(top / top.sum(-1, keepdims=True), episodes.chosen[:, None, :, None], axis=-1)[..., 0]
    found = log_evidence(with_lapse(flights, LAPSES), episodes.options, episodes.chosen)
    for column, lapse in ((0, LAPSES[0]), (30, LAPSES[30])):
        expected = np.log(((1 - lapse) * probs + lapse / 3).prod(axis=-1).mean(axis=1))
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-10)
