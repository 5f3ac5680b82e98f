"""`elastic standalone`, `services`, `health` and `dags init`: they leave nothing, and refuse what cannot be."""

import os
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from service_samples import dag_file, database, descendants, run_states

from elastic.core.errors import UsageError
from elastic.db.stores.jobs import MASTER_JOB, jobs
from elastic.scheduler.attempts.process_identity import ProcessIdentity
from elastic.service.background import BackgroundPart
from tests.command_process import end_all, ended, is_alive, started, until


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ELASTIC__SCHEDULER__LOOP_INTERVAL", "0.2")
    monkeypatch.setenv("ELASTIC__SCHEDULER__SCAN_INTERVAL", "0.2")
    yield
    end_all()


def said(*words: str, code: int = 0) -> str:
    process = started(*words)
    printed = ended(process)
    assert process.returncode == code, printed
    return printed


def masters() -> list[int]:
    """Return the pids of the masters that count as running."""
    return [one.pid for one in jobs(database(), 5.0, kind=MASTER_JOB, state="running")]


def test_standalone_begins_from_nothing_runs_dags_and_leaves_no_process(home: Path) -> None:
    process = started("standalone", "--no-web")
    until(lambda: (home / "elastic.db").exists() and bool(masters()), process)
    dag_file(home, days=1)
    until(lambda: run_states() == ["success"], process)
    assert "alive" in said("health")
    below = list(descendants(process.pid))
    assert len(below) <= 6
    process.send_signal(signal.SIGINT)
    assert "stopping all parts" in ended(process)
    assert process.returncode == 0
    assert not any(is_alive(pid) for pid in below)
    assert "no master is alive; start one with `elastic master`" in said("health", code=1)


