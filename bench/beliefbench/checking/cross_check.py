"""The cross-check of exact inference: a domain's NumPyro model and enumeration against its PyMC model and sampling.

Two things are compared. The log joint of histories with every hypothesis (in large spaces, with thousands of them) must
be the same number in both models. The choice probabilities from PyMC's chains must agree with the exact predictive
within Monte Carlo error; the chains must have mixed and visited every likely hypothesis.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import jax
import numpy as np
from scipy.stats import entropy, norm

from beliefbench.checking.results import CheckFailedError, Evidence, evidence, run_check
from beliefbench.domain import OPTIONS, Domain
from beliefbench.draws import key
from beliefbench.errors import BeliefBenchError, first_line
from beliefbench.exact.enumeration import log_weights
from beliefbench.exact.hypothesis import query_values
from beliefbench.exact.inference import posterior, predictive
from beliefbench.exact.latents import LatentSpace, latent_space
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol, population

LENGTHS = (1, 3, 5)  # rounds of the histories
MAX_POINTS = 5_000  # hypotheses compared a history
TOLERANCE = 1e-8  # how far two log joints may be apart
CANDIDATES = 64  # users among whom histories are looked for
QUERIES = 20  # option sets whose predictive is compared
CHAINS, DRAWS, WARMUP = 4, 20_000, 1_000  # DRAWS a chain, after WARMUP
FALSE_ALARMS = 1e-3  # how often a right model may fail the comparison of predictives
MAX_RHAT, MIN_ESS = 1.01, 400
SURE_VISITS = 20  # a hypothesis due this many independent draws is missed with probability exp(-20)


def cross_check(domain: Domain, *, seed: int = 0) -> Evidence:
    """Compare exact inference with the domain's PyMC model, and return the evidence. If there is no PyMC model, or no
    PyMC, the evidence says so.

    Parameters
    ----------
    seed
        Of the histories, the option sets and the chains.

    Raises
    ------
    BeliefBenchError
        If the domain's model explains the choices of no simulated user.
    """
    if domain.pymc_model is None:
        left_out = f"{domain.name} has no pymc_model: exact inference was not compared with PyMC."
        return evidence("domain", domain.identity(), [], left_out=(left_out,))
    if missing := missing_pymc():
        left_out = f"exact inference was not compared with PyMC: {missing}"
        return evidence("domain", domain.identity(), [], left_out=(left_out,))
    histories = simulated_histories(domain, seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyTensor could not link to a BLAS")  # nothing here multiplies matrices
        findings = [
            run_check(
                f"PyMC, log joint, rounds: {len(choices)}", partial(compare_log_joint, domain, options, choices, seed)
            )
            for options, choices in histories
        ]
        options, choices = histories[-1]
        findings.append(
            run_check(
                f"PyMC, sampling, rounds: {len(choices)}", partial(compare_sampling, domain, options, choices, seed)
            )
        )
    return evidence("domain", domain.identity(), findings, seeds={"seed": seed})


def missing_pymc() -> str | None:
    """Return why there is no PyMC here, with the command that installs it; None if there is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # arviz, which PyMC imports, announces its next version
            import pymc  # noqa: F401
    except ImportError as error:
        return f"PyMC cannot be imported ({first_line(error)}); pip install pymc"
    return None


