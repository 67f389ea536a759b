"""An agent whose answers depend on all that happened to a user, and that notes down what it is asked."""

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from beliefbench.agent import Prediction
from beliefbench.protocol.episodes import Episodes
from beliefbench.protocol.protocol import Protocol

PROTOCOL = {"users": 6, "rounds": 2, "heldout": 4, "seed": 0}
STAGES = PROTOCOL["rounds"] + 1


@dataclass(frozen=True)
class Memory:
    """What a pupil knows: an id for each user (the user's key), and a digest of all that happened to the user."""

    ids: list[str]
    stage: int
    digests: list[bytes]


class Pupil:
    """An agent whose answers depend on the user's key and on all it was shown, recommended and told.

    It notes every stage it is asked about, a line a user, before it answers; a tenth of its answers cannot be used. It
    may pause before each answer, or break at its ``breaks_at``-th.
    """

    name, version = "pupil", "1"
    probabilistic, privileged = True, False

    def __init__(self, notes: Path, users_per_call: int = 2, pause: float = 0.0, breaks_at: int | None = None) -> None:
        self.notes, self.users_per_call, self.pause, self.breaks_at = notes, users_per_call, pause, breaks_at
        self.begun_with: list[object] = []
        self.told: list[tuple[str, int, int]] = []
        self.calls = 0

    def identity(self) -> dict[str, object]:
        return {"school": "old"}

    def begin(self, brief, keys, truth=None) -> Memory:
        self.begun_with.append(truth)
        ids = [bytes(np.asarray(jax.random.key_data(key))).hex() for key in keys]
        return Memory(ids, 0, [one.encode() for one in ids])

    def predict(self, state: Memory, options: np.ndarray) -> Prediction:
        with self.notes.open("a") as notes:
            notes.write("".join(f"{state.stage} {one}\n" for one in state.ids))
        time.sleep(self.pause)
        self.calls += 1
        if self.calls == self.breaks_at:
            raise RuntimeError("the pupil is tired")
        probs, usable = [], []
        for digest, sets in zip(state.digests, options, strict=True):
            seeds = [hashlib.sha256(digest + one.tobytes()).digest() for one in sets]
            rngs = [np.random.default_rng(int.from_bytes(seed[:8], "big")) for seed in seeds]
            probs.append([rng.dirichlet(np.ones(3)) for rng in rngs])
            usable.append([rng.random() > 0.1 for rng in rngs])
        choice = np.where(usable, np.argmax(probs, axis=-1), -1)
        text = np.array([[f"I say {one}" for one in row] for row in choice], dtype=object)
        return Prediction(choice, np.array(probs), text=text, tokens=np.full(choice.shape, 3))

    def observe(self, state: Memory, options, recommended, chosen) -> Memory:
        self.told += [(one, state.stage, int(answer)) for one, answer in zip(state.ids, recommended, strict=True)]
        rounds = zip(state.digests, options, recommended, chosen, strict=True)
        digests = [hashlib.sha256(d + o.tobytes() + bytes([r + 1, c])).digest() for d, o, r, c in rounds]
        return Memory(state.ids, state.stage + 1, digests)


def every_unit(flights) -> set[tuple[int, int]]:
    return {(int(user), stage) for user in Episodes(flights, Protocol(**PROTOCOL)).users for stage in range(STAGES)}


def run_code(results: Path, notes: Path, pause: float) -> str:
    """The code of a run in another process, with a pupil that takes a while over each answer."""
    return (
        "import importlib.util as u, sys, beliefbench as bb\n"
        f"spec = u.spec_from_file_location('pupils', {__file__!r})\n"
        "made = u.module_from_spec(spec); sys.modules['pupils'] = made; spec.loader.exec_module(made)\n"
        f"pupil = made.Pupil(made.Path({str(notes)!r}), pause={pause})\n"
        f"bb.run(bb.load_domain('flights'), pupil, results={str(results)!r}, **made.PROTOCOL)\n"
    )


def sit_down(results: Path, notes: Path) -> subprocess.Popen[bytes]:
    """Start the run in another process."""
    return subprocess.Popen([sys.executable, "-c", run_code(results, notes, 0.2)], stderr=subprocess.PIPE)
