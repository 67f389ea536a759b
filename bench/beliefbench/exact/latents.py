"""The hypotheses of a model: all combinations of values of its latent sites, found by tracing the model once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import BeliefBenchError, TooLargeError, in_short, let_pass
from beliefbench.exact.contract import hold

MEMORY_BUDGET = 4 * 2**30  # bytes that a call may hold at once
HYPOTHESIS_BYTES = 64  # what each hypothesis may take of it: its number, its latents, its weight


@dataclass(frozen=True)
class LatentSite:
    """A latent site: its name, its shape, and the values that each of its elements can take."""

    name: str
    shape: tuple[int, ...]
    values: np.ndarray

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True)
class LatentSpace:
    """All hypotheses of a model: the product of its latent sites' values, in lexicographic order."""

    sites: tuple[LatentSite, ...]

    @property
    def size(self) -> int:
        size = 1
        for site in self.sites:
            size *= len(site.values) ** site.elements
        return size

    def values(self, number: Any) -> dict[str, Any]:
        """Return the sites' values in the hypotheses ``number``: int[n] -> {name: [n, *shape]}; of NumPy arrays, NumPy
        arrays, else JAX arrays."""
        module: Any = np if isinstance(number, np.ndarray) else jnp  # to compile each of these steps takes a second
        values: dict[str, Any] = {}
        for site in reversed(self.sites):
            base, digits = len(site.values), []
            for _ in range(site.elements):
                digits.append(number % base)
                number = number // base
            index = module.stack(digits[::-1], axis=-1).reshape(*module.shape(number), *site.shape)
            values[site.name] = module.asarray(site.values)[index]
        return values


def latent_space(domain: Domain) -> LatentSpace:
    """Return the latent space of a domain's model, found by tracing it. The first call for a domain checks the model
    (`beliefbench.exact.contract`).

    Raises
    ------
    BeliefBenchError
        If a latent site is not discrete with finitely many values, there is no observed site ``"choice"``, or exact
        inference would give wrong numbers.
    TooLargeError
        If there are more than 67,108,864 hypotheses, which do not fit into the memory budget.

    >>> import beliefbench as bb
    >>> latent_space(bb.load_domain("flights")).size
    624
    """
    space = unchecked_space(domain)
    _hold_once(domain)
    return space


def unchecked_space(domain: Domain) -> LatentSpace:
    """Return what `latent_space` returns, without checking the model.

    A caller must call `latent_space` before it returns a number; the check can then run while something is compiled.
    """
    space = _traced_space(domain)
    _check_size(domain, space.size)
    return space


def latents_of(domain: Domain) -> dict[str, np.ndarray]:
    """Return the meaning of each entry of a posterior: the values of every latent site in each hypothesis.

    Returns
    -------
    dict[str, np.ndarray]
        ``{site: value[hypotheses, *shape]}``, in the order of `beliefbench.posterior`.

    Raises
    ------
    BeliefBenchError, TooLargeError
        As `latent_space`.

    >>> import beliefbench as bb
    >>> {site: values.shape for site, values in latents_of(bb.load_domain("flights")).items()}
    {'person': (624,)}
    """
    space = latent_space(domain)
    with jax.enable_x64(True):
        return {name: np.asarray(value) for name, value in space.values(np.arange(space.size)).items()}


def _check_size(domain: Domain, size: int) -> None:
    held = size * HYPOTHESIS_BYTES
    if held > MEMORY_BUDGET:
        raise too_large(domain.name, size, "to enumerate them takes", held, "use a smaller domain")


@lru_cache(maxsize=64)
def _traced_space(domain: Domain) -> LatentSpace:
    found: list[tuple[str, tuple[int, ...]]] = []

    def supports(fixed: dict[str, Any] | None = None) -> list[Any]:
        """Trace the model, with some latents ``fixed``; note its latent sites in ``found``, and return the values of
        each."""
        one_round = jnp.zeros((1, OPTIONS, len(domain.features))), jnp.zeros(1, jnp.int64)
        try:
            model = handlers.substitute(handlers.seed(domain.model, jax.random.key(0)), data=fixed or {})
            traced = handlers.trace(model).get_trace(*one_round)
        except (NotImplementedError, jax.errors.ConcretizationTypeError):  # bounds that only a plain trace knows
            raise
        except BaseException as error:  # a plugin's model may raise anything
            let_pass(error)
            raise BeliefBenchError(f"{domain.name}: its model raised {in_short(error)}") from error
        found.clear()
        values, size = [], 1
        for name, site in traced.items():
            if site["type"] != "sample" or site["is_observed"]:
                continue
            if not site["fn"].has_enumerate_support or site["fn"].event_shape:
                raise BeliefBenchError(
                    f"{domain.name}: latent site '{name}' ({type(site['fn']).__name__}) is not discrete with finitely "
                    "many values, which exact enumeration needs; use Categorical, DiscreteUniform or Bernoulli."
                )
            enumerate_support = partial(site["fn"].enumerate_support, expand=False)
            shape = tuple(site["fn"].batch_shape)
            try:
                number = jax.eval_shape(enumerate_support).shape[0]
            except jax.errors.ConcretizationTypeError:  # bounds that are arrays
                number = len(enumerate_support())
            size *= number ** int(np.prod(shape, dtype=int))
            _check_size(domain, size)  # before the values of a site are listed, which alone may be too many
            found.append((name, shape))
            values.append(enumerate_support().ravel())
        if "choice" not in traced or not traced["choice"]["is_observed"]:
            raise BeliefBenchError(f"{domain.name}: its model has no observed site 'choice'.")
        return values

    with jax.enable_x64(True):
        # Compiled as one, without what the model computes besides: one by one its operations take a second to compile.
        try:
            values = jax.jit(supports)()
        except (NotImplementedError, jax.errors.ConcretizationTypeError):
            values = _supports_of_all(domain.name, supports, found)
    sites = (LatentSite(*one, np.asarray(of_site)) for one, of_site in zip(found, values, strict=True))
    return LatentSpace(tuple(sites))


@lru_cache(maxsize=64)
def _hold_once(domain: Domain) -> None:
    hold(domain, domain.model, _traced_space(domain))


def _supports_of_all(
    name: str, supports: Callable[[dict[str, Any]], list[Any]], found: list[tuple[str, tuple[int, ...]]]
) -> list[Any]:
    """Return the values of each latent site, traced plainly; raise if they depend on the values of other sites."""
    values = supports({})
    for end in (0, -1):
        fixed = {site: jnp.full(shape, of_site[end]) for (site, shape), of_site in zip(found, values, strict=True)}
        for before, after, (site, _) in zip(values, supports(fixed), [*found], strict=True):
            if not np.array_equal(before, after):
                raise BeliefBenchError(
                    f"{name}: the values of latent site '{site}' depend on another latent site; give it all values, "
                    "and a prior of zero to those that cannot be (Categorical)."
                )
    return values


def too_large(name: str, size: int, what: str, held: int, mend: str) -> TooLargeError:
    """Return the error for a call that does not fit into the memory budget; ``held`` in bytes."""
    return TooLargeError(
        f"{name} has {size:,} hypotheses: {what} {held / 2**30:,.1f} GiB, and the limit is "
        f"{MEMORY_BUDGET / 2**30:,.0f} GiB; {mend}."
    )
