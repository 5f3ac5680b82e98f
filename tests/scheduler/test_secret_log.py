"""Secrets of connections and variables are in no log, error or row of a run."""

import base64
import json
import logging
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from run_samples import START, attempts, dag_of, run, states

from elastic.config.settings import read_settings
from elastic.dag import DAG, TaskSkipped
from elastic.db.encryption import add_key, cipher_of, key_path
from elastic.db.stores.connections import ConnectionStore
from elastic.db.stores.variables import VariableStore
from elastic.hooks.connection import Connection
from elastic.hooks.connection_lookup import connection
from elastic.operators import BashOperator, PythonOperator
from elastic.scheduler.catalog.signed_bundle import make_key
from elastic.scheduler.commands.render import rendered
from elastic.scheduler.deployment import Deployment

#: One secret for each source from which a task may read it.
SECRETS = {place: f"canary/{place} of 'a' mine" for place in ("environment", "database", "variable", "setting")}


@pytest.fixture(autouse=True)
def _known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://me:{quote(SECRETS['environment'], safe='')}@h/d"
    monkeypatch.setenv("ELASTIC_CONN_OUTSIDE", url)
    monkeypatch.setenv("ELASTIC_VAR_API_TOKEN", SECRETS["setting"])
    monkeypatch.setenv("ELASTIC__LOGS__FLOW_FOLDER", str(home / "flows"))
    settings = read_settings()
    add_key(key_path(settings))
    deployment = Deployment.of()
    told = Connection(conn_id="inside", kind="mysql", host="h", login="me", password=SECRETS["database"])
    ConnectionStore(deployment.database, cipher_of(settings)).add(told)
    VariableStore(deployment.database, cipher_of(settings)).put("db_password", SECRETS["variable"])


def _leaks(folder: Path) -> Iterator[str]:
    """Return the places that contain a secret, in one of its encodings."""
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        for secret in SECRETS.values():
            encoded = base64.b64encode(secret.encode()).rstrip(b"=")
            for form in (secret.encode(), quote(secret, safe="").encode(), encoded[:-2], repr(secret)[1:-1].encode()):
                if form in content:
                    yield f"{path.name}: {form!r}"


TELL = """{{ conn.outside.password }} {{ conn.inside.password }} {{ var.db_password }} {{ var.api_token }}"""


def _telling() -> DAG:
    """Return a DAG that prints its secrets in every way."""

    def tell(var: Any) -> None:
        found = [connection("outside").password, connection("inside").password, var["db_password"], var["api_token"]]
        print(found)  # noqa: T201 - what is printed is part of the log
        for secret in found:
            logging.getLogger("somebody").warning("it is %s", secret)
            logging.getLogger("elastic.task.python").info(quote(str(secret), safe=""))
            print(base64.b64encode(str(secret).encode()).decode())  # noqa: T201 - the same
        subprocess.run(["echo", *map(str, found)], check=True, stdout=subprocess.DEVNULL)
        try:
            raise KeyError(found[0])
        except KeyError as error:
            raise ValueError(f"with {found}") from error

    def skip(conn: Any) -> None:
        raise TaskSkipped(f"because {conn['inside'].password}")

    dag = dag_of("telling")
    BashOperator(task_id="bash", bash_command=f'echo "{TELL}"; exit 3', dag=dag, do_xcom_push=False)
    PythonOperator(task_id="python", python_callable=tell, dag=dag)
    PythonOperator(task_id="skip", python_callable=skip, dag=dag)
    return dag


def test_no_secret_is_left_behind_by_a_run(home: Path) -> None:
    dag = _telling()
    assert states(run(dag)) == {"bash": "failed", "python": "failed", "skip": "skipped"}
    logs = {name: (home / f"logs/telling/{name}/2016-02-22T00:00:00").read_text() for name in dag.task_ids}
    assert "*** *** *** ***" in logs["bash"]
    assert logs["python"].count("it is ***") == 4
    (failed,) = attempts(dag, "python")
    assert failed.error is not None
    assert failed.error.endswith('ValueError: with ["***", "***", "***", "***"]\n')
    assert list(_leaks(home)) == []


def test_no_secret_is_shown_by_rendering() -> None:
    fields = rendered(Deployment.of(), _telling().get_task("bash"), START)
    assert fields == {"bash_command": 'echo "*** *** *** ***"; exit 3'}


FORGED = "caf\udce9.csv\0\x1b[2J\n[2016-02-22 00:00:00] {x.py:1} INFO - Task succeeded"