def simulated_histories(domain: Domain, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return histories of 1, 3 and 5 rounds of different users: (float[rounds, 3, features], int[rounds]) each.

    Users whose choices the model cannot explain (noise, lapses) are skipped. The longest history is the one that leaves
    the most hypotheses: with few hypotheses a chain rarely moves and shows little.
    """
    users = min(CANDIDATES, population(domain))
    episodes = Episodes(domain, Protocol(users=users, rounds=max(LENGTHS), heldout=1, seed=seed))
    open_left = {}
    for user in range(users):
        joint = log_weights(domain, episodes.options[user], episodes.chosen[user])
        if np.isfinite(joint).any():
            open_left[user] = entropy(np.exp(joint - joint.max()))
    if not open_left:
        raise BeliefBenchError(f"the model of {domain.name} explains {max(LENGTHS)} rounds of none of {users} users.")
    by_openness = sorted(open_left, key=lambda user: open_left[user])
    picked = by_openness[0], by_openness[len(by_openness) // 2], by_openness[-1]
    return [
        (episodes.options[user, :rounds], episodes.chosen[user, :rounds])
        for user, rounds in zip(picked, LENGTHS, strict=True)
    ]


def compare_log_joint(
    domain: Domain, options: np.ndarray, choices: np.ndarray, seed: int
) -> tuple[str, dict[str, float]]:
    """Compare the log joint of a history with each hypothesis in both models. Of more than 5,000 hypotheses, a sample
    is used.

    Half of the sample are hypotheses that explain the history. Raises `CheckFailedError` if the models differ.
    """
    space, ours = latent_space(domain), log_weights(domain, options, choices)
    points = np.arange(space.size)
    if space.size > MAX_POINTS:
        rng, possible = np.random.default_rng(seed), np.flatnonzero(np.isfinite(ours))
        some = rng.choice(possible, min(MAX_POINTS // 2, len(possible)), replace=False)
        points = np.union1d(some, rng.choice(space.size, MAX_POINTS - len(some), replace=False))
    model = _pymc(domain, space, options, choices)
    log_joint = model.compile_logp()
    ours, theirs = ours[points], np.array([log_joint(point) for point in _points(model, space, points)], np.float64)
    impossible = np.isneginf(ours)
    gaps = abs(ours[~impossible] - theirs[~impossible])
    numbers = {
        "points": len(points),
        "at_minus_infinity": int(impossible.sum()),
        "only_one_at_minus_infinity": int((impossible != np.isneginf(theirs)).sum()),
        "max_abs_difference": float(gaps.max(initial=0)),
    }
    if numbers["only_one_at_minus_infinity"]:
        only_one = numbers["only_one_at_minus_infinity"]
        raise CheckFailedError(f"{only_one:,} of {len(points):,} hypotheses are possible in one model alone.", numbers)
    if not (gaps <= TOLERANCE).all():
        raise CheckFailedError(
            f"log joints differ by up to {gaps.max():.3g}; at most {TOLERANCE:g} is allowed.", numbers
        )
    return (
        f"the same for {len(points):,} hypotheses, {impossible.sum():,} of them impossible; "
        f"largest difference {gaps.max(initial=0):.2g}.",
        numbers,
    )


def compare_sampling(
    domain: Domain, options: np.ndarray, choices: np.ndarray, seed: int, draws: int = DRAWS
) -> tuple[str, dict[str, float]]:
    """Compare the exact predictive of 20 option sets with PyMC's chains, and check the chains.

    The choice probabilities also come from PyMC. R-hat, ESS and MCSE are computed for the predictive probabilities,
    because the number of a hypothesis has no scale. Raises `CheckFailedError` if a value is out of bounds.

    Parameters
    ----------
    draws
        Kept of each of 4 chains.
    """
    from arviz_stats.sampling_diagnostics import ess, mcse, rhat

    space, weights = latent_space(domain), posterior(domain, options, choices)
    queries = np.asarray(domain.draw(key(seed, domain.name, "cross-check"), QUERIES), np.float64)
    visits = _sample(_pymc(domain, space, options, choices), space, weights, seed, draws)
    visited, at = np.unique(visits, return_inverse=True)
    sampled = _pymc_choice_probs(domain, space, queries, visited)[at.reshape(visits.shape)]  # [chains, draws, sets * 3]
    exact = predictive(domain, options, choices, queries).ravel()
    spread = _spread(domain, space, weights, queries, exact)

    moving = np.ptp(sampled, axis=(0, 1)) > 0
    sizes, ratios, errors = np.full(len(exact), np.nan), np.full(len(exact), np.nan), np.zeros(len(exact))
    if moving.any():
        cells, axes = np.moveaxis(sampled, -1, 0)[moving], {"chain_axis": 1, "draw_axis": 2}
        sizes[moving] = np.nan_to_num(ess(cells, **axes))
        ratios[moving] = np.nan_to_num(rhat(cells, **axes), nan=np.inf)
        errors[moving] = np.nan_to_num(mcse(cells, **axes), nan=np.inf)
    # A certain probability needs no moves. An uncertain one whose chains never moved was not sampled.
    least_ess = float(sizes[moving].min()) if moving.any() else float(visits.size if spread.max() < 1e-6 else 0)
    sizes[~moving] = least_ess
    # A rare event that did not happen leaves a sample error of 0, so the exact spread is a floor under the error.
    errors = np.maximum(errors, spread / np.sqrt(np.maximum(sizes, 1)))
    difference = abs(sampled.mean(axis=(0, 1)) - exact)
    due = np.flatnonzero(weights * least_ess >= SURE_VISITS)
    numbers = {
        "draws": visits.size,
        "rhat_max": float(np.max(ratios, initial=1.0, where=moving)),
        "ess_bulk_min": least_ess,
        "mcse_max": float(errors.max()),
        "max_abs_difference": float(difference.max()),
        "max_abs_z": float((difference / np.maximum(errors, 1e-9)).max()),
        "z_bound": float(norm.isf(FALSE_ALARMS / 2 / len(exact))),
        "false_alarm_rate": FALSE_ALARMS,
        "hypotheses_possible": int((weights > 0).sum()),
        "hypotheses_visited": len(visited),
        "posterior_mass_visited": float(weights[visited].sum()),
        "hypotheses_due": len(due),
        "hypotheses_due_but_missed": len(np.setdiff1d(due, visited)),
    }
    return _judge(numbers), numbers


def _judge(numbers: dict[str, float]) -> str:
    """Return a sentence on the sampling, or raise `CheckFailedError` with everything that is out of bounds."""
    wrong = []
    if not numbers["rhat_max"] <= MAX_RHAT:
        wrong.append(f"R-hat reaches {numbers['rhat_max']:.4g} (at most {MAX_RHAT} for chains that mixed)")
    if not numbers["ess_bulk_min"] >= MIN_ESS:
        wrong.append(f"bulk ESS is as low as {numbers['ess_bulk_min']:.0f} (at least {MIN_ESS} is needed)")
    if numbers["hypotheses_due_but_missed"]:
        wrong.append(
            f"the chains never visited {numbers['hypotheses_due_but_missed']:,} of {numbers['hypotheses_due']:,} "
            f"hypotheses that were due {SURE_VISITS} visits or more"
        )
    if not numbers["max_abs_z"] <= numbers["z_bound"]:
        wrong.append(
            f"a predictive probability is {numbers['max_abs_z']:.3g} Monte Carlo standard errors from the exact one "
            f"(at most {numbers['z_bound']:.3g}, which a right model exceeds in {FALSE_ALARMS:g} of the time)"
        )
    if wrong:
        raise CheckFailedError(f"{'; '.join(wrong)}.", numbers)
    return (
        f"{QUERIES} option sets agree, at most {numbers['max_abs_z']:.2f} standard errors apart (bound "
        f"{numbers['z_bound']:.2f}); R-hat at most {numbers['rhat_max']:.4f}, bulk ESS at least "
        f"{numbers['ess_bulk_min']:,.0f}; visited {numbers['posterior_mass_visited']:.4%} of the posterior mass."
    )


def _pymc(domain: Domain, space: LatentSpace, options: np.ndarray, choices: np.ndarray) -> Any:
    assert domain.pymc_model is not None
    model = domain.pymc_model(options, choices)
    ours, theirs = sorted(site.name for site in space.sites), sorted(site.name for site in model.free_RVs)
    if ours != theirs:
        raise CheckFailedError(f"pymc_model has the latent sites {', '.join(theirs)}; expected {', '.join(ours)}.")
    if [site.name for site in model.observed_RVs] != ["choice"]:
        raise CheckFailedError("pymc_model must observe one site, 'choice'.")
    return model


def _points(model: Any, space: LatentSpace, numbers: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return hypotheses as PyMC takes them: {value variable: value}."""
    variables = {site.name: model.rvs_to_values[model[site.name]] for site in space.sites}
    with jax.enable_x64(True):
        values = {name: np.asarray(value) for name, value in space.values(numbers).items()}
    return [
        {variables[name].name: np.asarray(value[at], variables[name].dtype) for name, value in values.items()}
        for at in range(len(numbers))
    ]


def _numbers(space: LatentSpace, values: dict[str, np.ndarray]) -> np.ndarray:
    """Return the hypotheses with these site values: the inverse of `LatentSpace.values`, {name: [n, *shape]} -> [n]."""
    numbers = np.zeros((), np.int64)
    for site in space.sites:
        digits = np.searchsorted(site.values, values[site.name]).reshape(-1, site.elements)
        for digit in digits.T:
            numbers = numbers * len(site.values) + digit
    return numbers


def _sample(model: Any, space: LatentSpace, weights: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Return the hypotheses that PyMC's chains visit, int[chains, draws], started from different possible ones."""
    import pymc as pm

    possible = np.flatnonzero(weights)
    starts = np.random.default_rng(seed).choice(possible, CHAINS, replace=len(possible) < CHAINS)
    with model:
        # A uniform proposal goes from any category to any other, so that no gap in the support can hold a chain.
        # PyMC 5's "proportional" proposal does not leave the posterior as it is: .6, .3, .1 comes out as .48, .41, .11.
        step = pm.CategoricalGibbsMetropolis(model.free_RVs, proposal="uniform")
        trace = pm.sample(
            draws=WARMUP + draws,
            tune=0,
            chains=CHAINS,
            cores=1,  # forked workers can hang in a process that has run JAX
            step=step,
            initvals=_points(model, space, starts),
            random_seed=seed,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            return_inferencedata=False,
        )
    chains = [
        {site.name: trace.get_values(site.name, chains=[c], burn=WARMUP) for site in space.sites} for c in range(CHAINS)
    ]
    return np.stack([_numbers(space, values) for values in chains])


def _pymc_choice_probs(domain: Domain, space: LatentSpace, queries: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return P(choice) of option sets by PyMC's own likelihood, float64[numbers, queries * 3]."""
    # Each set is shown three times, with each option chosen once: one compilation gives the whole table.
    model = _pymc(domain, space, np.repeat(queries, OPTIONS, axis=0), np.tile(np.arange(OPTIONS), len(queries)))
    terms = model.logp(vars=model.observed_RVs, sum=False)
    likelihood = model.compile_fn(terms[0], inputs=model.value_vars, on_unused_input="ignore")
    return np.exp([likelihood(point) for point in _points(model, space, numbers)])


def _spread(
    domain: Domain, space: LatentSpace, weights: np.ndarray, queries: np.ndarray, exact: np.ndarray
) -> np.ndarray:
    """Return the exact posterior standard deviation of each P(choice | hypothesis), float64[queries * 3]."""
    possible = np.flatnonzero(weights)
    with jax.enable_x64(True):
        probs = jax.jit(jax.vmap(lambda values: query_values(domain.model, values, queries)))(space.values(possible))
        probs = np.asarray(probs).reshape(len(possible), -1)
    return np.sqrt(weights[possible] @ (probs - exact) ** 2)
