"""Ctrl-C in a program that runs a flow: a short KeyboardInterrupt, death by SIGINT, and a run that can be resumed."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import elastic
from elastic.persistence.home import RUN_FILE
from elastic.run_history import RunHistory

#: Starts of Ray take minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

REPOSITORY = Path(__file__).resolve().parents[2]

#: Sum of the entries of `SCRIPT`.
TOTAL = sum(range(300))

#: A script with a slow flow. `HOLD` names a callback of the interceptor that blocks until `GO` exists.
SCRIPT = """
import linecache, os, sys, threading, time
import elastic

GO = os.path.join(os.path.dirname(__file__), "go")

class Watch(elastic.Interceptor):
    def aggregated(self, receipt, task_count):
        if task_count == 20:
            print("ready", flush=True)
        self._hold("aggregated")

    def step_ended(self, progress, error):
        self._hold("step_ended")

    def _hold(self, callback):
        if os.environ.get("HOLD") == callback:
            threading.Thread(target=announce, args=[sys._getframe()]).start()
            while not os.path.exists(GO):
                time.sleep(0.01)

def announce(frame):
    # Once the function of the frame sleeps.
    while "sleep" not in linecache.getline(__file__, frame.f_lineno):
        time.sleep(0.001)
    print("held", flush=True)

def slow(number):
    time.sleep(0 if os.path.exists(GO) else 0.05)
    return number

def flow():
    numbers = elastic.from_iterable(list(range(300)), chunk_size=1).map(slow).aggregate("sum")
    return numbers.options(max_chunks_in_flight=10, interceptor=Watch, commit_interval=0.01, start_timeout=180)

if __name__ == "__main__":
    print("started", flush=True)
    flow().run(cluster=sys.argv[1], workers=1)
"""


@dataclass(slots=True)
class Program:
    """A process that runs the script, with a folder for its temporary files."""

    process: "subprocess.Popen[str]"
    folder: Path

    def wait_for(self, line: str) -> None:
        """Wait until the process prints a line."""
        assert self.process.stdout is not None
        while (printed := self.process.stdout.readline()) != f"{line}\n":
            assert printed, f"the process ended before it printed {line!r}"

    def wait_until(self, condition: Callable[[], object]) -> None:
        ends_at = time.monotonic() + 280
        while not condition():
            assert self.process.poll() is None, "the process ended early"
            assert time.monotonic() < ends_at
            time.sleep(0.005)

    def press(self) -> None:
        """Press Ctrl-C: a terminal sends SIGINT to all processes of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Return the exit code and the error output."""
        _, said = self.process.communicate(timeout=280)
        return self.process.returncode, said

    @property
    def left(self) -> list[str]:
        """Temporary files, and processes that use some, once Ray's agents have noticed the end of their parents."""
        named, ends_at = bytes(self.folder), time.monotonic() + 120
        while processes := [str(pid) for pid in Path("/proc").glob("[0-9]*") if named in _command_line(pid)]:
            if time.monotonic() > ends_at:
                break
            time.sleep(0.1)
        return [*processes, *(path.name for path in self.folder.iterdir())]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start the script in a folder of its own."""
    # Short, because Ray's sockets lie below it.
    folder = Path(tempfile.mkdtemp(prefix="ctrl-c-"))
    programs: list[Program] = []

    def start(*arguments: str, **environment: str) -> Program:
        (tmp_path / "script.py").write_text(SCRIPT)
        variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(folder), **environment}
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):  # those of this process
            variables.pop(name, None)
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        programs.append(Program(process, folder))
        return programs[-1]

    yield start
    for program in programs:
        with program.process as process:  # closes its pipes
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["inline", pytest.param("local", marks=pytest.mark.cluster)])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of cluster that a script may start."""
    name: str = request.param
    return name


def assert_interrupted() -> str:
    """Check the record of the only run, and return its id."""
    history = RunHistory.of_environment()
    (run_id,) = history.runs()
    (record,) = history.steps(run_id)
    assert (record.state, record.error) == ("interrupted", "KeyboardInterrupt()")
    assert record.ended_at is not None
    return run_id


def assert_short(said: str, *, frames: int = 3) -> str:
    """Check that a traceback has few frames and a note, and return the file names of the frames."""
    run_id = assert_interrupted()
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith(f"\nKeyboardInterrupt\nresume with `elastic resume {run_id} TARGET`\n")
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1
    files = re.findall(r'^  File ".*/([^/"]+)"', said, re.MULTILINE)
    assert len(files) <= frames, said
    return " ".join(files)


def resumed(tmp_path: Path) -> int:
    """Resume the last run in this process, and return its value."""
    (tmp_path / "go").touch()
    path = str(tmp_path / "script.py")
    namespace: dict[str, object] = {"__name__": "script", "__file__": path}
    exec(compile(SCRIPT, path, "exec"), namespace)
    flow = namespace["flow"]
    assert callable(flow)
    value: int = elastic.resume("last", flow(), cluster="inline", allow_code_change=True).value
    return value


def test_ctrl_c_ends_a_script_by_sigint_with_a_short_traceback(
    kind: str, start: Callable[..., Program], tmp_path: Path
) -> None:
    program = start("script.py", kind)
    program.wait_for("ready")
    program.press()
    code, said = program.end()
    assert code == -signal.SIGINT
    assert assert_short(said, frames=4).startswith("script.py flow.py run.py")
    assert program.left == []
    assert resumed(tmp_path) == TOTAL