def _failing() -> DAG:
    """Return a DAG whose tasks fail with text that databases refuse and terminals interpret."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail() -> None:
        logging.getLogger("elastic.task.fail").warning("read %s", FORGED)
        raise ValueError(FORGED)

    def skip() -> None:
        raise TaskSkipped(FORGED)

    def mute() -> None:
        raise MuteError

    dag = dag_of("failing")
    for function in (fail, skip, mute):
        PythonOperator(task_id=function.__name__, python_callable=function, dag=dag)
    PythonOperator(task_id="good", python_callable=lambda: FORGED, dag=dag)
    return dag


def test_no_text_of_an_error_ends_more_than_its_own_task(home: Path) -> None:
    dag = _failing()
    assert states(run(dag)) == {"fail": "failed", "skip": "skipped", "mute": "failed", "good": "success"}
    (failed,) = attempts(dag, "fail")
    assert failed.error is not None
    assert "ValueError: caf\\udce9.csv\\x00" in failed.error
    (mute,) = attempts(dag, "mute")
    assert mute.error is not None
    assert "MuteError" in mute.error


def test_no_line_of_a_log_passes_for_another_one(home: Path) -> None:
    dag = _failing()
    run(dag)
    for name in ("fail", "skip"):
        log = (home / f"logs/failing/{name}/2016-02-22T00:00:00").read_bytes()
        assert b"\x1b" not in log
        assert b"\0" not in log
        assert b"\n[2016-02-22 00:00:00]" not in log
        assert b"caf\\udce9.csv\\x00\\x1b[2J\n    [2016-02-22 00:00:00]" in log
        of_flow = (home / f"flows/failing/{name}.log").read_bytes()
        assert b"\n[2016" not in of_flow


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_logs_are_for_their_owner_alone(umask: int, home: Path) -> None:
    dag = dag_of("private")
    PythonOperator(task_id="t", python_callable=lambda: None, dag=dag)
    before = os.umask(umask)
    try:
        run(dag)
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for top in ("logs", "flows") for path in home.rglob(f"{top}/**/*")}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert stat.S_IMODE((home / "logs").stat().st_mode) == 0o700


PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nc2hvcnQgbGluZXMgdGVsbA==\n-----END KEY-----"
PRIVATE = "-----BEGIN PRIVATE KEY-----\ncHJpdmF0ZSBrZXkgb2YgYW55\n-----END PRIVATE KEY-----"


def test_what_a_task_has_not_looked_up_is_hidden_from_its_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    (key,) = key_path(settings).read_text().split()
    monkeypatch.setenv("ELASTIC__SECRETS__FERNET_KEY", key)
    monkeypatch.setenv("ELASTIC_VAR_SETTINGS", json.dumps({"user": "ada-lovelace", "password": "canary-in-json"}))
    monkeypatch.setenv("SERVICE_PASSWORD", "canary-of-another")
    monkeypatch.setenv("ELASTIC_CONN_BROKEN", "postgresql://me:canary/broken@h/d")
    monkeypatch.setenv("ELASTIC_CONN_WRITTEN", "postgresql://me:canary%2fwritte%6e@h/d")
    monkeypatch.setenv("SERVICE", json.dumps({"token": "canary-in-service"}))
    monkeypatch.setenv("DEPLOY", PRIVATE)
    VariableStore(Deployment.of().database, cipher_of(settings)).put("private_key", PEM)
    secrets = ["canary%2fwritte%6e", "canary-in-service", PRIVATE.splitlines()[1]]
    secrets += [*SECRETS.values(), "canary-in-json", "canary-of-another", "canary/broken", *PEM.splitlines()[1:3], key]
    make_key(home / "bundle.key")
    secrets.append((home / "bundle.key").read_text().strip())
    # Sources of a secret for a command: the environment, or a file of another program.
    told = home / "told"
    told.write_text("\n".join(secrets))
    dag = dag_of("curious")
    BashOperator(task_id="bash", bash_command=f"env; cat {told}", dag=dag, do_xcom_push=False)
    PythonOperator(task_id="python", python_callable=lambda: print(told.read_text()), dag=dag)  # noqa: T201
    assert states(run(dag)) == {"bash": "success", "python": "success"}
    for name in dag.task_ids:
        log = (home / f"logs/curious/{name}/2016-02-22T00:00:00").read_text()
        assert [secret for secret in secrets if secret in log] == []
        assert "***" in log
    bash = (home / "logs/curious/bash/2016-02-22T00:00:00").read_text()
    assert "FERNET_KEY" not in bash
    assert "ada-lovelace" in bash
