"""After a kill of the master at any moment, resumes give the answer of an undisturbed run."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import resume_samples
from resume_samples import ENTRIES, go_on

import elastic
from elastic.core.errors import RunLockedError
from elastic.engine.run import home_at
from elastic.persistence.run_store.sqlite_store import SqliteRunStore
from elastic.run_history import RunHistory

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STARTS = ("stopped while it was created", "ended before its first step", "is complete")
LETTERS = [f"number {number}" for number in range(7, ENTRIES, 100)]
WORDS = Counter(word for n in range(ENTRIES) for word in (f"word{n % 13}", "and", f"word{n % 7}"))
ORACLE: dict[str, Any] = {
    "sum": sum(range(ENTRIES)),
    "words": dict(WORDS),
    "wide": dict(WORDS),
    "frames": dict(WORDS),
    "wide-frames": dict(WORDS),
    "once": sum(range(ENTRIES)),
    "ordered": list(range(ENTRIES)),
    "written": list(range(ENTRIES)),
    "table": list(range(ENTRIES)),
    "table-key": list(range(ENTRIES)),
    "letters": sum(number for number in range(ENTRIES) if number % 100 != 7),
}
#: Stories that each process runs once, because a child has no threads of Polars.
FRAMES = {"frames", "wide-frames"}
#: Calls between two kills of a story, so that a long one is killed as often as a short one.
CALL_STRIDES = {"sum": 17, "wide": 127, "written": 53, "table": 31, "table-key": 31}


def child(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> Any:
    with process:
        output = process.communicate()[0]
    assert process.returncode == 0, output
    return json.loads(output)


@pytest.mark.parametrize("how", ["callback", "call"])
@pytest.mark.parametrize("story", sorted(ORACLE.keys() - FRAMES))
def test_a_run_that_is_killed_twice_at_any_moment_ends_as_one_that_was_not(
    story: str, how: str, tmp_path: Path
) -> None:
    stride = 23 if how == "callback" else CALL_STRIDES.get(story, 23)
    told = said(child(HERE / "resume_samples.py", story, how, 1, stride, tmp_path))
    ends = [end for end in told["ends"] if "value" in end]
    assert told["kills"] >= 10
    assert len(ends) >= 5
    for end in told["ends"]:
        assert end["refused"] is None or any(text in end["refused"] for text in STARTS), end
    for end in ends:
        assert_right(story, end)
    assert any(end["again"] for end in ends)


def assert_right(story: str, end: dict[str, Any]) -> None:
    """Check the outcome of a complete run."""
    assert end["value"] == ORACLE[story], end
    assert end["entries"] == ENTRIES
    assert set(end["receipts"].values()) == {end["chunks"]}
    assert end["letters"] == (LETTERS if story == "letters" else [])
    assert end["left"] == []
    # At most the call in work and the waiting one.
    assert end["again"] <= 40


ONCE = """
import json, sys
from pathlib import Path
from resume_samples import tell
print(json.dumps(tell(sys.argv[1], "callback", int(sys.argv[2]), Path(sys.argv[3]))))
"""


@pytest.mark.parametrize(
    ("story", "number"), [(sorted(FRAMES)[place % 2], number) for place, number in enumerate(range(5, 110, 15))]
)
def test_frames_that_are_made_ahead_and_encoded_beside_lose_nothing_with_a_killed_master(
    story: str, number: int, tmp_path: Path
) -> None:
    kills, end = said(child("-c", ONCE, story, number, tmp_path))
    assert kills == 2
    assert_right(story, end)


IN_A_ROW = """
import json, sys
from pathlib import Path
from resume_samples import go_on, in_a_row, plain
folder = Path(sys.argv[3])
began_at = in_a_row(sys.argv[1], int(sys.argv[2]), folder)
result, again = go_on(sys.argv[1], folder)
print(json.dumps([began_at, plain(result.value), result.counters["resumes"]]))
"""


@pytest.mark.parametrize("story", sorted(ORACLE))
def test_five_masters_are_killed_in_a_row_and_each_gets_further(story: str, tmp_path: Path) -> None:
    # Soon after the first commit, which comes later if more calls are in flight.
    number = {"frames": 80, "wide-frames": 130}.get(story, 30)
    began_at, value, resumes = said(child("-c", IN_A_ROW, story, number, tmp_path))
    assert value == ORACLE[story]
    assert resumes == 5
    assert began_at == sorted(set(began_at))


FREEZE = """
import os, signal, sys
from pathlib import Path
from resume_samples import Killer, begin
class Freezer(Killer):
    def _moment(self, *arguments):
        self.number -= 1
        if self.number == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
    aggregated = _moment
    send = receive = distributed = step_started = failed = task_complete = step_ended = lambda *arguments: None
