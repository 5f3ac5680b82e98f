"""The DAG bag: all DAGs of a folder or file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.suggest import closest_name
from elastic.dag.dag import DAG
from elastic.dag.errors import BrokenDagError, UnknownDagError
from elastic.dag.files.dag_file import DagFileSource, ImportFailure, dag_files, load, read_source
from elastic.dag.serialized_dag import to_dict


class DagBag:
    """Loads DAG files, in order. A file that cannot be loaded is a value in `import_errors` and stops nothing.

    Of two DAGs with one id the first counts, and the file of the second is a failure that names both.

    Args:
        place: A folder, which is walked, or a file.
        seconds: How long loading one file may take.
        root: The folder of all DAGs, where helper modules are looked for too; by default the folder, or that of the
            file.
        empty: Load nothing yet; `load_file` does.

    Raises:
        UsageError: There is no such folder or file.
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
        #: what the files held when they were loaded, by path
        self.sources: dict[str, DagFileSource] = {}
        if not self.place.exists():
            raise UsageError(f"there is no file or folder {str(place)!r} to load DAGs from; check the path.")
        self._root = Path(root).absolute() if root else self.place if self.place.is_dir() else self.place.parent
        if not empty:
            for path in dag_files(self.place) if self.place.is_dir() else [self.place]:
                self.load_file(path)

    def load_file(self, path: Path) -> list[DAG]:
        """Load a file, again if it was loaded before, and return the DAGs that count."""
        name = str(path)
        self.import_errors.pop(name, None)
        if name in self.sources:
            self.dags = {dag_id: dag for dag_id, dag in self.dags.items() if dag.fileloc != name}
        try:
            source = self.sources[name] = read_source(path)
        except OSError as error:
            self.import_errors[name] = ImportFailure(name, f"it cannot be read ({error.strerror})")
            return []
        found = load(source, self._root, self.seconds)
        if isinstance(found, ImportFailure):
            self.import_errors[name] = found
            return []
        return [dag for dag in found if self._take(dag)]

    def get_dag(self, dag_id: str) -> DAG:
        """Return a DAG by id.

        Raises:
            BrokenDagError: The bag is of one file, and it cannot be loaded.
            UnknownDagError: There is none; the error names the one that is most like it.
        """
        if dag_id in self.dags:
            return self.dags[dag_id]
        if not self.place.is_dir() and self.import_errors:
            (failure,) = self.import_errors.values()
            raise BrokenDagError(failure.path, failure.reason, failure.traceback)
        near = closest_name(str(dag_id), self.dags)
        raise UnknownDagError(str(dag_id), str(self.place), near, len(self.import_errors))

    def source_of(self, dag_id: str) -> DagFileSource:
        """Return what the file of a DAG held when it was loaded.

        Raises:
            UnknownDagError: There is no such DAG.
        """
        return self.sources[self.get_dag(dag_id).fileloc]

    def structure_of(self, dag_id: str) -> dict[str, Any]:
        """Return the structure of a DAG, with the digest of its source.

        Raises:
            UnknownDagError: There is no such DAG.
        """
        return to_dict(self.get_dag(dag_id), self.source_of(dag_id).digest)

    def _take(self, dag: DAG) -> bool:
        first = self.dags.setdefault(dag.dag_id, dag)
        if first is dag:
            return True
        where = "the same file" if first.fileloc == dag.fileloc else first.fileloc
        self.import_errors[dag.fileloc] = ImportFailure(
            dag.fileloc, f"its DAG {dag.dag_id!r} ({dag.fileloc}) is already defined in {where}; give one another id"
        )
        return False

    def __iter__(self) -> Iterator[DAG]:
        return iter(self.dags.values())

    def __len__(self) -> int:
        return len(self.dags)
