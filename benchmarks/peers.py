"""Exact inference by beliefbench and by its peers: one system on one workload in a process of its own.

``python benchmarks/peers.py SYSTEM FEATURES USERS [SETS]`` prints a JSON line: seconds of the first answer after all
imports, and of later ones; the largest memory in MB; the largest error against a loop in double precision. USERS 0:
every person once.

The peers know that people are linear and noiseless, and compute in single precision. beliefbench traces the domain's
NumPyro model.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import Predictive, log_likelihood
from workloads import Workload, reference, workload

import beliefbench as bb
from beliefbench import load_domain, predictives  # all of the package that is timed is imported here

Solve = Callable[[], Any]
BLOCK = 1024


def beliefbench(work: Workload) -> Solve:
    """The package itself, in double precision."""
    features = work.people.shape[1]
    if features == 4:
        domain = load_domain("flights")
    else:
        grid = tuple(step / 10 for step in range(11))
        columns = tuple(bb.Feature(f"feature_{at}", f"feature {at}", grid, str) for at in range(features))
        domain = bb.linear_choice(f"linear-{features}", version="1", item="Option", features=columns)
    return lambda: predictives(domain, work.options, work.chosen, work.heldout, stages="all")


def _as_integers(work: Workload) -> tuple[np.ndarray, ...]:
    """Twenty times the scores, so that ties are exact in single precision."""
    return tuple(np.float32(part) for part in (work.people, 10 * work.options, 10 * work.heldout))


def numpy_product(work: Workload) -> Solve:
    """NumPy: choice probabilities of all people, posterior and predictive as one product of matrices."""
    people, options, heldout = _as_integers(work)

    def probs(options: np.ndarray) -> np.ndarray:
        scores = (options.reshape(-1, options.shape[-1]) @ people.T).reshape(*options.shape[:-1], len(people))
        best = scores == scores.max(axis=-2, keepdims=True)
        return best * np.array([0, 1, 1 / 2, 1 / 3], np.float32)[best.sum(axis=-2, keepdims=True, dtype=np.uint8)]

    def solve() -> np.ndarray:
        told = np.take_along_axis(probs(options), work.chosen[..., None, None], axis=-2)[..., 0, :]
        weight = np.concatenate([np.ones_like(told[:, :1]), told.cumprod(axis=1)], axis=1)
        weight = weight.reshape(-1, len(people))
        found = (weight @ probs(heldout).reshape(-1, len(people)).T) / weight.sum(axis=1, keepdims=True)
        return found.reshape(len(options), -1, len(heldout), 3)

    return solve


def _jax_probs(options: Any, people: Any) -> Any:
    scores = (options.reshape(-1, options.shape[-1]) @ people.T).reshape(*options.shape[:-1], len(people))
    best = scores == scores.max(axis=-2, keepdims=True)
    return best / best.sum(axis=-2, keepdims=True, dtype=jnp.float32)


def _jax_sums(people: Any, prior: Any, options: Any, chosen: Any, heldout: Any) -> Any:
    told = jnp.take_along_axis(_jax_probs(options, people), chosen[..., None, None], axis=-2)[..., 0, :]
    first = jnp.broadcast_to(prior, (len(chosen), 1, len(people)))
    weight = jnp.cumprod(jnp.concatenate([first, told], axis=1), axis=1).reshape(-1, len(people))
    return weight @ _jax_probs(heldout, people).reshape(-1, len(people)).T, weight.sum(axis=1)


def jax_jit(work: Workload) -> Solve:
    """JAX: the same product, compiled as one."""
    people, options, heldout = _as_integers(work)

    @jax.jit
    def job(people: Any, options: Any, chosen: Any, heldout: Any) -> Any:
        found, total = _jax_sums(people, np.ones(len(people), np.float32), options, chosen, heldout)
        return (found / total[:, None]).reshape(len(chosen), -1, len(heldout), 3)

    return lambda: np.asarray(job(people, options, work.chosen, heldout))


def jax_scan(work: Workload) -> Solve:
    """JAX: the same product, block by block of people."""
    people, options, heldout = _as_integers(work)
    size = min(BLOCK, len(people))
    pad = -len(people) % size
    blocks = np.pad(people, ((0, pad), (0, 0))).reshape(-1, size, people.shape[1])
    priors = np.pad(np.ones(len(people), np.float32), (0, pad)).reshape(-1, size)

    @jax.jit
    def job(blocks: Any, priors: Any, options: Any, chosen: Any, heldout: Any) -> Any:
        def step(sums: Any, block: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, _jax_sums(*block, options, chosen, heldout)), None

        rows = chosen.size + len(chosen)
        nothing = jnp.zeros((rows, len(heldout) * 3)), jnp.zeros(rows)
        (found, total), _ = jax.lax.scan(step, nothing, (blocks, priors))
        return (found / total[:, None]).reshape(len(chosen), -1, len(heldout), 3)

    return lambda: np.asarray(job(blocks, priors, options, work.chosen, heldout))


def numpyro_grid(work: Workload) -> Solve:
    """NumPyro: `log_likelihood` and `Predictive` over the grid of all people."""
    people, options, heldout = _as_integers(work)
    prior = dist.Categorical(probs=jnp.full(len(people), 1 / len(people)))

    def model(options: Any, chosen: Any = None) -> None:
        person = numpyro.sample("person", prior, infer={"enumerate": "parallel"})
        scores = options @ jnp.asarray(people)[person]
        best = scores == scores.max(axis=-1, keepdims=True)
        probs = numpyro.deterministic("probs", best / best.sum(axis=-1, keepdims=True))
        with numpyro.plate("rounds", len(options)):
            numpyro.sample("choice", dist.Categorical(probs=probs), obs=chosen)

    grid = {"person": prior.enumerate_support(expand=False)}

    @jax.jit
    def job(options: Any, chosen: Any, heldout: Any) -> Any:
        def posterior(options: Any, chosen: Any) -> Any:
            told = log_likelihood(model, grid, options, chosen, parallel=True)["choice"].T
            return jax.nn.softmax(jnp.concatenate([jnp.zeros_like(told[:1]), jnp.cumsum(told, axis=0)]), axis=-1)

        ask = Predictive(model, posterior_samples=grid, return_sites=["probs"], parallel=True)
        asked = ask(jax.random.key(0), heldout)["probs"]
        return jnp.einsum("urh,hsk->ursk", jax.vmap(posterior)(options, chosen), asked)

    return lambda: np.asarray(job(options, work.chosen, heldout))


SYSTEMS = {one.__name__: one for one in (beliefbench, numpy_product, jax_jit, jax_scan, numpyro_grid)}


def measured(build: Callable[[Workload], Solve], work: Workload) -> dict[str, float]:
    """Build and solve once, then as often as 3 seconds allow: 3 times at least, once if that takes half a minute."""
    started = time.perf_counter()
    solve = build(work)
    found = np.asarray(solve())
    first = time.perf_counter() - started
    seconds: list[float] = []
    while not seconds or (len(seconds) < 3 and sum(seconds) < 30) or (sum(seconds) < 3 and len(seconds) < 25):
        started = time.perf_counter()
        solve()
        seconds.append(time.perf_counter() - started)
    # Not the peak of getrusage, which a process has from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    memory = int(status["VmHWM"].split()[0]) / 1024
    truth = reference(work)
    return {
        "first_s": first,
        "steady_s": statistics.median(seconds),
        "memory_mb": memory,
        "error": float(abs(found[: len(truth)] - truth).max()),
    }


if __name__ == "__main__":
    system, features, users, *sets = sys.argv[1:]
    make = partial(workload, int(features), int(users) or None)
    print(json.dumps(measured(SYSTEMS[system], make(int(sets[0])) if sets else make())))
