"""Records of reproductions: a small file beside a published run, in which a person says that they asked its agent
again, when, about how many users, and how far the answers differed.

A record is bound to the SHA-256 of the run's files. It is a claim: anybody can write one under any name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from beliefbench.errors import BeliefBenchError, UsageError, counted, first_line, printable
from beliefbench.folders import write_atomically
from beliefbench.publishing.signatures import Signer, sign, signature_of, signer_of
from beliefbench.running.files import DamagedFileError, read_bytes
from beliefbench.running.provenance import now
from beliefbench.running.store import RunRecord

NAME = re.compile(r"reproduced-([1-9]\d{0,2})\.json")
LARGEST = 2**16
"""Bytes of the largest record that is read."""
MOST = 20
"""The most records of a run that are read."""
LONGEST_NAME = 80
FURTHEST = 5e-3
"""The largest allowed difference of a probability: executors differ by 1e-3, 16-bit floats by half of that, GPUs by
more."""
CHANGED = 0.01
"""The share of choices that may differ if the agent has no probabilities."""


class Reproduction(BaseModel):
    """The contents of ``reproduced-<n>.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    run: str
    """The key of the run."""
    files: dict[str, str]
    """SHA-256 of each file of the run, as in its evidence."""
    by: str = Field(min_length=1, max_length=LONGEST_NAME)
    """Who asked the agent again, in their own words."""
    when: datetime
    users: int = Field(ge=1, lt=2**23)
    """The number of users who were asked about again."""
    answers: int = Field(ge=1)
    """The number of answers that were compared."""
    seed: int = Field(ge=0)
    """The seed that drew these users: ``verify --rerun USERS --seed SEED`` asks about the same ones."""
    choices_differ: float = Field(ge=0, le=1)
    """The share of choices that differ."""
    probabilities_differ: float | None = Field(ge=0, le=1)
    """The largest difference of a probability; None if the agent only chooses."""
    beliefbench: str
    """The version that asked."""


@dataclass(frozen=True)
class Claim:
    """A record that fits the run beside it."""

    file: str
    record: Reproduction
    signer: Signer | None = None
    of_publisher: bool = False
    """Whether the key that signed the record also signed the run."""

    @property
    def trusted(self) -> bool:
        """Whether it is more than a claim: signed with a trusted key, which is not the key of who published the run."""
        return self.signer is not None and self.signer.name is not None and not self.of_publisher

    def sentence(self) -> str:
        """Return who says what, and what this rests on."""
        if self.signer is None:
            rests_on = "not signed: anybody can write this"
        elif self.of_publisher:
            rests_on = f"signed with the key that published the run, {self.signer.key}"
        else:
            rests_on = f"signed with {self.signer.words()}" + ("" if self.trusted else ": anybody can make a key")
        word = "reproduced" if self.trusted else "said to be reproduced"
        return f"{word}: by {printable(self.record.by)}, {self._about()} ({self.file}, {rests_on})."

    def as_json(self) -> dict[str, Any]:
        """Return the claim as JSON values; ``trusted`` as above, ``key`` the fingerprint of the key that signed it."""
        about = self.record.model_dump(mode="json", exclude={"schema_version", "run", "files"})
        return {**about, "trusted": self.trusted, "key": self.signer and self.signer.key}

    def _about(self) -> str:
        record = self.record
        differ = f"{record.choices_differ:.2%} of {record.answers:,} choices differ"
        if record.probabilities_differ is not None:
            differ += f", and probabilities by {record.probabilities_differ:.1e} at most"
        return f"{record.when.date().isoformat()}, {counted(record.users, 'user')} asked again: {differ}"


class Attested(NamedTuple):
    """What people say of a published run.

    ``signer``: who signed its evidence; ``claims``: the records of reproductions that fit it; ``wrong``: what is wrong
    with other records, or with signatures, by file name.
    """

    signer: Signer | None
    claims: list[Claim]
    wrong: dict[str, str]


