"""Optional packages, which an extra of the distribution installs."""

from importlib import import_module
from typing import Any

from elastic.core.errors import UsageError


def require(module: str, *, extra: str, user: str) -> Any:
    """Import a module of an optional package and return it.

    Args:
        module: Full name of the module, such as `fsspec.core`.
        extra: The extra of `elastic-dataflow` that installs the package.
        user: The feature that needs the package, as the subject of the error's sentence.

    Raises:
        UsageError: The package is missing, or its import fails.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(missing_package(user, module.partition(".")[0], extra, str(error))) from error


def missing_package(user: str, package: str, extra: str, reason: str = "") -> str:
    """Return the error message for a missing package.

    Args:
        user: The feature that needs the package.
        package: Name of the package.
        extra: The extra that installs it; an empty string if no extra does.
        reason: Text of the import error.
    """
    shown = f" ({reason})" if reason else ""
    wanted = f"'elastic-dataflow[{extra}]'" if extra else package
    return f"{user} needs the package {package!r}, which is not installed here{shown}; run `pip install {wanted}`."
