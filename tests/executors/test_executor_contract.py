"""Contract of all executors, including those of users."""

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_samples import PlainExecutor, events_of, key_of, python, states_of

from elastic.core.errors import UsageError
from elastic.core.native_threads import has_native_threads
from elastic.dag.states.state import TaskState
from elastic.executors import Executor, InlineExecutor, LocalExecutor, RayExecutor, SequentialExecutor, TaskCommand
from elastic.executors.queue_router import QueueRouter
from elastic.executors.ray import options_of
from elastic.executors.registry import executor_of
from tests.command_process import is_alive, until


@pytest.fixture(
    params=[
        "plain",
        "inline",
        "sequential",
        "local",
        "spawned",
        "served",
        "routed",
        pytest.param("ray", marks=pytest.mark.cluster),
    ]
)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "ray":
        request.getfixturevalue("embedded_ray")
    made: dict[str, Any] = {
        "plain": PlainExecutor,
        "inline": InlineExecutor,
        "sequential": SequentialExecutor,
        "local": lambda: LocalExecutor(3, "fork"),
        "spawned": lambda: LocalExecutor(2, "spawn"),
        "served": lambda: LocalExecutor(2, "forkserver"),
        "routed": lambda: QueueRouter({"default": LocalExecutor(3), "other": PlainExecutor()}),
        "ray": lambda: RayExecutor(2, "local"),
    }
    executor = made[request.param]()
    executor.start()
    yield executor
    executor.terminate()


def test_commands_end_as_their_exit_codes_say(executor: Executor) -> None:
    executor.queue_command(key_of("good"), python("pass"))
    executor.queue_command(key_of("bad"), python("raise SystemExit(3)"))
    executor.queue_command(key_of("late"), python("pass"), queue="other")
    events = events_of(executor, 3)
    assert states_of(events) == {"good": TaskState.SUCCESS, "bad": TaskState.FAILED, "late": TaskState.SUCCESS}
    assert events["bad"].exit_code == 3
    assert executor.get_event_buffer() == {}
    assert not executor.running
    assert executor.free == executor.parallelism


def test_what_waits_is_ended_with_the_executor(executor: Executor, tmp_path: Path) -> None:
    for name in "abc":
        executor.queue_command(key_of(name), python(f"open({str(tmp_path / name)!r}, 'w').close()"))
    executor.end()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert set(states_of({key.task_id: one for key, one in executor.get_event_buffer().items()})) == {"a", "b", "c"}


def test_a_command_that_cannot_be_started_has_failed(executor: Executor) -> None:
    executor.queue_command(key_of("nowhere"), TaskCommand(words=("/nowhere/at/all",)))
    event = events_of(executor, 1)["nowhere"]
    assert event.state is TaskState.FAILED
    assert "/nowhere/at/all" in (event.error or "")


def test_no_more_run_at_once_than_there_are_slots(tmp_path: Path) -> None:
    executor = LocalExecutor(2)
    executor.start()
    # each waits for a file that the second one writes
    source = f"""
import os, pathlib, sys, time
here = pathlib.Path({str(tmp_path)!r})
name = str(os.getpid())
(here / ("in-" + name)).touch()
running = len(list(here.glob("in-*")))
(here / ("saw-" + name)).write_text(str(running))
while not (here / "go").exists():
    time.sleep(0.01)
(here / ("in-" + name)).unlink()
"""
    for number in range(5):
        executor.queue_command(key_of(str(number)), python(source))

    def go_on() -> None:
        if len(list(tmp_path.glob("in-*"))) == 2:
            (tmp_path / "go").touch()

    events_of(executor, 5, go_on)
    executor.end()
    assert {path.read_text() for path in tmp_path.glob("saw-*")} <= {"1", "2"}


def _pid(key: object, command: TaskCommand) -> int:
    return os.getpid()


def _parent(key: object, command: TaskCommand) -> int:
    return os.getppid()


@pytest.fixture
def _native_thread() -> Iterator[None]:
    # Its watchdog is a thread that Python does not know.
    faulthandler.dump_traceback_later(10_000)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("_native_thread")
def test_a_process_with_threads_of_libraries_is_not_forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executor = LocalExecutor(1)
    executor.start(_parent)
    executor.queue_command(key_of("one"), TaskCommand(words=()))
    assert events_of(executor, 1)["one"].account != os.getpid()
    executor.end()
    monkeypatch.setenv("SURROUNDINGS", "new")
    monkeypatch.chdir(tmp_path)
    executor = LocalExecutor(1)
    executor.start()
    executor.queue_command(key_of("two"), python("import os; os.mkdir(os.environ['SURROUNDINGS'])"))
    assert states_of(events_of(executor, 1)) == {"two": TaskState.SUCCESS}
    assert (tmp_path / "new").is_dir()
    executor.end()


def test_threads_of_python_are_no_reason_not_to_fork() -> None:
    # In a separate process, because libraries that other tests imported keep threads.
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from %s import has_native_threads\n"
        "with ThreadPoolExecutor(1) as pool: pool.submit(int).result(); print(has_native_threads())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code % has_native_threads.__module__], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"


def _obey(key: object, command: TaskCommand) -> Any:
    if command.words == ("die",):
        os.kill(os.getpid(), signal.SIGKILL)
    if command.words == ("exit",):
        os._exit(7)
    if command.words == ("raise",):
        raise RuntimeError("a fault of the runner")
    return list(command.words)


