"""Feed of changes for open pages: it names the topics that changed, and carries no data.

One thread at a time polls the database for all pages, and only while a page is open.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from elastic.db.database import Database
from elastic.db.errors import DatabaseError
from elastic.db.page_queries.changes import LoggedChanges, LogPosition, changes_after, end_of_log

#: Seconds between polls, between heartbeats, and until a browser must reconnect, which checks its session again.
_POLL_SECONDS, _PING_SECONDS, _LIFE_SECONDS = 1.0, 15.0, 600.0

#: Files that change while a flow runs.
_RUN_FILES = ("run.sqlite", "run.sqlite-wal", "run.sqlite-journal", "live")

#: Maximum number of streams of a server; each occupies a connection of a browser.
MAX_STREAMS = 500

#: Maximum number of topics of a stream: dags, dag:ID, definition:ID, run:DAG/RUN, flow:RUN, admin.
MAX_TOPICS = 20
_TOPIC = re.compile(
    r"(dags|admin|(?:dag|definition):[\w.-]{1,250}|run:[\w.-]{1,250}/[\w.-]{1,250}|flow:[\w-]{1,100})", re.ASCII
)


def is_topic(text: str) -> bool:
    """Return whether a string is the name of a topic."""
    return _TOPIC.fullmatch(text) is not None


class ChangePoller:
    """Reader of changes since its last call.

    Args:
        database: The database.
        runs_folder: Folder of the runs of flows.
    """

    def __init__(self, database: Database, runs_folder: Path) -> None:
        self._database, self._runs_folder = database, runs_folder
        self._position: LogPosition | None = None
        #: time of the last write by topic of a flow
        self._flows: dict[str, int] = {}

    def changed(self, wanted: Collection[str]) -> frozenset[str]:
        """Return the topics that changed since the last call; the first call returns none.

        Raises:
            DatabaseError: The database cannot be used.
        """
        topics = {topic for topic in wanted if topic.startswith("flow:") and self._has_flow_changed(topic)}
        if self._position is None:
            self._position = end_of_log(self._database)
            return frozenset()
        found = changes_after(self._database, self._position)
        self._position = found.position
        return frozenset(topics | {topic for topic in wanted if _names(topic, found)})

    def _has_flow_changed(self, topic: str) -> bool:
        """Return whether the files of a run of a flow were written since the last call."""
        folder = self._runs_folder / topic.removeprefix("flow:")
        written = 0
        for name in _RUN_FILES:
            with suppress(OSError):
                written = max(written, (folder / name).stat().st_mtime_ns)
        before = self._flows.get(topic, written)
        self._flows[topic] = written
        return written != before


class ChangeFeed:
    """Feed of changes to the streams of open pages.

    Args:
        poller: Returns a new reader of changes.
        is_stopping: Returns whether the server is stopping, which ends all streams.
    """

    def __init__(self, poller: Callable[[], ChangePoller], is_stopping: Callable[[], bool]) -> None:
        self._make_poller, self._is_stopping = poller, is_stopping
        self._streams: set[_Stream] = set()
        self._polling: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def is_full(self) -> bool:
        """Whether further streams are refused."""
        return len(self._streams) >= MAX_STREAMS

    async def hints(self, topics: Collection[str]) -> AsyncIterator[str]:
        """Yield the events of a stream in the format of server-sent events until its maximum lifetime.

        Every change after the first event is reported.
        """
        stream = _Stream(frozenset(topics))
        self._streams.add(stream)
        try:
            await self._begin()
            async for event in stream.events():
                yield event
                if self._is_stopping():
                    return
        finally:
            self._streams.discard(stream)

    async def _begin(self) -> None:
        """Start polling unless another stream has started it."""
        async with self._lock:
            if self._polling is None or self._polling.done():
                poller = self._make_poller()
                with suppress(DatabaseError):
                    await run_in_threadpool(poller.changed, self._wanted())
                self._polling = asyncio.create_task(self._poll(poller))

    async def _poll(self, poller: ChangePoller) -> None:
        """Poll as long as a page is open."""
        while self._streams and not self._is_stopping():
            await asyncio.sleep(_POLL_SECONDS)
            changed: frozenset[str] = frozenset()
            with suppress(DatabaseError):
                changed = await run_in_threadpool(poller.changed, self._wanted())
            for stream in self._streams:
                stream.hint(changed)
        for stream in self._streams:
            stream.wake.set()

    def _wanted(self) -> frozenset[str]:
        return frozenset(topic for stream in self._streams for topic in stream.topics)


class _Stream:
    """Stream of one open page."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self.wake = asyncio.Event()
        self._changed: set[str] = set()

    def hint(self, changed: frozenset[str]) -> None:
        """Record that topics changed."""
        mine = self.topics & changed
        if mine:
            self._changed |= mine
            self.wake.set()

    async def events(self) -> AsyncIterator[str]:
        """Yield events and heartbeats."""
        loop = asyncio.get_running_loop()
        ends_at, version = loop.time() + _LIFE_SECONDS, 0
        yield "retry: 2000\n\n"
        while loop.time() < ends_at:
            try:
                await asyncio.wait_for(self.wake.wait(), _PING_SECONDS)
            except TimeoutError:
                yield ": alive\n\n"
                continue
            self.wake.clear()
            version += 1
            changed, self._changed = self._changed, set()
            if not changed:
                yield ": alive\n\n"
            for topic in sorted(changed):
                yield f'event: hint\ndata: {{"topic": "{topic}", "version": {version}}}\n\n'


def _names(topic: str, found: LoggedChanges) -> bool:
    """Return whether changes concern a topic."""
    kind, _, name = topic.partition(":")
    match kind:
        case "dags":
            return bool(found.dag_ids) or found.others
        case "admin":
            return found.others
        case "dag":
            return found.is_cut or name in found.dag_ids
        case "definition":
            return found.is_cut or name in found.definitions
        case "run":
            dag_id, _, run_id = name.partition("/")
            return found.is_cut or (dag_id, run_id) in found.runs
    return False
