"""Files as the paper's authors released them, in `samples/`, written where a test wants them."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def written():
    """``written(folder, name, content) -> the file``."""

    def write(folder: Path, name: str, content: str | bytes) -> Path:
        file = folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write
