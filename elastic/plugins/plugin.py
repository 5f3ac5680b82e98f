"""Plug-ins by group and name, looked up at first use."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from elastic.core.errors import ElasticError
from elastic.core.text import error_text, one_line
from elastic.core.user_module import load_user_module
from elastic.persistence.home import Home

#: Groups of entry points, and what a plug-in of each is.
GROUPS: Mapping[str, str] = {
    "elastic.hooks": "class of hooks, by the kind of connections",
    "elastic.notifiers": "class of notifiers, by the kind of connections",
    "elastic.operators": "class of operators, by its name in elastic.operators",
    "elastic.triggers": "class of triggers, by its kind",
    "elastic.macros": "function or value, by its name in `macros` of templates",
    "elastic.timetables": "function of a time zone that returns a schedule, by a name with @",
    "elastic.clusters": "class of clusters, by its name; reserved, nothing uses it yet",
    "elastic.cli": "typer.Typer or function, by the name of its command",
}

#: Folder below the home folder, and the name of the mapping in each of its files.
FOLDER, MAPPING = "plugins", "PLUGINS"


class PluginError(ElasticError):
    """A plug-in cannot be loaded, or two have one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Plug-in of a distribution, or of a file in the home folder."""

    name: str
    group: str
    #: name of the distribution, or path of the file
    distribution: str
    #: empty for a file
    version: str = ""
    #: why its file cannot be used; empty if it can
    error: str = ""
    loader: Callable[[], Any] = field(repr=False, compare=False)

    def load(self) -> Any:
        """Return the object that the plug-in names.

        Raises:
            PluginError: It cannot be loaded; the error names the plug-in and the reason.
        """
        try:
            return self.loader()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"plug-in {self.name!r} ({self.group}) of {self.distribution} cannot be loaded: {_reason(error)}."
            ) from error


def find(group: str, name: str) -> Any:
    """Return the object of a plug-in, or None if there is no plug-in of this name.

    Raises:
        PluginError: It cannot be loaded, or two plug-ins have the name.
    """
    found = _by_name().get((group, name), [])
    if len(found) > 1:
        raise PluginError(_twice(found))
    return found[0].load() if found else None


def names(group: str) -> list[str]:
    """Return the names of the plug-ins of a group."""
    return sorted(name for one, name in _by_name() if one == group)


def plugins() -> list[Plugin]:
    """Return all plug-ins by group and name, and an entry with the error for each file that cannot be used."""
    found = [one for same in _by_name().values() for one in same]
    return sorted([*found, *_files()[1]], key=lambda one: (one.group, one.name, one.distribution))


def problem_of(plugin: Plugin) -> str:
    """Load a plug-in, and return why it cannot be used; empty if it can."""
    if plugin.error:
        return plugin.error
    same = _by_name()[plugin.group, plugin.name]
    if len(same) > 1:
        return _twice(same)
    try:
        plugin.load()
    except PluginError as error:
        return str(error)
    return ""


def forget() -> None:
    """Forget what was found, so that the next look-up searches again."""
    _by_name.cache_clear()
    _files.cache_clear()


def _twice(found: list[Plugin]) -> str:
    first, second, *_ = sorted(one.distribution for one in found)
    return f"two plug-ins have the name {found[0].name!r} ({found[0].group}): of {first} and of {second}; remove one."


@cache
def _by_name() -> Mapping[tuple[str, str], list[Plugin]]:
    # Reading the metadata of all distributions takes tens of milliseconds, so it happens once and only if needed.
    everything: dict[tuple[str, str], list[Plugin]] = {}
    for one in (*_of_distributions(), *_files()[0]):
        everything.setdefault((one.group, one.name), []).append(one)
    return everything


def _of_distributions() -> Iterator[Plugin]:
    seen: set[tuple[str, str, str]] = set()
    for group in GROUPS:
        for entry in entry_points(group=group):
            distribution = entry.dist.name if entry.dist else "unknown"
            # One distribution may be on the path twice.
            if (group, entry.name, distribution) not in seen:
                seen.add((group, entry.name, distribution))
                yield Plugin(
                    name=entry.name,
                    group=group,
                    distribution=distribution,
                    version=entry.dist.version if entry.dist else "",
                    loader=_loader(entry),
                )


def _loader(entry: EntryPoint) -> Callable[[], Any]:
    return lambda: entry.load()


@cache
def _files() -> tuple[list[Plugin], list[Plugin]]:
    """Return the plug-ins of the files in the home folder, and an entry for each file that cannot be used."""
    folder = Home.of(os.environ).folder / FOLDER
    found: list[Plugin] = []
    broken: list[Plugin] = []
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
        try:
            found += _of_file(path)
        except PluginError as error:
            broken.append(_broken(path, str(error)))
        except (Exception, SystemExit) as error:
            broken.append(_broken(path, _reason(error)))
    return found, broken


def _of_file(path: Path) -> list[Plugin]:
    """Run a file, and return the plug-ins that its mapping names."""
    for place in (path, path.parent):
        _check_owner(place)
    mapping = getattr(load_user_module(f"elastic_plugin_{path.stem}", path), MAPPING, None)
    if not isinstance(mapping, Mapping) or not all(isinstance(one, Mapping) for one in mapping.values()):
        raise PluginError(f"{path} must define {MAPPING}, a mapping from groups to mappings from names to objects.")
    unknown = [str(group) for group in mapping if group not in GROUPS]
    if unknown:
        raise PluginError(f"{path}: there is no group {unknown[0]!r}; the groups are {', '.join(GROUPS)}.")
    wrong = [repr(name) for things in mapping.values() for name in things if not isinstance(name, str)]
    if wrong:
        raise PluginError(f"{path}: the name {wrong[0]} of a plug-in must be a string.")
    return [
        Plugin(name=name, group=group, distribution=str(path), loader=_constant(thing))
        for group, things in mapping.items()
        for name, thing in things.items()
    ]


def _check_owner(path: Path) -> None:
    """Check that only this user, or root, can change a file or folder, because its code runs as this user."""
    found = path.stat()
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PluginError(f"{path} can be changed by others than its owner; run `chmod go-w {path}`.")
    if found.st_uid not in (os.geteuid(), 0):
        raise PluginError(f"{path} belongs to another user; its code would run as this one.")


def _broken(path: Path, why: str) -> Plugin:
    return Plugin(name=path.stem, group="", distribution=str(path), error=one_line(why), loader=_constant(None))


def _reason(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error_text(error)}")


def _constant(thing: Any) -> Callable[[], Any]:
    return lambda: thing