result = begin(sys.argv[1], Path(sys.argv[2]), interceptor=Freezer(12))
"""


@pytest.mark.parametrize("story", ["sum", "once"])
def test_a_frozen_master_keeps_its_run_and_one_that_was_replaced_changes_nothing_when_it_wakes_up(
    story: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FREEZE, story, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as frozen:
        try:
            assert os.WIFSTOPPED(os.waitpid(frozen.pid, os.WUNTRACED)[1])
            with pytest.raises(RunLockedError, match=f"is being worked on by process {frozen.pid} "):
                go_on(story, tmp_path)
            # No lock of this machine prevents this on another host.
            [lock] = (tmp_path / "home").glob("runs/*/lock")
            lock.unlink()
            result, _ = go_on(story, tmp_path)
            assert result.value == ORACLE[story]
        finally:
            frozen.send_signal(signal.SIGCONT)
        error = frozen.communicate()[1]
        assert frozen.returncode == 1
    assert "was taken over by a newer master (this one is of epoch 1)" in error
    archive = RunHistory(home_at(tmp_path / "home"))
    [record] = archive.steps(result.run_id)
    assert record.state.startswith("complete")
    kept = elastic.result_of("last", resume_samples.step_of(story, tmp_path))
    assert (kept.value, kept.entries, kept.chunks) == (ORACLE[story], ENTRIES, result.chunks)
    assert sum(row.count for row in _rows(tmp_path)) == result.chunks


def _rows(folder: Path) -> list[Any]:
    [path] = (folder / "home" / "runs").iterdir()
    store = SqliteRunStore.read(path)
    try:
        return list(store.receipts(0))
    finally:
        store.close()


def test_the_receipts_of_all_masters_verify(tmp_path: Path) -> None:
    said(child("-c", IN_A_ROW, "sum", 30, tmp_path))
    archive = RunHistory(home_at(tmp_path / "home"))
    journeys = list(archive.receipts(archive.find("last"), 0))
    assert [receipts[0].chunk_id for receipts in journeys] == list(range(ENTRIES // 30))


MUTANT = """
import json, sys
from pathlib import Path
from resume_samples import tell
from elastic.engine.writing_aggregation import WritingAggregation
from elastic.persistence.written_files.local_folder import LocalFolder

def revealing(self, partial):
    fold(self, partial)
    self._publication._folder.reveal([part.name for part in self._parts()])

mutant, folder, fold = sys.argv[1], Path(sys.argv[2]), WritingAggregation.fold
if mutant == "published before the commit":
    WritingAggregation.fold = revealing
elif mutant == "orphans left":
    LocalFolder.sweep = lambda self, kept: None
caught = 0
for number in (23, 31, 42):
    here = folder / str(number)
    here.mkdir()
    try:
        tell("written", "callback", number, here)
    except AssertionError as error:
        caught += "the folder has" in str(error)
print(json.dumps(caught))
"""


@pytest.mark.parametrize("mutant", ["none", "published before the commit", "orphans left"])
def test_a_write_without_one_of_its_mechanisms_is_caught(mutant: str, tmp_path: Path) -> None:
    caught = said(child("-c", MUTANT, mutant, tmp_path))
    assert caught == 0 if mutant == "none" else caught > 0
