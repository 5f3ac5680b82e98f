"""Commands of bash."""

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from operator_samples import attempt, sample_dag

from elastic.dag.errors import CommandError, TaskSkipped, TaskTimeoutError, TemplateError
from elastic.operators import BashOperator
from elastic.operators.command import Command


def run(command: str, **settings: Any) -> Any:
    return attempt(BashOperator(command, task_id="t", dag=sample_dag(), **settings)).result


def wait_until_gone(pid: int) -> None:
    """Return when a process that is not ours has ended, or has become nobody's zombie."""
    moment = threading.Event()
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state in "ZX":
            return
        moment.wait(0.01)


def test_a_command_is_logged_as_flux_logged_it_and_its_last_line_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "elastic.task"):
        assert run("echo one; echo two {{ ds }} >&2; printf three") == "three"
    assert [record.message for record in caplog.records] == [
        "Running command: echo one; echo two 2016-02-22 >&2; printf three",
        "Command STDOUT:",
        "one",
        "two 2016-02-22",
        "three",
        "Command exited with return code 0",
    ]


def test_another_exit_code_than_0_is_a_failure_that_names_code_and_last_line() -> None:
    with pytest.raises(CommandError, match="the command of task 't' ended with exit code 3; its last line was 'oh no'"):
        run("echo oh no; exit 3")
    with pytest.raises(CommandError, match="ended with exit code 127; its last line was 'bash: line 1: no_such_"):
        run("no_such_command_here")


def test_a_command_that_a_signal_ends_names_the_signal() -> None:
    with pytest.raises(CommandError, match="ended with signal SIGKILL"):
        run("kill -9 $$")


def test_exit_code_99_ends_the_task_as_skipped_unless_that_is_not_wanted() -> None:
    with pytest.raises(TaskSkipped, match="ended with exit code 99, which means to skip"):
        run("exit 99")
    with pytest.raises(CommandError, match="exit code 99"):
        run("exit 99", skip_exit_code=None)


def test_values_reach_a_command_by_its_environment_and_are_not_executed() -> None:
    evil = '$(touch /tmp/pwned); `id`; "; exit 1 #'
    command = 'printf "%s|%s|%s" "$GIVEN" "$ELASTIC_CTX_DS" "$ELASTIC_CTX_TASK_ID"'
    task = BashOperator(command, task_id="t", dag=sample_dag(), env={"GIVEN": "{{ conf.text }}"})
    assert attempt(task, conf={"text": evil}).result == f"{evil}|2016-02-22|t"


def test_the_context_is_in_the_environment() -> None:
    names = run("env | grep ^ELASTIC_CTX_ | sort | cut -d= -f1 | tr '\\n' ' '").split()
    assert [name.removeprefix("ELASTIC_CTX_") for name in names] == [
        "ATTEMPT_UUID", "DAG_ID", "DS", "EXECUTION_DATE", "MAP_INDEX", "RUN_ID", "TASK_ID", "TIMEPERIOD",
        "TRY_NUMBER", "TS",
    ]  # fmt: skip


def test_variables_of_this_process_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_SECRET", "x")
    assert run('echo "<$SAMPLE_SECRET>"') == "<x>"
    assert run('echo "<$SAMPLE_SECRET>$OWN"', append_env=False, env={"OWN": 1}) == "<>1"


def test_a_command_runs_in_its_folder(tmp_path: Path) -> None:
    assert run("pwd -P", cwd=tmp_path) == str(tmp_path.resolve())
    with pytest.raises(FileNotFoundError):
        run("pwd", cwd=tmp_path / "nowhere")


def test_a_file_of_commands_is_a_template(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("x={{ ds }}\necho $x\n")
    dag = sample_dag(template_searchpath=tmp_path)
    assert attempt(BashOperator("run.sh", task_id="t", dag=dag)).result == "2016-02-22"
    with pytest.raises(TemplateError, match=r"there is no file 'gone\.sh'"):
        attempt(BashOperator("gone.sh", task_id="u", dag=dag))


def test_output_that_is_no_text_and_lines_without_end_are_borne(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "elastic.task"):
        assert run(r"printf 'caf\351\r\nlast'") == "last"
        run("head -c 200000 /dev/zero | tr '\\0' x")
    messages = [record.message for record in caplog.records]
    assert "caf\ufffd" in messages
    assert sum(len(message) for message in messages if message.startswith("xx")) == 200_000
    assert max(map(len, messages)) == 64 * 1024


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    pid = int(run("sleep 600 & echo $!"))
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def test_a_timeout_ends_all_processes_of_the_command(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    command = f"trap '' TERM; (trap '' TERM; exec sleep 600) & echo $$ $! > {pids}; wait"
    found: list[int] = []

    def ring_when_both_run() -> None:
        found.extend(int(word) for word in pids.read_text().split())
        signal.setitimer(signal.ITIMER_REAL, 0.001, 1)  # until it is heard

    alarm = threading.Thread(target=ring_when_both_run)
    alarm.start()
    task = BashOperator(command, task_id="t", execution_timeout=600)
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(TaskTimeoutError, match="task 't' took longer than 600 s"),
    ):
        patch.setattr("elastic.operators.command.GRACE", 0.1)
        attempt(task)
    alarm.join()
    assert len(found) == 2
    for pid in found:
        wait_until_gone(pid)


def test_a_command_that_ends_when_asked_is_not_forced() -> None:
    command = Command(["bash", "-c", "trap 'echo bye; exit 7' TERM; echo ready; sleep 600 & wait"], {}, None)
    lines = command.lines()
    assert next(lines) == "ready"
    command.kill()
    assert list(lines) == ["bye"]
    assert command.ending() == "exit code 7"
