"""Mutation testing: a random sample of all mutants, each against the tests that mutants.toml has for its module.

`make mutants SAMPLE=150 SEED=0` prints each survivor with its line, and the share that was killed with its Wilson
interval. The mutants are Cosmic Ray's, but for those that change no answer (`changes_nothing`). A copy of the
repository is changed, never the repository itself.

First all tests run once, without a mutant, under coverage. A mutant is then tried by the tests that reached its
statement, those that are quick and have killed before first; by all, if the statement is run on import or in a fixture.
So what is found is a lower bound: a test that sees only what another test has made and kept is not tried.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import cosmic_ray.plugins
import pytest
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import use_mutation
from cosmic_ray.work_item import MutationSpec
from coverage import Coverage
from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
LOADED = ("numpyro", "pandas", "pyarrow.parquet", "hypothesis", "scipy.stats", "scipy.optimize", "typer")
"""What tests load and takes seconds: it is loaded once, before the processes of the tests begin."""
ELSEWHERE = "on import or in a fixture"


class Recorder:
    """A plugin of pytest that runs some tests in an order, and notes how long each took, and the one that failed.

    It ends the process: what pytest does after the last test is to look for what was never closed, for a second.
    """

    def __init__(self, order: list[str] | None, note: Path, coverage: Coverage | None = None) -> None:
        self.rank = {test: place for place, test in enumerate(order or [])}
        self.note = note
        self.coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for one in items if not one.get_closest_marker("slow")]
        if self.rank:
            items[:] = sorted((one for one in items if one.nodeid in self.rank), key=lambda one: self.rank[one.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        if self.coverage:
            self.coverage.switch_context(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - begun
            if self.coverage:
                self.coverage.switch_context(ELSEWHERE)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.coverage:
            self.coverage.stop()
            self.coverage.save()
        self.note.write_text(json.dumps({"seconds": self.seconds, "failed": self.failed}))
        os._exit(int(exitstatus))


def in_child(tests: list[str], recorder: Recorder, seconds: int | None = None) -> bool:
    """Whether tests pass, in a process of their own, which may take ``seconds`` of processor time."""
    note = recorder.note
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        quiet = os.open(note.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if recorder.coverage:
            sys.dont_write_bytecode = False
            recorder.coverage.start()
            recorder.coverage.switch_context(ELSEWHERE)
        os._exit(pytest.main(["-x", "-q", "-m", "not reference", *tests], plugins=[recorder]))
    until = time.monotonic() + (float("inf") if recorder.coverage else CONFIG["longest"])
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    return done[1] == 0


@cache
def parsed(module: Path) -> list[ast.AST]:
    """All nodes of a module."""
    return list(ast.walk(ast.parse(module.read_text())))


def within(node: ast.expr | ast.stmt, line: int, column: int) -> bool:
    """Whether a place is in a node."""
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= (line, column) < end


def changes_nothing(mutant: MutationSpec) -> bool:
    """Whether a mutant is in an annotation, which nothing evaluates, in the name of a type (`Name = A | B`), in how
    many values a cache keeps, in how JAX compiles or whether it does, or the `*` that ends what may be given without a
    name."""
    line = mutant.module_path.read_text().splitlines()[mutant.start_pos[0] - 1]
    if line.strip() == "*," or "lru_cache(maxsize=" in line or "compiler_options=" in line or "xla_cpu" in line:
        return True
    if mutant.operator_name == "core/RemoveDecorator" and "jit" in line:
        return True
    if "BitOr_" in mutant.operator_name and not line[0].isspace():
        return True
    named = [getattr(node, name, None) for node in parsed(mutant.module_path) for name in ("annotation", "returns")]
    return any(within(one, *mutant.start_pos) for one in named if isinstance(one, ast.expr))


def statement(mutant: MutationSpec) -> range:
    """The lines of the statement that a mutant changes, from the first to the last that is changed."""
    around = [one for one in parsed(mutant.module_path) if isinstance(one, ast.stmt) and within(one, *mutant.start_pos)]
    return range(max((one.lineno for one in around), default=mutant.start_pos[0]), mutant.end_pos[0] + 1)


def mutants(copy: Path, wing: str) -> list[MutationSpec]:
    """All mutants of the modules whose names begin with ``wing``."""
    root = copy / "bench/beliefbench"
    places = [root / name for name in CONFIG["tests"]]
    every = [one for place in places for one in (sorted(place.glob("*.py")) if place.is_dir() else [place])]
    modules = [one for one in every if one.relative_to(root).as_posix().startswith(wing)]
    return [one.mutations[0] for one in _all_work_items(modules, {}) if not changes_nothing(one.mutations[0])]


def main() -> None:
    """Try a sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wing", default="", help="a folder or a module (exact/memo.py); all if not given")
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant after so many seconds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy, note = Path(folder).resolve() / "beliefbench", Path(folder) / "note.json"
        for name in ("bench", "domains", "agents", "tests", "docs", "results"):
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy / "bench")
        sys.path.insert(0, str(copy / "bench"))

        def tests_of(mutant: MutationSpec) -> list[str]:
            module = mutant.module_path.relative_to(copy / "bench/beliefbench")
            return CONFIG["tests"].get(module.as_posix()) or CONFIG["tests"][module.parent.as_posix()]

        every = mutants(copy, asked.wing)
        sample = random.Random(asked.seed).sample(every, min(asked.sample, len(every)))
        files = list(dict.fromkeys(test for one in sample for test in tests_of(one)))
        places = sorted({str(one.module_path) for one in sample})
        coverage = Coverage(data_file=str(Path(folder) / "coverage"), include=places, config_file=False)
        for name in LOADED:
            importlib.import_module(name)
        gc.freeze()
        if not in_child(files, Recorder(None, note, coverage)):
            print(note.with_suffix(".log").read_text()[-4000:])
            raise SystemExit("the tests fail without a mutant too; mend them first.")
        seconds: dict[str, float] = json.loads(note.read_text())["seconds"]
        # Bytecode stays, but for the modules that are changed: that of a mutant would be taken for that of another of
        # the same second.
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for place in map(Path, places):
            for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*.pyc"):
                compiled.unlink()
        coverage.load()
        reached = {place: coverage.get_data().contexts_by_lineno(place) for place in places}
        kills, found, begun = Counter[str](), Counter[bool](), time.monotonic()
        for mutant in sample:
            if time.monotonic() - begun > asked.seconds:
                break
            lines = reached[str(mutant.module_path)]
            contexts = {one for line in statement(mutant) for one in lines.get(line, [])}
            own = [test for test in seconds if any(test.startswith(f"{file}") for file in tests_of(mutant))]
            chosen = [test for test in own if ELSEWHERE in contexts or test in contexts]
            chosen.sort(key=lambda test: (seconds[test] + 0.01) / (1 + kills[test]) / (10 if test in contexts else 1))
            line = mutant.module_path.read_text().splitlines()[mutant.start_pos[0] - 1].strip()
            operator = cosmic_ray.plugins.get_operator(mutant.operator_name)(**mutant.operator_args)
            with ExitStack() as stack:
                try:
                    stack.enter_context(use_mutation(mutant.module_path, operator, mutant.occurrence))
                except AttributeError:  # Cosmic Ray cannot replace an exception that is named with its module
                    continue
                limit = int(4 * sum(seconds[test] for test in chosen)) + 40
                named = list(dict.fromkeys(test.split("::")[0] for test in chosen))
                alive = not chosen or in_child(named, Recorder(chosen, note), limit)
            found[alive] += 1
            killer = json.loads(note.read_text())["failed"] if not alive and note.exists() else None
            kills.update([killer] if killer else [])
            where = f"{mutant.module_path.relative_to(copy / 'bench/beliefbench')}:{mutant.start_pos[0]}"
            word = "survived" if alive else f"killed by {killer or 'time, or on import'}"
            print(where, mutant.operator_name, mutant.occurrence, line, "->", word, flush=True)
        killed, tried = found[False], found.total()
        interval = binomtest(killed, tried).proportion_ci(method="wilson")
        print(
            f"{killed} of {tried} mutants killed, {killed / tried:.0%} ({interval.low:.0%} to {interval.high:.0%}), "
            f"drawn from {len(every):,} with seed {asked.seed}"
        )


if __name__ == "__main__":
    main()
