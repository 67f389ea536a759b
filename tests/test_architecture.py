"""The architecture: layers, folders, what importing costs, the public names, and how long a file may be."""

import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import beliefbench as bb

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bench" / "beliefbench"
HEAVY = {"torch", "transformers", "pymc", "ray", "jax", "numpyro", "pandas", "inspect_ai", "lm_eval", "trl", "datasets"}
LINKS = ("domains", "agents")


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_imports_run_downwards_only():
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_modules_import_each_other_in_a_circle():
    graph = grimp.build_graph("beliefbench", cache_dir=None)
    assert len(graph.modules) > 150
    TopologicalSorter({one: graph.find_modules_directly_imported_by(one) for one in graph.modules}).prepare()


def test_the_tree_in_the_docs_is_the_tree_on_disk():
    """Every room and module stands in the first block of `docs/architecture.md`, and nothing else does."""
    block = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    drawn, room = set(), ""
    for line in block.splitlines()[2:]:  # below the heading of the plugins
        text = line.split("#")[0]
        if begins := re.match(r"(  |└ )?([a-z_]+/)", text):
            inside = room.split("/")[0] + "/" if begins[1] == "  " else ""
            room = inside + begins[2]
            drawn.add(room)
        elif re.match(r"\w", text):
            room = ""
        drawn |= {room + name for name in re.findall(r"\w+\.py", text)}
    files = [file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py" or file.parent == PACKAGE]
    files += [file for name in LINKS for file in (PACKAGE / name).glob("[!_]*.py")]
    found = {str(file.relative_to(PACKAGE)) for file in files}
    found |= {f"{file.parent.relative_to(PACKAGE)}/" for file in PACKAGE.rglob("__init__.py")} - {"./"}
    found |= {f"{name}/" for name in LINKS}
    assert drawn == found


def test_few_modules_lie_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_built_in_domains_and_agents_are_linked_into_the_package():
    for name in LINKS:
        assert (PACKAGE / name).readlink() == Path("../..") / name


@pytest.mark.parametrize("folder", ["bench", "domains", "agents", "tests", "examples"])
def test_files_stay_short(folder):
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert not {str(file): lines for file, lines in lengths.items() if lines > 320}


def test_tests_are_in_the_folders_that_they_test():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {*LINKS, "ground", "benchmarks", "fuzzing"}
    assert {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"} <= folders


@pytest.mark.parametrize(
    "code",
    [
        "import beliefbench; beliefbench.__version__",
        "import beliefbench.errors, beliefbench.domain, beliefbench.agent",
        "import beliefbench; beliefbench.list_agents(); beliefbench.list_domains()",
    ],
)
def test_importing_it_loads_nothing_heavy(code):
    assert not loaded_by(code) & HEAVY


def test_exact_inference_needs_no_other_framework():
    code = "import beliefbench as bb; bb.load_agent('bayesian', bb.load_domain('flights'))"
    assert not loaded_by(code) & (HEAVY - {"jax", "numpyro"})


PUBLIC = """
    load_domain load_agent load_suite list_domains list_agents posterior predictive latents_of run leaderboard
    Domain Feature Scale Questionnaire ChoiceRule linear_choice shopping Agent Prediction History Episodes Protocol
    compare chat_agent describe_features Brief Run UsageError BeliefBenchError __version__
"""


def test_every_public_name_can_be_had_and_says_what_it_is():
    assert {*PUBLIC.split()} <= set(bb.__all__) <= set(dir(bb))
    for name in bb.__all__:
        assert name == "__version__" or getattr(bb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'leaderbord'"):
        bb.leaderbord  # noqa: B018


def test_the_first_call_of_a_fresh_process_works():
    """Nothing depends on what was called before: each has a process that has loaded nothing of ours."""
    calls = (
        "bb.posterior(f, *n)",
        "bb.predictive(f, *n, np.zeros((1, 3, 4)))",
        "bb.expected_rewards(f, n[0][None], n[1][None], np.zeros((1, 3, 4)))",
        "bb.choice_probs(f, {'person': np.array([0])}, np.zeros((1, 1, 3, 4)))",
    )
    code = """
import os, sys
import numpy as np, jax, numpyro, pandas, scipy.stats
for call in sys.argv[1:]:
    assert not [name for name in sys.modules if name.startswith("beliefbench")]
    if not (child := os.fork()):
        import beliefbench as bb
        f = bb.load_domain("flights")
        n = np.empty((0, 3, 4)), np.empty(0, int)
        eval(call)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{call} failed")
"""
    done = subprocess.run([sys.executable, "-c", code, *calls], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1200:]
