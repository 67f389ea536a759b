"""The code that answers depend on: a digest of the files of a plugin; for what comes with this package, its version.

Only a plugin's own files count: those of its package and its distribution. If it is a single file, the modules count
that it imports from its own folder.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import EntryPoint, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beliefbench.domain import Domain
from beliefbench.plugins.settings import parse_spec
from beliefbench.plugins.sources import Kind, able_sources

OWN = "beliefbench"
SUFFIXES = {".py", ".so", ".pyd", ".json", ".csv", ".txt", ".toml", ".yaml", ".yml", ".html", ".css", ".js", ".jinja"}
SHARED = ("site-packages", "dist-packages")  # folders in which every package lies beside every other


def code_of(kind: Kind, thing: Any, spec: str | None = None) -> str | None:
    """Return the digest of the code of a domain or an agent; or None, if its files are unknown.

    Parameters
    ----------
    thing
        The object, whose code is looked up if the SPEC is None, or does not say where its code is.
    spec
        Its SPEC; for a domain, that of its suite will do.

    >>> import beliefbench as bb
    >>> code_of("domain", bb.load_domain("flights")) == f"beliefbench {bb.__version__}"
    True
    """
    return (code_of_name(kind, spec) if spec is not None else None) or _digest_of(_files_of(thing))


def code_of_name(kind: Kind, spec: str) -> str | None:
    """Return the digest of the code of a domain or an agent by its SPEC, which is not loaded; None if it is unknown.

    >>> code_of_name("agent", "random") == f"beliefbench {version('beliefbench')}"
    True
    """
    name = parse_spec(spec, kind)[0]
    found = able_sources(name, kind)
    files: set[Path] = set()
    for source in found:
        if source.code is None:
            return None
        if isinstance(source.code, Path):
            files |= set(_imported(source.code))
        else:
            files |= _files_of_module(source.code.module) | _distributed(source.code)
    return _digest_of(files)


def _digest_of(files: Iterable[Path]) -> str | None:
    """Return the digest of files: this package's version if all of them are its own; None if there are none."""
    everything = set(files)
    foreign = {file for file in everything if not file.is_relative_to(Path(__file__).parents[1])}
    if not foreign:
        return f"{OWN} {version(OWN)}" if everything else None
    top = Path(os.path.commonpath([file.parent for file in foreign]))
    digests = sorted([file.relative_to(top).as_posix(), _sha(file)] for file in foreign)
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _files_of(thing: Any) -> set[Path]:
    """Return the files of the code of an object: of its class, or a domain's model; and of classes and functions that
    it inherits or holds, except those of other packages that are installed."""
    held = [one for one in getattr(thing, "__dict__", {}).values() if callable(one)]
    main: Any = type(thing)
    others = [*type(thing).__mro__[1:], *held]
    if isinstance(thing, Domain):
        main, others = thing.model, [*held, *(feature.show for feature in thing.features)]
    files = _files_of_module(_module_of(main))
    for name in {_module_of(one) for one in others}:
        files |= {file for file in _files_of_module(name) if not set(file.parts) & set(SHARED)}
    return files


def _module_of(code: Any) -> str:
    """Return the name of the module of a class, a function, or an object that is called as one."""
    while isinstance(code, partial):
        code = code.func
    return getattr(code, "__module__", None) or type(code).__module__


def _files_of_module(name: str) -> set[Path]:
    """Return the files of the package that a module is in; if it is in none, its own and those that it imports."""
    parts = name.split(".")
    if parts[0] == OWN:
        return {Path(__file__)}
    if parts[0] in sys.stdlib_module_names:
        return set()
    for end in range(1, len(parts) + 1):
        package = ".".join(parts[:end])
        loaded = sys.modules.get(package)
        try:
            spec = getattr(loaded, "__spec__", None) or find_spec(package)
        except (ImportError, ValueError):
            spec = None
        origin = getattr(loaded, "__file__", None) or (spec.origin if spec else None)
        if origin is None or not os.path.isfile(origin):  # a namespace, which several packages may share
            continue
        file = Path(origin)
        return set(_below(file.parent)) if file.stem == "__init__" else set(_imported(file))
    return set()


def _distributed(point: EntryPoint) -> set[Path]:
    """Return the files of the distribution of an entry point, as far as it lists them; none of this package's own,
    whose version says enough."""
    if point.module.partition(".")[0] == OWN:
        return set()
    listed = (point.dist.files if point.dist else None) or []
    located = (Path(str(file.locate())) for file in listed if file.suffix in SUFFIXES and ".dist-info" not in str(file))
    return {file for file in located if file.is_file() and not file.name.startswith("__editable__")}


def _below(folder: Path) -> Iterator[Path]:
    for inner, _, names in os.walk(folder):
        yield from (Path(inner, name) for name in names if Path(name).suffix in SUFFIXES)


def _imported(file: Path) -> Iterator[Path]:
    """Yield a file, and the files of its own folder that it imports, and these import."""
    root, seen, waiting = file.parent, set(), [file]
    while waiting:
        one = waiting.pop()
        if one in seen or not one.is_file():
            continue
        seen.add(one)
        yield one
        if root.name not in SHARED and one.suffix == ".py":
            waiting += _named(one, root)


def _named(file: Path, root: Path) -> Iterator[Path]:
    """Yield where the modules that a file imports would be, if they were below a folder."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            base, names = root, [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [root, *file.parents][min(node.level, len(file.parents))]
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                inner = base.joinpath(*parts[:end])
                yield from (inner.with_suffix(".py"), inner / "__init__.py")


def _sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
