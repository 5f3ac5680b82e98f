"""The DAG bag: folders and files of DAGs."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elastic.core.errors import UsageError
from elastic.dag.errors import BrokenDagError, UnknownDagError
from elastic.dag.execution.build_context import build_context
from elastic.dag.files.dag_bag import DagBag
from elastic.dag.serialized_dag import from_dict, to_dict

HEAD = "from elastic import DAG\nfrom elastic.operators import EmptyOperator\n"


def dag_text(dag_id: str) -> str:
    return f"{HEAD}with DAG({dag_id!r}) as dag:\n    EmptyOperator(task_id='only')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "good.py": dag_text("good"),
        "sub/deep/other.py": dag_text("other"),
        "broken.py": HEAD + "\ndef f():\n    return 1 / 0\n\nf()\n",
        "syntax.py": HEAD + "with DAG(:\n",
        "leaving.py": HEAD + "raise SystemExit(3)\n",
        "cyclic.py": HEAD + "with DAG('c') as dag:\n    a = EmptyOperator(task_id='a')\n    a >> a\n",
        "missing.py": HEAD + "import a_module_that_is_not_there\n",
        "printing.py": HEAD + "print('hello')\nwith DAG('printing'):\n    pass\nx = DAG('named')\n",
        "helper.py": "NUMBER = 7\n",
        "helped.py": HEAD + "from helper import NUMBER\ndag = DAG(f'helped_{NUMBER}')\n",
        "importing.py": HEAD + "from good import dag\nown = DAG('own')\n",
        "notes.txt": dag_text("notes"),
        ".hidden/file.py": dag_text("hidden"),
        "__pycache__/file.py": dag_text("cached"),
        "script.py": "raise RuntimeError('not a D-A-G')\n",
    }
    for name, text in files.items():
        path = tmp_path / "dags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "dags"


def test_a_broken_file_is_a_value_and_stops_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, modules = list(sys.path), set(sys.modules)
    bag = DagBag(folder)
    assert sorted(bag.dags) == ["good", "helped_7", "named", "other", "own", "printing"]
    reasons = {Path(path).name: failure.reason for path, failure in bag.import_errors.items()}
    assert reasons.pop("syntax.py").startswith("SyntaxError in line 3: ")
    assert reasons == {
        "broken.py": "ZeroDivisionError: division by zero",
        "leaving.py": "SystemExit: 3",
        "cyclic.py": "CycleError: task 'a' would depend on itself: a -> a. Remove one of these dependencies.",
        "missing.py": "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    }
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "hello\n")
    assert sys.path == before
    assert not [name for name in set(sys.modules) - modules if "elastic_dag" in name or name in ("helper", "good")]


def test_the_traceback_begins_in_the_users_file(folder: Path) -> None:
    bag = DagBag(folder / "broken.py")
    (failure,) = bag.import_errors.values()
    lines = failure.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].strip() == f'File "{folder}/broken.py", line 7, in <module>'
    assert lines[-1] == "ZeroDivisionError: division by zero"
    with pytest.raises(BrokenDagError, match=r"broken\.py cannot be loaded: ZeroDivisionError") as caught:
        bag.get_dag("any")
    assert caught.value.traceback == failure.traceback


def test_two_dags_of_one_id_are_a_failure_that_names_both_files(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(dag_text("same"))
    (tmp_path / "c.py").write_text(HEAD + "x = DAG('twice')\ny = DAG('twice')\nz = DAG('z')\n")
    bag = DagBag(tmp_path)
    assert bag.dags["same"].fileloc == str(tmp_path / "a.py")
    assert sorted(bag.dags) == ["same", "twice", "z"]
    reasons = {Path(path).name: failure.reason for path, failure in bag.import_errors.items()}
    assert sorted(reasons) == ["b.py", "c.py"]
    for name in ("a.py", "b.py"):
        assert str(tmp_path / name) in reasons["b.py"]
    assert "'twice'" in reasons["c.py"]
    assert "the same file" in reasons["c.py"]


def test_a_file_can_be_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(dag_text("one"))
    bag = DagBag(tmp_path)
    path.write_text(HEAD + "oops\n")
    bag.load_file(path)
    assert (list(bag.dags), list(bag.import_errors)) == ([], [str(path)])
    path.write_text(dag_text("six"))
    bag.load_file(path)
    path.write_text(dag_text("two"))
    assert [dag.dag_id for dag in bag.load_file(path)] == ["two"], "the same size, within the same second"
    assert [file.name for file in tmp_path.iterdir()] == ["a.py"]
    assert (list(bag.dags), list(bag.import_errors)) == (["two"], [])


def test_an_unknown_dag_is_named_with_the_one_that_is_like_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(dag_text("daily_etls"))
    bag = DagBag(tmp_path)
    with pytest.raises(UnknownDagError, match=r"there is no DAG 'daily_etl' in .*; did you mean 'daily_etls'"):
        bag.get_dag("daily_etl")
    with pytest.raises(UsageError, match=r"there is no file or folder .*nowhere"):
        DagBag(tmp_path / "nowhere")


def test_a_loaded_dag_has_its_source_with_a_digest(tmp_path: Path) -> None:
    text = dag_text("good") + "# grüße\n"
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    bag = DagBag(tmp_path)
    assert bag.source_of("good").text == text
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert bag.source_of("good").digest == digest
    assert from_dict(json.loads(json.dumps(to_dict(bag.get_dag("good"), digest)))).source_digest == digest


def test_a_file_that_takes_for_ever_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(HEAD + "while True:\n    pass\n")
    (tmp_path / "b.py").write_text(dag_text("b"))
    bag = DagBag(tmp_path, seconds=0.5)
    assert list(bag.dags) == ["b"]
    assert bag.import_errors[str(tmp_path / "a.py")].reason == (
        f"loading {tmp_path}/a.py took longer than 0.5 s and was stopped."
    )


def test_a_factory_in_a_helper_makes_dags_of_the_file_that_calls_it(tmp_path: Path) -> None:
    (tmp_path / "dag_factory_sample.py").write_text(HEAD + "def make(name):\n    return DAG(name)\n")
    (tmp_path / "z.py").write_text(HEAD + "from dag_factory_sample import make\na, b = make('a'), make('b')\n")
    bag = DagBag(tmp_path)
    assert {dag.dag_id: dag.fileloc for dag in bag} == {"a": str(tmp_path / "z.py"), "b": str(tmp_path / "z.py")}


#: Names that each DAG file reports for its modules; it imports the last ones only when the task runs.
USER = (
    HEAD
    + """