@pytest.mark.parametrize(
    ("kind", "gap"), [("inline", 0.0), ("inline", 0.3), pytest.param("local", 0.3, marks=pytest.mark.cluster)]
)
def test_ctrl_c_pressed_several_times_is_one_interrupt(
    kind: str, gap: float, start: Callable[..., Program], tmp_path: Path
) -> None:
    program = start("script.py", kind)
    program.wait_for("ready")
    for _ in range(2):
        program.press()
        time.sleep(gap)
    code, said = program.end()
    assert code == -signal.SIGINT
    assert_short(said, frames=4)
    assert program.left == []
    assert resumed(tmp_path) == TOTAL


def test_ctrl_c_shows_the_user_function_that_the_run_was_waiting_for(start: Callable[..., Program]) -> None:
    program = start("script.py", "inline", HOLD="aggregated")
    program.wait_for("held")
    program.press()
    code, said = program.end()
    assert code == -signal.SIGINT
    assert assert_short(said, frames=5) == "script.py flow.py run.py script.py script.py"
    assert "time.sleep(0.01)" in said


def test_a_second_ctrl_c_while_the_run_ends_leaves_the_record(start: Callable[..., Program]) -> None:
    program = start("script.py", "inline", HOLD="step_ended")
    program.wait_for("ready")
    program.press()
    program.wait_for("held")
    while program.process.poll() is None:  # the first of these presses is part of the interrupt
        program.press()
        time.sleep(0.1)
    code, said = program.end()
    assert code == -signal.SIGINT
    assert_interrupted()
    assert "Exception ignored" not in said


def test_ctrl_c_during_a_commit_waits_for_it(start: Callable[..., Program], tmp_path: Path) -> None:
    program = start("script.py", "inline")
    program.wait_for("ready")
    history = RunHistory.of_environment()
    (run_id,) = history.runs()
    path = history.run_folder(run_id) / RUN_FILE
    # Another connection makes the commit wait, so that the signal arrives in it.
    with sqlite3.connect(path, isolation_level=None, timeout=60) as other:
        other.execute("BEGIN IMMEDIATE")
        (before,) = other.execute("SELECT low FROM progress").fetchone()
        time.sleep(0.5)  # many commits are due in this time, so the process waits in one
        program.press()
        time.sleep(0.2)
        assert program.process.poll() is None
        other.execute("ROLLBACK")
    other.close()
    code, said = program.end()
    assert code == -signal.SIGINT
    assert_short(said)
    assert "not recorded" not in said
    (record,) = history.steps(run_id)
    assert record.low > before
    assert resumed(tmp_path) == TOTAL


CATCHING_SCRIPT = """
import elastic, script

try:
    script.flow().run(cluster="inline")
except KeyboardInterrupt:
    print("caught")
print(elastic.from_range(10).aggregate("sum").run(cluster="inline", persist=False).value)
"""


def test_ctrl_c_that_the_program_catches_does_not_end_it(start: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "caught.py").write_text(CATCHING_SCRIPT)
    program = start("caught.py")
    program.wait_for("ready")
    program.press()
    printed, said = program.process.communicate(timeout=60)
    assert (program.process.returncode, printed, said) == (0, "caught\n45\n", "")
    assert_interrupted()


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_on_the_command_line_is_one_line_and_130(
    presses: int, start: Callable[..., Program], tmp_path: Path
) -> None:
    (tmp_path / "target.py").write_text(f"{SCRIPT}\nflow = flow()\n")
    program = start("-m", "elastic", "flow", "run", "target.py:flow", "--cluster", "inline")
    program.wait_for("ready")
    for _ in range(presses):
        program.press()
        time.sleep(0.05)
    code, said = program.end()
    # A press in the last milliseconds of Python ends it by SIGINT, which a shell reports as 130 too.
    assert code == 130 or (presses == 2 and code == -signal.SIGINT)
    assert said == f"interrupted; resume with `elastic resume {assert_interrupted()}`\n"


#: Moments in the start of an embedded Ray, by what its folder contains then.
MOMENTS = {
    "while Ray is imported": "elastic-*/token",
    "while Ray's first process starts": "elastic-*/ray/session_*",
    "while Ray's head starts": "elastic-*/ray/session_*/logs/gcs_server*",
    "while Ray's node starts": "elastic-*/ray/session_*/logs/raylet*",
}


@pytest.mark.cluster
@pytest.mark.parametrize(("moment", "presses"), [(moment, 1 + place % 2) for place, moment in enumerate(MOMENTS)])
def test_ctrl_c_while_the_cluster_starts_leaves_nothing(
    moment: str, presses: int, start: Callable[..., Program]
) -> None:
    program = start("script.py", "local")
    program.wait_for("started")
    program.wait_until(lambda: list(program.folder.glob(MOMENTS[moment])))
    for _ in range(presses):
        program.press()
        time.sleep(0.2)
    code, said = program.end()
    assert code == -signal.SIGINT, said
    assert said.endswith("\nKeyboardInterrupt\n")
    assert said.count("Traceback") == 1, said
    assert len(re.findall(r'^  File "', said, re.MULTILINE)) == 3, said
    assert program.left == []
    assert RunHistory.of_environment().runs() == []
