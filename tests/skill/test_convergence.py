"""R-hat and effective sample sizes are ArviZ's."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from beliefbench.skill.convergence import TAIL, Convergence


def _autoregressive(rng, chains, draws, correlation):
    values = rng.normal(size=(chains, draws))
    for draw in range(1, draws):
        values[:, draw] = correlation * values[:, draw - 1] + np.sqrt(1 - correlation**2) * values[:, draw]
    return values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("chains", "draws"), [(4, 1000), (2, 101), (3, 8)])
def test_they_are_those_of_arviz(chains, draws, dtype):
    rng = np.random.default_rng(0)
    quantities = [_autoregressive(rng, chains, draws, correlation) for correlation in (-0.6, 0.0, 0.5, 0.95)]
    quantities += [
        quantities[1].round(1),
        quantities[1] + np.arange(chains)[:, None],
        (quantities[1] > 1).astype(float),
    ]
    quantities.append(np.full((chains, draws), 0.5))  # never moved
    quantities.append(np.where(np.arange(draws) == 3, np.nan, quantities[0]))
    together = np.stack(quantities, axis=2).astype(dtype)
    found = Convergence.of(together)
    with np.errstate(all="ignore"):
        expected = (
            array_stats.rhat(together, chain_axis=0, draw_axis=1),
            array_stats.ess(together, chain_axis=0, draw_axis=1, method="bulk"),
            array_stats.ess(together, chain_axis=0, draw_axis=1, method="tail", prob=TAIL),
        )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)
