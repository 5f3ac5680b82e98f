"""A folder of DAG files for tests of commands."""

from pathlib import Path

SOURCE = """
from elastic import DAG
from elastic.operators import BashOperator, EmptyOperator, PythonOperator, task


def check(ds):
    print("checking", ds)
    if not (PLACE / "mended").exists():
        raise ValueError("no such luck")


def quiet():
    pass


from pathlib import Path
PLACE = Path(__file__).parent

with DAG("etl", start_date="2016-02-22", owner="me", tags=["nightly"]) as dag:
    extract = BashOperator(task_id="extract", bash_command="echo {{ ds }} {{ params.size }}", params={"size": 7})
    extract >> EmptyOperator(task_id="load") >> PythonOperator(task_id="report", python_callable=quiet)
    extract >> PythonOperator(task_id="check", python_callable=check)

with DAG("copies", start_date="2016-02-22", schedule=None) as copies:

    @task
    def square(number):
        print(number * number)

    square.expand(number=[2, 3])
"""


def dag_folder(home: Path) -> Path:
    """Create the folder of DAGs below the home of a test."""
    folder = home / "dags"
    folder.mkdir()
    (folder / "etl.py").write_text(SOURCE)
    return folder


def broken_file(folder: Path) -> Path:
    path = folder / "broken.py"
    path.write_text("from elastic import DAG\nDAG('broken', nope=1)\n")
    return path


def mend(folder: Path) -> None:
    """Repair the task `check`, so that it succeeds."""
    (folder / "mended").touch()