def test_standalone_serves_pages_and_makes_the_first_admin_once(home: Path) -> None:
    process = started("standalone", "-p", "0")
    path = home / "admin-password"
    until(path.exists, process)
    until(lambda: bool(masters()), process)
    url = ""
    assert process.stdout is not None
    printed = []
    while not url:
        printed.append(process.stdout.readline())
        assert printed[-1], printed
        url = printed[-1].partition("the webserver serves ")[2].strip()
    password = path.read_text().strip()
    assert (path.stat().st_mode & 0o777) == 0o600
    assert len(password) == 19
    form = urllib.parse.urlencode({"username": "admin", "password": password}).encode()
    with httpx2.Client(base_url=url, headers={"Origin": url}) as client:
        answer = client.post("/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code == 303
        assert "No DAGs yet" in client.get("/").text
    below = list(descendants(process.pid))
    assert len(below) <= 7
    process.send_signal(signal.SIGINT)
    rest = ended(process)
    assert process.returncode == 0, rest
    assert f"log in as admin with the password in {path}" in "".join(printed)
    assert password not in "".join(printed) + rest
    assert not any(is_alive(pid) for pid in below)
    assert (home / "fernet.key").exists()


def test_standalone_names_a_port_that_is_in_use(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        printed = said("standalone", "-p", str(port), code=2)
    assert f"error: port {port} of 127.0.0.1 is in use by another program" in printed
    assert not (home / "admin-password").exists()


def test_standalone_does_not_send_passwords_over_a_network(home: Path) -> None:
    refusal = said("standalone", "--host", "0.0.0.0", code=2)
    assert "would send passwords over the network of 0.0.0.0 in plain text" in refusal


def test_standalone_starts_a_killed_master_again(home: Path) -> None:
    process = started("standalone", "--no-web")
    until(lambda: (home / "elastic.db").exists() and bool(masters()), process)
    (first,) = masters()
    os.kill(first, signal.SIGKILL)
    until(lambda: any(pid != first for pid in masters()), process)
    process.send_signal(signal.SIGTERM)
    assert "the scheduler ended with signal SIGKILL; it is started again" in ended(process)


def test_the_parts_of_a_killed_standalone_end_by_themselves(home: Path) -> None:
    process = started("standalone", "--no-web")
    until(lambda: (home / "elastic.db").exists() and bool(masters()), process)
    below = list(descendants(process.pid))
    process.kill()
    process.communicate()
    until(lambda: not any(is_alive(pid) for pid in below))


def test_standalone_gives_up_on_invalid_settings_and_names_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "abacus")
    printed = said("standalone", "--no-web", code=1)
    assert "error: unknown executor 'abacus'" in printed
    assert "error: the scheduler could not start; its message above has the reason." in printed


def test_a_service_starts_once_restarts_and_stops(home: Path) -> None:
    dag_file(home, days=1)
    assert "scheduler   stopped" in said("services", "status", "scheduler", code=1)
    assert "does not run" in said("services", "stop", "scheduler")
    assert f"its log is {home}/elastic-scheduler.log" in said("services", "start", "scheduler")
    part = BackgroundPart("scheduler", home)
    first = part.process()
    assert first is not None
    try:
        assert f"running (pid {first.pid})" in said("services", "status", "scheduler")
        assert f"the scheduler runs already (pid {first.pid}); stop it first." in said(
            "services", "start", "scheduler", code=2
        )
        until(lambda: run_states() == ["success"])
        assert "has stopped" in said("services", "restart", "scheduler")
        second = part.process()
        assert second is not None
        assert second != first
        assert first.has_exited
    finally:
        printed = said("services", "stop", "scheduler")
    assert f"(pid {second.pid}) has stopped" in printed
    assert not is_alive(second.pid)
    assert not part.pid_path.exists()
    assert (part.log_path.stat().st_mode & 0o777) == 0o600
    assert "Adding to queue: elastic run daily first" in part.log_path.read_text()


def test_a_service_that_ends_at_once_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC__CORE__DAGS_FOLDER", "/nowhere")
    assert "ended at once with exit code 2: the DAG folder '/nowhere' does not exist" in said(
        "services", "start", "scheduler", code=1
    )
    assert "there is no service 'parser'; choose one of scheduler, triggerer, worker, webserver." in said(
        "services", "start", "parser", code=2
    )


def test_a_pid_file_of_another_process_is_not_taken_for_the_service(home: Path) -> None:
    part = BackgroundPart("scheduler", home)
    reused = ProcessIdentity(ProcessIdentity.current().boot_id, os.getpid(), 1)
    part.pid_path.write_text(f"{reused}\n")
    assert part.process() is None
    for text in ("", "12", "x/y/z", "\0"):
        part.pid_path.write_text(text)
        with pytest.raises(UsageError, match="names no process; remove it if nothing runs"):
            part.process()
    part.pid_path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        part.process()


def test_of_two_starts_at_once_one_runs_and_the_other_is_refused(home: Path) -> None:
    dag_file(home, days=1)
    starts = [started("services", "start", "scheduler") for _ in range(2)]
    printed = [ended(process) for process in starts]
    process = BackgroundPart("scheduler", home).process()
    assert process is not None
    try:
        assert sorted(one.returncode for one in starts) == [0, 2], printed
        assert any(f"the scheduler runs already (pid {process.pid}); stop it first." in text for text in printed)
        assert masters() == [process.pid]
    finally:
        said("services", "stop", "scheduler")


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is no part of Elastic, with a process group of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("place", ["", "\nelsewhere 0b5d", f"\n{socket.gethostname()}"])
def test_a_process_of_another_host_receives_no_signal_and_keeps_its_pid_file(
    home: Path, bystander: "subprocess.Popen[bytes]", place: str
) -> None:
    part = BackgroundPart("scheduler", home)
    started_at = ProcessIdentity.of(bystander.pid).started
    text = f"elsewhere/{bystander.pid}/{started_at}{place}\n"
    part.pid_path.write_text(text)
    for act in (part.process, part.start, lambda: part.stop(0.1)):
        with pytest.raises(UsageError, match="of another host or container, which cannot be seen from here; stop the"):
            act()
    assert bystander.poll() is None
    assert part.pid_path.read_text() == text


def test_a_pid_file_of_an_earlier_boot_is_stale_and_its_pid_receives_no_signal(
    home: Path, bystander: "subprocess.Popen[bytes]"
) -> None:
    part = BackgroundPart("scheduler", home)
    started_at = ProcessIdentity.of(bystander.pid).started
    part.pid_path.write_text(f"earlier/{bystander.pid}/{started_at}\n{socket.gethostname()} an-earlier-boot\n")
    assert part.process() is None
    assert part.stop(0.1) is None
    assert not part.pid_path.exists()
    assert bystander.poll() is None


def test_a_process_whose_start_time_is_unknown_receives_no_signal(
    home: Path, bystander: "subprocess.Popen[bytes]"
) -> None:
    part = BackgroundPart("scheduler", home)
    unknown = ProcessIdentity(ProcessIdentity.current().boot_id, bystander.pid, 0)
    part.pid_path.write_text(f"{unknown}\n")
    with pytest.raises(UsageError, match="remove the file if it has ended"):
        part.stop(0.1)
    assert bystander.poll() is None


def test_the_examples_are_copied_once_and_run(home: Path) -> None:
    assert "tutorial_dag.py is new" in said("dags", "init")
    path = home / "dags" / "tutorial_dag.py"
    path.write_text(path.read_text() + "# mine\n")
    assert "tutorial_dag.py exists already" in said("dags", "init")
    assert path.read_text().endswith("# mine\n")
    said("dags", "trigger", "word_count", "-e", "2026-01-01")
    said("master", "--once")
    assert run_states("tutorial") == ["success"]
    assert run_states("word_count") == ["success"]
