"""DAG parser: keeps the DAGs in the database equal to the files of a folder."""

import hashlib
import os
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elastic.dag.files.dag_file import ImportFailure
from elastic.dag.files.dag_folder import DagFolder, dag_files
from elastic.db.database import Database
from elastic.db.stores.dag_files import (
    FileState,
    KnownFile,
    ParsedFile,
    claim_file,
    file_owners,
    files_to_parse_again,
    forget_files,
    homes_of,
    known_files,
    release_files,
    store_parsed,
)
from elastic.scheduler.attempts.process_identity import ProcessIdentity
from elastic.service.parsing.file_loader import LoadedFile, ParseLimits, load_file
from elastic.service.parsing.last_good_sources import LastGoodSources

#: Seconds beyond the time limit of a file until another parser may read it.
_LEASE_MARGIN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserSetup:
    """Folder and limits of a parser."""

    database: Database
    folder: Path
    limits: ParseLimits
    #: owner of the leases of the files that it reads
    owner: str
    say: Callable[[str], None]
    #: copies of the loaded files for task processes; None to keep none
    sources: LastGoodSources | None = None


#: Stored digest of the helper modules of a file with twins: each parser that has not read the file parses it again.
_NO_DIGEST = ""


@dataclass(frozen=True, slots=True)
class _Twin:
    """File some of whose DAGs belong to other files, as it was when it was read."""

    state: FileState
    helpers_digest: str
    dag_ids: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class ScanResult:
    """Files that a scan parsed, and those that it could not use."""

    parsed: list[str] = field(default_factory=list)
    #: sentences by path
    broken: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


