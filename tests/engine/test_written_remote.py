"""Records that a flow writes behind a URL: to fsspec's memory, and to S3 on a server of this machine."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import elastic
from elastic.core.errors import ElasticError, SourceError, UsageError

fsspec = pytest.importorskip("fsspec", reason="the extra `files` is not installed")

QUICK = {"collect_interval": 1e-9, "commit_interval": 1e-9, "target_call_seconds": 1e-9}


@dataclass
class Place:
    """A folder behind a URL, in which nothing is at first."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fs = fsspec.filesystem(self.url.partition("://")[0], **self.options)
        self.root = self.fs._strip_protocol(self.url)

    def names(self) -> set[str]:
        self.fs.invalidate_cache()
        return {path[len(self.root) :].lstrip("/") for path in self.fs.find(self.root)}

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(f"{self.root}/{name}"))

    def put(self, name: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.root}/{name}", data)

    def lines(self) -> list[int]:
        """Return the numbers in the files, which are as the manifest says, and all that there is."""
        manifest = json.loads(self.read("_manifest.json"))
        found = list[int]()
        for each in manifest["files"]:
            data = self.read(each["file"])
            assert (len(data), data.count(b"\n")) == (each["bytes"], each["records"])
            assert hashlib.sha256(data).hexdigest() == each["sha256"]
            found += map(int, data.split())
        assert self.names() == {each["file"] for each in manifest["files"]} | {"_manifest.json", "_SUCCESS"}
        return sorted(found)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine with one bucket."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    login = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=address, **login)
    client.create_bucket(Bucket="bucket")
    client.close()
    yield address
    server.stop()


