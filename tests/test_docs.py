"""README and docs: links lead somewhere, the website builds, figures and names are those of the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import beliefbench as bb

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|^    .*?$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the website make them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    dead = []
    for link in LINK.findall(without_code(page.read_text())):
        if re.match(r"\w+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(link)
    assert dead == []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The website, built as ``make docs`` builds it: any warning fails."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_website_has_every_page_and_needs_no_other_server(site):
    built = {file.relative_to(site).with_suffix(".md") for file in site.rglob("*.html")}
    assert {page.relative_to(ROOT / "docs") for page in PAGES if (ROOT / "docs") in page.parents} <= built
    loaded = [
        (file.name, address)
        for file in site.rglob("*.html")
        for tag in re.findall(r"<(?:script|img|link)\b[^>]*>", file.read_text())
        for address in re.findall(r'(?:src|href)="(https?://[^"]+)"', tag)
    ]
    assert loaded == []


def test_the_website_describes_every_public_name_and_metric(site):
    pages = "".join(file.read_text() for file in (site / "api").glob("*.html"))
    described = set(re.findall(r'id="(beliefbench\.[\w.]+)"', pages))
    assert {f"beliefbench.{name}" for name in bb.__all__ if name != "__version__"} <= described
    from beliefbench.scoring.metrics import METRICS
    from beliefbench.scoring.updating import UPDATING

    metrics = {f"{one.__module__}.{name}" for name, one in (METRICS | UPDATING).items()}
    assert metrics <= described
    assert "&gt;&gt;&gt;" not in re.sub(r"<pre.*?</pre>", "", pages, flags=re.DOTALL)  # every doctest is set as code


def test_the_page_of_metrics_has_the_columns_and_fields_of_the_list():
    from beliefbench.cli.list import COLUMNS

    rows = re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    assert {column: tuple(re.findall(r"`(\w+)`", fields)) for column, fields in rows} == COLUMNS


def test_the_python_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {"my_client": type("Client", (), {"answer": staticmethod(lambda messages: "The best option is Flight 2.")})}
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    for block in blocks[:3]:  # the others fit the skill model; tests/leaderboard/test_datatree.py has them
        exec(block, scope)
    assert len(scope["bb"].leaderboard("results/local")) > 0


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] == bb.__version__
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Homepage"]
    assert f"git clone {project['urls']['Homepage']}" in (ROOT / "README.md").read_text()
