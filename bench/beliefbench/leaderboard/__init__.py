"""The leaderboard: rows, ranking, and the forms it is written in.

The public function `beliefbench.leaderboard` and this package have one name, and importing a module of the package
would hide the function. So the package can be called: it is the function then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class _CallablePackage(ModuleType):
    def __call__(self, results: str | Path = "results/local", *, skill: bool = False) -> pd.DataFrame:
        """Return `beliefbench.leaderboard.ranking.leaderboard` of the results."""
        from beliefbench.leaderboard.ranking import leaderboard

        return leaderboard(results, skill=skill)


sys.modules[__name__].__class__ = _CallablePackage
