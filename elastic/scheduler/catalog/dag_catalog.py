"""DAG catalog: serialized DAGs in the database, so that other processes can show them without their files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from elastic.config.queues import queues_of
from elastic.config.settings import read_settings
from elastic.core.errors import ElasticError, UsageError
from elastic.dag.dag import DAG
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.files.dag_file import ImportFailure, read_source
from elastic.dag.files.dag_folder import dag_files
from elastic.dag.ignored_settings import shown_task_ids
from elastic.dag.serialized_dag import to_dict
from elastic.dag.task_settings import DEFAULTS
from elastic.db.records import DagRun
from elastic.db.stores.dags import (
    DagRow,
    FoundDag,
    dags,
    forget_missing,
    import_errors,
    set_import_errors,
    store_dag,
    store_dags,
)
from elastic.executors.executor import Executor
from elastic.executors.registry import executor_by_queue
from elastic.scheduler.deployment import Deployment

#: DAGs that one transaction stores. A commit for each DAG would take longer than all other work.
_BATCH_SIZE = 100


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of the source and of the structure of a DAG."""

    source: str | None
    structure: str

    def set_in(self, run: DagRun) -> DagRun:
        """Return a copy of a run with these digests."""
        return replace(run, source_digest=self.source, structure_digest=self.structure)


def store(deployment: Deployment, dag: DAG) -> Digests:
    """Store the present source and structure of a DAG."""
    found = found_dag(dag)
    store_dag(deployment.database, found.row, source=found.source, structure=found.structure)
    return Digests(found.row.source_digest, str(found.row.structure_digest))


def found_dag(dag: DAG) -> FoundDag:
    """Return a loaded DAG with its source and its structure, ready to be stored."""
    text, digest = _source(dag)
    structure = json.dumps(to_dict(dag, digest or ""), sort_keys=True)
    row = DagRow(
        dag_id=dag.dag_id,
        fileloc=dag.fileloc,
        owner=dag.owner,
        description=dag.doc or None,
        schedule=str(dag.schedule),
        tags=",".join(dag.tags),
        task_count=dag.task_count,
        concurrency=dag.concurrency,
        is_paused=dag.is_paused_upon_creation,
        source_digest=digest,
        structure_digest=hashlib.sha256(structure.encode()).hexdigest(),
    )
    # Its helper modules may change while the file does not, and a list repeats its warnings.
    return FoundDag(row, text, structure, is_reread=bool(dag.helpers or dag.warnings or _names_resources(dag)))


def _source(dag: DAG) -> tuple[str, str | None]:
    """Return the source of a DAG and its digest; an empty string and None if the DAG has no file."""
    try:
        source = read_source(Path(dag.fileloc))
    except OSError:
        return "", None
    text = source.text.encode("utf-8", "backslashreplace").decode()
    return text, source.digest


@dataclass(frozen=True, slots=True)
class DagCatalog:
    """Result of a scan of the DAG folder."""

    dags: tuple[DagRow, ...]
    #: import failures by path
    failures: Mapping[str, ImportFailure]
    #: warnings about settings without effect, by DAG id
    warnings: Mapping[str, Sequence[str]]


def find(deployment: Deployment, dag_id: str, place: Path | None = None, root: Path | None = None) -> DAG:
    """Return a DAG from its file.

    Args:
        deployment: DAG folder, and the database of earlier scans.
        dag_id: The DAG.
        place: File or folder to search; None for the DAG folder.
        root: Folder of all DAGs, which may hold helper modules; None for `place`, or for the DAG folder if `place` is
            inside it.

    Raises:
        UnknownDagError: The DAG does not exist.
        BrokenDagError: The file cannot be loaded.
        UsageError: `place` does not exist.
    """
    if place is None:
        known = next((row for row in dags(deployment.database) if row.dag_id == dag_id), None)
        if (
            known is not None
            and Path(known.fileloc).is_file()
            and Path(known.fileloc).is_relative_to(deployment.dags_folder)
        ):
            bag = DagBag(known.fileloc, root=deployment.dags_folder)
            if dag_id in bag.dags or bag.import_errors:
                return bag.get_dag(dag_id)
    module = str(deployment.settings["core.dags_module"])
    if place is None and module:
        own = DagBag(deployment.dags_folder) if deployment.dags_folder.is_dir() else None
        return (own if own is not None and dag_id in own.dags else _module_bag(module)).get_dag(dag_id)
    if place is not None and root is None and place.absolute().is_relative_to(deployment.dags_folder.absolute()):
        root = deployment.dags_folder
    return DagBag(place or folder_of(deployment), root=root).get_dag(dag_id)


