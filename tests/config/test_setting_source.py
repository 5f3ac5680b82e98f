"""Sources of settings, their precedence, and refused settings."""

import json
import sys
from pathlib import Path

import pytest

from elastic.config.options import OPTIONS
from elastic.config.settings import Settings, problems, read_settings
from elastic.core.errors import UsageError
from elastic.core.policies.engine_tuning import FORMER_NAMES


def read(home: Path, project: str | None = None, own: str | None = None, **environment: str) -> Settings:
    _written(home, project, own)
    return read_settings({"ELASTIC_HOME": str(home), **environment}, home / "project")


def told(home: Path, project: str | None = None, own: str | None = None, **environment: str) -> list[str]:
    _written(home, project, own)
    return problems({"ELASTIC_HOME": str(home), **environment}, home / "project")


def _written(home: Path, project: str | None, own: str | None) -> None:
    (home / "project").mkdir(exist_ok=True)
    for path, text in ((home / "project" / "elastic.toml", project), (home / "elastic.toml", own)):
        if text is not None:
            path.write_text(text)
            path.chmod(0o600)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.get("core.parallelism") == 16
    assert settings.get("database.url") == f"sqlite:///{tmp_path}/elastic.db"
    assert {settings.source(option.name) for option in settings.options} == {"default"}


def test_the_environment_goes_before_the_project_which_goes_before_the_home(tmp_path: Path) -> None:
    own = "[core]\nparallelism = 1\nexecutor = 'ray'\n[logs]\nlevel = 'DEBUG'\n"
    project = "[core]\nparallelism = 2\n[logs]\nlevel = 'ERROR'\n"
    settings = read(tmp_path, project, own, ELASTIC__CORE__PARALLELISM="3")
    assert [settings.get(name) for name in ("core.parallelism", "core.executor", "logs.level")] == [3, "ray", "ERROR"]
    assert settings.source("core.parallelism") == "ELASTIC__CORE__PARALLELISM"
    assert settings.source("logs.level") == str(tmp_path / "project" / "elastic.toml")
    assert settings.source("core.executor") == str(tmp_path / "elastic.toml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("LOGS__IN_DATABASE", "no", False),
        ("LOGS__IN_DATABASE", "True", True),
        ("SCHEDULER__HEARTBEAT", "2", 2.0),
        ("DATABASE__TIMEOUT", "0.5", 0.5),
        ("CORE__PARALLELISM", "64", 64),
    ],
)
def test_the_environment_is_read_as_what_the_setting_is(tmp_path: Path, name: str, text: str, value: object) -> None:
    settings = read(tmp_path, **{f"ELASTIC__{name}": text})
    found = settings.get(name.lower().replace("__", "."))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("project", "environment", "words"),
    [
        ("[core]\nparallelisms = 1\n", {}, "no setting 'core.parallelisms'; did you mean 'core.parallelism'"),
        ("[cores]\nx = 1\n", {}, "no section 'cores'; the sections are core, database"),
        ("parallelism = 1\n", {}, "no section 'parallelism'"),
        ("[core]\nparallelism = 'many'\n", {}, "core.parallelism must be a whole number of at least 1, not 'many'"),
        ("[core]\nparallelism = 0\n", {}, "of at least 1, not 0"),
        ("[core]\nparallelism = 1.5\n", {}, "must be a whole number"),
        ("[core]\nparallelism = true\n", {}, "must be a whole number"),
        (
            "[logs]\nlevel = 'loud'\n",
            {},
            "logs.level must be one of CRITICAL, FATAL, ERROR, WARN, WARNING, INFO, DEBUG",
        ),
        ("[logs]\nlevel = 7\n", {}, "logs.level must be a string, not 7"),
        ("[logs]\nin_database = 'perhaps'\n", {}, "must be true or false"),
        ("[core\n", {}, "is not valid TOML"),
        (None, {"ELASTIC__CORE__NOTHING": "1"}, "ELASTIC__CORE__NOTHING: there is no setting 'core.nothing'"),
        (None, {"ELASTIC__CORE": "1"}, "there is no setting"),
        (None, {"ELASTIC__SCHEDULER__HEARTBEAT": "-1"}, "at least 0.01, not '-1'"),
        ("[scheduler]\nlease = nan\n", {}, "scheduler.lease must be a number of at least 0.1, not nan"),
        (None, {"ELASTIC__DATABASE__TIMEOUT": "inf"}, "must be a number of at least 0.001, not 'inf'"),
        ("[flow]\nretry_delay = 0\n", {}, "flow.retry_delay must be a number above 0, not 0"),
        ("[flow]\nplacement = 'best'\n", {}, "must be one of round_robin, least_open_receipts, workers_only"),
        ("[core]\nexecutor_cmd = 'true'\n", {}, "no setting 'core.executor_cmd'"),
        (
            "[flow]\ncollect_seconds = 1\n",
            {},
            "no setting 'flow.collect_seconds'; it was renamed; use 'flow.collect_interval'.",
        ),
        (
            None,
            {"ELASTIC__FLOW__COLLECT_SECONDS": "1"},
            "no setting 'flow.collect_seconds'; it was renamed; use 'flow.collect_interval'.",
        ),
        ("[core]\ncollect_seconds = 1\n", {}, "no setting 'core.collect_seconds'; did you mean"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_sentence(
    tmp_path: Path, project: str | None, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, project, **environment)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert told(tmp_path, project, **environment) == [str(refused.value)]


def test_a_setting_that_is_a_path_is_no_url(tmp_path: Path) -> None:
    for option in [option for option in OPTIONS if option.key.endswith(("folder", "path"))]:
        (problem,) = told(tmp_path, **{option.variable: "s3://bucket/place"})
        assert problem.startswith(f"{option.variable}: {option.name} is a URL (s3:...)")


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    found = told(tmp_path, "[a]\n", "[core]\nparallelism = 0\nb = 1\n", ELASTIC__C__D="1")
    assert len(found) == 4
    assert told(tmp_path, "", "") == []


def test_a_secret_is_in_no_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, "[secrets]\nfernet_key = ['hunter2']\n")
    assert "hunter2" not in str(refused.value)


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    _written(tmp_path, None, "[core]\nparallelism = 2\n")
    (tmp_path / "elastic.toml").chmod(0o620)
    (problem,) = told(tmp_path)
    assert "can be changed by others than its owner; run `chmod go-w" in problem


def test_a_secret_may_come_from_a_command_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "url.txt").write_text("sqlite:////from/file.db\n")
    by_command = f"[database]\nurl_cmd = \"{sys.executable} -c 'print(chr(115)+chr(51))'\"\n"
    settings = read(tmp_path, None, by_command)
    assert settings.get("database.url") == "s3"
    assert settings.shown("database.url") == "***"
    settings = read(tmp_path, None, by_command, ELASTIC__DATABASE__URL_FILE=str(tmp_path / "url.txt"))
    assert settings.get("database.url") == "sqlite:////from/file.db"
    assert settings.source("database.url") == "ELASTIC__DATABASE__URL_FILE"


