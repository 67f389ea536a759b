"""Who may import whom, what importing bench costs, and how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "pymc", "ray", "jax", "numpyro", "pandas")


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_contracts_hold():
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import bench",
        "import bench.errors, bench.domain, bench.agent",
        "from bench.plugins import names; names('agent')",
    ],
)
def test_importing_bench_loads_nothing_heavy(code):
    assert not loaded_by(code) & set(HEAVY)


def test_exact_inference_needs_no_other_framework():
    assert not loaded_by("import bench; bench.load_agent('bayesian', bench.load_domain('flights'))") & {
        "torch",
        "transformers",
        "pymc",
        "ray",
        "pandas",
    }


def test_every_public_name_can_be_had():
    import bench

    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert set(bench.__all__) <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'leaderbord'"):
        bench.leaderbord  # noqa: B018


def test_the_first_call_of_a_fresh_process_works():
    """Nothing depends on what was called before."""
    calls = {
        "posterior": "bench.posterior(f, *n)",
        "predictive": "bench.predictive(f, *n, np.zeros((1, 3, 4)))",
        "expected_rewards": "bench.expected_rewards(f, n[0][None], n[1][None], np.zeros((1, 3, 4)))",
        "choice_probs": "bench.choice_probs(f, {'person': np.array([0])}, np.zeros((1, 1, 3, 4)))",
    }
    begin = "import bench, numpy as np; f = bench.load_domain('flights'); n = np.empty((0, 3, 4)), np.empty(0, int); "
    for name, call in calls.items():
        code = begin + call
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr[-600:]}"


@pytest.mark.parametrize("folder", ["bench", "domains", "agents"])
def test_files_stay_short(folder):
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert not {str(file): lines for file, lines in lengths.items() if lines > 320}


def test_the_installed_names_of_the_plugin_folders_are_imported_nowhere():
    """import-linter sees the folders as `domains` and `agents`; this holds for `bench.domains` and `bench.agents`."""
    for folder in ("bench", "domains", "agents"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    imported = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                assert not [name for name in imported if name.startswith(("bench.domains", "bench.agents"))], file
