"""Shared parts of the flow pages: the step that a URL names, and responses if it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from elastic.core.errors import StoreBusyError
from elastic.db.page_queries.flow_tasks import task_of_flow_run
from elastic.persistence.home import Home
from elastic.run_views.letter_groups import LetterGroupCache
from elastic.run_views.open_step import NoSuchStepError, OpenStep, RunDamagedError, RunNotHereError, open_step
from elastic.run_views.run_list import RunList
from elastic.web.context import context_of
from elastic.web.errors import WebError, sentence_of

#: Maximum number of links to similar runs on an error page.
_MAX_NEAR = 10

#: Groups of dead letters, which the pages of a step share.
GROUPS = LetterGroupCache()


class MissingError(WebError):
    """There is no such run, step, chunk or dead letter."""

    status = HTTPStatus.NOT_FOUND


class DamagedError(WebError):
    """The stored data of a run cannot be read."""

    status = HTTPStatus.CONFLICT
    title = "Damaged run"


class BusyError(WebError):
    """Another process keeps the stored data of a run locked."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Busy run"


def home_of(request: Request) -> Home:
    """Return the home whose runs the pages show."""
    return Home(context_of(request).runs_folder.parent)


def runs_of(request: Request) -> RunList:
    """Return the list of runs, which all requests share."""
    return _run_list(context_of(request).runs_folder.parent)


@contextmanager
def step_of(request: Request, run_id: str, step: int) -> Iterator[OpenStep]:
    """Open the step that a URL names.

    Raises:
        MissingError: There is no such run or step; names the near ones.
        BusyError: The run is locked by another process.
        DamagedError: The run is damaged.
    """
    try:
        with open_step(home_of(request), run_id, step, context_of(request).clock().timestamp()) as opened:
            yield opened
    except RunNotHereError as error:
        raise _not_here(request, run_id) from error
    except NoSuchStepError as error:
        near = [(f"step {number}", f"/flows/{run_id}/{number}") for number in error.known[:_MAX_NEAR]]
        raise MissingError(sentence_of(error), "", near) from error
    except StoreBusyError as error:
        raise BusyError(sentence_of(error)) from error
    except RunDamagedError as error:
        hint = f"`elastic verify {run_id}` in a terminal names everything that is damaged."
        raise DamagedError(sentence_of(error), hint) from error


def _not_here(request: Request, run_id: str) -> MissingError:
    near = [(known, f"/flows/{known}/0") for known in runs_of(request).near(run_id[:60])]
    context = context_of(request)
    task = task_of_flow_run(context.database, run_id)
    if task is None:
        hint = "" if near else "The list of flows shows all runs."
        return MissingError(f"There is no flow run {run_id[:60]!r} in {context.runs_folder}.", hint, near)
    where = f"on {task.host}" if task.host else "on another machine"
    return MissingError(
        f"Run {run_id} of task {task.key} ran {where}, but its folder is not in {context.runs_folder}.",
        f"Start the web server {where}, or set ELASTIC_HOME of all machines to a folder that they share; if the folder "
        "was here before, a user or the settings of retention deleted it.",
        near,
    )


@lru_cache(maxsize=8)
def _run_list(folder: Path) -> RunList:
    return RunList(Home(folder))
