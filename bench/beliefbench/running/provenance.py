"""Provenance: versions and times, for run records and for the evidence of checks."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "beliefbench",
    "arviz-base",
    "arviz-stats",
    "jax",
    "jaxlib",
    "numpy",
    "numpyro",
    "pyarrow",
    "pymc",
    "pytensor",
    "torch",
    "transformers",
)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results can depend on, those that are installed.

    >>> "numpyro" in installed_versions()
    True
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def now() -> str:
    """Return the time in UTC, ISO 8601.

    >>> now().endswith("+00:00")
    True
    """
    return datetime.now(UTC).isoformat(timespec="seconds")
