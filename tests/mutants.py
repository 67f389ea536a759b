"""Mutation testing: `python tests/mutants.py [--folder NAME] [--sample N]` changes one operator, number or keyword of a
random line at a time, and asks whether the tests notice. Needs `pip install cosmic-ray`; tests/mutants.toml says which
tests. It works in a copy, build/mutants/, and prints each mutant that survived, and how many were killed, with a 95%
Wilson interval."""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import sys
import tomllib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants"


def main() -> None:
    """Test a sample of all mutants."""
    from cosmic_ray.mutating import mutate_and_test
    from scipy.stats import binomtest

    config = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", choices=config["tests"], action="append")
    parser.add_argument("--sample", type=int, default=config["sample"])
    given = parser.parse_args()
    prepare_copy()
    every = [(folder, one) for folder in given.folder or config["tests"] for one in mutants(folder)]
    random.Random(config["seed"]).shuffle(every)
    some = list(islice(filter(is_python, every), given.sample))
    killed = 0
    for number, (folder, mutation) in enumerate(some, 1):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "'not slow and not reference'"]
        result = mutate_and_test([mutation], " ".join([*command, *config["tests"][folder]]), config["timeout"])
        killed += result.is_killed
        place = f"{mutation.module_path}:{mutation.start_pos[0]} {mutation.operator_name.removeprefix('core/')}"
        print(f"{number}/{len(some)} {'killed' if result.is_killed else 'SURVIVED'} {place}", flush=True)
        if not result.is_killed:
            print(result.diff, flush=True)
    low, high = binomtest(killed, len(some)).proportion_ci(method="wilson")
    share = f"{killed / len(some):.0%}; 95% {low:.0%}-{high:.0%}"
    print(f"{killed} of {len(some)} killed ({share}), of {len(every):,} mutants.")


def prepare_copy() -> None:
    """Copy what the tests need, and let this process and its children work there."""
    shutil.rmtree(COPY, ignore_errors=True)
    for name in ("bench", "domains", "agents", "tests", "results/checks"):
        ignored = shutil.ignore_patterns("__pycache__", "taught")
        shutil.copytree(ROOT / name, COPY / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", COPY)
    os.chdir(COPY)
    # Bytecode of a file that changes twice a second would be taken for that of the next mutant.
    os.environ |= {"PYTHONPATH": str(COPY / "bench"), "PYTHONDONTWRITEBYTECODE": "1"}


def mutants(folder: str) -> Iterator[Any]:
    """Yield all mutations of the files of a folder, except those of annotations, which nothing evaluates."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names
    from cosmic_ray.work_item import MutationSpec

    operators = {name: get_operator(name) for name in sorted(operator_names())}
    for file in sorted(Path("bench/beliefbench", folder).glob("*.py")):
        tree, free = get_ast(file.read_text()), annotated(file)
        for name, operator in operators.items():
            if operator.arguments():  # those that need to be told what to do
                continue
            places = [place for node in ast_nodes(tree) for place in operator().mutation_positions(node)]
            for occurrence, (start, end) in enumerate(places):
                if not any(first <= start and end <= last for first, last in free):
                    yield MutationSpec(file, name, occurrence, start, end)


def is_python(one: tuple[str, Any]) -> bool:
    """Return whether a file is still Python after a mutation: `**` of an argument is no operator."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    mutation = one[1]
    operator = get_operator(mutation.operator_name)()
    try:
        compile(mutate_code(mutation.module_path.read_text(), operator, mutation.occurrence), "", "exec")
    except SyntaxError:
        return False
    return True


def annotated(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where annotations begin and end, as (line, column)."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        for field in ("annotation", "returns"):
            if (one := getattr(node, field, None)) is not None:
                found.append(((one.lineno, one.col_offset), (one.end_lineno, one.end_col_offset)))
    return found


if __name__ == "__main__":
    main()
