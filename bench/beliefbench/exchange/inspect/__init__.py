"""Inspect: tasks for `inspect eval`, its logs as runs, and its models as agents."""
