"""Turn what pytest-benchmark measured into ``results/benchmarks.json`` and a picture, and name what got slower.

``python benchmarks/report.py MEASURED.json results/benchmarks.json docs/benchmarks.svg``. Machines differ, so what is
compared is ratios: exact inference to the fastest peer in the same run, everything else to a yardstick, which is a
product of matrices and a sort.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SLOWER = 1.3  # times the ratio before: named
OURS = "beliefbench"


def seconds_of(one: dict[str, Any]) -> float:
    """Return the figure of a benchmark: of a later answer, of the first one, or of the whole call."""
    return float(one["extra_info"].get("steady_s") or one["extra_info"].get("first_s") or one["stats"]["median"])


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of ``results/benchmarks.json``."""
    machine, benchmarks = measured["machine_info"], measured["benchmarks"]
    yardstick = machine["yardstick_s"]
    figures = {one["name"].removeprefix("test_"): one for one in benchmarks}
    ratios = {}
    for name, one in figures.items():
        if name.startswith("beside_peers["):
            job, system = name.removeprefix("beside_peers[").removesuffix("]").split("-", 1)
            peers = [
                seconds_of(other)
                for other_name, other in figures.items()
                if other_name.startswith(f"beside_peers[{job}-") and not other_name.endswith(f"-{OURS}]")
            ]
            if system == OURS and peers:
                ratios[f"{job}: {OURS} / fastest peer"] = seconds_of(one) / min(peers)
        else:
            ratios[name] = seconds_of(one) / yardstick
    return {
        "date": measured["datetime"][:10],
        "machine": {
            "processor": machine["cpu"].get("brand_raw"),
            "cores": machine["cpu"].get("count"),
            "python": machine["python_version"],
            "yardstick_s": round(yardstick, 4),
        },
        "seconds": {name: round(seconds_of(one), 4) for name, one in figures.items()},
        "more": {name: one["extra_info"] for name, one in figures.items() if one["extra_info"]},
        "growth": growth(figures),
        "ratios": {name: round(ratio, 4) for name, ratio in ratios.items()},
    }


def growth(figures: dict[str, Any]) -> dict[str, float]:
    """Return the exponent of cost against each size, fitted to logarithms: 1 is linear, below 1 has fixed costs."""
    fitted = {}
    for kind in ("hypotheses", "users", "sets"):
        points = [
            (one["extra_info"]["size"], seconds_of(one)) for name, one in figures.items() if name.startswith(f"{kind}[")
        ]
        if len(points) > 1:
            fitted[kind] = round(float(np.polyfit(*np.log(np.array(points)).T, 1)[0]), 3)
    return fitted


def slower(before: dict[str, float], now: dict[str, float]) -> list[str]:
    """Return a sentence for each ratio that got worse by `SLOWER` or more.

    >>> slower({"page": 2.0, "help": 1.0}, {"page": 3.0, "help": 1.1, "new": 5.0})
    ['page: 1.5 times as slow as before (ratio 3, before 2).']
    """
    return [
        f"{name}: {now[name] / ratio:.1f} times as slow as before (ratio {now[name]:.3g}, before {ratio:.3g})."
        for name, ratio in before.items()
        if name in now and now[name] >= SLOWER * ratio
    ]


def draw(figures: dict[str, Any], file: Path) -> None:
    """Draw cost against the number of hypotheses."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "beliefbench"
    from matplotlib import pyplot as plt

    lines: dict[str, list[tuple[float, float]]] = {}
    for name, one in figures.items():
        size = one.get("size")
        if size and name.startswith("hypotheses"):
            system = name.split("-")[-1].removesuffix("]") if "of_peers" in name else OURS
            lines.setdefault(system, []).append((size, one["steady_s"]))
        if name.startswith("beside_peers[scale-"):
            system = name.removeprefix("beside_peers[scale-").removesuffix("]")
            if system in ("jax_scan", "numpyro_grid"):
                lines.setdefault(system, []).append((5**8 - 1, one["steady_s"]))
        if name == "ten_million_hypotheses":
            lines.setdefault(OURS, []).append((5**10 - 1, one["steady_s"]))
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for system, points in lines.items():
        axes.loglog(*zip(*sorted(points), strict=True), marker="o", label=system)
    axes.set(xlabel="hypotheses", ylabel="seconds", title="64 users, 6 stages, 100 held-out sets")
    if lines:
        axes.legend()
    figure.savefig(file, metadata={"Date": None})


def main(measured: Path, results: Path, picture: Path) -> None:
    found = summary(json.loads(measured.read_text()))
    before = json.loads(results.read_text())["ratios"] if results.exists() else {}
    for sentence in slower(before, found["ratios"]):
        print(sentence)
    results.write_text(json.dumps(found, indent=2) + "\n")
    draw(found["more"], picture)
    for name, ratio in found["ratios"].items():
        print(f"{name:60} {found['seconds'].get(name, ''):>10} s  ratio {ratio:.3f}")
    print("growth:", found["growth"])


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:]))
