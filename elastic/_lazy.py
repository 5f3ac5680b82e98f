"""Lazy package attributes: a public name loads its module when it is first used."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def attach(
    package: str,
    homes: Mapping[str, Sequence[str]],
    aliases: Mapping[str, str] | None = None,
    plugins: Callable[[str], Any] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package whose public names live in other modules.

    The package imports the same names under `TYPE_CHECKING`, so that type checkers and editors see them.

    Args:
        package: The package's `__name__`.
        homes: The names that each module defines.
        aliases: Former spellings that still work, and the names they stand for. `dir` leaves them out.
        plugins: Returns the object of a plug-in by its name, or None. Called only for names of a class that no module
            defines.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get_attribute(name: str) -> Any:
        name = (aliases or {}).get(name, name)
        if name not in home_of:
            # Only names of classes: Python asks for many others, such as __path__.
            found = plugins(name) if plugins is not None and name[0].isupper() else None
            if found is not None:
                return found
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home_of[name]), name)

    def list_attributes() -> list[str]:
        return sorted(import_module(package).__all__)

    return get_attribute, list_attributes
