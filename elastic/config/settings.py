"""Effective settings: the value of each, and its source."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elastic.config.options import BY_NAME, OPTIONS, Option, hint
from elastic.config.sources import FILE_NAME, Found, Problem, of_defaults, of_environment, of_file, resolve
from elastic.core.errors import UsageError
from elastic.core.redaction import MASK, masked_url
from elastic.persistence.home import Home

#: Timeout of a command that prints a secret, in seconds.
_COMMAND_TIMEOUT = 30


class Settings:
    """Effective settings.

    Later sources win: defaults, `$ELASTIC_HOME/elastic.toml`, `./elastic.toml`, the environment.
    """

    def __init__(self, home: Path, found: Mapping[str, Found]) -> None:
        self.home = home
        self._found = dict(found)

    def get(self, name: str) -> Any:
        """Return a value by its name, `section.key`.

        Raises:
            UsageError: The setting does not exist, or its command or file fails.
        """
        return resolve(self._of(name), run_command)

    def text(self, name: str) -> str:
        """Return a value as a string."""
        return str(self.get(name))

    def shown(self, name: str) -> Any:
        """Return a value for output, with secrets masked."""
        found = self._of(name)
        if not found.option.is_secret:
            return found.value
        if name == "database.url" and not found.via:
            return masked_url(found.value)
        return MASK if found.value else ""

    def source(self, name: str) -> str:
        """Return where a value was set: `default`, a file, or an environment variable."""
        return self._of(name).source

    @property
    def options(self) -> tuple[Option, ...]:
        """All settings that exist."""
        return OPTIONS

    def _of(self, name: str) -> Found:
        if name not in BY_NAME:
            raise UsageError(f"there is no setting {name!r}; {hint(name)}")
        return self._found[name]

    def __repr__(self) -> str:
        return f"<Settings of {self.home}>"


def read_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read all settings.

    Args:
        environment: Environment variables; default: those of this process.
        folder: Folder of `./elastic.toml`; default: the working folder.

    Raises:
        UsageError: A setting is invalid. `elastic config lint` prints all invalid settings.
    """
    environment = os.environ if environment is None else environment
    home = Home.of(environment).folder
    found: dict[str, Found] = {}
    for item in _all(environment, home, folder):
        if isinstance(item, Problem):
            raise UsageError(str(item))
        found[item.option.name] = item
    return Settings(home, found)


def problems(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> list[str]:
    """Return a sentence for each problem that `read_settings` would raise."""
    environment = os.environ if environment is None else environment
    home = Home.of(environment).folder
    return [str(item) for item in _all(environment, home, folder) if isinstance(item, Problem)]


def run_command(command: str) -> str:
    """Run a command without a shell and return its output, without the final line end.

    Raises:
        UsageError: The command cannot be run, fails, or takes too long. The message never shows its output.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the owner of the settings wrote it
            shlex.split(command), capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"the command {command!r} of a setting cannot be run ({type(error).__name__}).") from None
    if done.returncode:
        raise UsageError(f"the command {command!r} of a setting ended with exit code {done.returncode}.")
    return done.stdout.rstrip("\r\n")


def _all(environment: Mapping[str, str], home: Path, folder: Path | None) -> Iterator[Found | Problem]:
    project = (folder or Path.cwd()).absolute() / FILE_NAME
    yield from of_defaults(home)
    yield from of_file(home / FILE_NAME, is_local=False)
    if project != home / FILE_NAME:
        yield from of_file(project, is_local=True)
    yield from of_environment(environment)
