"""The section [flow] of the settings sets defaults for the options of flows, which a flow may override."""

import sqlite3
from pathlib import Path

import pytest

import elastic
from elastic.config.options import OPTIONS
from elastic.core.errors import UsageError
from elastic.engine.options import OPTION_NAMES, Options
from elastic.run_history import RunHistory

FLOW_OPTIONS = [option for option in OPTIONS if option.section == "flow"]


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the settings file in the home, which is not the working folder."""
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    monkeypatch.setenv("ELASTIC_HOME", str(home))
    monkeypatch.chdir(folder)
    return home / "elastic.toml"


def flow() -> elastic.Flow:
    return elastic.from_range(10, chunk_size=2).aggregate("sum")


def test_a_setting_is_the_default_of_its_option(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[flow]\ncluster = "inline"\nworkers = 3\nplacement = "Workers_Only"\ncommit_interval = 2\n')
    monkeypatch.setenv("ELASTIC__FLOW__WORKERS", "4")
    monkeypatch.setenv("ELASTIC__FLOW__CHUNK_TIMEOUT", "7.5")
    for options in (flow().step().options, elastic.Step([1], task=len).options):
        assert (options.cluster, options.workers, options.placement) == ("inline", 4, "workers_only")
        assert (options.tuning.commit_interval, options.error_policy.chunk_timeout) == (2, 7.5)
    assert flow().step().options.given >= {"cluster", "workers"}


def test_a_run_takes_the_cluster_and_the_chunk_store_of_the_settings(toml: Path) -> None:
    toml.write_text('[flow]\ncluster = "inline"\nchunk_store = "directory"\n')
    entries = elastic.from_iterable(iter(range(10)), chunk_size=2)
    result = entries.aggregate("sum").run()
    assert result.value == 45
    [manifest] = [step.manifest for step in RunHistory.of_environment().steps(result.run_id)]
    assert manifest["cluster"] == "inline"
    assert stored_in(result.run_id) == "directory"
    with elastic.StepQueue() as queue:
        queue.add(elastic.from_iterable(iter(range(10))).aggregate("sum"))
    assert stored_in(queue.run_id) == "directory"


def test_what_a_flow_gives_goes_before_the_settings(toml: Path) -> None:
    toml.write_text('[flow]\ncluster = "nowhere"\nworkers = 3\ncollect_interval = 2.0\n')
    assert flow().options(cluster="inline").run(workers=1).value == 45
    given = flow().options(workers=1, collect_interval=3.0).step(cluster="inline").options
    assert (given.cluster, given.workers, given.tuning.collect_interval) == ("inline", 1, 3.0)
    with pytest.raises(UsageError, match="cluster 'nowhere' is not inline"):
        flow().run()


def test_empty_and_zero_stand_for_the_engine_s_choice(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[flow]\ncluster = "inline"\nworkers = 3\nchunk_timeout = 5.0\n')
    for key, value in (("CLUSTER", ""), ("WORKERS", "0"), ("CHUNK_TIMEOUT", "0")):
        monkeypatch.setenv(f"ELASTIC__FLOW__{key}", value)
    options = flow().step().options
    assert (options.cluster, options.workers, options.error_policy.chunk_timeout) == (None, None, None)


def test_a_setting_does_not_make_collections_of_shards_more_frequent(toml: Path) -> None:
    toml.write_text("[flow]\ncollect_interval = 2.0\n")
    assert flow().step().options.tuning.collect_interval == 2.0
    assert flow().step(shards=2).options.tuning.collect_interval == 10.0


@pytest.mark.parametrize("key", ["cluster", "chunk_store"])
def test_the_working_folder_may_neither_redirect_a_flow_nor_name_code(key: str, toml: Path) -> None:
    Path("elastic.toml").write_text(f'[flow]\n{key} = "inline"\n')
    with pytest.raises(UsageError, match=f"a file of the working folder may not set flow.{key}"):
        flow().step()


def test_the_working_folder_may_set_numbers(toml: Path) -> None:
    Path("elastic.toml").write_text("[flow]\nworkers = 2\nmax_chunks_in_flight = 50\n")
    options = flow().step().options
    assert (options.workers, options.tuning.max_chunks_in_flight) == (2, 50)


def test_an_invalid_setting_names_its_place(toml: Path) -> None:
    toml.write_text("[flow]\nmax_chunks_per_call = 0\n")
    with pytest.raises(UsageError, match=r"elastic\.toml: flow\.max_chunks_per_call must be"):
        flow().step()


def test_every_setting_of_flows_is_an_option_with_the_same_default() -> None:
    assert {option.key for option in FLOW_OPTIONS} <= OPTION_NAMES
    options = Options()
    for option in FLOW_OPTIONS:
        holder = next(part for part in (options, options.tuning, options.error_policy) if hasattr(part, option.key))
        assert (getattr(holder, option.key) or type(option.default)()) == option.default, option.key


def stored_in(run_id: str) -> str:
    connection = sqlite3.connect(RunHistory.of_environment().run_folder(run_id) / "run.sqlite")
    try:
        return str(connection.execute("SELECT chunk_store FROM run").fetchone()[0])
    finally:
        connection.close()
