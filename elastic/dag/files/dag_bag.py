"""DAG bag: all DAGs of a folder or file."""

from collections.abc import Iterator
from pathlib import Path

from elastic.core.errors import UsageError
from elastic.core.suggest import closest_name
from elastic.dag.dag import DAG
from elastic.dag.errors import BrokenDagError, UnknownDagError
from elastic.dag.files.dag_file import DagFileSource, ImportFailure, load, read_source
from elastic.dag.files.dag_folder import dag_files


class DagBag:
    """Collection of the DAGs of a folder or file. A file that cannot be loaded is an item of `import_errors`.

    Of two DAGs with the same id, the first one is kept, and the file of the second one is an import error.

    Args:
        place: A folder, which is searched recursively, or a file.
        seconds: Time limit to load one file.
        root: The folder of all DAG files, which may contain helper modules; by default `place`, or its folder.
        empty: Load no files; the caller uses `load_file`.

    Raises:
        UsageError: The folder or file does not exist.
    """

    def __init__(
        self, place: str | Path, *, seconds: float = 30.0, root: str | Path | None = None, empty: bool = False
    ) -> None:
        self.place = Path(place).absolute()
        self.seconds = seconds
        #: DAGs by id
        self.dags: dict[str, DAG] = {}
        #: failures by path
        self.import_errors: dict[str, ImportFailure] = {}
        #: contents of the files when they were loaded, by path
        self.sources: dict[str, DagFileSource] = {}
        if not self.place.exists():
            raise UsageError(f"there is no file or folder {str(place)!r} to load DAGs from. Check the path.")
        self._root = Path(root).absolute() if root else self.place if self.place.is_dir() else self.place.parent
        if not empty:
            paths, failures = dag_files(self.place) if self.place.is_dir() else ([self.place], ())
            self.import_errors.update({one.path: one for one in failures})
            for path in paths:
                self.load_file(path)

    def load_file(self, path: Path) -> list[DAG]:
        """Load or reload a file, and return its DAGs without duplicates."""
        name = str(path)
        self.import_errors.pop(name, None)
        if name in self.sources:
            self.dags = {dag_id: dag for dag_id, dag in self.dags.items() if dag.fileloc != name}
        try:
            source = read_source(path)
        except OSError as error:
            self.import_errors[name] = ImportFailure(name, f"it cannot be read ({error.strerror})")
            return []
        return self.load_source(source)

    def load_source(self, source: DagFileSource) -> list[DAG]:
        """Load a content of a file that need not be its present one, and return its DAGs without duplicates."""
        self.sources[source.path] = source
        found = load(source, self._root, self.seconds)
        if isinstance(found, ImportFailure):
            self.import_errors[source.path] = found
            return []
        self.import_errors.pop(source.path, None)
        return [dag for dag in found if self._add(dag)]

    def get_dag(self, dag_id: str) -> DAG:
        """Return a DAG by id.

        Raises:
            BrokenDagError: The bag is for one file, which cannot be loaded.
            UnknownDagError: There is no such DAG; the error names the most similar one.
        """
        if dag_id in self.dags:
            return self.dags[dag_id]
        if not self.place.is_dir() and self.import_errors:
            (failure,) = self.import_errors.values()
            raise BrokenDagError(failure.path, failure.reason, failure.traceback)
        near = closest_name(str(dag_id), self.dags)
        raise UnknownDagError(str(dag_id), str(self.place), near, len(self.import_errors))

    def source_of(self, dag_id: str) -> DagFileSource:
        """Return the source of a DAG as it was loaded.

        Raises:
            UnknownDagError: There is no such DAG.
        """
        return self.sources[self.get_dag(dag_id).fileloc]

    def _add(self, dag: DAG) -> bool:
        first = self.dags.setdefault(dag.dag_id, dag)
        if first is dag:
            return True
        where = "the same file" if first.fileloc == dag.fileloc else first.fileloc
        self.import_errors[dag.fileloc] = ImportFailure(
            dag.fileloc, f"its DAG {dag.dag_id!r} ({dag.fileloc}) is already defined in {where}. Change one of the ids"
        )
        return False

    def __iter__(self) -> Iterator[DAG]:
        return iter(self.dags.values())

    def __len__(self) -> int:
        return len(self.dags)