class DagParser:
    """Parser of one folder. Several parsers may share a folder and a database: each file is read by one of them.

    A DAG becomes inactive only if its file is gone, or was loaded and no longer defines it. Nothing expires by age. A
    file that cannot be loaded keeps its last good version.
    """

    def __init__(self, setup: ParserSetup) -> None:
        self._setup = setup
        self._known: dict[str, KnownFile] = {}
        #: modules without DAGs, as they were when they were read
        self._others: dict[str, FileState] = {}
        self._twins: dict[str, _Twin] = {}
        #: sentences about ignore files
        self._reported: set[str] = set()
        self._is_first = True

    def scan(self) -> ScanResult:
        """Parse the files that are new or changed since any parser read them, and forget those that are gone.

        A file that a user wants to be parsed again counts as changed.
        """
        setup, result = self._setup, ScanResult()
        if not setup.folder.is_dir():
            return result
        folder = DagFolder.of(setup.folder)
        modules, ignored = _states(folder.modules), _states(folder.ignored)
        if self._is_first:
            self._known, self._is_first = known_files(setup.database), False
        helpers_digest = _digest({**modules, **ignored})
        for path in files_to_parse_again(setup.database):
            self._known.pop(path, None)
            self._twins.pop(path, None)
        self._release_twins()
        changed = [
            state for path, state in modules.items() if not self._is_current(path, state, helpers_digest, self._known)
        ]
        if changed:
            self._release_files_of_dead_parsers()
            changed = self._still_changed(changed, helpers_digest)
        for state in changed:
            self._parse(state, helpers_digest, result)
        # A DAG that moved from one file to another has left the other file only now.
        for path in self._release_twins():
            if path in modules:
                self._parse(modules[path], helpers_digest, result)
        self._forget(modules, ignored, result)
        self._report(folder.failures, result)
        return result

    def _release_files_of_dead_parsers(self) -> None:
        """Release the files of parsers on this host that have exited, so that waiting for the lease is unnecessary."""
        for owner in file_owners(self._setup.database):
            identity = ProcessIdentity.parse(owner)
            if identity is not None and identity.has_exited:
                release_files(self._setup.database, owner)

    def _release_twins(self) -> list[str]:
        """Forget, and return, the files whose twins no longer have all of the DAGs that they share."""
        wanted = sorted({dag_id for twin in self._twins.values() for dag_id in twin.dag_ids})
        homes = homes_of(self._setup.database, wanted)
        free = {one for one in wanted if one not in homes or not Path(homes[one]).is_file()}
        released = [path for path, twin in self._twins.items() if not free.isdisjoint(twin.dag_ids)]
        for path in released:
            del self._twins[path]
        return released

    def _is_current(self, path: str, state: FileState, helpers: str, known: Mapping[str, KnownFile]) -> bool:
        twin = self._twins.get(path)
        if self._others.get(path) == state or (twin and (twin.state, twin.helpers_digest) == (state, helpers)):
            return True
        found = known.get(path)
        return found is not None and found.state == state and found.helpers_digest in (None, helpers)

    def _still_changed(self, changed: list[FileState], helpers: str) -> list[FileState]:
        """Leave out the modules that define no DAGs, and the files that another parser has read meanwhile."""
        setup = self._setup
        self._known.update(known_files(setup.database, [state.path for state in changed]))
        wanted = {str(path) for path in dag_files(setup.folder, self._known)[0]}
        self._others.update({state.path: state for state in changed if state.path not in wanted})
        return [one for one in changed if not self._is_current(one.path, one, helpers, self._known)]

    def _parse(self, state: FileState, helpers: str, result: ScanResult) -> None:
        setup, path = self._setup, state.path
        if not path.isprintable() or path != path.encode("utf-8", "replace").decode():
            self._others[path] = state
            result.broken[path] = f"{path!r}: its name has characters that cannot be stored; rename it"
            setup.say(f"cannot be loaded: {result.broken[path]}")
            return
        if not claim_file(setup.database, state, setup.owner, setup.limits.timeout + _LEASE_MARGIN):
            return
        started = time.monotonic()
        loaded = load_file(Path(path), setup.folder, setup.limits)
        taken = self._taken(path, loaded)
        if taken:
            loaded = _without(path, loaded, taken)
            self._twins[path] = _Twin(state, helpers, tuple(taken))
        else:
            self._twins.pop(path, None)
        before = self._known.get(path)
        helpers_before = before.helpers_digest is not None if before else False
        # The change of another file may repair a broken one: a module that it imports, or a DAG of the same id.
        has_helpers = loaded.has_helpers or loaded.error is not None or helpers_before
        parsed = ParsedFile(
            state=state,
            dags=loaded.dags,
            error=loaded.error,
            helpers_digest=_NO_DIGEST if taken else helpers if has_helpers else None,
            seconds=time.monotonic() - started,
        )
        if setup.sources is not None and parsed.dags:
            # Before the structure is stored, so that a task of this version finds its source.
            setup.sources.keep(path, parsed.dags[0].source)
        store_parsed(setup.database, parsed)
        self._known[path] = KnownFile(state=state, helpers_digest=parsed.helpers_digest)
        result.broken.pop(path, None)
        if path not in result.parsed:
            result.parsed.append(path)
        if loaded.error is not None:
            result.broken[path] = loaded.error.splitlines()[0]
            setup.say(f"cannot be loaded: {result.broken[path]}")

    def _taken(self, path: str, loaded: LoadedFile) -> dict[str, str]:
        """Return the DAGs of a file whose ids belong to other files, with these files; the first file keeps an id."""
        homes = homes_of(self._setup.database, [one.row.dag_id for one in loaded.dags or ()])
        return {dag_id: home for dag_id, home in homes.items() if home != path and Path(home).is_file()}

    def _report(self, failures: Sequence[ImportFailure], result: ScanResult) -> None:
        """Report the ignore files that cannot be read, once each."""
        told = {str(one) for one in failures}
        for one in failures:
            result.broken[one.path] = one.reason
        for sentence in sorted(told - self._reported):
            self._setup.say(sentence)
        self._reported = told

    def _forget(self, modules: Mapping[str, FileState], ignored: Container[str], result: ScanResult) -> None:
        folder = str(self._setup.folder)
        gone = [
            path
            for path in self._known
            if path not in modules and path.startswith(folder + os.sep) and (path in ignored or not Path(path).exists())
        ]
        if gone:
            forget_files(self._setup.database, gone)
        for path in gone:
            del self._known[path]
            self._twins.pop(path, None)
            if self._setup.sources is not None:
                self._setup.sources.forget(path)
        result.gone = gone


def _without(path: str, loaded: LoadedFile, taken: Mapping[str, str]) -> LoadedFile:
    """Leave out the DAGs that belong to other files, with an error."""
    dag_id, home = sorted(taken.items())[0]
    return LoadedFile(
        dags=tuple(one for one in loaded.dags or () if one.row.dag_id not in taken),
        error=f"{path}: its DAG {dag_id!r} is already defined in {home}; give one of them another id",
        has_helpers=loaded.has_helpers,
    )


def _states(paths: Iterable[str]) -> dict[str, FileState]:
    """Return the present states of files by path."""
    found = {}
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116 - half the time of a scan
        except OSError:
            # A link to nothing is a broken file, which the loader reports.
            found[path] = FileState(path=path, size=-1, mtime_ns=-1)
        else:
            found[path] = FileState(path=path, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    return found


def _digest(modules: Mapping[str, FileState]) -> str:
    """Return a digest of the names, sizes and times of modules."""
    digest = hashlib.sha256()
    for path, state in modules.items():
        digest.update(f"{path}\0{state.size}\0{state.mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
