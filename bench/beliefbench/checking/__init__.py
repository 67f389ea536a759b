"""The checks of ``beliefbench check``: contracts and cross-checks."""
