"""DAG files: whatever a file does, the parser names it and goes on, and no DAG vanishes without a reason."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.stores.dag_files import FileState, claim_file, parse_again, release_files
from elastic.db.stores.dags import dags, import_errors
from elastic.executors.worker_process import become_own_group
from elastic.scheduler.attempts.process_identity import ProcessIdentity
from elastic.scheduler.signals import DeferredSignals
from elastic.service.parsing.dag_parser import DagParser, ParserSetup, ScanResult
from elastic.service.parsing.file_loader import ParseLimits, load_file
from elastic.service.parsing.parser_process import ParserProcess
from tests.command_process import is_alive, until

GOOD = "from elastic.dag import DAG\nfrom elastic.operators import EmptyOperator\n{more}\n"
GOOD += 'dag = DAG({dag_id!r})\nEmptyOperator(task_id="t", dag=dag)\n'


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/elastic.db")
    create(found)
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "dags"
    path.mkdir()
    return path


@pytest.fixture
def parser(database: Database, folder: Path) -> DagParser:
    return parser_of(database, folder)


def parser_of(database: Database, folder: Path, owner: str = "p1", timeout: float = 20.0) -> DagParser:
    limits = ParseLimits(timeout=timeout, memory=512 * 2**20)
    return DagParser(ParserSetup(database=database, folder=folder, limits=limits, owner=owner, say=lambda line: None))


def write(folder: Path, name: str, dag_id: str = "etl", more: str = "") -> Path:
    path = folder / name
    path.write_text(GOOD.format(dag_id=dag_id, more=more))
    # A second write within one tick of the clock of the file system must be seen as well.
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    return path


def names(result: ScanResult) -> list[str]:
    return [Path(path).name for path in result.parsed]


def active(database: Database) -> dict[str, str]:
    return {row.dag_id: Path(row.fileloc).name for row in dags(database)}


def test_an_ignored_file_leaves_and_returns_and_still_counts_as_a_helper(
    database: Database, folder: Path, parser: DagParser
) -> None:
    write(folder, "helper.py", "helper")
    write(folder, "a.py", more="import helper")
    parser.scan()
    ignore = folder / ".airflowignore"
    ignore.write_text("helper.py\n")
    assert [Path(path).name for path in parser.scan().gone] == ["helper.py"]
    assert active(database) == {"etl": "a.py"}
    write(folder, "helper.py", "changed")
    assert names(parser.scan()) == ["a.py"]
    ignore.write_text("!\n")
    result = parser.scan()
    assert names(result) == ["helper.py"]
    assert result.broken == {str(ignore): "line 1 is no pattern as in .gitignore: '!'"}
    assert active(database) == {"etl": "a.py", "changed": "helper.py"}


def test_a_new_file_is_parsed_once_and_a_changed_one_again(database: Database, folder: Path, parser: DagParser) -> None:
    write(folder, "a.py")
    assert names(parser.scan()) == ["a.py"]
    assert active(database) == {"etl": "a.py"}
    assert names(parser.scan()) == []
    assert names(parser_of(database, folder, "p2").scan()) == []
    write(folder, "a.py", "other")
    assert names(parser.scan()) == ["a.py"]
    assert active(database) == {"other": "a.py"}
    assert {row.dag_id: row.is_active for row in dags(database, active_only=False)} == {"etl": False, "other": True}


def test_an_unchanged_file_is_parsed_again_once_if_a_user_asks(
    database: Database, folder: Path, parser: DagParser
) -> None:
    path = write(folder, "a.py")
    parser.scan()
    assert parse_again(database, str(path))
    assert names(parser.scan()) == ["a.py"]
    assert names(parser.scan()) == []
    assert not parse_again(database, str(folder / "unknown.py"))


def test_a_broken_file_keeps_its_last_good_version_and_is_named_until_it_is_repaired(
    database: Database, folder: Path, parser: DagParser
) -> None:
    path = write(folder, "a.py")
    write(folder, "b.py", "b")
    parser.scan()
    version = {row.dag_id: row.structure_digest for row in dags(database)}
    write(folder, "a.py", more="import nothing_of_that_name")
    result = parser.scan()
    assert result.broken == {str(path): f"{path}: ModuleNotFoundError: No module named 'nothing_of_that_name'"}
    assert "import nothing_of_that_name" in import_errors(database)[str(path)]
    assert active(database) == {"etl": "a.py", "b": "b.py"}
    assert {row.dag_id: row.structure_digest for row in dags(database)} == version
    write(folder, "a.py", more="x = 1")
    assert names(parser.scan()) == ["a.py"]
    assert import_errors(database) == {}


def test_a_dag_is_gone_with_its_file_and_comes_back_with_it(
    database: Database, folder: Path, parser: DagParser
) -> None:
    path = write(folder, "a.py")
    write(folder, "b.py", "b")
    parser.scan()
    path.unlink()
    assert parser.scan().gone == [str(path)]
    assert active(database) == {"b": "b.py"}
    write(folder, "a.py")
    parser.scan()
    assert active(database) == {"b": "b.py", "etl": "a.py"}


def test_a_renamed_file_takes_its_dag_along(database: Database, folder: Path, parser: DagParser) -> None:
    path = write(folder, "a.py")
    parser.scan()
    path.rename(folder / "z.py")
    parser.scan()
    assert active(database) == {"etl": "z.py"}


def test_nothing_vanishes_when_the_folder_is_away(database: Database, folder: Path, parser: DagParser) -> None:
    write(folder, "a.py")
    parser.scan()
    folder.rename(folder.parent / "elsewhere")
    assert parser.scan() == ScanResult()
    assert active(database) == {"etl": "a.py"}


def test_of_two_files_with_one_dag_the_first_keeps_it_and_the_other_takes_over_when_it_is_gone(
    database: Database, folder: Path, parser: DagParser
) -> None:
    first = write(folder, "a.py")
    parser.scan()
    twin = write(folder, "b.py")
    assert "its DAG 'etl' is already defined in" in parser.scan().broken[str(twin)]
    assert active(database) == {"etl": "a.py"}
    first.unlink()
    assert names(parser.scan()) == ["b.py"]
    assert active(database) == {"etl": "b.py"}
    assert import_errors(database) == {}


def test_a_dag_that_moves_to_an_earlier_file_stays_and_two_files_may_swap_theirs(
    database: Database, folder: Path, parser: DagParser
) -> None:
    write(folder, "a.py", "one")
    write(folder, "b.py", "two")
    write(folder, "c.py", "three")
    parser.scan()
    write(folder, "a.py", "three")
    write(folder, "c.py", "rest")
    result = parser.scan()
    assert (names(result), result.broken) == (["a.py", "c.py"], {})
    assert active(database) == {"three": "a.py", "two": "b.py", "rest": "c.py"}
    write(folder, "a.py", "two")
    write(folder, "b.py", "three")
    assert parser.scan().broken == {}
    assert active(database) == {"two": "a.py", "three": "b.py", "rest": "c.py"}
    assert import_errors(database) == {}
    assert names(parser.scan()) == []


def test_a_twin_is_parsed_once_and_takes_over_when_another_parser_reads_the_change(
    database: Database, folder: Path, parser: DagParser
) -> None:
    write(folder, "b.py", "etl")
    parser.scan()
    twin = write(folder, "a.py", "etl")
    other = parser_of(database, folder, "p2")
    assert list(parser.scan().broken) == [str(twin)]
    assert names(parser.scan()) == []
    assert names(other.scan()) == ["a.py"], "a parser that begins later knows no twins"
    assert names(other.scan()) == []
    write(folder, "b.py", "free")
    other.scan()
    assert active(database) == {"etl": "a.py", "free": "b.py"}
    parser.scan()
    assert names(parser.scan()) == []
    assert active(database) == {"etl": "a.py", "free": "b.py"}
    assert import_errors(database) == {}


def test_a_changed_helper_module_is_never_stale(database: Database, folder: Path, parser: DagParser) -> None:
    helper = folder / "naming.py"
    helper.write_text("NAME = 'one'\n")
    path = folder / "a.py"
    path.write_text(
        "from naming import NAME\nfrom elastic.dag import DAG\nfrom elastic.operators import EmptyOperator\n"
        "dag = DAG(NAME)\nEmptyOperator(task_id='t', dag=dag)\n"
    )
    parser.scan()
    assert active(database) == {"one": "a.py"}
    helper.write_text("NAME = 'two_'\n")
    assert names(parser.scan()) == ["a.py"]
    assert active(database) == {"two_": "a.py"}


def test_a_broken_file_is_repaired_by_the_module_that_it_lacked(
    database: Database, folder: Path, parser: DagParser
) -> None:
    write(folder, "a.py", more="import naming")
    assert parser.scan().broken
    (folder / "naming.py").write_text("x = 1\n")
    assert parser.scan().broken == {}
    assert active(database) == {"etl": "a.py"}


ATTACKS = {
    "loops": ("while True: pass", "took longer than|TaskTimeoutError|longer than 1"),
    "ignores its time limit": (
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 30))\nwhile True: pass",
        "took longer than 1 s, and its process was killed",
    ),
    "exits": ("import os; os._exit(0)", "its process ended with exit code 0 while the file was loaded"),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", "its process ended with signal SIGKILL"),
    "takes all memory": ("x = bytearray(8 * 2**30)", "MemoryError"),
    "raises SystemExit": ("raise SystemExit(3)", "SystemExit: 3"),
    "has no syntax": ("def (", "SyntaxError in line 3"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_that_does_harm_is_named_and_the_others_are_parsed(database: Database, folder: Path, name: str) -> None:
    code, reason = ATTACKS[name]
    bad = write(folder, "a.py", more=code)
    write(folder, "b.py", "b")
    result = parser_of(database, folder, timeout=1.0 if "time" in name or "loops" in name else 20.0).scan()
    assert list(result.broken) == [str(bad)]
    assert any(part in result.broken[str(bad)] for part in reason.split("|")), result.broken
    assert active(database) == {"b": "b.py"}


def test_no_process_that_a_file_starts_is_left(folder: Path, tmp_path: Path) -> None:
    code = f"""
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open({str(tmp_path / "pids")!r}, "a") as file: file.write(f"{{os.getpid()}}\\n")
            time.sleep(600)
        os._exit(0)
