"""Whole commands in fresh processes, the first call and a second one. Nothing is cached when the benchmarks begin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND

pytestmark = pytest.mark.timeout(1800)
PUBLISHED = Path(__file__).parent.parent / "results" / "published"
FIRST_ANSWER = """
import sys, time
from beliefbench import load_domain, predictives
import jax, numpy as np, numpyro
drawn = load_domain(sys.argv[1]).draw(jax.random.key(0), 420)
sets = np.asarray(drawn).astype(float)
options = sets[:320, :1].repeat(3, axis=1).reshape(64, 5, *sets.shape[1:])  # three alike: any choice is possible
started = time.perf_counter()
domain = load_domain(sys.argv[1])
predictives(domain, options, np.zeros((64, 5), int), sets[320:], stages="all")
print(time.perf_counter() - started)
"""


def test_import(command):
    command(sys.executable, "-c", "import beliefbench")


def test_help(command):
    command(COMMAND, "--help")


@pytest.mark.parametrize("domain", ["flights", "hotels", "webshop-headphones", "flights-8"])
def test_first_answer(benchmark, domain):
    """Of a fresh process with nothing compiled before, after its imports."""

    def ask() -> str:
        given = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        words = [sys.executable, "-c", FIRST_ANSWER, domain]
        return subprocess.run(words, env=given, check=True, capture_output=True, text=True).stdout

    benchmark.extra_info["first_s"] = float(benchmark.pedantic(ask, rounds=1))


@pytest.mark.parametrize("call", ["first", "second"])
@pytest.mark.parametrize("domain", ["flights", "flights-8"])
def test_run_of_the_exact_agent(command, tmp_path, domain, call):
    """The second call is in another folder: it finds everything compiled, and no answers."""
    command(COMMAND, "run", "--preset", "paper", "--domain", domain, "--agent", "bayesian", "--results", tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A copy of the published runs, with the posterior of the skill model."""
    folder = tmp_path_factory.mktemp("published") / "results"
    shutil.copytree(PUBLISHED, folder)
    return folder


@pytest.mark.parametrize("call", ["first", "second"])
def test_leaderboard(command, published, call):
    command(COMMAND, "leaderboard", "--results", published)


@pytest.mark.parametrize("call", ["first", "second"])
def test_page(command, published, tmp_path, call):
    command(COMMAND, "leaderboard", "--results", published, "--format", "html", "--out", tmp_path / "page.html")


@pytest.mark.parametrize("call", ["first", "second"])
def test_verify(command, published, call):
    command(COMMAND, "verify", published)
