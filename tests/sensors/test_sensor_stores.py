"""Sensors of files in a real S3 endpoint on loopback, and behind other protocols of fsspec."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elastic.hooks import FileHook
from elastic.hooks.errors import NotFoundError, RefusedError
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.trigger_tools import Tools
from elastic.sensors import S3DatepartSensor
from elastic.triggers.registry import trigger_of
from tests.sensors.sensor_samples import INTERVAL, dag_of, waited


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A bucket for one test; the connection `store` reaches its endpoint."""
    import boto3  # type: ignore[import-untyped]

    name = f"events-{tmp_path.name}".replace("_", "-").lower()[:60].strip("-")
    options = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **options).create_bucket(Bucket=name)
    monkeypatch.setenv("ELASTIC_CONN_STORE", f"s3://key:secret@/{name}?endpoint={endpoint}&region=us-east-1")
    return name


def put(endpoint: str, bucket: str, key: str) -> None:
    import boto3

    options = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **options).put_object(Bucket=bucket, Key=key, Body=b"abc")


def test_an_object_of_the_next_day_ends_the_wait(endpoint: str, bucket: str) -> None:
    put(endpoint, bucket, "talk/2016/02/22/aa.txt")
    with dag_of():
        sensor = S3DatepartSensor(
            task_id="arrived", bucket=bucket, prefix="talk", conn_id="store", poke_interval=INTERVAL
        )
    waiter = waited(sensor, "defer", lambda: put(endpoint, bucket, "talk/2016/02/23/bb.txt"))
    assert (waiter.state, waiter.value) == ("success", f'"s3://{bucket}/talk/2016/02/23/bb.txt"')


def test_objects_are_listed_by_name_prefix_and_pattern(endpoint: str, bucket: str) -> None:
    for key in ("in/a.csv", "in/a.csv.old", "in/deep/b.csv"):
        put(endpoint, bucket, key)
    hook = FileHook("store")
    root = f"s3://{bucket}/in"
    assert [file.path for file in hook.list("in/a.csv")] == [f"{root}/a.csv"]
    assert list(hook.list("in/a")) == []
    assert [file.path for file in hook.list("in/*.csv", glob=True)] == [f"{root}/a.csv"]
    assert [file.path for file in hook.list("in/**/*.csv", glob=True)] == [f"{root}/a.csv", f"{root}/deep/b.csv"]
    assert len(list(hook.list("in/", below=True))) == 3
    assert hook.size("in/a.csv") == 3
    with hook.open_read("in/a.csv") as file:
        assert file.read() == b"abc"
    [info] = hook.list("in/a.csv")
    assert info.modified_at is not None
    assert abs(info.modified_at - datetime.now(UTC)).total_seconds() < 600


def test_a_bucket_that_is_not_there_is_an_error_and_not_not_yet(endpoint: str, bucket: str) -> None:
    trigger = trigger_of("file", {"connection": "store", "path": "s3://no-such-bucket/x"})
    with pytest.raises(NotFoundError, match="no-such-bucket"):
        trigger.check(Tools(Deployment.of().database))


def test_a_store_of_another_protocol_is_read_by_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/in/2016/a.csv", b"abc")
    assert [(file.path, file.size) for file in FileHook().list("memory://in/2016/a.csv")] == [
        ("memory:///in/2016/a.csv", 3)
    ]
    assert list(FileHook().list("memory://in/2017/a.csv")) == []
    assert len(list(FileHook().list("memory://in/*/*.csv", glob=True))) == 1
    monkeypatch.setattr(type(memory), "info", lambda *given, **named: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(RefusedError, match="was refused"):
        list(FileHook().list("memory://in/2016/a.csv"))