#: Settings that a file in the working folder may set: none that runs code, redirects output or locates secrets.
HARMLESS = {
    "core.parallelism",
    "database.timeout",
    "database.patience",
    "logs.level",
    "logs.in_database",
    "scheduler.heartbeat",
    "scheduler.lease",
    "scheduler.loop_interval",
    "scheduler.catchup_per_turn",
    "scheduler.grace_timeout",
    "scheduler.scan_interval",
    "scheduler.parse_timeout",
    "scheduler.parse_memory",
    "flow.workers",
    "flow.placement",
    "flow.compress",
    "flow.progress",
    "flow.target_call_seconds",
    "flow.max_chunks_per_call",
    "flow.max_bytes_per_call",
    "flow.calls_per_worker",
    "flow.max_chunks_in_flight",
    "flow.max_bytes_in_flight",
    "flow.collect_interval",
    "flow.commit_interval",
    "flow.start_timeout",
    "flow.speculation_timeout",
    "flow.disk_full_timeout",
    "flow.max_worker_losses",
    "flow.retry_delay",
    "flow.chunk_timeout",
}


@pytest.mark.parametrize(
    "name",
    [
        *(option.name for option in OPTIONS),
        *(f"{option.name}_{how}" for option in OPTIONS if option.is_secret for how in ("cmd", "file")),
    ],
)
def test_the_working_folder_may_set_only_harmless_settings(tmp_path: Path, name: str) -> None:
    section, _, key = name.partition(".")
    default = {option.name: option.default for option in OPTIONS}.get(name, f"touch {tmp_path}/trap")
    text = f"[{section}]\n{key} = {json.dumps(default)}\n"
    found = told(tmp_path, text)
    if name in HARMLESS:
        assert found == []
    else:
        (problem,) = found
        assert f"{tmp_path / 'project' / 'elastic.toml'}: a file of the working folder may not set {name}" in problem
        assert "\n" not in problem
    assert told(tmp_path, "", text) == []
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [("false", "ended with exit code 1"), ("/nowhere/program", "cannot be run"), ("'", "cannot be run")],
)
def test_a_command_that_fails_is_reported(tmp_path: Path, command: str, words: str) -> None:
    settings = read(tmp_path, ELASTIC__SECRETS__FERNET_KEY_CMD=command)
    with pytest.raises(UsageError, match=words):
        settings.get("secrets.fernet_key")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path, ELASTIC__SECRETS__FERNET_KEY_FILE="/nowhere").get("secrets.fernet_key")


def test_no_shell_sees_a_command(tmp_path: Path) -> None:
    settings = read(tmp_path, ELASTIC__SECRETS__FERNET_KEY_CMD=f"echo x; touch {tmp_path}/trap")
    assert settings.get("secrets.fernet_key") == f"x; touch {tmp_path}/trap"
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:hun@ter2@host/db", "postgresql://***@host/db"),
        (
            "postgresql://me:hunter2@host/db?sslkey=hunter2&sslmode=on",
            "postgresql://me:***@host/db?sslkey=***&sslmode=on",
        ),
        ("postgresql://me:hunter2", "postgresql://***"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
    ],
)
def test_the_url_of_the_database_is_shown_without_its_password(tmp_path: Path, url: str, shown: str) -> None:
    settings = read(tmp_path, ELASTIC__DATABASE__URL=url)
    assert settings.shown("database.url") == shown
    assert settings.get("database.url") == url
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "meant"), [("core.paralelism", "core.parallelism"), ("dags_folder", "core.dags_folder")]
)
def test_a_setting_that_is_not_there_is_named(name: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no setting '{name}'; did you mean '{meant}'"):
        read(tmp_path).get(name)


@pytest.mark.parametrize(("old", "new"), FORMER_NAMES.items())
def test_every_former_name_of_an_option_names_its_successor(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no setting 'flow.{old}'; it was renamed; use 'flow.{new}'."):
        read(tmp_path, f"[flow]\n{old} = 1\n")
    assert read(tmp_path, f"[flow]\n{new} = 1\n").get(f"flow.{new}") == 1


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.name))
def test_the_default_of_a_setting_is_what_the_setting_wants(option: object) -> None:
    assert option.read(option.default, "default") == option.default  # type: ignore[attr-defined]
    assert option.doc.endswith(".")  # type: ignore[attr-defined]