def test_processes_stay_warm_and_are_promised_to_the_next_commands() -> None:
    executor = LocalExecutor(2)
    executor.start(_pid)
    seen = set()
    for number in range(6):
        promised = executor.reserve(1)
        executor.queue_command(key_of(str(number)), TaskCommand(words=()))
        account = events_of(executor, 1)[str(number)].account
        assert [account] == promised
        seen.add(account)
    executor.end()
    assert len(seen) == 1
    assert os.getpid() not in seen


def test_the_crash_of_a_process_is_a_failure_with_its_signal_and_others_go_on() -> None:
    executor = LocalExecutor(2)
    executor.start(_obey)
    for name in ("die", "exit", "raise", "live"):
        executor.queue_command(key_of(name), TaskCommand(words=(name,)))
    events = events_of(executor, 4)
    executor.end()
    assert events["live"].account == ["live"]
    assert (events["die"].exit_code, events["die"].error) == (-9, "its process was ended by signal SIGKILL")
    assert (events["exit"].exit_code, events["exit"].error) == (7, "its process was ended with exit code 7")
    assert "a fault of the runner" in (events["raise"].error or "")
    assert states_of(events)["raise"] is TaskState.FAILED


def test_a_command_that_must_not_go_on_is_ended(tmp_path: Path) -> None:
    executor = LocalExecutor(1)
    executor.start()
    executor.queue_command(key_of("endless"), python(f"open({str(tmp_path / 'on')!r}, 'w').close()\nwhile True: pass"))

    def stop() -> None:
        if (tmp_path / "on").exists():
            executor.kill(key_of("endless"))

    events = events_of(executor, 1, stop)
    executor.queue_command(key_of("next"), python("pass"))
    assert states_of(events_of(executor, 1)) == {"next": TaskState.SUCCESS}
    executor.end()
    assert events["endless"].state is TaskState.FAILED


def _resist(key: object, command: TaskCommand) -> Any:
    """Ignore SIGTERM; name this process and a program in a session of its own, and wait until both are killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as program:
        Path(command.words[0]).write_text(f"{os.getpid()} {program.pid}")
        program.wait()


def _resist_or_pass(key: object, command: TaskCommand) -> Any:
    return _resist(key, command) if command.words else os.getpid()


def _pids_in(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def test_a_kill_waits_for_no_process_and_other_commands_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = LocalExecutor(2, "fork")
    executor.start(_resist_or_pass)
    executor.queue_command(key_of("stubborn"), TaskCommand(words=(str(tmp_path / "pids"),)))
    executor.heartbeat()
    until(lambda: len(_pids_in(tmp_path / "pids")) == 2)
    executor.kill(key_of("stubborn"))
    assert key_of("stubborn") in executor.running, "it has not ended yet"
    executor.queue_command(key_of("other"), TaskCommand(words=()))
    assert events_of(executor, 1)["other"].account not in _pids_in(tmp_path / "pids")
    executor._workers[0].kill_at = 0.0
    assert events_of(executor, 1)["stubborn"].error == "its process was ended by signal SIGKILL"
    until(lambda: not any(is_alive(pid) for pid in _pids_in(tmp_path / "pids")))
    executor.end()


def test_a_result_that_was_sent_before_the_kill_counts() -> None:
    executor = LocalExecutor(1, "fork")
    executor.start(_pid)
    executor.queue_command(key_of("late"), TaskCommand(words=()))
    executor.heartbeat()
    (worker,) = executor._workers
    assert worker.connection.poll(60)
    worker.kill_at = 0.0
    executor._end_overdue(worker)
    assert executor.get_event_buffer()[key_of("late")].account == worker.pid
    assert executor._workers == []
    executor.end()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_ignore_signals_die_with_the_process_of_their_executor(tmp_path: Path, number: int) -> None:
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[2])!r}]
from elastic.executors import TaskCommand, local
from test_executor_contract import _resist
from executor_samples import key_of
local.KILL_GRACE_SECONDS = 0.5
executor = local.LocalExecutor(2, "fork")
executor.start(_resist)
for name in "ab":
    executor.queue_command(key_of(name), TaskCommand(words=({str(tmp_path)!r} + "/" + name,)))
executor.end()
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: all(len(_pids_in(tmp_path / name)) == 2 for name in "ab"))
    left = [pid for name in "ab" for pid in _pids_in(tmp_path / name)]
    process.send_signal(number)
    process.wait()
    until(lambda: not any(is_alive(pid) for pid in left))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("local", LocalExecutor),
        ("sequential", SequentialExecutor),
        ("inline", InlineExecutor),
        ("ray", RayExecutor),
        ("executor_samples:PlainExecutor", PlainExecutor),
        (PlainExecutor, PlainExecutor),
        (PlainExecutor(), PlainExecutor),
    ],
)
def test_an_executor_is_named_or_given(name: Any, kind: type[Executor]) -> None:
    assert type(executor_of(name)) is kind


@pytest.mark.parametrize("name", ["celery", "nowhere:Executor", "pathlib:Path", "executor_samples:nothing"])
def test_an_unknown_executor_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        executor_of(name)


def test_a_task_asks_ray_for_what_it_needs() -> None:
    assert options_of({}) == {"num_cpus": 1}
    wanted = {"cpus": 0.5, "memory": 2**20, "custom": {"gpu_box": 1}}
    assert options_of(wanted) == {"num_cpus": 0.5, "memory": 2**20, "resources": {"gpu_box": 1}}
