"""Loading of the user's Python files as modules."""

import importlib.util
import os
import re
import sys
from types import ModuleType

#: Names of modules of flow files and DAG files: the name of the file between two marks.
_OF_FILE = re.compile(r"__elastic_(?:flow|dag)_(.+?)(?:_[0-9a-f]{8})?__")


def shown_module(name: str | None) -> str | None:
    """Return the name of a module for display: of the module of a flow file or DAG file, the name of the file."""
    found = _OF_FILE.fullmatch(name or "")
    return found[1] if found else name


def load_user_module(
    name: str, path: str | os.PathLike[str], *, content: bytes | None = None, keep: bool = False
) -> ModuleType:
    """Run a Python file and return its module.

    Unless the module is kept, no process can import its name, so cloudpickle serializes its functions by value.

    Args:
        name: Unique name of the module.
        path: The file.
        content: The code to run instead of the content of the file.
        keep: Whether the module stays in `sys.modules`, even if its code raises, so that pickle finds its classes.

    Raises:
        ImportError: The path does not have the suffix of a Python file.
        BaseException: The code raised it.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{os.fspath(path)} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        if content is None:
            spec.loader.exec_module(module)
        else:
            exec(compile(content, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the user's file is code
    finally:
        if not keep:
            del sys.modules[name]
    return module
