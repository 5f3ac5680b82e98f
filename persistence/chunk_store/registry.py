"""Kinds of chunk stores by name: the two that are part of Elastic, and classes of the user.

A user's class is kept with the run as `module:Class`, or as `/path/file.py:Class` where its module is a lone file.
So the process that goes on with the run finds it again.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from elastic.core.contracts.store import ChunkStore
from elastic.core.errors import UsageError
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.disk_reserve import DiskReserve

#: The stores of Elastic itself.
OWN_KINDS: dict[str, type[SegmentChunkStore] | type[DirectoryChunkStore]] = {
    "segment": SegmentChunkStore,
    "directory": DirectoryChunkStore,
}

#: Classes that this process was given or has found, by the name that a run keeps.
_found: dict[str, type[ChunkStore]] = {}

#: Files that are being loaded to find a class.
_loading: set[str] = set()


def kind_name(given: Any) -> str:
    """Return the name by which a run keeps its kind of chunk store.

    Args:
        given: `segment`, `directory`, a class that derives from `ChunkStore`, or `module:Class` or `file.py:Class`.

    Raises:
        UsageError: It is none of these, or not found, or does not meet the contract.
    """
    if isinstance(given, str) and given in OWN_KINDS:
        return given
    if isinstance(given, str) and ":" in given:
        where, _, name = given.rpartition(":")
        path = str(Path(where).expanduser().absolute()) if where.endswith(".py") else where
        kept = f"{path}:{name}"
        if path not in _loading:  # else it is the file itself that names a class of its own
            kind_at(kept)
        return kept
    if not isinstance(given, type):
        raise UsageError(
            f"chunk_store={given!r} must be one of {', '.join(OWN_KINDS)}, a class that derives from "
            "elastic.ChunkStore, or module:Class."
        )
    _check(given)
    kept = f"{_place(given)}:{given.__qualname__}"
    _found[kept] = given
    return kept


def kind_at(kept: str) -> type[ChunkStore]:
    """Return the user's class that a run has kept the name of.

    Raises:
        UsageError: It cannot be found, or does not meet the contract.
    """
    if kept not in _found:
        where, _, name = kept.rpartition(":")
        try:
            kind: Any = _load_file(where) if where.endswith(".py") else importlib.import_module(where)
            for part in name.split("."):
                kind = getattr(kind, part)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"the chunk store {kept} is not found ({type(error).__name__}: {error}); put the class back there."
            ) from error
        _check(kind)
        _found[kept] = kind
    return _found[kept]


def make_chunk_store(
    kept: str, place: tuple[Path, str, int], *, read_only: bool, reserve: DiskReserve | None
) -> ChunkStore:
    """Return the chunk store of a step; `place` is the run's folder, the run and the step.

    Raises:
        UsageError: A user's class is not found or cannot be made; says why.
    """
    own = OWN_KINDS.get(kept)
    if own is not None:
        return own(*place, read_only=read_only, reserve=reserve)
    kind: Callable[..., ChunkStore] = kind_at(kept)
    try:
        return kind(*place, read_only=read_only)
    except Exception as error:
        raise UsageError(f"the chunk store {kept} cannot be made ({type(error).__name__}: {error}).") from error


def _check(kind: Any) -> None:
    if not (isinstance(kind, type) and issubclass(kind, ChunkStore)):
        raise UsageError(f"chunk_store={kind!r} must derive from elastic.ChunkStore.")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise UsageError(
            f"chunk_store={kind.__qualname__} lacks {', '.join(missing)}; define all that ChunkStore asks for."
        )
    try:
        inspect.signature(kind).bind(Path(), "", 0, read_only=False)
    except TypeError as error:
        raise UsageError(
            f"chunk_store={kind.__qualname__} is made with (folder, run_id, step, read_only=...), and its constructor "
            f"does not take that ({error})."
        ) from error


def _place(kind: type[ChunkStore]) -> str:
    """Return the module or the file in which another process finds a class."""
    if "<locals>" in kind.__qualname__:
        raise UsageError(f"chunk_store={kind.__qualname__} is a class inside a function; define it in a module.")
    spec = None if kind.__module__ == "__main__" else _spec(kind.__module__)
    files = (value.__code__.co_filename for value in vars(kind).values() if isinstance(value, FunctionType))
    file = next(files, "")
    if spec is not None and (not file or spec.origin == file) and "." in kind.__module__:
        return kind.__module__
    if Path(file).is_file():
        return str(Path(file).absolute())
    if spec is not None:
        return kind.__module__
    raise UsageError(f"chunk_store={kind.__qualname__} is in no file that another process finds; put it into a module.")


def _spec(module: str) -> Any:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _load_file(path: str) -> ModuleType:
    main = sys.modules.get("__main__")
    if main is not None and str(Path(getattr(main, "__file__", None) or "-").absolute()) == path:
        return main
    # A name that nothing else has: the module stays under it, so that its classes and their errors can be pickled.
    name = f"__elastic_chunk_store_{Path(path).stem}__"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded as Python code")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    _loading.add(path)
    try:
        spec.loader.exec_module(module)
    finally:
        _loading.discard(path)
    return module