import pickle
from conf import TABLE, Row, table
import parts.first
import bare.second
from elastic.dag.execution.build_context import build_context

def found():
    import late
    from bare import third
    row = pickle.loads(pickle.dumps(Row()))
    return [TABLE, table(), parts.first.NAME, bare.second.NAME, row.name, pickle.loads(pickle.dumps(table))(),
            late.NAME, third.NAME]

from elastic.operators import PythonOperator
with DAG({dag_id!r}, doc=TABLE) as dag:
    PythonOperator(task_id="only", python_callable=found)
"""
)


def write_folder_with_helpers(folder: Path, name: str) -> Path:
    """Write a DAG file with helper modules whose names are those of every other such folder; return the file."""
    files = {
        "conf.py": f"TABLE = {name!r}\nclass Row:\n    name = TABLE\ndef table():\n    return TABLE\n",
        "parts/__init__.py": "",
        "parts/first.py": "from .inner import NAME\nfrom . import inner\nassert inner.NAME == NAME\n",
        "parts/inner.py": f"NAME = {name!r}\n",
        "bare/second.py": f"NAME = {name!r}\n",
        "bare/third.py": f"NAME = {name!r}\n",
        "late.py": f"NAME = {name!r}\n",
        f"{name}_dag.py": USER.replace("{dag_id!r}", repr(name)),
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder / f"{name}_dag.py"


def told(bag: DagBag, dag_id: str) -> set[str]:
    """Run an attempt of a DAG's task, and return the names that its modules report."""
    task = bag.get_dag(dag_id).get_task("only")
    with task.helpers.installed():
        return set(task.execute(build_context(task, task.attempt_info("2016-02-22"))))