def read_attested(
    folder: Path, record: RunRecord, files: Mapping[str, str] | None, trusted: Path | None = None
) -> Attested:
    """Return what people say of the run in a folder.

    Parameters
    ----------
    files
        SHA-256 of each file of the run, which were checked (`evidence.check_files`); None if it is not published.
    trusted
        The reader's file of trusted keys (`publishing.signatures`).
    """
    claims: list[Claim] = []
    wrong: dict[str, str] = {}
    signer = None
    if files is not None:
        evidence = folder / "evidence.json"
        try:
            signer = signer_of(evidence, read_bytes(evidence), trusted)
        except (BeliefBenchError, OSError) as error:
            wrong[signature_of(evidence).name] = str(error)
    for number, file in enumerate(record_files(folder)):
        if number >= MOST:
            wrong[file.name] = f"there are more than {MOST} records."
            break
        try:
            claims.append(_read(file, record, files, trusted, signer))
        except (BeliefBenchError, OSError) as error:
            wrong[file.name] = str(error)
    return Attested(signer, claims, wrong)


def record_files(folder: Path) -> list[Path]:
    """Return the files of a run's folder with the name of a record, by their numbers."""
    found = [(int(match[1]), file) for file in folder.iterdir() if (match := NAME.fullmatch(file.name))]
    return [file for _, file in sorted(found)]


def write_record(
    folder: Path,
    run: str,
    files: Mapping[str, str],
    by: str,
    figures: Mapping[str, float],
    key: Path | None = None,
) -> Path:
    """Write the next record beside a run, and return its file; ``figures`` are those of `rerun.check_rerun`, ``key`` is
    the SSH key that signs it."""
    record = Reproduction(
        run=run,
        files=dict(files),
        by=by,
        when=datetime.fromisoformat(now()),
        users=int(figures["users"]),
        answers=int(figures["answers"]),
        seed=int(figures["seed"]),
        choices_differ=figures["choices_differ"],
        probabilities_differ=figures.get("probabilities_differ"),
        beliefbench=version("beliefbench"),
    )
    number = max((int(file.stem.partition("-")[2]) for file in record_files(folder)), default=0) + 1
    file = folder / f"reproduced-{number}.json"
    try:
        write_atomically(file, (record.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}); copy the run elsewhere.") from error
    if key is not None:
        try:
            sign(file, key)
        except BeliefBenchError:
            file.unlink()
            raise
    return file


def check_name(by: str) -> str:
    """Return the name of a person for a record; raise `UsageError` if nobody could read it.

    >>> check_name("Ada Lovelace <ada@example.org>")
    'Ada Lovelace <ada@example.org>'
    """
    if not by.strip() or len(by) > LONGEST_NAME or printable(by) != by:
        raise UsageError(f"the name is {by[:LONGEST_NAME]!r}; expected 1 to {LONGEST_NAME} visible characters.")
    return by.strip()


def _read(
    file: Path, run: RunRecord, files: Mapping[str, str] | None, trusted: Path | None, publisher: Signer | None
) -> Claim:
    content = read_bytes(file, LARGEST)
    try:
        record = Reproduction.model_validate_json(content)
    except (ValidationError, ValueError) as error:
        raise DamagedFileError(f"it is no record of a reproduction ({first_line(error)}).") from error
    if record.run != run.key or files is None or record.files != dict(files):
        raise DamagedFileError("it was made of other files than those of this run.")
    identity = run.identity
    users = run.asked or identity.users
    if record.users > users or record.answers > record.users * identity.rows_per_user:
        raise DamagedFileError(f"it has more users or answers than this run, which has {users:,} users.")
    if (record.probabilities_differ is None) == run.agent.probabilistic:
        raise DamagedFileError("it and run.json differ in whether the agent states probabilities.")
    only_chooses = record.probabilities_differ is None
    if (record.choices_differ > CHANGED) if only_chooses else ((record.probabilities_differ or 0) > FURTHEST):
        raise DamagedFileError("by its own figures, the agent gave other answers.")
    signer = signer_of(file, content, trusted)
    return Claim(
        file.name, record, signer, signer is not None and publisher is not None and signer.key == publisher.key
    )
