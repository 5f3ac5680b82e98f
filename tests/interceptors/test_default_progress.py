"""The progress bar of a run: on a terminal or in a notebook, after a while, and gone at the end."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import elastic
from elastic.core.errors import UsageError
from elastic.core.model.step import Progress, StepState
from elastic.interceptors import ConsoleProgress, NotebookProgress
from elastic.interceptors.default_progress import default_progress
from elastic.interceptors.notebook_progress import is_notebook

ROOT = Path(__file__).resolve().parents[2]

#: A run of more than a second, whose bar may appear after a tenth of one.
SCRIPT = """
import sys, time
import elastic
from elastic.interceptors import default_progress

default_progress._DELAY = 0.1

def work(number):
    time.sleep(0.05)
    if number == FAILS:
        raise ValueError("bad number")
    if number == 0:
        print("printed by a function")
    return number

flow = elastic.from_range(30, chunk_size=1).map(work).aggregate("sum")
print(flow.run(cluster="inline", name="my-flow", max_chunks_per_call=1, OPTIONS).value)
"""

#: What a terminal shows and does: cursor movements, colours, and the erasing of lines.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def played(
    *, fails: int = -1, options: str = "", environment: dict[str, str] | None = None, interrupt_after: str = ""
) -> tuple[int, str, str]:
    """Run the script with a terminal as its error output; return its exit code, its output and what was drawn."""
    text = SCRIPT.replace("FAILS", str(fails)).replace("OPTIONS", options)
    master, terminal = pty.openpty()
    plain = {key: value for key, value in os.environ.items() if key not in ("CI", "TERM", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env={**plain, "TERM": "xterm", "COLUMNS": "120", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    drawn = b""
    is_interrupted = not interrupt_after
    try:
        while True:
            if select.select([master], [], [], 120)[0]:
                try:
                    part = os.read(master, 65_536)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                drawn += part
                if not is_interrupted and interrupt_after.encode() in drawn:
                    is_interrupted = True
                    process.send_signal(signal.SIGINT)
            else:
                process.kill()
                break
        out = process.communicate(timeout=120)[0].decode()
    finally:
        os.close(master)
    return process.returncode, out, drawn.decode(errors="replace")


def is_erased(drawn: str) -> bool:
    """Return whether the last picture of the bar was followed by the erasing of its line and a visible cursor."""
    end = drawn[drawn.rindex("my-flow") :]
    return "\x1b[2K" in end and "\x1b[?25h" in end


@pytest.mark.slow
def test_a_longer_run_draws_a_bar_on_a_terminal_and_erases_it() -> None:
    code, out, drawn = played()
    assert (code, out) == (0, "printed by a function\n435\n")
    assert "my-flow" in drawn
    assert "chunks" in drawn
    assert is_erased(drawn)
    assert "printed by" not in drawn


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "environment"),
    [("progress=False", {}), ("", {"CI": "true"}), ("", {"TERM": "dumb"}), ("", {"ELASTIC__FLOW__PROGRESS": "false"})],
    ids=["off", "CI", "dumb terminal", "setting"],
)
def test_no_bar_is_drawn_where_none_is_wanted(options: str, environment: dict[str, str]) -> None:
    code, out, drawn = played(options=options, environment=environment)
    assert (code, out) == (0, "printed by a function\n435\n")
    assert drawn == ""


@pytest.mark.slow
def test_an_error_follows_a_clean_line() -> None:
    code, _, drawn = played(fails=20)
    assert code == 1
    assert is_erased(drawn[: drawn.index("Traceback")])
    assert "bad number" in drawn


@pytest.mark.slow
def test_ctrl_c_leaves_a_clean_line() -> None:
    code, _, drawn = played(interrupt_after="my-flow")
    assert code != 0
    before = drawn[: drawn.index("Traceback")]
    assert is_erased(before)
    assert "KeyboardInterrupt" in CONTROL.sub("", drawn)


def test_in_a_pipe_a_run_has_no_bar() -> None:
    assert not sys.stderr.isatty()
    assert default_progress(()) == []


def test_a_process_without_an_error_output_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = StringIO()
    closed.close()
    for stream in (None, closed):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            assert default_progress((), {}) == []
            result = elastic.from_range(3).aggregate("sum").run(cluster="inline")
        assert (result.value, result.interceptor_errors) == (3, ())


def test_a_bar_that_the_user_gives_is_the_only_one() -> None:
    for given in (ConsoleProgress(), NotebookProgress(lambda text: lambda later: None)):
        assert default_progress([given], {}) == []


def test_this_process_is_no_notebook() -> None:
    assert not is_notebook()


@pytest.mark.parametrize("value", ["no", 1, None, 0.0])
def test_a_choice_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"progress=.* must be True or False"):
        elastic.from_range(3).options(progress=value)


# -- the delay


def progress(**given: Any) -> Progress:
    facts: dict[str, Any] = {
        "run_id": "r", "step": 0, "name": "<b>words</b>", "state": StepState.IN_PROGRESS, "expected_chunks": 10,
        "cut_chunks": 5, "distributed_chunks": 5, "aggregated_chunks": 4, "entries": 12_345, "retries": 0,
        "counters": {}, "nodes": {"a": ("a/0",)}, "seconds": 1.0,
    }  # fmt: skip
    return Progress(**{**facts, **given})


def test_a_step_that_ends_before_the_delay_draws_nothing() -> None:
    threads = set(threading.enumerate())
    text = StringIO()
    bar = ConsoleProgress(Console(force_terminal=True, file=text), delay=600)
    bar.step_started(progress())
    bar.progressed(progress())
    bar.step_ended(progress(), None)
    assert text.getvalue() == ""
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_step_that_reports_nothing_draws_its_bar_after_the_delay() -> None:
    text = StringIO()
    bar = ConsoleProgress(Console(force_terminal=True, file=text, width=120), delay=0.01)
    bar.step_started(progress(nodes={}))
    wait_for(lambda: "starting workers" in text.getvalue())
    bar.progressed(progress())
    wait_for(lambda: "12,345 entries" in text.getvalue())
    bar.step_ended(progress(), None)
    bar.progressed(progress())
    bar.step_ended(progress(), None)


def test_of_two_steps_at_a_time_one_draws() -> None:
    texts = (StringIO(), StringIO())
    bars = [ConsoleProgress(Console(force_terminal=True, file=text, width=120), delay=0.01) for text in texts]
    bars[0].step_started(progress())
    wait_for(lambda: texts[0].getvalue() != "")
    bars[1].step_started(progress())
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(10)
    assert texts[1].getvalue() == ""
    for bar in bars:
        bar.step_ended(progress(), None)
    bars[1].step_started(progress())
    wait_for(lambda: texts[1].getvalue() != "")
    bars[1].step_ended(progress(), None)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- in a notebook


def test_a_notebook_shows_one_bar_and_removes_it() -> None:
    pages: list[str] = []

    def display(text: str) -> Any:
        pages.append(text)
        return pages.append

    bar = NotebookProgress(display, delay=2)
    bar.step_started(progress())
    bar.progressed(progress(seconds=1.9))
    assert pages == []
    bar.progressed(progress(seconds=2.1))
    bar.progressed(progress(seconds=3, expected_chunks=None))
    bar.step_ended(progress(), None)
    assert len(pages) == 3
    assert '<progress value="4" max="10">' in pages[0]
    assert "4 of 10 chunks, 12,345 entries, 1 worker" in pages[0]
    assert "<b>" not in pages[0]
    assert "<progress >" in pages[1]
    assert "4 of ? chunks" in pages[1]
    assert pages[2] == ""


def test_a_run_in_a_notebook_shows_its_bar() -> None:
    pages: list[str] = []

    def display(text: str) -> Any:
        pages.append(text)
        return pages.append

    flow = elastic.from_range(20, chunk_size=1).map(lambda n: time.sleep(0.05) or n).aggregate("sum")
    result = flow.run(cluster="inline", interceptor=NotebookProgress(display), max_chunks_per_call=1)
    assert result.interceptor_errors == ()
    assert len(pages) > 1
    assert pages[-1] == ""
