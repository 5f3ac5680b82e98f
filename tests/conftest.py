"""Fixtures of all tests: a home for each test, clusters and databases."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from elastic.stages.ray_backend.startup.environment import prepare
from elastic.testing import MariaDbServer, PostgresServer, RayCluster
from elastic.testing.database_server import ServerProcess

ServerT = TypeVar("ServerT", bound=ServerProcess)


# Before a test module imports Ray, which reads its environment then. Without its own token, Ray would leave one in the
# user's home, and every process that looks for a cluster on this machine would use this one.
prepare("local")

# Background jobs of a shell and their children ignore Ctrl-C, but some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without a deadline, because the machine may be busy; `make test-fast` uses fewer examples.
hypothesis.settings.register_profile("elastic", deadline=None)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=10)
hypothesis.settings.load_profile("elastic")


#: Text of a test file that starts Ray: the marker, or a fixture that has it.
_STARTS_RAY = re.compile(rb"mark\.cluster|\bcluster: str\b|\bembedded_ray\b|\bray_nodes\b")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip test files without tests for `-m cluster`; importing all files takes as long as starting Ray."""
    if config.option.markexpr != "cluster" or collection_path.suffix != ".py":
        return None
    return True if _STARTS_RAY.search(collection_path.read_bytes()) is None else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests that start Ray more time, because a start takes minutes on a busy machine.

    With `--dist loadgroup`, one process has all tests of the two nodes, and each other file.
    """
    for item in items:
        if item.get_closest_marker("cluster") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))
        if getattr(config.option, "loadgroup", False):
            nodes = "ray_nodes" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("nodes" if nodes else item.path.stem))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of the runs of one test, with a database of its own if the test uses one."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ELASTIC_HOME", str(folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield folder
    _close_databases()


def _close_databases() -> None:
    """Close what tests left open; a process that runs thousands of tests would have a connection of each."""
    modules = sys.modules
    if "elastic.db.open_database" in modules:
        modules["elastic.db.open_database"]._opened.cache_clear()
        for database in list(modules["elastic.db.database"]._databases):
            database.close()


@pytest.fixture(params=["inline", pytest.param("local", marks=pytest.mark.cluster)])
def cluster(request: pytest.FixtureRequest) -> str:
    """Each transport: this process, and an embedded Ray with two workers."""
    name: str = request.param
    if name == "local":
        request.getfixturevalue("embedded_ray")
    return name


@pytest.fixture(scope="session")
def _ray_at_the_end() -> Iterator[None]:
    yield
    import ray

    ray.shutdown()


@pytest.fixture
def embedded_ray(_ray_at_the_end: None) -> None:
    """An embedded Ray with two CPUs, shared by all tests of this process."""
    from elastic.stages.ray_backend.startup.connection import connect

    # Long, because the machine may be busy.
    connect("local", cpus=2, start_timeout=180)


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[RayCluster]:
    """A cluster of two nodes with one CPU each, made with `ray start`.

    If this process may use mount namespaces, the second node does not see the cluster's folder `hidden`.
    """
    with RayCluster(cpus=(1, 1), hidden_from=(None, "hidden") if _may_unshare() else ()) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process; `create_database` creates a database for one test."""
    yield from _running(PostgresServer(), "psycopg")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDbServer]:
    """A MariaDB server for all tests of this process; `create_database` creates a database for one test."""
    yield from _running(MariaDbServer(), "pymysql")


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of a PostgreSQL database."""
    return postgres_server.create_database()


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDbServer) -> str:
    """The URL of a MariaDB database."""
    return mariadb_server.create_database()


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "mariadb", "duckdb"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of each kind of database in turn."""
    name: str = request.param
    if name in ("postgresql", "mariadb"):
        yield request.getfixturevalue("postgres_url" if name == "postgresql" else "mariadb_url")
        return
    path = tmp_path_factory.mktemp(name) / "database"
    with contextlib.ExitStack() as held:
        if name == "duckdb":
            # DuckDB takes 40 ms to open a file that this process does not have open.
            held.enter_context(pytest.importorskip("duckdb").connect(path))
        yield f"{name}:///{path}"


def _running(server: ServerT, driver: str) -> Iterator[ServerT]:
    reason = server.missing()
    if reason is None and find_spec(driver) is None:
        reason = f"the driver {driver} of {server.name} is not installed."
    if reason is not None:
        # If databases are required, a skipped test would hide that they are missing.
        (pytest.fail if os.environ.get("TEST_DATABASES") == "required" else pytest.skip)(reason)
    with server:
        yield server


def _may_unshare() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
