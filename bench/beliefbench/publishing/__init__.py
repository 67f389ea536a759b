"""Publishing runs: packed small, with evidence beside them, and verified by anybody."""
