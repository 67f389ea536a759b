"""What was recorded of users, held to the shapes of `beliefbench.domain.Recorded`."""

from __future__ import annotations

from typing import Any

import numpy as np

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import BeliefBenchError


def check_recorded(domain: Domain) -> None:
    """Raise `BeliefBenchError` if the recorded arrays of a domain have not shapes that belong together.

    >>> import beliefbench as bb
    >>> check_recorded(bb.load_domain("flights"))  # has no recorded users
    """
    recorded = domain.recorded
    if recorded is None:
        return
    for name in ("chosen", "truth"):
        _expect(domain, name, getattr(recorded, name), None)
        if not np.isin(getattr(recorded, name), range(OPTIONS)).all():
            raise BeliefBenchError(f"domain '{domain.name}': its recorded {name} are not all 0, 1 or 2.")
    (users, rounds), a_set = recorded.chosen.shape, (OPTIONS, len(domain.features))
    heldout = recorded.truth.shape[1]
    own = (users,) if np.ndim(recorded.heldout) == 4 else ()
    _expect(domain, "options", recorded.options, (users, rounds, *a_set))
    _expect(domain, "heldout", recorded.heldout, (*own, heldout, *a_set))
    _expect(domain, "truth", recorded.truth, (users, heldout))
    for site, value in (recorded.latents or {}).items():
        _expect(domain, f"latents '{site}'", value, (users, *np.shape(value)[1:]))


def _expect(domain: Domain, name: str, found: Any, shape: tuple[int, ...] | None) -> None:
    """Raise an error if an array has not a shape, or for None, two dimensions."""
    if not hasattr(found, "shape"):
        raise BeliefBenchError(f"domain '{domain.name}': its recorded {name} are no array, but {type(found).__name__}.")
    if np.ndim(found) != 2 if shape is None else np.shape(found) != shape:
        expected = "two dimensions" if shape is None else list(shape)
        raise BeliefBenchError(
            f"domain '{domain.name}': its recorded {name} have shape {list(np.shape(found))}; expected {expected}."
        )
