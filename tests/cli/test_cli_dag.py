"""`elastic dags`, `tasks`, `run`, `backfill`, `clear`, `recover`, `run-one`, `run-from`: output and refusals."""

import json
import re
from pathlib import Path

import pytest
from cli_samples import elastic, refused, said_lines
from dag_folder import broken_file, dag_folder, mend

DAY = "2016-02-22"
EXTRACT = ("etl", "extract", DAY)
LEAVES = [
    *([name] for name in ("run", "backfill", "clear", "recover", "run-one", "run-from")),
    *(["dags", name] for name in ("list", "list-runs", "show", "details", "tree", "graph", "test", "next")),
    *(["dags", name] for name in ("pause", "unpause", "trigger", "delete")),
    *(["tasks", name] for name in ("list", "test", "state", "render", "why", "log")),
    *(["bundle", name] for name in ("make-key", "create")),
]

#: A task that fails with a retry left, its downstream task, and an independent task.
TRIES = """
from elastic import DAG
from elastic.operators import EmptyOperator, PythonOperator


def fail():
    raise ValueError("no such luck")


with DAG("tries", start_date="2016-02-22") as dag:
    PythonOperator(task_id="bad", python_callable=fail, retries=1) >> EmptyOperator(task_id="after")
    EmptyOperator(task_id="beside")
"""


