"""Helper modules: modules that a DAG file imports from its own folders, isolated from those of other files."""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import takewhile
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

#: Packages that Elastic may import at any time; a file of that name beside a DAG file does not replace them.
_RESERVED = frozenset(
    ("alembic", "cloudpickle", "cronsim", "cryptography", "elastic", "jinja2", "msgpack", "psycopg", "pymysql", "ray",
     "rich", "sqlalchemy", "typer", "xxhash", "yaml", "zstandard")
)  # fmt: skip

_LIBRARIES = tuple(
    os.path.join(os.path.realpath(sysconfig.get_path(name)), "")  # noqa: PTH118 - compared as strings
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class HelperModules:
    """Modules of one DAG file, importable only while the file is loaded or its code runs.

    Two DAG files may import different modules of the same name, each from its own folder. Names of the standard library
    and of packages that Elastic needs always refer to these. Any other name refers to the module beside the file, then
    to one in the folder of all DAG files, then to an installed package. Each load of a file compiles its helpers from
    source, because `__pycache__` misses a second change within a second.

    `sys.modules` is shared by all threads, so code of two DAG files must not run in two threads at the same time.

    Args:
        folders: Folders to search, in order.
    """

    def __init__(self, folders: Iterable[Path | str] = ()) -> None:
        self.folders = tuple(dict.fromkeys(os.path.realpath(folder) for folder in dict.fromkeys(folders)))
        #: folders that user code added to `sys.path`
        self._added: tuple[str, ...] = ()
        self._modules: dict[str, ModuleType] = {}
        self._is_installed = False

    def __bool__(self) -> bool:
        return bool(self._modules)

    @property
    def files(self) -> list[str]:
        """Paths of the modules that were imported from the folders."""
        found = (getattr(module, "__file__", None) for module in self._modules.values())
        return [path for path in found if path]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Make the modules importable in the block, and hide them outside of it."""
        if self._is_installed or not self.folders:
            yield
            return
        own, path_before = self._own, list(sys.path)
        hidden = _remove_modules({name for folder in own for name in _shadowed_modules(folder)})
        # Modules imported from here on come after the marker. That is faster than a copy of all names.
        marker = ModuleType(f"__elastic_helpers_{id(self):x}__")
        sys.modules[marker.__name__] = marker
        sys.modules.update(self._modules)
        sys.path[:0] = own
        finder = _Finder(own)
        sys.meta_path.insert(0, finder)
        self._is_installed = True
        try:
            yield
        finally:
            self._is_installed = False
            sys.meta_path.remove(finder)
            self._uninstall(path_before, marker.__name__)
            sys.modules.update(hidden)

    @property
    def _own(self) -> tuple[str, ...]:
        return (*self.folders, *self._added)

    def _uninstall(self, path_before: list[str], marker: str) -> None:
        new = list(takewhile(lambda name: name != marker, reversed(sys.modules)))[::-1]
        sys.modules.pop(marker, None)
        if not new and sys.path == [*self._own, *path_before]:
            sys.path[:] = path_before
            return
        added = [entry for entry in sys.path if entry not in path_before and entry not in self.folders]
        # A library that extends the path on its first import does so for the whole process.
        shared = [entry for entry in added if os.path.realpath(entry).startswith(_LIBRARIES)]
        self._added = tuple(entry for entry in dict.fromkeys(added) if entry not in shared)
        sys.path[:] = [*shared, *path_before]
        own = _absolute(self._own)
        tops = {name for name in new if "." not in name and _module_folders(sys.modules[name]) & own}
        for name in [name for name in new if name.partition(".")[0] in tops]:
            self._modules[name] = sys.modules.pop(name)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process imports the modules again.
        return HelperModules, (self.folders,)


def shadowed_by(error: BaseException, folders: Sequence[str]) -> str:
    """Return the file beside a DAG file that an import error is about, because a reserved module hides it; else ''."""
    if not isinstance(error, ImportError) or not error.name or not _is_reserved(error.name):
        return ""
    top = error.name.partition(".")[0]
    return next((f"{folder}/{top}.py" for folder in folders if Path(folder, f"{top}.py").is_file()), "")


class _Finder:
    """Meta path finder that searches some folders first, and loads modules from source."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None:
            if _is_reserved(name):
                return None
            found = self._found(name, self._folders)
            # A folder without __init__.py counts only if there is no other module of that name.
            return found if found is not None and found.loader is not None else None
        top = sys.modules.get(name.partition(".")[0])
        return self._found(name, path) if top is not None and _module_folders(top) & _absolute(self._folders) else None

    def _found(self, name: str, folders: Sequence[str]) -> ModuleSpec | None:
        for folder in folders:
            cached = sys.path_importer_cache.get(folder)
            if cached is not None and hasattr(cached, "invalidate_caches"):
                cached.invalidate_caches()
        spec = PathFinder.find_spec(name, folders)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _SourceLoader(name, spec.loader.path)
            spec.cached = None
        return spec


class _SourceLoader(SourceFileLoader):
    """Loader that compiles the source of a module once per content."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return _compiled(path, self.get_data(path))


@lru_cache(maxsize=256)
def _compiled(path: str, source: bytes) -> CodeType:
    code: CodeType = compile(source, path, "exec", dont_inherit=True)
    return code


def _is_reserved(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in _RESERVED


def _remove_modules(tops: set[str]) -> dict[str, ModuleType]:
    """Remove modules and their submodules from `sys.modules`, and return them."""
    if not tops:
        return {}
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}


def _shadowed_modules(folder: str) -> Iterator[str]:
    """Yield the names of imported modules for which a folder has another module."""
    for name in _module_names(folder) & sys.modules.keys():
        place = os.path.join(folder, name)  # noqa: PTH118 - compared as strings
        is_module = os.path.isfile(f"{place}.py") or os.path.isfile(f"{place}/__init__.py")  # noqa: PTH113
        # A folder without __init__.py hides only another namespace package.
        is_module = is_module or (os.path.isdir(place) and getattr(sys.modules[name], "__file__", None) is None)  # noqa: PTH112
        if is_module and not _is_reserved(name):
            yield name


def _absolute(folders: Iterable[str]) -> set[str]:
    """Return folders as absolute paths, without resolving links."""
    return {os.path.abspath(folder) for folder in folders}  # noqa: PTH100


def _module_folders(module: ModuleType) -> set[str]:
    """Return the folders that contain a top-level module."""
    spec = getattr(module, "__spec__", None)
    places = list(getattr(spec, "submodule_search_locations", None) or ()) or [getattr(module, "__file__", None)]
    return {os.path.dirname(os.path.abspath(place)) for place in places if place}  # noqa: PTH100, PTH120


def _module_names(folder: str) -> frozenset[str]:
    try:
        return _list_names(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116
    except OSError:
        return frozenset()


@lru_cache(maxsize=64)
def _list_names(folder: str, changed_at: int) -> frozenset[str]:
    """Return the possible module names in a folder. The time of its last change is a part of the cache key."""
    names = {name.removesuffix(".py") for name in os.listdir(folder)}  # noqa: PTH208 - ten times faster
    return frozenset(name for name in names if name.isidentifier())