time.sleep(0.5)
"""
    path = write(folder, "a.py", more=code)
    script = (
        "import sys; from pathlib import Path\n"
        "from elastic.service.parsing.file_loader import ParseLimits, become_subreaper, load_file\n"
        "become_subreaper()\n"
        "found = load_file(Path(sys.argv[1]), Path(sys.argv[1]).parent, ParseLimits(timeout=20, memory=2**30))\n"
        "print([one.row.dag_id for one in found.dags])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "['etl']\n"
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 3
    assert not any(is_alive(pid) for pid in pids)


def test_other_children_of_a_process_that_loads_a_file_stay(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        load_file(write(folder, "a.py"), folder, ParseLimits(timeout=20, memory=2**30))
        is_running = other.poll() is None
        other.kill()
    assert is_running


def test_what_a_file_prints_reaches_no_result_and_the_database_url_is_hidden(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTIC__DATABASE__URL", "sqlite:////secret.db")
    code = "import os, sys\nprint('noise'); sys.stderr.write('noise'); os.write(1, b'noise')\n"
    code += f"open({str(tmp_path / 'seen')!r}, 'w').write(str([n for n in os.environ if 'DATABASE__' in n]))"
    found = load_file(write(folder, "a.py", more=code), folder, ParseLimits(timeout=20, memory=2**30))
    assert found.dags is not None
    assert [one.row.dag_id for one in found.dags] == ["etl"]
    assert (tmp_path / "seen").read_text() == "[]"


def test_odd_files_are_named_and_do_no_harm(database: Database, folder: Path, parser: DagParser) -> None:
    write(folder, "good.py")
    (folder / "link_dag.py").symlink_to(folder / "nothing.py")
    (folder / "binary_dag.py").write_bytes(b"dag\x00\xff\xfe")
    (folder / "empty_dag.py").write_text("# dag\n")
    (folder / "note.txt").write_text("dag")
    (folder / "loop").symlink_to(folder)
    bad_name = os.fsencode(folder) + b"/dag\xff.py"
    Path(os.fsdecode(bad_name)).write_text("dag = 1")
    (folder / "twice_dag.py").write_text(
        "from elastic.dag import DAG\na = DAG('same')\nb = DAG('same')\nc = DAG('own')\n"
    )
    result = parser.scan()
    assert sorted(Path(path).name for path in result.broken) == [
        "binary_dag.py",
        os.fsdecode(b"dag\xff.py"),
        "link_dag.py",
        "twice_dag.py",
    ]
    assert active(database) == {"etl": "good.py", "own": "twice_dag.py", "same": "twice_dag.py"}
    assert parser.scan().parsed == []


def test_two_parsers_share_a_folder_and_read_each_file_once(database: Database, folder: Path) -> None:
    first, second = parser_of(database, folder, "p1"), parser_of(database, folder, "p2")
    for number in range(4):
        write(folder, f"f{number}.py", f"d{number}")
    assert len(names(first.scan())) == 4
    assert names(second.scan()) == []
    write(folder, "f1.py", "d1", more="x = 1")
    assert names(second.scan()) == ["f1.py"]
    assert names(first.scan()) == []
    assert len(active(database)) == 4


def test_a_file_that_a_killed_parser_had_claimed_is_parsed_at_once(database: Database, folder: Path) -> None:
    path = write(folder, "etl.py")
    present = ProcessIdentity.current()
    dead = ProcessIdentity(present.boot_id, present.pid, present.started + 1)
    state = FileState(path=str(path), size=0, mtime_ns=0)
    assert claim_file(database, state, f"{present}/other", 600.0)
    assert names(parser_of(database, folder).scan()) == []
    release_files(database, f"{present}/other")
    assert claim_file(database, state, f"{dead}/master", 600.0)
    assert names(parser_of(database, folder).scan()) == ["etl.py"]


def test_a_process_that_is_stopped_while_it_starts_ends(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_first(parent: int | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        become_own_group(parent)

    monkeypatch.setattr("elastic.service.parsing.parser_process.become_own_group", stopped_first)
    limits, said = ParseLimits(timeout=20.0, memory=512 * 2**20), []
    setup = ParserSetup(database=database, folder=folder, limits=limits, owner="p1", say=said.append)
    process = ParserProcess(setup, 600.0)
    try:
        with DeferredSignals():
            process.check()
            until(lambda: process.check() is None and bool(said))
    finally:
        process.stop()
    assert said == ["the DAG parser ended with exit code 0; it is started again"]
