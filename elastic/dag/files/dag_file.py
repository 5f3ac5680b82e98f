"""DAG files: reads and loads them."""

import hashlib
import importlib.util
import os
import sys
import traceback as tracebacks
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from elastic.core import user_module
from elastic.dag.dag import DAG
from elastic.dag.definition_scope import collect_dags
from elastic.dag.errors import TaskTimeoutError
from elastic.dag.execution.timeout import TimeLimit
from elastic.dag.files.helper_modules import HelperModules, shadowed_by

#: Beginnings of the file names of the loader's frames, which are removed from tracebacks.
_LOADER_FILES = (str(Path(__file__).parent), user_module.__file__, importlib.util.__file__, "<frozen importlib")


@dataclass(frozen=True, slots=True)
class DagFileSource:
    """Content of a DAG file when it was read."""

    path: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content, as 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def content(self) -> bytes:
        """Bytes of the file."""
        return self.text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """Reason why a file has no DAGs, or not all that it defines."""

    path: str
    #: one sentence
    reason: str
    #: frames of user code and the error; empty if no code failed
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_source(path: Path) -> DagFileSource:
    """Return the content of a file."""
    return DagFileSource(str(path), path.read_bytes().decode("utf-8", "surrogateescape"))


def load(source: DagFileSource, folder: Path, seconds: float) -> list[DAG] | ImportFailure:
    """Run a DAG file, and return its DAGs or the reason why it failed. Its output goes to stderr.

    Args:
        source: The content to run, even if the file has changed since.
        folder: The folder of all DAG files; helper modules are in it and beside the file.
        seconds: Time limit.
    """
    path = Path(source.path)
    name = f"__elastic_dag_{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}__"
    helpers = HelperModules((path.parent, folder))
    try:
        limit = TimeLimit(f"loading {path}", seconds)
        with helpers.installed(), collect_dags() as made, redirect_stdout(sys.stderr), limit:
            module = user_module.load_user_module(name, source.path, content=source.content)
            found = [value for value in [*vars(module).values(), *made] if isinstance(value, DAG)]
            dags = {id(dag): dag for dag in found if not _is_imported(dag, path)}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason, shadowed = _reason(error), shadowed_by(error, helpers.folders)
        if shadowed:
            reason += f"; {shadowed} has the name of a module that takes precedence. Rename it"
        return ImportFailure(str(path), reason, _traceback(error))
    for dag in dags.values():
        dag.fileloc, dag.is_of_file, dag.helpers = str(path), True, helpers
    return list(dags.values())


def _is_imported(dag: DAG, path: Path) -> bool:
    """Return whether a DAG belongs to another module that the file imports, and was not created by a function."""
    if dag.fileloc == str(path):
        return False
    homes = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == dag.fileloc]
    return any(value is dag for home in homes for value in vars(home).values())


def _reason(error: BaseException) -> str:
    if isinstance(error, TaskTimeoutError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _traceback(error: BaseException) -> str:
    """Return the traceback without the frames of the loader."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_LOADER_FILES):
        trace = trace.tb_next
    return "".join(tracebacks.format_exception(type(error), error, trace))