def test_each_dag_file_has_its_own_helper_modules(tmp_path: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    for name in ("a", "b"):
        write_folder_with_helpers(tmp_path / name, name)
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    for name in ("a", "b", "a"):
        assert bag.dags[name].doc == name
        assert told(bag, name) == {name}
    assert not {"conf", "parts", "bare", "late"} & {name.partition(".")[0] for name in set(sys.modules) - before}
    assert sys.path == path


def test_a_helper_that_changes_itself_changes_for_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("seen = []\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(
            f"{HEAD}import conf\nconf.seen.append({name!r})\nx = DAG({name!r}, tags=conf.seen)\n"
        )
    assert [dag.tags for dag in DagBag(tmp_path)] == [("a",), ("b",)]


def test_a_helper_that_changed_on_the_disk_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(f"{HEAD}from conf import NAME\nx = DAG(NAME)\n")
    (tmp_path / "conf.py").write_text("NAME = 'one'\n")
    bag = DagBag(tmp_path)
    (tmp_path / "conf.py").write_text("NAME = 'two'\n")
    assert [dag.dag_id for dag in bag.load_file(path)] == ["two"], "the same size, within the same second"
    (tmp_path / "conf.py").unlink()
    assert bag.load_file(path) == []
    assert bag.import_errors[str(path)].reason == "ModuleNotFoundError: No module named 'conf'"


def test_a_helper_takes_the_place_of_an_installed_package_for_its_own_file_only(tmp_path: Path) -> None:
    import statistics

    import cronsim
    import hypothesis

    names = {"hypothesis.py": "", "statistics.py": "oops\n", "cronsim.py": "oops\n", "json/__init__.py": "oops\n"}
    for name, text in {**names, "conf.py": "import hypothesis\nNAME = hypothesis.__file__\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    text = "import hypothesis, statistics, cronsim, json, conf\nassert conf.NAME == hypothesis.__file__\n"
    files = "[m.__file__ for m in (hypothesis, statistics, cronsim, json)]"
    (tmp_path / "a.py").write_text(f"{HEAD}{text}x = DAG('a', params={{'files': {files}}})\n")
    params = DagBag(tmp_path / "a.py").get_dag("a").params
    assert params["files"] == [str(tmp_path / "hypothesis.py"), statistics.__file__, cronsim.__file__, json.__file__]
    assert sys.modules["hypothesis"] is hypothesis


def test_a_helper_whose_name_is_taken_is_named(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("TABLE = 1\n")
    (tmp_path / "a.py").write_text(f"{HEAD}from statistics import TABLE\nx = DAG('a')\n")
    (failure,) = DagBag(tmp_path / "a.py").import_errors.values()
    assert failure.reason.endswith(
        f"; {tmp_path}/statistics.py has the name of a module that takes precedence. Rename it"
    )


def test_folders_that_a_file_puts_on_the_path_are_its_own(tmp_path: Path) -> None:
    path = list(sys.path)
    for name in ("a", "b"):
        (tmp_path / f"lib_{name}").mkdir()
        (tmp_path / f"lib_{name}" / "conf.py").write_text(f"NAME = {name!r}\n")
        lines = f"import sys\nsys.path.append({str(tmp_path / f'lib_{name}')!r})\nfrom conf import NAME\n"
        (tmp_path / f"dag_{name}.py").write_text(f"{HEAD}{lines}x = DAG(NAME)\n")
    assert (list(DagBag(tmp_path).dags), sys.path) == (["a", "b"], path)


def test_a_file_below_the_folder_of_dags_has_the_helpers_of_both(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "common.py").write_text("NAME = 'common'\n")
    (tmp_path / "near.py").write_text("NAME = 'far'\n")
    (tmp_path / "sub/near.py").write_text("NAME = 'near'\n")
    file = tmp_path / "sub/a.py"
    file.write_text(f"{HEAD}import common, near\nx = DAG(common.NAME + '_' + near.NAME)\n")
    assert list(DagBag(tmp_path).dags) == list(DagBag(file, root=tmp_path).dags) == ["common_near"]


def test_a_link_to_a_folder_around_it_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(dag_text("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    bag = DagBag(tmp_path)
    assert (list(bag.dags), bag.import_errors) == (["a"], {})


def test_a_link_that_leads_nowhere_is_a_failure_that_is_seen(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    bag = DagBag(tmp_path)
    assert bag.import_errors[str(tmp_path / "gone.py")].reason == "it cannot be read (No such file or directory)"


@pytest.mark.slow
def test_five_hundred_files_are_loaded_and_each_gives_its_dag(tmp_path: Path) -> None:
    body = "    tasks = [EmptyOperator(task_id=f't{n}') for n in range(10)]\n"
    for number in range(500):
        (tmp_path / f"dag_{number}.py").write_text(f"{HEAD}with DAG('dag_{number}', schedule='@daily') as dag:\n{body}")
    begun = time.perf_counter()
    bag = DagBag(tmp_path)
    print(f"500 files in {time.perf_counter() - begun:.2f} s")  # noqa: T201 - a figure for who looks
    assert len(bag) == 500
    assert bag.import_errors == {}
    assert sum(dag.task_count for dag in bag) == 5000


def test_loading_dags_imports_neither_ray_nor_a_database_nor_jinja(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(dag_text("a"))
    code = (
        "import sys; from elastic.dag.files.dag_bag import DagBag; bag = DagBag(sys.argv[1]); "
        "print(list(bag.dags), sorted({'ray', 'sqlalchemy', 'jinja2', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "['a'] []\n"
