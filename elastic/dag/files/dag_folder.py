"""Modules below a DAG folder: those that may define DAGs, and those that ignore files exclude."""

import os
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from elastic.dag.files.dag_file import ImportFailure

#: Name of the files that exclude modules, as for Airflow.
IGNORE_FILE = ".airflowignore"


@dataclass(frozen=True, slots=True)
class DagFolder:
    """Modules below a folder, as paths in order. Hidden ones are left out."""

    modules: list[str] = field(default_factory=list)
    #: modules that ignore files exclude; DAG files may import them
    ignored: list[str] = field(default_factory=list)
    #: ignore files, or lines of them, that cannot be read
    failures: list[ImportFailure] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> "DagFolder":
        """Return the modules below a folder. Links to folders are followed once.

        A file `.airflowignore` excludes modules and folders below its folder. Its lines are patterns as those of
        `.gitignore` (https://git-scm.com/docs/gitignore).
        """
        found = cls()
        rules: dict[str, list[_Rules]] = {}
        for root, names in _walk(folder):
            inherited = rules.get(os.path.dirname(root), [])  # noqa: PTH120 - a scan of many files takes half the time
            own = _rules_in(root, found.failures) if IGNORE_FILE in names else None
            rules[root] = here = [*inherited, own] if own else inherited
            for name in sorted(names):
                if name.endswith(".py") and not name.startswith("."):
                    path = os.path.join(root, name)  # noqa: PTH118 - the same
                    (found.ignored if here and _is_ignored(path, here) else found.modules).append(path)
        return found


@dataclass(frozen=True, slots=True)
class _Rules:
    """Patterns of an ignore file for the paths below its folder."""

    folder: str
    spec: GitIgnoreSpec


def dag_files(folder: Path, known: Container[str] = ()) -> tuple[list[Path], Sequence[ImportFailure]]:
    """Return the files below a folder that may define DAGs, in order, and the ignore files that cannot be read.

    These are the modules that contain `dag` in any case.

    Args:
        folder: The folder.
        known: Paths of files to include without reading them.
    """
    found = DagFolder.of(folder)
    paths = [Path(path) for path in found.modules if path in known or _may_define_dags(Path(path))]
    return paths, found.failures


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with the names of its files, without hidden folders and `__pycache__`."""
    entered: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        stat = os.stat(root)  # noqa: PTH116 - half the time of a scan
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        yield root, files


def _rules_in(folder: str, failures: list[ImportFailure]) -> _Rules | None:
    """Return the rules of a folder's ignore file. Lines that are no patterns are left out, and reported."""
    path = Path(folder, IGNORE_FILE)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        failures.append(ImportFailure(str(path), f"it cannot be read, so it excludes nothing ({error})"))
        return None
    patterns = []
    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            failures.append(ImportFailure(str(path), f"line {number} is no pattern as in .gitignore: {line[:80]!r}"))
        else:
            patterns.append(line)
    return _Rules(folder, GitIgnoreSpec.from_lines(patterns))


def _is_ignored(path: str, rules: Sequence[_Rules]) -> bool:
    """Return whether rules exclude a path; those of the innermost folder that mention it decide."""
    for one in reversed(rules):
        answer = one.spec.check_file(os.path.relpath(path, one.folder)).include
        if answer is not None:
            return answer
    return False


def _may_define_dags(path: Path) -> bool:
    try:
        return b"dag" in path.read_bytes().lower()
    except OSError:
        # Include it, so that loading reports the error.
        return True
