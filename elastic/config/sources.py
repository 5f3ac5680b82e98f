"""Sources of settings. A problem is returned as a value, so that a caller can report all problems at once."""

import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.config.options import BY_NAME, OPTIONS, SECTIONS, Option, hint
from elastic.core.errors import UsageError

FILE_NAME = "elastic.toml"
PREFIX = "ELASTIC__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Value of a setting, with its source."""

    option: Option
    value: Any
    #: name of the source, as a user knows it
    source: str
    #: `cmd` or `file` if the value names a command or file with the actual value
    via: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem of a source: one sentence."""

    text: str

    def __str__(self) -> str:
        return self.text


def of_file(path: Path, *, is_local: bool) -> Iterator[Found | Problem]:
    """Yield the settings in a TOML file, or nothing if the file is missing.

    Args:
        path: The file.
        is_local: Whether the file is in the working folder, and so may set only harmless options.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield Problem(f"{path} cannot be read ({error.strerror}); check its permissions.")
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        yield Problem(f"{path} is not valid TOML ({error}); correct that line.")
        return
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Problem(f"{path} can be changed by others than its owner; run `chmod go-w {path}`.")
        return
    for section, keys in content.items():
        if section not in SECTIONS or not isinstance(keys, dict):
            yield Problem(f"{path}: there is no section {section!r}; the sections are {', '.join(SECTIONS)}.")
            continue
        for key, value in keys.items():
            yield _found(section, key, value, str(path), is_local=is_local)


def of_environment(environment: Mapping[str, str]) -> Iterator[Found | Problem]:
    """Yield the settings in the variables ELASTIC__SECTION__KEY."""
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
            yield _found(section, key, environment[variable], variable, is_local=False)


def of_defaults(home: Path) -> Iterator[Found]:
    """Yield the default of each setting."""
    for option in OPTIONS:
        value = option.default.format(home=home) if option.kind is str else option.default
        yield Found(option=option, value=value, source="default")


def resolve(found: Found, run: Callable[[str], str]) -> Any:
    """Return the actual value of a setting, from its file or command if it names one.

    Raises:
        UsageError: The file cannot be read, or the command fails.
    """
    if found.via == "cmd":
        return found.option.read(run(found.value), found.source)
    if found.via == "file":
        try:
            text = Path(found.value).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{found.source} names {found.value!r}, which cannot be read ({error}).") from error
        return found.option.read(text, found.source)
    return found.value


def _found(section: str, key: str, value: Any, place: str, *, is_local: bool) -> Found | Problem:
    name = f"{section}.{key}"
    base, _, via = key.rpartition("_")
    option, how = BY_NAME.get(name), ""
    if option is None and via in ("cmd", "file"):
        option, how = BY_NAME.get(f"{section}.{base}"), via
    if option is None or (how and not option.is_secret):
        return Problem(f"{place}: there is no setting {name!r}; {hint(name)}")
    if is_local and not option.is_local:
        return Problem(
            f"{place}: a file of the working folder may not set {name}, because it could run code or lead elsewhere; "
            f"put it into {FILE_NAME} of ELASTIC_HOME, or into the environment."
        )
    if how:
        if not isinstance(value, str) or not value:
            return Problem(f"{place}: {name} must be a string.")
        return Found(option=option, value=value, source=place, via=how)
    try:
        return Found(option=option, value=option.read(value, place), source=place)
    except UsageError as error:
        return Problem(str(error))
