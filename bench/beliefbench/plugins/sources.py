"""Sources of domains and agents: entry points, folders of plugin files, and functions that return sources.

Finding a source does not load it. A broken source fails alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from beliefbench.errors import BeliefBenchError, UsageError, cut, in_short, let_pass, unknown_name
from beliefbench.folders import regular

Kind = Literal["domain", "agent"]
TABLES: dict[Kind, str] = {"domain": "DOMAINS", "agent": "AGENTS"}
FURTHER = "beliefbench.sources"
"""Entry points of functions without parameters that return a list of `Source`."""
BUILTIN = "beliefbench, beliefbench."
"""How the origins of this package's own sources begin."""
_folders: list[Path] = []
_read: dict[Path, tuple[dict[Kind, list[Source]], list[BeliefBenchError]]] = {}


@dataclass(frozen=True)
class Source:
    """One object that can be loaded by name: where it comes from, and how to load it."""

    name: str
    origin: str
    load: Callable[[], Any]
    target: str
    """Its identity, so that the same object under the same name is not counted twice."""
    kind: Kind = "domain"
    code: Path | EntryPoint | None = None
    """Where its code is: a plugin file, or the module and the distribution of an entry point; None if unknown."""

    def loaded(self) -> Any:
        """Return the object, or raise `BeliefBenchError` if it cannot be loaded."""
        try:
            return self.load()
        except BaseException as error:  # a plugin's module may raise anything, or be a script that ends
            let_pass(error)
            raise BeliefBenchError(
                f"{self.kind} '{self.name}' ({self.origin}) cannot be loaded: {in_short(error)}."
            ) from error

    def brings(self, thing: Any) -> bool:
        """Return True if it is this object, or a suite that contains it; False if it cannot be loaded."""
        try:
            found = self.loaded()
        except BeliefBenchError:
            return False
        return any(one is thing for one in (found if isinstance(found, tuple) else (found,)))


def sources(kind: Kind) -> list[Source]:
    """Return all sources of a kind.

    >>> [source.origin for source in sources("domain") if source.name == "hotels"]
    ['beliefbench, beliefbench.domains.hotels:hotels']
    """
    found = [_entry_point(kind, point) for point in _entry_points(f"beliefbench.{kind}s")]
    found += [source for folder in _folders for source in _folder_sources(folder)[0].get(kind, [])]
    return found + [source for source in _further_sources()[0] if source.kind == kind]


def source_of(kind: Kind, name: str) -> Source:
    """Return the one source of a name.

    Raises
    ------
    UsageError
        If nothing has that name.
    BeliefBenchError
        If more than one plugin provides it. The call itself is right: it works as soon as one of them is removed.

    >>> source_of("domain", "hotels").origin
    'beliefbench, beliefbench.domains.hotels:hotels'
    """
    found = [source for source in sources(kind) if source.name == name]
    if not found:
        raise unknown_name(kind, name, {source.name for source in sources(kind)})
    if len({source.target for source in found}) > 1:
        raise BeliefBenchError(
            f"{len(found)} plugins provide {'an' if kind == 'agent' else 'a'} {kind} '{name}' "
            f"({'; '.join(source.origin for source in found)}); uninstall or rename all but one."
        )
    return found[0]


def is_builtin(spec: str, kind: Kind = "domain") -> bool:
    """Return True if the domain or agent of a SPEC is one of this package, whatever else is installed. Loads nothing.

    >>> is_builtin("webshop-backpacks"), is_builtin("released/flights"), is_builtin("lowest:price", "agent")
    (True, False, True)
    """
    able = able_sources(spec, kind)
    return bool(able) and all(one.origin.startswith(BUILTIN) for one in able)


def able_sources(spec: str, kind: Kind = "domain") -> list[Source]:
    """Return the sources that may provide the domain or agent of a SPEC. Loads nothing.

    >>> [source.name for source in able_sources("flights-2,user_lapse=0.2")]
    ['flights', 'flights-2']
    """
    # A suite's domains begin with its name.
    after = ("-", ",") if kind == "domain" else (":", ",")
    return [one for one in sources(kind) if spec == one.name or spec.startswith(tuple(one.name + end for end in after))]