@pytest.fixture
def s3(s3_server: str, request: pytest.FixtureRequest) -> Place:
    options = {"key": "testing", "secret": "testing", "client_kwargs": {"endpoint_url": s3_server}}
    return Place(f"s3://bucket/{abs(hash(request.node.name))}/out", options)


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each file system in turn."""
    if request.param == "s3":
        yield request.getfixturevalue("s3")
        return
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield Place("memory://tree/out")
    fs.store.clear()


def run(flow: elastic.Flow, **options: Any) -> elastic.Result:
    return flow.run(**{"cluster": "inline", **options})


def numbers(first: int, stop: int) -> elastic.Flow:
    return elastic.from_range(first, stop, chunk_size=10).map(str)


def fragile(text: str) -> str:
    if text == "507":
        raise ValueError(f"bad {text}")
    return text


def test_every_record_is_written_once_behind_a_url(place: Place) -> None:
    result = run(numbers(0, 1000).write_text(place.url, storage_options=place.options))
    assert place.lines() == list(range(1000))
    assert (result.value.url, result.value.records) == (place.url, 1000)
    back = elastic.read_text(place.url, storage_options=place.options).aggregate("size")
    assert run(back).value == 1000


def test_other_programs_read_parquet_behind_a_url(place: Place) -> None:
    flow = elastic.from_range(100, chunk_size=10).map(lambda n: {"n": n, "third": n % 3})
    run(flow.write_parquet(place.url, partition_by="third", storage_options=place.options))
    frames = [pl.read_parquet(place.read(name)) for name in place.names() if name.endswith(".parquet")]
    assert sorted(n for frame in frames for n in frame["n"]) == list(range(100))
    assert {name.rpartition("/")[0] for name in place.names()} == {"", "third=0", "third=1", "third=2"}


@pytest.mark.cluster
def test_workers_write_to_s3_by_themselves(s3: Place, embedded_ray: None) -> None:
    run(numbers(0, 1000).write_text(s3.url, storage_options=s3.options), cluster="local", **QUICK)
    assert s3.lines() == list(range(1000))


def test_a_failed_run_behind_a_url_is_resumed(place: Place) -> None:
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers(0, 1000).map(fragile).write_text(place.url, storage_options=place.options), **QUICK)
    assert "_manifest.json" not in place.names()
    with pytest.raises(SourceError, match="is incomplete: run"):
        run(elastic.read_text(place.url, storage_options=place.options))
    flow = numbers(0, 1000).map(str).write_text(place.url, storage_options=place.options)
    elastic.resume("last", flow, allow_code_change=True, cluster="inline")
    assert place.lines() == list(range(1000))


def test_a_new_run_takes_the_folder_of_one_that_failed_behind_a_url(place: Place) -> None:
    with pytest.raises(ElasticError, match="bad 507"):
        run(numbers(0, 1000).map(fragile).write_text(place.url, storage_options=place.options), **QUICK)
    assert any(name.startswith("part-") for name in place.names())
    run(numbers(0, 100).write_text(place.url, storage_options=place.options))
    assert place.lines() == list(range(100))


def test_attempts_of_a_lost_worker_are_removed_and_other_files_stay(place: Place) -> None:
    def leave(text: str) -> str:
        for name in place.names():
            if name == "_unfinished.json":
                lost = f"part-0000000009-00000000{tag(place)}{'0' * 12}.txt"
                place.put(lost, b"9\n")
        return text

    run(numbers(0, 10).map(leave).write_text(place.url, storage_options=place.options))
    assert place.lines() == list(range(10))


def tag(place: Place) -> str:
    from elastic.core.contracts.record_sink import SinkOwner
    from elastic.persistence.written_files.folder_publication import tag_of

    marker = json.loads(place.read("_unfinished.json"))
    return tag_of(SinkOwner(marker["run_id"], marker["step"], marker["epoch"]))


def test_modes_behind_a_url(place: Place) -> None:
    def write(first: int, stop: int, mode: str) -> None:
        run(numbers(first, stop).write_text(place.url, if_exists=mode, storage_options=place.options))

    write(0, 10, "error")
    with pytest.raises(UsageError, match=r"exists: run .* wrote it"):
        write(0, 10, "error")
    write(10, 20, "append")
    assert place.lines() == list(range(20))
    write(20, 30, "overwrite")
    assert place.lines() == list(range(20, 30))


def test_files_behind_a_url_that_elastic_did_not_write_stay(place: Place) -> None:
    place.put("mine.txt", b"1\n")
    for mode in ("error", "overwrite", "append"):
        with pytest.raises(UsageError, match=r"is not empty: it has 'mine\.txt'"):
            run(numbers(0, 3).write_text(place.url, if_exists=mode, storage_options=place.options))
    assert place.names() == {"mine.txt"}


def test_two_runs_cannot_write_behind_one_url(place: Place) -> None:
    flow, said = numbers(0, 10).write_text(place.url, storage_options=place.options), list[str]()

    def begin_another(text: str) -> str:
        if not said:
            with pytest.raises(UsageError) as caught:
                run(flow)
            said.append(str(caught.value))
        return text

    run(numbers(0, 10).map(begin_another).write_text(place.url, storage_options=place.options))
    assert "is writing to" in said[0]
    assert place.lines() == list(range(10))


def test_a_flow_never_writes_to_a_url_that_it_reads(place: Place) -> None:
    place.put("in/a.txt", b"1\n")
    for read in (f"{place.url}/in", f"{place.url}/**", place.url, f"{place.url}/in/a.txt"):
        with pytest.raises(UsageError, match="which overlap"):
            run(elastic.read_text(read, storage_options=place.options).write_text(
                f"{place.url}/in/out" if read.endswith(("in", "**")) else place.url, storage_options=place.options
            ))  # fmt: skip


def test_a_missing_bucket_is_told_before_the_run_begins(s3: Place, home: Path) -> None:
    with pytest.raises(UsageError, match=r"'s3://nowhere/out' cannot be used \(there is no bucket 'nowhere'\)"):
        run(numbers(0, 3).write_text("s3://nowhere/out", storage_options=s3.options))
    assert list(home.iterdir()) == []
    assert not s3.fs.exists("nowhere")


@pytest.mark.parametrize("secret", ["top-secret-value", "a/b+c="])
def test_a_store_that_is_not_there_is_told_without_the_secret(secret: str) -> None:
    options = {
        "key": "my-access-key",
        "secret": secret,
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9"},
        "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1},
    }
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    flow = numbers(0, 3).write_text("s3://bucket/out", storage_options=options)
    with pytest.raises(ElasticError, match="'s3://bucket/out' cannot be used") as caught:
        run(flow)
    shown = f"{caught.value} {caught.value.__cause__} {flow}"
    assert secret not in shown
    assert "my-access-key" not in shown


def test_a_password_in_a_url_is_never_shown_or_kept(home: Path) -> None:
    fs = fsspec.filesystem("memory")
    flow = numbers(0, 3).write_text("memory://user:pass-word@tree/out")
    result = run(flow)
    assert "pass-word" not in f"{flow} {result.value}"
    assert not any(b"pass-word" in path.read_bytes() for path in home.rglob("*") if path.is_file())
    fs.store.clear()


def test_a_store_that_fails_while_it_is_written_to_suspends_the_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = numbers(0, 100).write_text(place.url, storage_options=place.options)
    open_file = type(place.fs).open
    with monkeypatch.context() as patch:

        def refuse(fs: Any, path: str, *given: Any, **more: Any) -> Any:
            if "part-" in path:
                raise OSError("the line is dead")
            return open_file(fs, path, *given, **more)

        patch.setattr(type(place.fs), "open", refuse)
        with pytest.raises(elastic.ElasticError, match=r"cannot be used \(the line is dead\).*run `elastic resume"):
            run(flow)
    elastic.resume("last", flow, cluster="inline")
    assert place.lines() == list(range(100))


URLS = [
    ("http://host/out", "cannot write to http"),
    ("https://host/out", "cannot write to https"),
    ("zip://inside", "cannot write to zip"),
    ("simplecache::s3://bucket/out", "cannot write to"),
    ("nosuch://a/b", "cannot write to nosuch"),
    ("s3:/key:secret@bucket/out", r"^write_text got a URL with one slash \(s3:/\.\.\.\); write s3://\.\.\.$"),
    ("github://org:repo@main/out", "cannot write to github"),
]


@pytest.mark.parametrize(("url", "said"), URLS)
def test_a_url_that_cannot_be_written_is_refused_at_once(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        numbers(0, 3).write_text(url)


def test_a_url_as_a_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="give it as a string"):
        numbers(0, 3).write_text(Path("s3://bucket/out"))
    with pytest.raises(UsageError, match="storage_options with a URL"):
        numbers(0, 3).write_text("out", storage_options={"key": "x"})
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_this_process_is_no_place_for_workers() -> None:
    with pytest.raises(UsageError, match="in the memory of this process"):
        numbers(0, 3).write_text("memory://out").run(cluster="local")
