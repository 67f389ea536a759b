"""What is shipped: a wheel of one package, `beliefbench`, which runs outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_holds_code_catalogues_and_students(wheel):
    files = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    modules = {str(file.relative_to(ROOT / "bench")) for file in (ROOT / "bench").rglob("*.py")}
    modules |= {
        f"beliefbench/{file.relative_to(ROOT)}"
        for part in ("domains", "agents")
        for file in (ROOT / part).rglob("*.py")
    }
    assert {f"beliefbench/{name}.py" for name in ("running/harness", "domains/flights", "agents/bayesian")} <= modules
    catalogues = [name for name in files if name.startswith("beliefbench/domains/catalogues/")]
    students = [name for name in files if name.startswith("beliefbench/agents/taught/")]
    templates = [name for name in files if name.startswith("beliefbench/leaderboard/page/templates/")]
    code = set(files) - set(catalogues) - set(students) - set(templates)
    assert {name for name in code if not name.endswith(("py.typed", ".csv", "reader/chat_template.jinja"))} == modules
    assert all(name.endswith((".json", "README.md")) for name in catalogues)
    assert {"page.html", "page.css", "page.js"} <= {Path(name).name for name in templates}
    assert len({Path(name).parent for name in students}) == 4
    assert all(name.endswith((".json", ".jsonl", ".jinja", "README.md", "model.safetensors")) for name in students)


@pytest.mark.slow
def test_it_runs_from_the_wheel_beside_a_folder_called_bench(wheel, tmp_path):
    """Where the user has modules of the names that our folders have, and they are found first.

    As a module it lists what there is, and as the command it runs some of it.
    """
    site, own = tmp_path / "site", tmp_path / "own"
    for name in ("bench", "domains", "agents"):
        (own / name).mkdir(parents=True)
        (own / name / "__init__.py").write_text("raise SystemExit('not this one')")
    zipfile.ZipFile(wheel).extractall(site)
    # PYTHONPATH puts the wheel's files before the editable install of the tests' own environment.
    where = subprocess.run(
        [sys.executable, "-c", "import beliefbench; print(beliefbench.__file__)"],
        cwd=own,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()) == site / "beliefbench" / "__init__.py"
    small = ["--agent", "first", "--users", "3", "--rounds", "2", "--heldout", "4"]
    main = "from beliefbench.cli.main import main; main()"
    for command, said in {
        ("-m", "beliefbench", "list", "agents"): "bayesian",
        ("-c", main, "run", "--domain", "flights-2", *small): "first",
    }.items():
        done = subprocess.run(
            [sys.executable, *command],
            cwd=own,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert len(list(own.rglob("rows.parquet"))) == 1
