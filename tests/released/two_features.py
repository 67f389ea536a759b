"""The released files of users of flights-2, written by a simulator that shares no code with ours."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np

PEOPLE = [weights for weights in product((-1, -0.5, 0, 0.5, 1), repeat=2) if any(weights)]
FEATURES = ["duration", "price"]


def hours(value: float) -> str:
    """Written anew: 30 min at 0 to 20 hr at 1."""
    hour, minute = divmod(round(30 + 1170 * value), 60)
    return " ".join([f"{hour} hr"] * (hour > 0) + [f"{minute} min"] * (minute > 0))


def texts(one_set: np.ndarray) -> list[str]:
    return [
        f"Flight {number}: duration: {hours(duration)}, price: ${round(100 + 900 * price)}"
        for number, (duration, price) in enumerate(one_set, start=1)
    ]


def best(weights: tuple[float, ...], one_set: np.ndarray) -> list[int]:
    """The options of the largest reward, in whole numbers."""
    rewards = (np.rint(10 * one_set) * np.rint(2 * np.array(weights))).sum(axis=-1)
    return np.flatnonzero(rewards == rewards.max()).tolist()


class Files:
    """The released files of 12 users of flights-2, by a simulator that shares no code with ours."""

    def __init__(self, folder: Path, noise: float = 0.0) -> None:
        rng = np.random.default_rng(7)

        def choose(weights: tuple[float, ...], one_set: np.ndarray) -> int:
            return int(rng.choice(best(weights, one_set) if rng.random() >= noise else 3))

        self.folder = folder
        self.sets = rng.integers(0, 11, (12, 5, 3, 2)) / 10
        self.heldout_sets = rng.integers(0, 11, (6, 3, 2)) / 10
        self.people = [PEOPLE[at] for at in rng.permutation(24)[:12]]
        self.users = [
            {
                "idx": at,
                "reward_fn": list(weights),
                "rounds": [{"options": texts(one), "user_idx": choose(weights, one)} for one in self.sets[at]],
                "features": FEATURES,
                "rounds_numpy": self.sets[at].tolist(),
                "seed": 0,
            }
            for at, weights in enumerate(self.people)
        ]
        self.heldout = {
            "features": FEATURES,
            "all_options": [texts(one) for one in self.heldout_sets],
            "user_idxs": [
                {"reward_fn": list(weights), "idxs": [choose(weights, one) for one in self.heldout_sets]}
                for weights in reversed(self.people)
            ],
        }

    def write(self, name: str = "flight_2features", heldout: bool = True) -> Path:
        interaction, held = self.folder / "eval/interaction", self.folder / "eval/heldout"
        interaction.mkdir(parents=True, exist_ok=True)
        (interaction / f"{name}.jsonl").write_text("".join(json.dumps(user) + "\n" for user in self.users))
        if heldout:
            held.mkdir(exist_ok=True)
            (held / f"{name}.json").write_text(json.dumps(self.heldout, indent=1))
        return self.folder
