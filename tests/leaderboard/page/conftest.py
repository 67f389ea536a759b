"""Leaderboards of simulated answers, without an agent that is asked; and the browser that opens them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import beliefbench as bb
from beliefbench.intervals import Estimate
from beliefbench.leaderboard.ranking import Leaderboard, read_leaderboard
from beliefbench.protocol.protocol import Protocol
from beliefbench.running.harness import episodes_of
from beliefbench.running.store import OWN_SET, ROWS, AgentRecord, RunRecord, RunStore, run_folder, run_key
from beliefbench.skill.learning import Curve
from beliefbench.skill.summary import Skill

CHROMIUM = "/usr/bin/chromium"
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = """<script>alert("1")</script> & 'co'"""
USERS, ROUNDS, SETS = 24, 5, 20
AGENTS: dict[str, dict[str, Any]] = {
    "exact": {"power": 1.0},
    "told": {"privileged": True},
    "sure": {"power": 3.0, "note": "too sure of itself"},
    "slow": {"power": 0.4},
    "noisy": {"noise": 0.5},
    "very-noisy": {"noise": 1.5},
    "chooses": {"noise": 0.3, "probabilistic": False},
    "guesses": {"power": 0.0, "noise": 1e-6, "probabilistic": False},
    "an-agent-of-quite-a-long-name:with/its-model-7b-instruct": {"noise": 0.8, "note": "q4_k_m, bfloat16"},
    HOSTILE: {"noise": 1.0, "note": HOSTILE},
}


UNMARKED = ("sure", "chooses", HOSTILE)


def simulated(
    results: Path,
    domain: str,
    agent: str,
    *,
    power: float = 1.0,
    noise: float = 0.0,
    privileged: bool = False,
    probabilistic: bool = True,
    note: str | None = None,
    users: int = USERS,
    rounds: int = ROUNDS,
    sets: int = SETS,
) -> Path:
    """Write a finished run of an agent that answers as the exact answer, to a power and with noise; return its folder.

    Of a domain that is not installed, the exact answers are simulated too: beliefs that grow sharper.
    """  # fmt: skip
    rng = np.random.default_rng([len(domain), len(agent), ord(agent[0])])
    if domain in ("flights-2", "hotels"):
        episodes = episodes_of(bb.load_domain(domain), Protocol(users, rounds, sets))
        identity, who = episodes.domain.identity(), episodes.users
        exact, truth, chosen = episodes.exact, episodes.truth, episodes.chosen
    else:
        own = np.random.default_rng(len(domain))
        identity, who = {"name": domain, "version": "1", "parameters": {"made": HOSTILE}}, np.arange(users)
        truth, chosen = own.integers(3, size=(users, sets)), own.integers(3, size=(users, rounds))
        hint = own.normal(size=(users, 1, sets, 3)) + 1.5 * (np.arange(3) == truth[:, None, :, None])
        exact = _softmax(hint * np.arange(rounds + 1)[:, None, None] / 3)
    truths = np.broadcast_to(truth[:, None], exact.shape[:3])
    probs = _softmax(power * np.log(np.maximum(exact, 1e-6)) + noise * rng.normal(size=exact.shape))
    if privileged:
        probs = 0.94 * (np.arange(3) == truths[..., None]) + 0.02
    choice = probs.argmax(axis=-1)
    shape = truths.shape
    user, stage, question = (np.broadcast_to(one, shape) for one in np.ix_(who, np.arange(rounds + 1), np.arange(sets)))
    columns: dict[str, Any] = {"user": user, "stage": stage, "question": question, "truth": truths, "choice": choice}
    columns |= {f"prob_{k}": probs[..., k] if probabilistic else np.full(shape, np.nan) for k in range(3)}
    columns |= {f"exact_{k}": exact[..., k] for k in range(3)}
    user, stage = (np.broadcast_to(one, (users, rounds)) for one in np.ix_(who, np.arange(rounds)))
    own_sets = {"user": user, "stage": stage, "question": np.full(user.shape, OWN_SET), "truth": chosen}
    own_sets["choice"] = rng.integers(3, size=user.shape)
    both = {
        name: np.concatenate([values.ravel(), np.asarray(own_sets.get(name, np.full(user.shape, np.nan))).ravel()])
        for name, values in columns.items()
    }
    arrays = [
        pa.array(both[field.name], type=field.type, from_pandas=True)
        if field.name in both
        else pa.nulls(len(both["user"]), field.type)
        for field in ROWS
    ]
    told = {"schema": 1, "domain": identity, "agent": {"name": agent, "version": "1", "setting": HOSTILE}}
    told |= {"seed": 0, "users": users, "rounds": rounds, "heldout": sets, "stopping": None}
    key = run_key(told)
    store = RunStore(run_folder(results, domain, agent, key))
    record = RunRecord(
        schema_version=1,
        key=key,
        identity=told,
        agent=AgentRecord(name=agent, version="1", probabilistic=probabilistic, privileged=privileged, note=note),
        started="2026-01-01T00:00:00+00:00",
        versions={"beliefbench": "0.1.0"},
        machine={"system": "simulated"},
        finished="2026-01-02T00:00:00+00:00",
    )
    store.folder.mkdir(parents=True)
    store.write_part("all", pa.Table.from_arrays(arrays, schema=ROWS), 1.0)
    store.finish(record)
    return store.folder


def with_made_up_skill(board: Leaderboard, unsound: str = "noisy") -> Leaderboard:
    """Return standings with what a skill model might say, without the minute that it takes; one fit is not sound."""
    rows = []
    for group in board.groups():
        for place, row in enumerate(group):
            after = [Estimate(one["accuracy"], one["accuracy"] - 0.01, one["accuracy"] + 0.01) for one in row.rounds]
            beats = [0.5 if other == place else float(other > place) for other in range(len(group))]
            curves = {name: Curve(-1.0 * at, 0.5) for at, name in enumerate(("free", "logarithmic", "plateau"))}
            bad = row.fields["agent"] == unsound
            skill = Skill(
                after, (place + 1, min(place + 2, len(group))), 1.0 if place == 0 else 0.0, beats,
                Estimate(0.1, 0.05, 0.15), 0.01, curves, 1.234 if bad else 1.001, 1500.0, 1400.0, 0,
                ["R-hat 1.234"] if bad else [],
            )  # fmt: skip
            rows.append(replace(row, skill=skill))
    return Leaderboard(rows, board.problems)


def _softmax(values: np.ndarray) -> np.ndarray:
    exponents = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="session")
def simulate():
    return simulated


@pytest.fixture(scope="session")
def skilled():
    return with_made_up_skill


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Leaderboard:
    """Five agents on a domain that is installed and on one that is not."""
    results = tmp_path_factory.mktemp("small")
    for domain in ("flights-2", "made-up"):
        for agent in ("exact", "told", "noisy", "chooses", HOSTILE):
            simulated(results, domain, agent, **AGENTS[agent])
    return with_made_up_skill(read_leaderboard(results))


def write_page(results: Path, made_up: int) -> Path:
    """Write the page of 10 agents, three of them not intact, on two domains and some that are made up."""
    from beliefbench.leaderboard.page.page import to_html

    for domain in ("flights-2", "hotels", *(f"made-up-{'abcdef'[: number + 1]}" for number in range(made_up))):
        for agent, how in AGENTS.items():
            simulated(results, domain, agent, **how)
    file = results / "page.html"
    board = with_made_up_skill(read_leaderboard(results))
    rows = [replace(row, published=True, found_intact=row.fields["agent"] not in UNMARKED) for row in board.rows]
    file.write_text(to_html(Leaderboard(rows, board.problems)), "utf-8")
    return file


@pytest.fixture(scope="session")
def small_page(tmp_path_factory) -> Path:
    """10 agents on 3 domains."""
    return write_page(tmp_path_factory.mktemp("small"), made_up=1)


@pytest.fixture(scope="session")
def large_page(tmp_path_factory) -> Path:
    """10 agents on 8 domains."""
    return write_page(tmp_path_factory.mktemp("large"), made_up=6)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, with a profile of its own."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The source of axe-core: the file that $AXE_CORE names, or the package of the npm registry."""
    named = os.environ.get("AXE_CORE")
    if named:
        return Path(named).read_text("utf-8")
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("there is no npm")
    packed = subprocess.run([npm, "pack", "axe-core@4"], cwd=folder, capture_output=True, text=True, check=False)
    if packed.returncode:
        pytest.skip("npm cannot fetch axe-core")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()