@pytest.fixture(autouse=True)
def folder(home: Path) -> Path:
    """A folder of DAGs."""
    return dag_folder(home)


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tasks in this process, which is fastest."""
    monkeypatch.setenv("ELASTIC__CORE__EXECUTOR", "inline")


def state_of(task_id: str, date: str = DAY) -> str:
    return elastic("tasks", "state", "etl", task_id, date).out.strip()


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_every_command_of_dags_has_help_with_an_example(command: list[str]) -> None:
    said = elastic(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: elastic {' '.join(command)}")
    assert f"or example: elastic {' '.join(command)}" in " ".join(said.out.split())


class TestDags:
    """`elastic dags`."""

    def test_they_are_listed_and_broken_files_are_named_beside_the_list(self, folder: Path) -> None:
        path = broken_file(folder)
        for _ in range(2):
            said = elastic("dags", "list", "-o", "json")
            assert said.code == 0
            found = [(row["dag_id"], row["tasks"], row["owner"], row["paused"]) for row in json.loads(said.out)]
            assert found == [("copies", 1, "elastic", False), ("etl", 4, "me", False)]
            (sentence,) = said.err.splitlines()
            assert sentence.startswith(f"cannot be loaded: {path}: UnknownSettingError: DAG 'broken' has no setting")
        assert elastic("dags", "list", "-sd", str(folder / "etl.py")).err == ""
        assert "etl" in elastic("dags", "list").out
        path.unlink()
        assert elastic("dags", "list").err == ""

    def test_a_setting_without_effect_is_reported_in_the_list_and_in_the_log_of_the_attempt(self, folder: Path) -> None:
        head = "from elastic import DAG\nfrom elastic.operators import EmptyOperator\n"
        text = f"{head}with DAG('hourly', start_date='2016-02-22'):\n"
        (folder / "hourly.py").write_text(f"{text}    EmptyOperator(task_id='only', schedule_interval='@hourly')\n")
        for place in ((), ("-sd", str(folder))):
            said = elastic("dags", "list", *place)
            assert said.err.startswith(
                "warning: DAG 'hourly': schedule_interval of task 'only' has no effect: the schedule of the DAG"
            )
        (line,) = [line for line in elastic("dags", "test", "hourly").out.splitlines() if "WARNING" in line]
        assert line.split(" WARNING - ")[1].startswith("schedule_interval has no effect: the schedule of the DAG")

    def test_one_id_for_two_dags_is_reported(self, folder: Path) -> None:
        (folder / "twin.py").write_text("from elastic import DAG\ndag = DAG('etl', start_date='2016-02-22')\n")
        for place in ([], ["-sd", str(folder)]):
            said = elastic("dags", "list", *place, "-o", "plain")
            assert [line.split("\t")[0] for line in said.out.splitlines()] == ["copies", "etl"]
            assert "already defined in" in said.err

    def test_one_is_shown_in_many_ways(self, folder: Path) -> None:
        shown = elastic("dags", "show", "etl").out
        assert re.search(r"schedule +1 day", shown)
        tree = elastic("dags", "tree", "etl").out
        assert tree.splitlines() == [
            "<Task(PythonOperator): report>",
            "    <Task(EmptyOperator): load>",
            "        <Task(BashOperator): extract>",
            "<Task(PythonOperator): check>",
            "    <Task(BashOperator): extract>",
        ]
        assert tree in shown
        assert '"extract" -> "load";' in elastic("dags", "graph", "etl").out
        assert elastic("dags", "graph", "etl", "-f", "mermaid").out.startswith("graph LR")
        details = json.loads(elastic("dags", "details", "etl").out)
        assert [one["task_id"] for one in details["tasks"]] == ["extract", "load", "report", "check"]
        assert re.fullmatch("[0-9a-f]{64}", details["source_digest"])

    def test_its_next_dates_are_printed(self) -> None:
        first, second = (f"2016-02-{day}T00:00:00+00:00" for day in (22, 23))
        assert elastic("dags", "next", "etl").out == f"{first}  starts at {second}\n"
        elastic("run", *EXTRACT)
        assert elastic("dags", "next", "etl", "-n", "2").out.splitlines()[0].startswith(f"{second}  starts at")
        assert elastic("dags", "next", "copies").out == "DAG 'copies' (None) has no next date\n"

    def test_a_paused_one_is_marked(self) -> None:
        assert elastic("dags", "pause", "etl").out == "DAG 'etl' is paused\n"
        assert [row["paused"] for row in json.loads(elastic("dags", "list", "-o", "json").out)] == [False, True]
        assert elastic("dags", "unpause", "etl").out == "DAG 'etl' is not paused\n"
        assert [row["paused"] for row in json.loads(elastic("dags", "list", "-o", "json").out)] == [False, False]

    def test_a_run_is_triggered_and_listed(self) -> None:
        said = elastic("dags", "trigger", "etl", "-e", DAY, "--conf", '{"full": true}')
        run_id = "manual_20160222T000000"
        advice = f"run it with `elastic backfill etl --runs {run_id}`, or start `elastic master`"
        assert said.out == f"run {run_id} of DAG 'etl' is queued; {advice}\n"
        refused(elastic("dags", "trigger", "etl", "-e", DAY), 2, "has a run for 2016-02-22 00:00:00 UTC already")
        (row,) = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
        assert (row["run_id"], row["timeperiod"], row["state"], row["attempt"]) == (
            "manual_20160222T000000",
            "20160222",
            "queued",
            1,
        )
        assert elastic("dags", "list-runs", "copies").out == "DAG 'copies' has no runs\n"

    def test_one_that_is_gone_from_its_file_is_deleted_with_its_runs(self, folder: Path) -> None:
        elastic("backfill", "etl", "-s", DAY, "-e", DAY)
        refused(elastic("dags", "delete", "etl", "-y"), 2, "would store it again; remove it there")
        for path in folder.glob("*.py"):
            path.unlink()
        said = elastic("dags", "delete", "etl")
        assert (said.code, "Delete DAG 'etl' with all its runs? [y/N]" in said.out + said.err) == (1, True)
        assert elastic("dags", "delete", "etl", "-y").out == "DAG 'etl' was deleted, with 1 run\n"
        refused(elastic("dags", "delete", "etl", "-y"), 2, "DAG 'etl' isn't defined")

    def test_a_trial_prints_all_and_keeps_nothing(self, folder: Path) -> None:
        said = elastic("dags", "test", "etl")
        assert said.code == 1
        assert "ValueError: no such luck" in said.out
        assert said_lines(said)[-5:] == [
            "Run summary:",
            "failed: 1",
            "success: 3",
            "runs: 1 failed",
            "failed: etl.check of manual_20160222T000000: ValueError: no such luck",
        ]
        mend(folder)
        assert elastic("dags", "test", "etl", "2016-02-23").code == 0
        assert elastic("dags", "list-runs", "etl").out == "DAG 'etl' has no runs\n"

    def test_a_trial_makes_one_try_and_tells_what_follows_from_a_failure(self, folder: Path) -> None:
        (folder / "tries.py").write_text(TRIES)
        said = elastic("dags", "test", "tries")
        assert said.code == 1
        assert said_lines(said)[-6:] == [
            "Run summary:",
            "failed: 1",
            "success: 1",
            "upstream_failed: 1",
            "runs: 1 failed",
            "failed: tries.bad of manual_20160222T000000: ValueError: no such luck",
        ]


class TestTasks:
    """`elastic tasks`."""

    def test_they_are_listed(self) -> None:
        rows = json.loads(elastic("tasks", "list", "etl", "-o", "json").out)
        assert [(row["task_id"], row["upstream"]) for row in rows] == [
            ("extract", []),
            ("load", ["extract"]),
            ("check", ["extract"]),
            ("report", ["load"]),
        ]
        assert elastic("tasks", "list", "etl", "--tree").out == elastic("dags", "tree", "etl").out
        assert said_lines(elastic("tasks", "list", "etl"))[0] == "task_id operator upstream trigger_rule retries pool"

    def test_templates_are_shown_without_unset_fields(self) -> None:
        assert elastic("tasks", "render", *EXTRACT).out == "# bash_command\necho 2016-02-22 7\n"
        assert elastic("tasks", "render", "etl", "load", DAY).out == ""
        assert state_of("extract") == "none"

    def test_the_reason_why_an_instance_does_not_run_is_printed(self) -> None:
        rows = json.loads(elastic("tasks", "why", "etl", "load", DAY, "-o", "json").out)
        assert [(row["condition"], row["reason"]) for row in rows if row["met"] == "no"] == [
            ("trigger rule", "waiting for 'extract' (all_success)")
        ]
        elastic("run", *EXTRACT)
        rows = json.loads(elastic("tasks", "why", "etl", "load", DAY, "-o", "json").out)
        assert {row["met"] for row in rows} == {"yes"}
        assert "state no it previously succeeded; --force runs it again" in said_lines(
            elastic("tasks", "why", *EXTRACT)
        )

    def test_a_trial_of_one_runs_it_whatever_stands_before_it(self, folder: Path) -> None:
        assert elastic("tasks", "test", "etl", "report", DAY).code == 0
        assert elastic("tasks", "test", "etl", "check", DAY).code == 1
        mend(folder)
        said = elastic("tasks", "test", "etl", "check", DAY)
        assert (said.code, "checking 2016-02-22" in said.out) == (0, True)
        assert state_of("check") == "none"

    def test_its_log_outlives_its_file(self, home: Path) -> None:
        elastic("run", *EXTRACT)
        path = home / "logs/etl/extract/2016-02-22T00:00:00"
        said = elastic("tasks", "log", *EXTRACT)
        assert said.out == path.read_text()
        assert re.search(r"\{bash\.py:\d+\} INFO - 2016-02-22 7", said.out)
        path.unlink()
        lines = elastic("tasks", "log", *EXTRACT).out.splitlines()
        assert lines[0] == "extract INFO Executing <Task(BashOperator): extract> for 2016-02-22 00:00:00"
        assert "extract INFO 2016-02-22 7" in lines
        refused(elastic("tasks", "log", "etl", "load", DAY), 1, "log file is missing")

    def test_each_copy_of_a_mapped_task_has_a_state_and_a_log(self, home: Path) -> None:
        assert elastic("backfill", "copies", "-s", DAY).code == 0
        for index, printed in enumerate(("4", "9")):
            chosen = ("copies", "square", DAY, "--map-index", str(index))
            assert elastic("tasks", "state", *chosen).out == "success\n"
            (home / f"logs/copies/square/2016-02-22T00:00:00.{index}").unlink()
            lines = elastic("tasks", "log", *chosen).out.splitlines()
            assert [line for line in lines if line in ("square INFO 4", "square INFO 9")] == [f"square INFO {printed}"]

    def test_a_mapped_task_is_described_as_a_whole_if_no_copy_is_named(self, home: Path, folder: Path) -> None:
        square = ("copies", "square", DAY)
        assert elastic("tasks", "state", *square).out == "none\n"
        elastic("backfill", "copies", "-s", DAY)
        assert elastic("tasks", "state", *square).out == "success\n"
        said = elastic("tasks", "log", *square)
        assert [line for line in said.out.splitlines() if line.startswith("==>")] == [
            "==> square[0] <==",
            "==> square[1] <==",
        ]
        assert said.out.count("Task succeeded") == 2
        elastic("clear", "copies", "-y")
        (folder / "etl.py").write_text(
            (folder / "etl.py").read_text().replace("print(number", "print(1 / (number - 3)")
        )
        elastic("backfill", "copies", "-s", DAY)
        assert elastic("tasks", "state", *square).out == "failed: 1 failed, 1 success\n"
        rows = json.loads(elastic("tasks", "why", *square, "-o", "json").out)
        assert [(row["copies"], row["reason"]) for row in rows if row["met"] == "no"] == [
            ("0", "it previously succeeded; --force runs it again"),
            ("1", "it is failed; clear it to run it again"),
        ]
        assert [row["copies"] for row in rows if row["condition"] == "pool"] == ["0-1"]
        refused(elastic("run", *square), 2, "task 'square' has 2 copies; give --map-index 0 to 1 for one")


class TestRun:
    """`elastic run`."""

    def test_a_date_off_the_schedule_is_noted_with_the_dates_beside_it(self, home: Path, folder: Path) -> None:
        note = "is not on the schedule of task 'extract'; the nearest dates are {} 00:00 UTC and {} 00:00 UTC."
        said = elastic("run", "etl", "extract", "2016-02-22T10:00")
        assert (said.code, said.err) == (0, f"note: 2016-02-22T10:00 {note.format('2016-02-22', '2016-02-23')}\n")
        assert "not on the schedule" not in elastic("run", *EXTRACT).err
        assert "not on the schedule" not in elastic("run", "copies", "square", f"{DAY}T10:00", "--map-index", "0").err

    def test_each_flag_changes_one_thing(self, home: Path, folder: Path) -> None:
        said = elastic("run", "etl", "load", DAY)
        assert (said.code, said.out) == (1, "")
        assert (
            said.err == "<Task(EmptyOperator): load> for 2016-02-22 was not run: waiting for 'extract' (all_success)\n"
        )
        assert elastic("run", "etl", "load", DAY, "-f").code == 1
        assert elastic("run", "etl", "load", DAY, "-i").code == 0
        said = elastic("run", *EXTRACT)
        assert (said.code, said.out) == (0, f"Logging into: {home}/logs/etl/extract/2016-02-22T00:00:00\n")
        said = elastic("run", *EXTRACT)
        assert (said.code, "previously succeeded" in said.out) == (0, True)
        assert "Logging into" not in elastic("run", *EXTRACT, "-i").out
        assert elastic("run", *EXTRACT, "--force").out.startswith("Logging into")
        said = elastic("run", "etl", "check", DAY)
        assert said.code == 1
        assert said.err == "error: <Task(PythonOperator): check> for 2016-02-22 is failed: ValueError: no such luck\n"
        assert "it is failed; clear it to run it again" in elastic("run", "etl", "check", DAY).err
        mend(folder)
        assert elastic("run", "etl", "check", DAY, "-f").code == 0
        said = elastic("run", "etl", "report", DAY, "--mark_success")
        assert (said.code, said.out) == (0, "<Task(PythonOperator): report> for 2016-02-22 is marked as successful\n")
        assert not (home / "logs/etl/report").exists()
        assert state_of("report") == "success"

    def test_the_place_may_be_another(self, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.py"
        other.write_text((folder / "etl.py").read_text().replace('"etl"', '"other"'))
        refused(elastic("run", "other", "extract", DAY), 2, "there is no DAG 'other' in")
        assert elastic("run", "other", "extract", DAY, "-sd", str(other)).code == 0

    def test_a_pickle_is_refused_and_bundles_are_named(self) -> None:
        refused(elastic("run", *EXTRACT, "--pickle", "17"), 2, "--bundle DIGEST")
        refused(elastic("run", *EXTRACT, "--bundle", "17"), 2, "make one with `elastic bundle make-key`")
        elastic("bundle", "make-key")
        refused(elastic("run", *EXTRACT, "--bundle", "17"), 1, "there is no bundle '17' in the database")

    def test_an_attempt_that_was_not_queued_runs_nothing(self) -> None:
        elastic("dags", "trigger", "etl", "-e", DAY)
        said = elastic("run", *EXTRACT, "--attempt", "deadbeef")
        assert (said.code, said.out) == (1, "")
        assert "nothing was run" in said.err
        assert state_of("extract") == "none"


class TestBackfill:
    """`elastic backfill` and `clear`."""

    def test_a_range_runs_and_what_failed_runs_again_on_demand(self, folder: Path) -> None:
        dry = elastic("backfill", "etl", "-s", DAY, "--dry-run").out.splitlines()
        assert len(dry) == 4
        said = elastic("backfill", "etl", "-s", DAY)
        assert said.code == 1
        assert said.err == "use `--rerun-failed` to rerun the failed tasks\n"
        queued = [line.replace("Adding", "Would add") for line in said.out.splitlines() if line.startswith("Adding")]
        assert sorted(queued) == sorted(dry)
        mend(folder)
        assert elastic("backfill", "etl", "-s", DAY).code == 1
        said = elastic("backfill", "etl", "-s", DAY, "-e", "2016-02-23", "--rerun-failed")
        assert (said.code, said.err) == (0, "")
        assert said_lines(said)[-3:] == ["Run summary:", "success: 8", "runs: 2 success"]

    def test_a_part_of_the_tasks_runs_with_those_before_it_or_alone(self) -> None:
        assert elastic("backfill", "etl", "-s", DAY, "-t", "^load$", "-i").code == 0
        assert [state_of(name) for name in ("extract", "load", "report")] == ["none", "success", "none"]
        assert elastic("backfill", "etl", "-s", DAY, "-t", "^load$").code == 0
        assert [state_of(name) for name in ("extract", "load", "report")] == ["success", "success", "none"]
        assert elastic("backfill", "etl", "-s", DAY, "-m").out.count("Marked as success") == 2
        assert state_of("check") == "success"

    def test_a_cleared_instance_is_as_if_it_had_never_run(self, folder: Path) -> None:
        mend(folder)
        elastic("backfill", "etl", "-s", DAY, "-e", "2016-02-23")
        said = elastic("clear", "etl", "-t", "load", "-d", "-e", DAY, "--dry-run")
        assert said_lines(said) == [
            "etl.load of backfill_20160222T000000 (success)",
            "etl.report of backfill_20160222T000000 (success)",
            "2 task instances would be cleared",
        ]
        assert elastic("clear", "etl", "-t", "load", "-d", "-e", DAY).code == 1
        assert state_of("load") == "success"
        assert elastic("clear", "etl", "-t", "load", "-d", "-e", DAY, "-y").out == "2 task instances were cleared\n"
        assert [state_of(name) for name in ("extract", "load", "report")] == ["success", "none", "none"]
        assert state_of("load", "2016-02-23") == "success"
        assert elastic("clear", "etl", "--only-failed", "-y").out == "0 task instances were cleared\n"
        assert elastic("clear", "etl", "-t", "report", "-u", "-y").out == "4 task instances were cleared\n"


class TestModes:
    """`elastic recover`, `run-one`, `run-from`."""

    def test_a_run_goes_on_from_its_last_successes_as_another_attempt(self, folder: Path) -> None:
        refused(elastic("recover", "etl", "20160222"), 2, "was never run for '20160222'")
        elastic("backfill", "etl", "-s", DAY)
        said = elastic("run-one", "etl", "20160222", "load")
        assert (said.code, said.out.count("Adding to queue")) == (0, 1)
        # the requested task is done, and the run is not
        assert self._run()["state"] == "failed"
        mend(folder)
        said = elastic("recover", "etl", "20160222")
        assert said.code == 0
        assert [line for line in said.out.splitlines() if line.startswith("Adding")] == [
            "Adding to queue: elastic run etl check 2016-02-22T00:00:00"
        ]
        assert (self._run()["state"], self._run()["attempt"]) == ("success", 3)
        said = elastic("run-from", "etl", "20160222", "load")
        assert (said.code, said.out.count("Adding to queue")) == (0, 2)
        assert (self._run()["state"], self._run()["attempt"]) == ("success", 4)

    def test_a_task_is_refused_before_its_turn(self) -> None:
        elastic("run", "etl", "check", DAY)
        for command in ("run-one", "run-from"):
            refused(elastic(command, "etl", "20160222", "report"), 2, "'load' before it is not done; run it first")

    def _run(self) -> dict[str, object]:
        (row,) = json.loads(elastic("dags", "list-runs", "etl", "-o", "json").out)
        found: dict[str, object] = row
        return found
