"""What exact inference needs of a model, held against every model before its first answer.

Two things are checked. What depends on what, in the traced program: the prior of a hypothesis depends on nothing else,
and the choice in a round depends on the hypothesis and on the options of that round. And numbers: the joint density
that exact inference uses is the one that NumPyro computes (`numpyro.infer.util.log_density`), on several hypotheses,
rounds and choices. A model that fails would get wrong numbers, so it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval
from numpyro import handlers
from numpyro.distributions import constraints
from numpyro.infer.util import log_density

from beliefbench.domain import OPTIONS, Domain
from beliefbench.errors import BeliefBenchError, first_line, let_pass
from beliefbench.exact.hypothesis import log_prior_of, terms_of_batch

HYPOTHESES, LEAST = 512, 64
HISTORY = np.array([4, 1])  # the sets of a history, among those of others, so that no place may matter
SETS = 5
CLOSE = 1e-8  # of logarithms of densities
RULED_OUT = -15.0  # NumPyro gives what is impossible a logarithm below it, and not minus infinity
QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}
EXPECTED = "expected a model whose choice in a round depends on the latent sites and the options of that round alone"


def hold(domain: Domain, model: Callable[..., Any], space: Any) -> None:
    """Raise `BeliefBenchError` if exact inference would give wrong numbers for a model with the latent ``space``."""
    _hold_grids(domain)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, space.size, HYPOTHESES) if space.size > HYPOTHESES else np.arange(space.size)
    numbers = np.resize(numbers, max(len(numbers), LEAST))
    options = np.stack([rng.choice(feature.grid, (SETS, OPTIONS)) for feature in domain.features], axis=-1)
    choices = rng.integers(0, OPTIONS, (len(numbers), SETS))
    with jax.enable_x64(True):
        try:
            latents = space.values(numbers)
            program = _Program(
                domain.name, model, {name: value[0] for name, value in latents.items()}, options, choices[0]
            )
            _hold_sites(domain.name, program.sites, space)
            _hold_dependence(domain.name, program)
            _hold_density(domain.name, program, latents, options, choices)
        except BeliefBenchError:
            raise
        except BaseException as error:  # a plugin's model may raise anything
            let_pass(error)
            raise BeliefBenchError(
                f"{domain.name}: its model raised {type(error).__name__}: {first_line(error)}"
            ) from error


def _hold_grids(domain: Domain) -> None:
    for feature in domain.features:
        grid = np.asarray(feature.grid, dtype=float)
        ascending = grid.ndim == 1 and len(grid) and (np.diff(grid) > 0).all()
        if not (ascending and grid[0] >= 0 and grid[-1] <= 1):  # NaN is neither
            raise BeliefBenchError(
                f"{domain.name}: the grid of {feature.name} is {feature.grid}; expected ascending numbers in [0, 1]."
            )


class _Program:
    """A model traced once with a history observed, and once with the sets of several users.

    ``jaxpr`` has the arguments options, choices, key, latents, and the outputs log prior, parameters at "choice",
    choices observed, log density by NumPyro, log density by exact inference, sums of probabilities.
    """

    def __init__(
        self, name: str, model: Callable[..., Any], latents: dict[str, Any], options: np.ndarray, choices: np.ndarray
    ) -> None:
        self.sites: dict[str, Any] = {}

        def outputs(options: Any, choices: Any, key: Any, latents: dict[str, Any]) -> Any:
            history = options[HISTORY], choices[HISTORY]
            theirs, sites = log_density(handlers.seed(model, key), history, {}, latents)
            self.sites.update(sites)
            if "choice" not in sites:
                raise BeliefBenchError(f"{name}: its model has no site 'choice' after {len(HISTORY)} rounds.")
            log_prior, log_probs, total = terms_of_batch(model, latents, options, choices)
            ours = log_prior + log_probs[HISTORY].sum()
            at_choice = jax.tree.leaves(sites["choice"]["fn"])
            return log_prior_of(sites), at_choice, sites["choice"]["value"], theirs, ours, total

        arguments = options, choices, jax.eval_shape(jax.random.key, 0), latents
        self.closed, shapes = jax.make_jaxpr(outputs, return_shape=True)(*arguments)
        self.parameters = len(shapes[1])

    def depends(self, *outputs: int) -> list[bool]:
        """Return whether some outputs depend on the options, on the choices and on the random key."""
        wanted = [at in outputs for at in range(len(self.closed.jaxpr.outvars))]
        return list(partial_eval.dce_jaxpr(self.closed.jaxpr, wanted)[1])[:3]


def _hold_sites(name: str, sites: dict[str, Any], space: Any) -> None:
    latents = {}
    for site_name, site in sites.items():
        if site["type"] != "sample":
            continue
        if site.get("scale") is not None:
            raise BeliefBenchError(
                f"{name}: site '{site_name}' is scaled (numpyro.handlers.scale, or a plate with a subsample), which "
                "exact enumeration does not do; remove the scale."
            )
        if not site["is_observed"]:
            latents[site_name] = tuple(site["fn"].batch_shape)
        elif site_name != "choice" and type(site["fn"]).__name__ != "Unit":
            raise BeliefBenchError(f"{name}: its model observes '{site_name}' besides 'choice'; observe choices alone.")
    after_one = {site.name: site.shape for site in space.sites}
    if latents != after_one:
        raise BeliefBenchError(
            f"{name}: its latent sites depend on the number of rounds ({after_one} for 1, {latents} for "
            f"{len(HISTORY)}); {EXPECTED}."
        )
    choice = sites["choice"]["fn"]
    if choice.support is constraints.boolean:
        raise BeliefBenchError(f"{name}: site 'choice' is a {type(choice).__name__}, over two options; expected three.")
    if tuple(choice.batch_shape) != HISTORY.shape or choice.event_shape:
        raise BeliefBenchError(
            f"{name}: site 'choice' has batch shape {[*choice.batch_shape]} and event shape {[*choice.event_shape]} "
            f"for {len(HISTORY)} rounds; expected {[*HISTORY.shape]} and []."
        )


def _hold_dependence(name: str, program: _Program) -> None:
    options, choices, key = program.depends(0)
    if options or choices:
        raise BeliefBenchError(
            f"{name}: a factor or the prior depends on the {'choices' if choices else 'options'}; {EXPECTED}."
        )
    _, choices, drawn = program.depends(*range(1, 1 + program.parameters))
    if choices:
        raise BeliefBenchError(f"{name}: the distribution at 'choice' depends on the choices observed; {EXPECTED}.")
    if key or drawn:
        raise BeliefBenchError(f"{name}: its model draws random numbers (numpyro.prng_key or a subsample); {EXPECTED}.")


def _hold_density(
    name: str, program: _Program, latents: dict[str, Any], options: np.ndarray, choices: np.ndarray
) -> None:
    """Compare the joint density of a history, under some hypotheses, with NumPyro's own."""

    def densities(latents: dict[str, Any], choices: Any) -> Any:
        arguments = jax.tree.leaves((options, choices, jax.random.key(0), latents))
        return jax.core.eval_jaxpr(program.closed.jaxpr, program.closed.consts, *arguments)[-3:]

    compiled = jax.jit(jax.vmap(densities), compiler_options=QUICK)
    theirs, ours, total = (np.asarray(one) for one in compiled(latents, choices))
    if not (abs(total - 1) < 1e-6).all():
        worst = total.flat[abs(total - 1).argmax()]
        raise BeliefBenchError(
            f"{name}: the probabilities of options 0, 1 and 2 sum to {worst:.9g} for some set; expected 1."
        )
    impossible = (ours == -np.inf) & (theirs < RULED_OUT)
    with np.errstate(invalid="ignore"):
        apart = ~(impossible | (abs(ours - theirs) <= CLOSE * np.maximum(1, abs(theirs))))
    if apart.any():
        raise BeliefBenchError(
            f"{name}: NumPyro gives its model another joint density than the prior and the choices in single rounds "
            f"together; {EXPECTED}."
        )
