"""Folders outside the results: imported data."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def data_folder() -> Path:
    """Return the folder of imported data: ``$BELIEFBENCH_DATA``, or the user's own data folder."""
    given = os.environ.get("BELIEFBENCH_DATA")
    return Path(given) if given else user_data_path("beliefbench")
