"""Chunk stores by name: the two of Elastic, and classes of the user.

The run records a user's class as `module:Class`, or as `/path/file.py:Class` if its module belongs to no package. A
process that resumes the run imports it from there.
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
from elastic.core.user_module import load_user_module
from elastic.persistence.chunk_store.directory_store import DirectoryChunkStore
from elastic.persistence.chunk_store.segment_store import SegmentChunkStore
from elastic.persistence.disk_reserve import DiskReserve

#: Chunk stores of Elastic by name.
OWN_KINDS: dict[str, type[SegmentChunkStore] | type[DirectoryChunkStore]] = {
    "segment": SegmentChunkStore,
    "directory": DirectoryChunkStore,
}

#: User classes that this process got or imported, by their recorded names.
_user_kinds: dict[str, type[ChunkStore]] = {}

#: Files that are being loaded to import a class.
_loading: set[str] = set()


def kind_name(given: Any) -> str:
    """Return the name under which a run records its kind of chunk store.

    Args:
        given: `segment`, `directory`, a subclass of `ChunkStore`, or `module:Class` or `file.py:Class`.

    Raises:
        UsageError: The value is none of these, or the class is missing or does not implement the contract.
    """
    if isinstance(given, str) and given in OWN_KINDS:
        return given
    if isinstance(given, str) and ":" in given:
        where, _, name = given.rpartition(":")
        path = str(Path(where).expanduser().absolute()) if where.endswith(".py") else where
        kept = f"{path}:{name}"
        if path not in _loading:  # else the file that is being loaded names a class of its own
            kind_at(kept)
        return kept
    if not isinstance(given, type):
        raise UsageError(
            f"chunk_store={given!r} must be one of {', '.join(OWN_KINDS)}, a class that derives from ChunkStore, "
            "or module:Class."
        )
    _check(given)
    kept = f"{_place(given)}:{given.__qualname__}"
    _user_kinds[kept] = given
    return kept


def kind_at(kept: str) -> type[ChunkStore]:
    """Return the user's class with a recorded name.

    Raises:
        UsageError: The class is missing, or does not implement the contract.
    """
    if kept not in _user_kinds:
        where, _, name = kept.rpartition(":")
        try:
            kind: Any = _load_file(where) if where.endswith(".py") else importlib.import_module(where)
            for part in name.split("."):
                kind = getattr(kind, part)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"the chunk store {kept} is missing ({type(error).__name__}: {error}); restore the class there."
            ) from error
        _check(kind)
        _user_kinds[kept] = kind
    return _user_kinds[kept]


def make_chunk_store(
    kept: str, place: tuple[Path, str, int], *, read_only: bool, reserve: DiskReserve | None
) -> ChunkStore:
    """Return the chunk store of a step.

    Args:
        kept: Name of the kind, as `kind_name` returned it.
        place: Folder of the run, id of the run, number of the step.
        read_only: Whether the store refuses to write.
        reserve: Space that a store of Elastic releases when the disk is full.

    Raises:
        UsageError: A user's class is missing, or its constructor raised.
    """
    own = OWN_KINDS.get(kept)
    if own is not None:
        return own(*place, read_only=read_only, reserve=reserve)
    kind: Callable[..., ChunkStore] = kind_at(kept)
    try:
        return kind(*place, read_only=read_only)
    except Exception as error:
        raise UsageError(
            f"the chunk store {kept} cannot be created ({type(error).__name__}: {error}); correct its constructor."
        ) from error


def _check(kind: Any) -> None:
    if not (isinstance(kind, type) and issubclass(kind, ChunkStore)):
        raise UsageError(f"chunk_store={kind!r} must derive from elastic.ChunkStore.")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise UsageError(
            f"chunk_store={kind.__qualname__} lacks {', '.join(missing)}; define all abstract methods of ChunkStore."
        )
    try:
        inspect.signature(kind).bind(Path(), "", 0, read_only=False)
    except TypeError as error:
        raise UsageError(
            f"chunk_store={kind.__qualname__} must take (folder, run_id, step, read_only=...): {error}."
        ) from error


def _place(kind: type[ChunkStore]) -> str:
    """Return the module or the file from which another process imports a class."""
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
    raise UsageError(
        f"chunk_store={kind.__qualname__} is in no file that another process can import; move it into a module."
    )


def _spec(module: str) -> Any:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _load_file(path: str) -> ModuleType:
    main = sys.modules.get("__main__")
    if main is not None and str(Path(getattr(main, "__file__", None) or "-").absolute()) == path:
        return main
    # The module stays in sys.modules under this unique name, so that its classes and their errors can be pickled.
    name = f"__elastic_chunk_store_{Path(path).stem}__"
    _loading.add(path)
    try:
        return load_user_module(name, path, keep=True)
    finally:
        _loading.discard(path)
