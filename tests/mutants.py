"""Mutation testing: a random sample of all mutants, each against the tests that mutants.toml has for its module.

`make mutants SAMPLE=150 SEED=0` prints each survivor with its line, and the share that was killed with its Wilson
interval. The mutants are Cosmic Ray's; a copy of the repository is changed, never the repository itself.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

import cosmic_ray.plugins
import pytest
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import use_mutation
from cosmic_ray.work_item import MutationSpec
from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
TYPES = "ReplaceBinaryOperator_BitOr_"
"""Mutants of `|`, nearly all of them in annotations, which nothing evaluates."""


def mutants(copy: Path, wing: str) -> list[MutationSpec]:
    """All mutants of the modules whose names begin with ``wing``."""
    root = copy / "bench/beliefbench"
    places = [root / name for name in CONFIG["tests"]]
    every = [one for place in places for one in (sorted(place.glob("*.py")) if place.is_dir() else [place])]
    modules = [one for one in every if one.relative_to(root).as_posix().startswith(wing)]
    found = [one.mutations[0] for one in _all_work_items(modules, {})]
    return [one for one in found if TYPES not in one.operator_name]


def passes(tests: list[str]) -> bool:
    """Whether tests pass, in a process of their own."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os._exit(pytest.main(["-x", "-q", "-m", "not slow and not reference", *tests]))
    until = time.monotonic() + CONFIG["longest"]
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    return done[1] == 0


def main() -> None:
    """Try a sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wing", default="", help="a folder or a module (exact/memo.py); all if not given")
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant after so many seconds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "beliefbench"
        for name in ("bench", "domains", "agents", "tests", "results/checks"):
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        os.chdir(copy)
        os.environ.update(PYTHONPATH=str(copy / "bench"), PYTHONDONTWRITEBYTECODE="1")
        sys.path.insert(0, str(copy / "bench"))
        sys.dont_write_bytecode = True
        import hypothesis  # noqa: F401, what takes seconds to load is loaded once, and what is changed is not
        import numpyro  # noqa: F401
        import pandas  # noqa: F401
        import pyarrow.parquet  # noqa: F401

        def tests_of(mutant: MutationSpec) -> list[str]:
            module = mutant.module_path.relative_to(copy / "bench/beliefbench")
            return CONFIG["tests"].get(module.as_posix()) or CONFIG["tests"][module.parent.as_posix()]

        every = mutants(copy, asked.wing)
        sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
        if not passes(sorted({test for one in sample for test in tests_of(one)})):
            raise SystemExit("the tests fail without a mutant too; mend them first.")
        found, begun = Counter[bool](), time.monotonic()
        for mutant in sample:
            if time.monotonic() - begun > asked.seconds:
                break
            line = mutant.module_path.read_text().splitlines()[mutant.start_pos[0] - 1].strip()
            operator = cosmic_ray.plugins.get_operator(mutant.operator_name)(**mutant.operator_args)
            with use_mutation(mutant.module_path, operator, mutant.occurrence):
                alive = passes(tests_of(mutant))
            found[alive] += 1
            place = f"{mutant.module_path.relative_to(copy / 'bench/beliefbench')}:{mutant.start_pos[0]}"
            print("survived" if alive else "killed  ", place, mutant.operator_name, mutant.occurrence, line, flush=True)
        killed, tried = found[False], found.total()
        interval = binomtest(killed, tried).proportion_ci(method="wilson")
        print(
            f"{killed} of {tried} mutants killed, {killed / tried:.0%} ({interval.low:.0%} to {interval.high:.0%}), "
            f"drawn from {len(every):,} with seed {asked.seed}"
        )


if __name__ == "__main__":
    main()
