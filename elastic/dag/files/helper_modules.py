"""Helper modules: what a DAG file imports from its own folders, apart from those of every other file."""

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

#: Packages that Elastic itself imports at any time: a file of that name beside a DAG takes the place of none of them.
NEEDED = frozenset(
    ("alembic", "cloudpickle", "cronsim", "cryptography", "elastic", "jinja2", "msgpack", "psycopg", "pymysql", "ray",
     "rich", "sqlalchemy", "typer", "xxhash", "yaml", "zstandard")
)  # fmt: skip

_LIBRARIES = tuple(
    os.path.join(os.path.realpath(sysconfig.get_path(name)), "")  # noqa: PTH118 - compared as text
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


class HelperModules:
    """The modules of one DAG file, installed only while the file is loaded or its code runs.

    Two files may so import two modules of one name, each the one in its own folder. Names of the standard library and
    of the packages that Elastic needs keep their meaning. Any other name means first the module beside the file, then
    the one in the folder of all DAGs, then an installed package. Helpers are read from their source each time that a
    file is loaded, without `__pycache__`, which does not see a change within a second.

    `sys.modules` belongs to the process: the code of two files must not run in two threads at the same time.

    Args:
        folders: Where modules are looked for, in order.
    """

    def __init__(self, folders: Iterable[Path | str] = ()) -> None:
        self.folders = tuple(dict.fromkeys(os.path.realpath(folder) for folder in dict.fromkeys(folders)))
        #: folders that the code itself has put on `sys.path`
        self._added: tuple[str, ...] = ()
        self._modules: dict[str, ModuleType] = {}
        self._is_installed = False

    def __bool__(self) -> bool:
        return bool(self._modules)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the code in the block import the modules, and let code outside see none of them."""
        if self._is_installed or not self.folders:
            yield
            return
        own, path_before = self._own, list(sys.path)
        hidden = _taken_out({name for folder in own for name in _named_alike(folder)})
        # What is imported from here on stands behind it, which is found faster than by a copy of all names.
        mark = ModuleType(f"__elastic_helpers_{id(self):x}__")
        sys.modules[mark.__name__] = mark
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
            self._take_back(path_before, mark.__name__)
            sys.modules.update(hidden)

    @property
    def _own(self) -> tuple[str, ...]:
        return (*self.folders, *self._added)

    def _take_back(self, path_before: list[str], mark: str) -> None:
        new = list(takewhile(lambda name: name != mark, reversed(sys.modules)))[::-1]
        sys.modules.pop(mark, None)
        if not new and sys.path == [*self._own, *path_before]:
            sys.path[:] = path_before
            return
        added = [entry for entry in sys.path if entry not in path_before and entry not in self.folders]
        # A library that changes the path when it is first imported does so for the whole process.
        shared = [entry for entry in added if os.path.realpath(entry).startswith(_LIBRARIES)]
        self._added = tuple(entry for entry in dict.fromkeys(added) if entry not in shared)
        sys.path[:] = [*shared, *path_before]
        own = _places(self._own)
        tops = {name for name in new if "." not in name and _homes(sys.modules[name]) & own}
        for name in [name for name in new if name.partition(".")[0] in tops]:
            self._modules[name] = sys.modules.pop(name)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process imports them anew.
        return HelperModules, (self.folders,)


def shadowed_by(error: BaseException, folders: Sequence[str]) -> str:
    """Return the file beside a DAG whose name is that of another module, which an import error is about; else ''."""
    if not isinstance(error, ImportError) or not error.name or not _is_reserved(error.name):
        return ""
    top = error.name.partition(".")[0]
    return next((f"{folder}/{top}.py" for folder in folders if Path(folder, f"{top}.py").is_file()), "")


class _Finder:
    """Finds modules in folders first, and reads them from their source."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None:
            if _is_reserved(name):
                return None
            found = self._found(name, self._folders)
            # A folder without __init__.py counts only where there is no module of that name anywhere.
            return found if found is not None and found.loader is not None else None
        top = sys.modules.get(name.partition(".")[0])
        return self._found(name, path) if top is not None and _homes(top) & _places(self._folders) else None

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
    """Loads a module from its source, which is compiled once for each content."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return _compiled(path, self.get_data(path))


@lru_cache(maxsize=256)
def _compiled(path: str, source: bytes) -> CodeType:
    code: CodeType = compile(source, path, "exec", dont_inherit=True)
    return code


def _is_reserved(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in NEEDED


def _taken_out(tops: set[str]) -> dict[str, ModuleType]:
    """Take modules with all below them out of `sys.modules`."""
    if not tops:
        return {}
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}


def _named_alike(folder: str) -> Iterator[str]:
    """Yield the names of imported modules that mean another module to code in a folder."""
    for name in _names_in(folder) & sys.modules.keys():
        place = os.path.join(folder, name)  # noqa: PTH118 - compared as text
        is_module = os.path.isfile(f"{place}.py") or os.path.isfile(f"{place}/__init__.py")  # noqa: PTH113
        # A folder without __init__.py hides only another one of its kind.
        is_module = is_module or (os.path.isdir(place) and getattr(sys.modules[name], "__file__", None) is None)  # noqa: PTH112
        if is_module and not _is_reserved(name):
            yield name


def _places(folders: Iterable[str]) -> set[str]:
    """Return folders as absolute paths, whose links are not followed."""
    return {os.path.abspath(folder) for folder in folders}  # noqa: PTH100


def _homes(module: ModuleType) -> set[str]:
    """Return the folders in which a top-level module was found."""
    spec = getattr(module, "__spec__", None)
    places = list(getattr(spec, "submodule_search_locations", None) or ()) or [getattr(module, "__file__", None)]
    return {os.path.dirname(os.path.abspath(place)) for place in places if place}  # noqa: PTH100, PTH120


def _names_in(folder: str) -> frozenset[str]:
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116
    except OSError:
        return frozenset()


@lru_cache(maxsize=64)
def _listed(folder: str, changed_at: int) -> frozenset[str]:
    """Return the names that modules and packages of a folder may have, as it was when it changed last."""
    names = {name.removesuffix(".py") for name in os.listdir(folder)}  # noqa: PTH208 - a tenth of the time
    return frozenset(name for name in names if name.isidentifier())
