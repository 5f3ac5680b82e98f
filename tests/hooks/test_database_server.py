"""The servers that tests start for themselves."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from elastic.core.errors import ClusterError
from elastic.hooks import SqlHook
from elastic.stages.ray_backend.startup.owned_folder import remove_abandoned_folders
from elastic.testing import MariaDbServer, PostgresServer
from elastic.testing.database_server import ServerProcess, find_program, program


@pytest.fixture(params=[PostgresServer, MariaDbServer], ids=["postgresql", "mariadb"])
def kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """Each kind of server that can be started here."""
    kind: type[ServerProcess] = request.param
    if reason := kind.missing():
        pytest.skip(reason)
    return kind


def folders_of(server: ServerProcess) -> Path:
    """Return the folders of a running server."""
    return Path(f"/proc/{server.pid}/cwd").readlink()


def listeners_at(port: int) -> list[str]:
    """Return the local addresses, as the system writes them, with a listener on a port."""
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    sockets = [line.split() for line in lines]
    return [words[1] for words in sockets if words[3] == "0A" and words[1].endswith(f":{port:04X}")]


@pytest.mark.skipif(sys.platform != "linux", reason="what a process does is read from /proc")
def test_a_server_is_private_and_leaves_nothing_behind(kind: type[ServerProcess]) -> None:
    with kind() as server:
        process, folder = Path(f"/proc/{server.pid}"), folders_of(server)
        place = next(parent for parent in (folder, *folder.parents) if parent.name.startswith("elastic-"))
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        command = (process / "cmdline").read_bytes()
        assert server.password.encode() not in command, "what stands on a command line is seen by everybody"
        assert listeners_at(server.port) == [f"0100007F:{server.port:04X}"], "127.0.0.1 and nowhere else"
    assert not process.exists()
    assert not place.exists()


KILLED = """
import os, signal, sys, threading
from elastic import testing
from elastic.hooks import SqlHook

def start():
    server.__enter__()

server = getattr(testing, sys.argv[1])()
starting = threading.Thread(target=start)
starting.start()
starting.join()
print(server.pid, os.readlink(f"/proc/{server.pid}/cwd"), SqlHook(url=server.url).get_first("select 1")[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_server_outlives_the_thread_that_started_it_and_not_the_process(kind: type[ServerProcess]) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, kind.__name__], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    pid, folder, answer = done.stdout.split()
    assert answer == "1", "it is there when its thread has ended"
    for _ in range(1000):
        if not Path(f"/proc/{pid}").exists():
            break
        threading.Event().wait(0.01)
    else:
        os.kill(int(pid), 9)
        pytest.fail("the server outlives the process that has started it")
    remove_abandoned_folders()
    assert not Path(folder).exists(), "the next process has removed what the killed one left"


def test_a_server_that_was_killed_under_its_clients_starts_again(kind: type[ServerProcess]) -> None:
    with kind() as server:
        hook, other = (SqlHook(url=server.create_database()) for _ in range(2))
        for each in (hook, other):
            each.run("create table kept (id integer)")
        client = hook.get_conn()
        client.cursor().execute("insert into kept values (1)")
        server.kill()
        server.kill()
        assert not hook.test_connection()
        server.start()
        assert hook.get_records("select * from kept") == [], "what was not committed is gone"
        hook.run("insert into kept values (2)")
        assert other.get_records("select * from kept") == [], "databases of a server are apart"
        with pytest.raises(Exception, match=r"connection|server"):
            client.commit()
        client.invalidate()


def test_a_missing_server_is_named() -> None:
    class NoServer(PostgresServer):
        @classmethod
        def missing(cls) -> str | None:
            return "PostgreSQL cannot be started: initdb cannot be found on this machine."

    with pytest.raises(ClusterError, match="initdb cannot be found"), NoServer():
        pytest.fail("it started")
    with pytest.raises(ClusterError, match="PostgreSQL is not running"):
        _ = PostgresServer().pid
    assert find_program("no-such-program", "usr/lib/*/bin") is None
    with pytest.raises(ClusterError, match="the program 'no-such-program' is missing"):
        program("no-such-program")


def test_a_server_that_does_not_start_shows_what_it_printed(kind: type[ServerProcess]) -> None:
    class Broken(kind):  # type: ignore[misc, valid-type]
        def command(self, folder: Path) -> list[str | Path]:
            return [*super().command(folder), "--no-such-option=1"]

    with pytest.raises(ClusterError, match=r"did not start; it printed: [\s\S]*no.such.option"), Broken():
        pytest.fail("it started")
