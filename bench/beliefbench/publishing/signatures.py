"""Signatures of files with the SSH keys that people have, made and checked by OpenSSH's ``ssh-keygen -Y``, as git does.

It needs no network and no package. Trusted keys are in a file of the reader's own, in OpenSSH's format
``allowed_signers``: a name, the kind of key and the key on each line.
"""

from __future__ import annotations

import re
import shutil
import subprocess  # ssh-keygen alone is run  # nosec B404
import tempfile
from dataclasses import dataclass
from pathlib import Path

from beliefbench.errors import BeliefBenchError, UsageError, printable
from beliefbench.folders import write_atomically
from beliefbench.running.files import DamagedFileError, read_bytes

NAMESPACE = "beliefbench"
"""What a signature is for: one that was made for something else, such as a commit, does not count."""
LARGEST = 2**14
"""Bytes of the largest signature that is read."""
PATIENCE = 60  # seconds: somebody may have to type a passphrase, or touch a key
GOOD = re.compile(rf'Good "{NAMESPACE}" signature with (\S+) key (SHA256:[A-Za-z0-9+/]+)')


@dataclass(frozen=True)
class Signer:
    """Whose key made a signature: its fingerprint, and its name among the trusted keys, None if it is unknown."""

    key: str
    name: str | None = None

    def words(self) -> str:
        """Return who signed.

        >>> Signer("SHA256:abc").words(), Signer("SHA256:abc", "ada@example.org").words()
        ('the unknown key SHA256:abc', 'the trusted key SHA256:abc of ada@example.org')
        """
        return f"the trusted key {self.key} of {printable(self.name)}" if self.name else f"the unknown key {self.key}"


def signature_of(file: Path) -> Path:
    """Return where the signature of a file is.

    >>> signature_of(Path("evidence.json")).name
    'evidence.json.sig'
    """
    return file.with_name(f"{file.name}.sig")


def sign(file: Path, key: Path) -> Path:
    """Sign a file with a private SSH key (or a public one whose private one is in ssh-agent); return the signature.

    Raises
    ------
    UsageError
        If there is no such key, or it cannot sign.
    """
    if not key.is_file():
        raise UsageError(f"there is no key '{key}'; name a private SSH key, such as ~/.ssh/id_ed25519.")
    made = _ssh_keygen("sign", "-f", str(key.absolute()), "-n", NAMESPACE, content=file.read_bytes())
    if made.returncode or not made.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(f"'{key}' cannot sign ({_said(made)}); name a private SSH key.")
    write_atomically(signature_of(file), made.stdout)
    return signature_of(file)


def signer_of(file: Path, content: bytes, trusted: Path | None) -> Signer | None:
    """Return who signed a file with this content; None if there is no signature.

    Parameters
    ----------
    trusted
        The reader's file of trusted keys; None: every key is unknown.

    Raises
    ------
    DamagedFileError
        If the signature is not one of this content.
    BeliefBenchError
        If there is no ssh-keygen on this machine.
    """
    signature = signature_of(file)
    if not signature.exists() and not signature.is_symlink():
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "signature"  # nobody changes it while it is checked
        copy.write_bytes(read_bytes(signature, LARGEST))
        about = ("-n", NAMESPACE, "-s", str(copy))
        checked = _ssh_keygen("check-novalidate", *about, content=content)
        good = GOOD.search(checked.stdout.decode(errors="replace"))
        if checked.returncode or good is None:
            raise DamagedFileError(f"{signature.name} is not a signature of {file.name}.")
        if trusted is None:
            return Signer(good[2])
        found = _ssh_keygen("find-principals", "-s", str(copy), "-f", str(trusted.absolute()), content=b"")
        for name in found.stdout.decode(errors="replace").splitlines():
            as_name = ("verify", "-f", str(trusted.absolute()), "-I", name, *about)
            if not _ssh_keygen(*as_name, content=content).returncode:
                return Signer(good[2], name)
    return Signer(good[2])


def check_trusted(trusted: Path | None) -> Path | None:
    """Return the reader's file of trusted keys; raise `UsageError` if there is no such file."""
    if trusted is not None and not trusted.is_file():
        raise UsageError(f"there is no file '{trusted}'; expected trusted keys, a line 'NAME ssh-ed25519 KEY' each.")
    return trusted


def _ssh_keygen(action: str, *arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise BeliefBenchError("signatures need ssh-keygen, which is not on this machine; install OpenSSH 8.2.")
    command = [program, "-Y", action, *arguments]
    try:
        # A list of arguments without a shell; no option comes from a stranger.
        return subprocess.run(command, input=content, capture_output=True, timeout=PATIENCE, check=False)  # nosec B603
    except subprocess.TimeoutExpired as error:
        raise BeliefBenchError(f"ssh-keygen did not end within {PATIENCE} s; sign again.") from error


def _said(made: subprocess.CompletedProcess[bytes]) -> str:
    lines = made.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return printable(lines[-1])
