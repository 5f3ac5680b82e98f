"""Runs begun by a version with other module names and killed half-way, resumed by this version."""

import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import earlier_flows
import pytest
from earlier_flows import CHUNKS, ENTRIES, FLOWS, names, shortened

import elastic
from elastic.core.errors import UsageError
from elastic.engine.fingerprint.code_fingerprint import python_version
from elastic.persistence.home import Home
from elastic.run_history import RunHistory

#: Written by `earlier_flows.py` with commit 4814e20, the last one before modules and classes got their present names.
RUNS = Path(__file__).with_name("runs_before_move.tar.gz")

RUN_IDS = {
    "sum": "20261129-224411-cd4472268e2f",
    "once": "20261129-224417-a1977f80295b",
    "sharded": "20261129-224425-e926ef750b17",
    "grouped": "20261129-224432-22b843815e31",
}
OPTIONS: dict[str, dict[str, Any]] = {"once": {"project": shortened}, "sharded": {"shards": 2}}
ANSWERS: dict[str, Any] = {
    "sum": sum(number * number for number in range(ENTRIES)),
    "once": sum(range(ENTRIES)),
    "sharded": dict(Counter(name for number in range(ENTRIES) for name in names(number))),
    "grouped": {digit: (ENTRIES - 10) / 2 + digit for digit in range(10)},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with tarfile.open(RUNS) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.mark.parametrize("name", FLOWS)
def test_a_run_begun_before_the_modules_moved_is_resumed(name: str, home: Path) -> None:
    run_id = RUN_IDS[name]
    [record] = RunHistory(Home(home)).steps(run_id)
    assert record.state == "in_progress"
    assert 0 < record.low < CHUNKS
    result = elastic.resume(
        run_id,
        FLOWS[name](),
        reread_source=name == "once",
        # The fingerprints of another minor version of Python cannot be compared.
        allow_code_change=record.manifest["python"] != python_version(),
        cluster="inline",
        home=home,
        **OPTIONS.get(name, {}),
    )
    value = dict(result.value) if name in ("sharded", "grouped") else result.value
    assert (value, result.entries, result.chunks) == (ANSWERS[name], ENTRIES, CHUNKS)
    verification = elastic.verify(run_id, home=home)
    assert verification.ok, str(verification)


@pytest.mark.parametrize("name", ["sum", "once"])
def test_a_changed_function_is_still_found(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier_flows, "square", lambda number: number)
    monkeypatch.setitem(OPTIONS, "once", {"project": lambda entries: [entry[0] for entry in entries]})
    changed = {"sum": "map", "once": "trim"}[name]
    with pytest.raises(UsageError, match=rf"{changed}\(.*|cannot be compared"):
        elastic.resume(
            RUN_IDS[name],
            FLOWS[name](),
            reread_source=name == "once",
            cluster="inline",
            home=home,
            **OPTIONS.get(name, {}),
        )