def _module_bag(name: str) -> DagBag:
    """Return the DAGs of the module that `core.dags_module` names.

    Raises:
        UsageError: There is no such module.
    """
    try:
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UsageError(f"core.dags_module {name!r} cannot be found ({error}); correct it.") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UsageError(f"core.dags_module {name!r} cannot be found; install it, or set PYTHONPATH.")
    return DagBag(spec.origin)


def folder_of(deployment: Deployment) -> Path:
    """Return the folder of DAG files.

    Raises:
        UsageError: The folder does not exist.
    """
    if not deployment.dags_folder.is_dir():
        raise UsageError(
            f"the DAG folder {str(deployment.dags_folder)!r} does not exist; create it, set core.dags_folder, "
            "or use -sd."
        )
    return deployment.dags_folder


def scan(deployment: Deployment) -> DagCatalog:
    """Update the catalog from the DAG folder; execute only new and changed files."""
    folder, before = folder_of(deployment), dags(deployment.database)
    by_file: dict[str, list[DagRow]] = {}
    for row in before:
        by_file.setdefault(row.fileloc, []).append(row)
    bag, kept = DagBag(folder, empty=True), []
    paths, unread = dag_files(folder, by_file)
    for path in paths:
        rows = by_file.get(str(path), [])
        if rows and _is_unchanged(path, rows):
            kept += rows
        else:
            bag.load_file(path)
    failures = {**{one.path: one for one in unread}, **bag.import_errors}
    homes = {row.dag_id: row.fileloc for row in kept}
    fresh = []
    for dag in bag:
        if dag.dag_id in homes:
            reason = f"its DAG {dag.dag_id!r} is already defined in {homes[dag.dag_id]}; give one of them another id"
            failures[dag.fileloc] = ImportFailure(dag.fileloc, reason)
        else:
            fresh.append(found_dag(dag))
    for at in range(0, len(fresh), _BATCH_SIZE):
        store_dags(deployment.database, fresh[at : at + _BATCH_SIZE])
    known = {*homes, *bag.dags}
    _store_failures(deployment, [row.dag_id for row in before if row.dag_id not in known], known, failures)
    rows = dags(deployment.database) if len(bag) else sorted(kept, key=lambda row: row.dag_id)
    warnings = {dag.dag_id: found for dag in bag if (found := warnings_at(dag))}
    return DagCatalog(tuple(row for row in rows if row.dag_id in known), failures, warnings)


def warnings_at(dag: DAG) -> list[str]:
    """Return the warnings of a DAG, including those about its executor in this deployment."""
    found = dag.warnings
    if _names_resources(dag):
        with suppress(ElasticError):
            settings = read_settings()
            queues = queues_of(settings.text("core.queues"))
            executor = executor_by_queue(dag.executor or settings.text("core.executor"), queues)
            found += ignored_settings(dag, executor)
    return found


def _names_resources(dag: DAG) -> bool:
    """Return whether a task names a queue or resources, which some executors ignore."""
    return any(task.queue != DEFAULTS["queue"] or task.resources for task in dag.tasks)


def ignored_settings(dag: DAG, executor: Executor) -> list[str]:
    """Return a sentence for each task setting that an executor ignores."""
    found = []
    for name in ("queue", "resources"):
        for member_name, member in executor.members.items():
            heeds = member.heeds if executor.queues is None else member.heeds | {"queue"}
            tasks = [
                task.task_id
                for task in dag.tasks
                if getattr(task, name) != DEFAULTS[name]
                and (executor.queues is None or executor.queues.get(task.queue) == member_name)
            ]
            if tasks and name not in heeds:
                found.append(f"{name} of {shown_task_ids(tasks)} has no effect: {member.title} ignores it.")
    return found


def _store_failures(
    deployment: Deployment, gone: Sequence[str], known: set[str], failures: Mapping[str, ImportFailure]
) -> None:
    """Store missing DAGs and import failures if they changed, so that a plain list writes nothing."""
    if gone:
        forget_missing(deployment.database, sorted(known))
    tracebacks = {path: one.traceback or one.reason for path, one in failures.items()}
    if tracebacks != import_errors(deployment.database):
        set_import_errors(deployment.database, tracebacks)


def _is_unchanged(path: Path, rows: Sequence[DagRow]) -> bool:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return False
    return all(row.is_whole_file and row.source_digest == digest for row in rows)