def add_plugin_folder(folder: Path) -> None:
    """Add the plugin files of a folder, ``*.py``, for the rest of this process.

    A file lists its objects in tables: ``DOMAINS = {"restaurants": restaurants}`` and ``AGENTS = {"regular":
    Regular}``.

    Raises
    ------
    UsageError
        If it is not a folder, or has no plugin file.
    """
    if not folder.is_dir():
        raise UsageError(f"plugin folder '{folder}' is not a folder; name one that holds plugin files (*.py).")
    if not _files(folder):
        raise UsageError(f"plugin folder '{folder}' has no plugin file (*.py); name a folder that has one.")
    if folder.resolve() not in _folders:
        _folders.append(folder.resolve())


def add_plugin_folders(folders: Iterable[Path]) -> None:
    """Add folders of plugin files, such as those of another process."""
    for folder in folders:
        add_plugin_folder(folder)


def plugin_folders() -> tuple[Path, ...]:
    """Return the folders that were added, in that order."""
    return tuple(_folders)


def forget_plugin_folders() -> None:
    """Forget the folders that were added, and the objects found there."""
    _folders.clear()
    _read.clear()


def broken_sources() -> list[BeliefBenchError]:
    """Return the errors of plugin files and further sources that could not be loaded."""
    return [error for folder in _folders for error in _folder_sources(folder)[1]] + _further_sources()[1]


def _further_sources() -> tuple[list[Source], list[BeliefBenchError]]:
    """Return the sources from functions registered as ``beliefbench.sources``, and the errors of broken ones."""
    found: list[Source] = []
    broken = []
    for point in _entry_points(FURTHER):
        try:
            brought = list(point.load()())
            if wrong := [one for one in brought if not isinstance(one, Source)]:
                raise BeliefBenchError(
                    f"it returned {wrong[0]!r}; expected a list of beliefbench.plugins.sources.Source"
                )
            found += brought
        except BaseException as error:  # a plugin's function may raise anything
            let_pass(error)
            broken.append(
                BeliefBenchError(f"source '{point.name}' ({point.value}) provides nothing: {in_short(error)}.")
            )
    return found, broken


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, searched again after a folder on `sys.path` has changed."""
    return _entry_points_of(group, tuple((folder, _changed(folder)) for folder in sys.path))


@lru_cache(maxsize=16)  # to read what all packages say of themselves takes 50 ms
def _entry_points_of(group: str, folders: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _changed(folder: str) -> int:
    """Return when a folder last changed, in ns; 0 if it is not there."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=512)
def _entry_point(kind: Kind, point: EntryPoint) -> Source:
    package = point.dist.name if point.dist else "unknown package"
    return Source(point.name, f"{package}, {point.value}", point.load, point.value, kind, point)


def _folder_sources(folder: Path) -> tuple[dict[Kind, list[Source]], list[BeliefBenchError]]:
    """Return the sources from a folder's files, and the errors of broken ones; each file runs once per process."""
    if folder in _read:
        return _read[folder]
    # Before any file is run: one that asks for a domain by name comes here again.
    found, broken = _read[folder] = {kind: [] for kind in TABLES}, []
    for file in _files(folder):
        try:
            module = _module(file)
            for kind, table in TABLES.items():
                found[kind] += _listed(kind, file, getattr(module, table, {}), table)
            if not any(hasattr(module, table) for table in TABLES.values()):
                raise BeliefBenchError('it has neither DOMAINS = {"name": domain} nor AGENTS = {"name": factory}')
        except BeliefBenchError as error:
            broken.append(BeliefBenchError(f"plugin file '{file}' provides nothing: {error}."))
        except BaseException as error:  # a plugin's file may raise anything, or be a script that ends
            let_pass(error)
            broken.append(BeliefBenchError(f"plugin file '{file}' raised {in_short(error)}."))
    return found, broken


def _listed(kind: Kind, file: Path, table: Any, name: str) -> list[Source]:
    if not isinstance(table, Mapping) or not all(isinstance(key, str) for key in table):
        raise BeliefBenchError(f"{name} is {cut(repr(table))}; expected a dict from names to objects")
    return [Source(key, str(file), partial(_same, value), f"{file}:{key}", kind, file) for key, value in table.items()]


def _same(value: Any) -> Any:
    return value


def _module(file: Path) -> ModuleType:
    name = f"beliefbench_plugin_{file.stem}"
    # Not through the import system: its bytecode cache takes a file changed within a second for the old one.
    code = compile(regular(file).read_bytes(), file, "exec")
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses and pickling look a module up by its name
    try:
        exec(code, module.__dict__)  # the user names the folder  # nosec B102
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
