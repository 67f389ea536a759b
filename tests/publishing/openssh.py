"""What tests of signatures need besides Python."""

import shutil

import pytest

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="signatures are made and checked by OpenSSH's ssh-keygen, which is not on this machine and which pip "
    "cannot install; on Debian: apt install openssh-client",
)
