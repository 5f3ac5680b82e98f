"""Commands of bash."""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from operator_samples import attempt, sample_dag

from elastic.dag import literal
from elastic.dag.context import ContextServices
from elastic.dag.errors import CommandError, TaskSkipped, TaskTimeoutError, TemplateError
from elastic.dag.execution.shell_process import ShellProcess
from elastic.operators import BashOperator
from elastic.sensors import CommandSensor


def run(command: str, **settings: Any) -> Any:
    return attempt(BashOperator(command, task_id="t", dag=sample_dag(), **settings)).result


def wait_until_gone(pid: int) -> None:
    """Wait until a process of another parent has ended, or is an orphaned zombie."""
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


def test_the_output_of_a_task_in_a_command_is_its_value() -> None:
    dag, services = sample_dag(), ContextServices()
    told = BashOperator("echo seven", task_id="told", dag=dag)
    after = BashOperator(f"echo got {told.output}", task_id="after", dag=dag)
    attempt(told, services=services)
    assert (attempt(after, services=services).result, list(after.upstream)) == ("got seven", ["told"])


def test_a_command_that_a_signal_ends_names_the_signal() -> None:
    with pytest.raises(CommandError, match="ended with signal SIGKILL"):
        run("kill -9 $$")


def test_exit_code_99_ends_the_task_as_skipped_unless_that_is_not_wanted() -> None:
    with pytest.raises(TaskSkipped, match="ended with exit code 99, its skip_exit_code"):
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


def test_undecodable_output_and_endless_lines_are_handled(caplog: pytest.LogCaptureFixture) -> None:
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


@pytest.mark.parametrize("kind", [BashOperator, CommandSensor])
def test_a_timeout_ends_all_processes_of_the_command(
    kind: type[BashOperator | CommandSensor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[int] = []

    class RingOnce(logging.Handler):
        """Handler that lets the time limit pass once the command runs."""

        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("pids "):
                found.extend(int(word) for word in record.getMessage().split()[1:])
                signal.setitimer(signal.ITIMER_REAL, 0.001, 1)  # until the process handles it

    command = "trap '' TERM; (trap '' TERM; exec sleep 600) & echo pids $$ $!; wait"
    task = kind(command, task_id="t", execution_timeout=600)
    monkeypatch.setattr("elastic.dag.execution.shell_process.GRACE_SECONDS", 0.1)
    logger, handler = logging.getLogger("elastic.task"), RingOnce()
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "elastic.task"), pytest.raises(TaskTimeoutError, match="longer than 600 s"):
            attempt(task)
    finally:
        logger.removeHandler(handler)
    assert len(found) == 2
    for pid in found:
        wait_until_gone(pid)


def test_a_command_that_ends_when_asked_is_not_forced() -> None:
    command = ShellProcess(["bash", "-c", "trap 'echo bye; exit 7' TERM; echo ready; sleep 600 & wait"], {}, None)
    lines = command.lines()
    assert next(lines) == "ready"
    command.kill()
    assert list(lines) == ["bye"]
    assert command.exit_status() == "exit code 7"


def test_a_last_line_that_is_too_long_to_be_passed_on_does_not_undo_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = f"touch {tmp_path}/done; head -c 50000 /dev/zero | tr '\\0' x"
    with caplog.at_level(logging.WARNING, "elastic.task"):
        assert run(command) is None
    (record,) = caplog.records
    assert "50,002 bytes of at most 49,152" in record.message
    assert record.message.endswith("; no XCom is pushed")
    assert (tmp_path / "done").exists()
    assert len(run(command, do_xcom_push=False)) == 50_000


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_the_end_of_a_line_that_was_cut_is_not_passed_on(end: str, caplog: pytest.LogCaptureFixture) -> None:
    script = f"print('first'); print('x' * 70_000, end={end!r})"
    with caplog.at_level(logging.WARNING, "elastic.task"):
        assert run(f'{sys.executable} -c "{script}"'.replace("\n", "\\n")) is None
    (record,) = caplog.records
    assert record.message == "the last line of task 't' is too long for an XCom; no XCom is pushed"
    assert run("head -c 70000 /dev/zero | tr '\\0' x; echo; echo last") == "last"


@pytest.mark.parametrize("text", ["deploy.sh", "a.bash", "/etc/x.sh"])
def test_values_of_the_environment_are_never_names_of_files(text: str) -> None:
    assert run('printf %s "$S"', env={"S": text}) == text
    assert run('printf %s "$S"', env={"S": literal("{{ ds }}")}) == "{{ ds }}"


def test_the_folder_of_a_command_is_never_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.sh").mkdir()
    assert run("pwd", cwd=tmp_path / "folder.sh") == str(tmp_path / "folder.sh")


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_long_line_is_cut_between_characters(start: int, end: str) -> None:
    text = "x" * start + "\U0001f600" * 40_000
    script = f"import os; os.write(1, ('x' * {start} + chr(0x1f600) * 40_000 + {end!r}).encode())"
    command = ShellProcess([sys.executable, "-c", script], {}, None)
    lines = list(command.lines())
    assert command.exit_code() == 0
    assert "".join(lines) == text
    assert max(len(line.encode()) for line in lines) <= 64 * 1024


def test_output_that_is_not_utf_8_is_shortened_too() -> None:
    command = ShellProcess(["bash", "-c", "head -c 200000 /dev/zero | tr '\\0' '\\200'"], {}, None)
    assert "".join(command.lines()) == "\ufffd" * 200_000
    assert command.exit_code() == 0


@pytest.mark.parametrize(
    "name",
    [
        "ELASTIC__SECRETS__FERNET_KEY",
        "ELASTIC__DATABASE__URL",
        "ELASTIC__DATABASE__URL_FILE",
        "ELASTIC__secrets__fernet_key_cmd",
    ],
)
def test_a_command_finds_neither_the_key_nor_the_url_of_the_database(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("ELASTIC__LOGS__LEVEL", "INFO")
    assert run(f"printenv {name}; printenv ELASTIC__LOGS__LEVEL") == "INFO"
    assert run(f"printenv {name} || echo none") == "none"
    assert run(f"printenv {name}", env={name: "given"}) == "given"


def test_a_command_that_a_sensor_runs_is_logged_and_finds_no_secret_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", "canary")
    command = 'echo "key=$ELASTIC__SECRETS__FERNET_KEY day=$DAY"; exit {{ params.code }}'

    def sensor(code: int) -> CommandSensor:
        return CommandSensor(command, task_id="t", env={"DAY": "monday"}, params={"code": code}, timeout=600)

    with caplog.at_level(logging.INFO, "elastic.task"):
        attempt(sensor(0))
    assert "key= day=monday" in [record.message for record in caplog.records]
    expected = "ended with exit code 3, neither 0 nor one of not_yet_codes; its last line was 'key= day=monday'"
    with pytest.raises(CommandError, match=expected):
        attempt(sensor(3))


def test_a_command_that_a_sensor_runs_has_a_time_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.sensors.poked._COMMAND_SECONDS", 0.01)
    with pytest.raises(TaskTimeoutError, match=r"the command of task 't' took longer than 0\.01 s"):
        attempt(CommandSensor("sleep 600", task_id="t"))
