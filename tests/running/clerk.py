"""An agent for workers to load, as the text of a plugin, and the folder by which a test directs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

PROTOCOL = {"users": 10, "rounds": 2, "heldout": 4, "seed": 0}
CLERK = '''
import dataclasses, hashlib, os, signal, time
from pathlib import Path
import jax, numpy as np
import beliefbench as bb

class Refusal(bb.BeliefBenchError):
    def __init__(self, most, what):
        super().__init__(f"no more than {most} {what}.")

class Clerk:
    """Answers by the user's key and all that the user was shown, recommended and told; notes down what it is asked.

    Where there is a file FAULT-STAGE-* in its folder, it takes one away and dies, raises, refuses or waits there.
    """
    name, version = "clerk", "1"
    probabilistic, privileged, users_per_call = True, False, 2

    def __init__(self, domain, folder, process=None):
        self.folder, self.process = Path(folder), process

    def identity(self):
        return {"process": os.getpid()} if self.process else {}

    def begin(self, brief, keys, truth=None):
        ids = [bytes(np.asarray(jax.random.key_data(key))) for key in keys]
        return 0, ids, ids

    def predict(self, state, options):
        stage, ids, digests = state
        with (self.folder / "notes").open("a") as notes:
            notes.write("".join(f"{stage} {one.hex()}\\n" for one in ids))
        if self.fault("dies", stage):
            time.sleep(1)  # what was answered before may still be under way
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault("raises", stage):
            raise RuntimeError("the ink is dry")
        if self.fault("refuses", stage):
            raise Refusal(3, "lines")
        if self.fault("waits", stage):
            time.sleep(100)
        probs = np.empty(options.shape[:3])
        for user, sets in enumerate(options):
            for at, one in enumerate(sets):
                seed = hashlib.sha256(digests[user] + one.tobytes()).digest()
                probs[user, at] = np.random.default_rng(list(seed)).dirichlet(np.ones(3))
        choice = np.where(probs.max(axis=-1) > 0.45, probs.argmax(axis=-1), -1)
        text = np.array([[f"I say {one}" for one in row] for row in choice], dtype=object)
        return bb.Prediction(choice, probs, text=text, tokens=np.full(choice.shape, 3))

    def observe(self, state, options, recommended, chosen):
        stage, ids, digests = state
        rounds = zip(digests, options, recommended, chosen)
        return stage + 1, ids, [hashlib.sha256(d + o.tobytes() + bytes([r + 1, c])).digest() for d, o, r, c in rounds]

    def fault(self, what, stage):
        for file in sorted(self.folder.glob(f"{what}-{stage}-*")):
            try:
                file.unlink()
                return True
            except FileNotFoundError:
                continue
        return False

AGENTS = {"clerk": Clerk}
DOMAINS = {"trains": dataclasses.replace(bb.load_domain("flights-2"), name="trains")}
'''


class Desk:
    """A clerk's folder: its SPEC, the faults that are to happen, and what it noted down."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.spec = folder, f"clerk,folder={folder}"

    def plan(self, fault: str, stage: int, times: int = 1) -> None:
        for number in range(times):
            (self.folder / f"{fault}-{stage}-{number}").touch()

    def asked(self) -> Counter[tuple[int, str]]:
        """How often each (stage, user's key) was asked since this was last called."""
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return Counter((int(stage), one) for stage, one in (line.split() for line in lines))
