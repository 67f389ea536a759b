"""Signatures: whose key is shown, an unknown key is said, and a wrong signature is an error."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from beliefbench.leaderboard.forms.formats import writer
from beliefbench.leaderboard.ranking import read_leaderboard
from beliefbench.leaderboard.row import Standing
from beliefbench.publishing.publish import publish_all
from beliefbench.publishing.several import verify_all
from beliefbench.publishing.verify import verify_run

from .openssh import needs_ssh_keygen
from .tampering import failed, said

pytestmark = needs_ssh_keygen


def made_key(folder: Path, name: str) -> Path:
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    return key


def trusting(folder: Path, *keys: Path) -> Path:
    """A file of trusted keys, by the names of the keys' files."""
    lines = [f"{key.name}@example.org {Path(f'{key}.pub').read_text()}" for key in keys]
    (folder / "trusted").write_text("".join(lines))
    return folder / "trusted"


@pytest.fixture
def signed(local, folder_of, tmp_path) -> Path:
    """A run, published and signed by Ada."""
    publish_all(folder_of(local, "random"), tmp_path / "out", print, made_key(tmp_path, "ada"))
    return folder_of(tmp_path / "out", "random")


def test_whose_key_is_shown_and_an_unknown_one_is_said(signed, tmp_path):
    unknown = said(verify_run(signed))
    assert "signed with the unknown key SHA256:" in unknown
    trusted = trusting(tmp_path, tmp_path / "ada")
    assert "of ada@example.org." in said(verify_run(signed, trusted=trusted))
    other = trusting(tmp_path, made_key(tmp_path, "eve"))
    assert "signed with the unknown key SHA256:" in said(verify_run(signed, trusted=other))
    assert "not signed." in said(verify_run(publish_again(signed, tmp_path)))


def publish_again(signed: Path, tmp_path: Path) -> Path:
    """The same run, without its signature."""
    copy = Path(shutil.copytree(tmp_path / "out", tmp_path / "again")) / signed.relative_to(tmp_path / "out")
    (copy / "evidence.json.sig").unlink()
    return copy


@pytest.mark.parametrize("what", ["of another file", "no signature", "another purpose", "a link", "long"])
def test_a_wrong_signature_is_an_error_and_loses_the_mark(signed, tmp_path, what):
    file = signed / "evidence.json.sig"
    if what == "of another file":
        (signed / "other").write_text("x")
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-f", tmp_path / "ada", "-n", "beliefbench", signed / "other"]
        )
        file.write_bytes((signed / "other.sig").read_bytes())
    elif what == "no signature":
        file.write_text("signed, Ada")
    elif what == "another purpose":
        file.unlink()
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-f", tmp_path / "ada", "-n", "git", signed / "evidence.json"]
        )
    elif what == "a link":
        file.rename(tmp_path / "elsewhere.sig")
        file.symlink_to(tmp_path / "elsewhere.sig")
    else:
        file.write_bytes(file.read_bytes() + b"\n" * 20_000)
    (report,) = verify_all(tmp_path / "out", trusted=trusting(tmp_path, tmp_path / "ada"))
    assert failed(report) == {"evidence.json.sig"}
    assert "ada" not in said(report).partition("out/flights")[2]
    board = read_leaderboard(tmp_path / "out")
    assert [row.standing for row in board.rows] == [Standing.doubtful]
    assert "evidence.json.sig" in board.problems[0]


def test_only_a_record_that_a_trusted_person_signed_stands_as_reproduced(call, signed, tmp_path):
    bob = made_key(tmp_path, "bob")
    out = tmp_path / "out"
    verify = ("verify", str(out), "--rerun", "1", "--by")
    assert call(*verify, "Bob", "--key", str(bob))[0] == 0
    assert (signed / "reproduced-1.json.sig").exists()
    trusted = trusting(tmp_path, tmp_path / "ada", bob)
    standing = {None: Standing.claimed, trusted: Standing.reproduced}
    for keys, expected in standing.items():
        (row,) = read_leaderboard(out, trusted=keys).rows
        assert row.standing == expected
    status, text, _ = call("leaderboard", "--results", str(out), "--trust", str(trusted))
    assert status == 0
    assert "random ●" in text
    assert "reproduced: by Bob" in " ".join(writer("md")(read_leaderboard(out, trusted=trusted)).split())
    assert "bob@example.org" in " ".join(call("verify", str(out), "--trust", str(trusted))[1].split())


def test_who_published_a_run_does_not_reproduce_it(call, signed, tmp_path):
    call("verify", str(tmp_path / "out"), "--rerun", "1", "--by", "Somebody", "--key", str(tmp_path / "ada"))
    (row,) = read_leaderboard(tmp_path / "out", trusted=trusting(tmp_path, tmp_path / "ada")).rows
    assert row.standing == Standing.claimed
    assert "signed with the key that published the run" in row.reproduced


def test_a_record_that_was_edited_after_it_was_signed_is_named(call, signed, tmp_path):
    call("verify", str(tmp_path / "out"), "--rerun", "1", "--by", "Bob", "--key", str(tmp_path / "ada"))
    record = signed / "reproduced-1.json"
    record.write_text(record.read_text().replace("Bob", "Eve"))
    (report,) = verify_all(tmp_path / "out")
    assert failed(report) == {"reproduced-1.json"}
    assert "Eve" not in said(report)


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "run", "--key", "nowhere"],
        ["verify", "run", "--trust", "nowhere"],
        ["leaderboard", "--results", "run", "--trust", "nowhere"],
        ["verify", "run", "--key", "nowhere"],
    ],
)
def test_a_wrong_call_has_status_2(call, local, tmp_path, arguments):
    shutil.copytree(local / "flights" / "random", tmp_path / "run" / "flights" / "random")
    assert call(*arguments)[0] in (1, 2)


def test_without_openssh_this_is_said(signed, monkeypatch):
    monkeypatch.setattr("beliefbench.publishing.signatures.shutil.which", lambda program: None)
    assert "signatures need ssh-keygen, which is not on this machine" in said(verify_run(signed))
