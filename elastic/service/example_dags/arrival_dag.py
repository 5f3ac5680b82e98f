"""Sensors: wait for a file, then for its last line, and work on it.

`elastic dags trigger arrival --conf '{"file": "/data/in.csv"}'` waits until the file is there and ends with the line
`end`; `elastic tasks why arrival arrived RUN` says why it waits. Without a file, it takes this one, which is there.
"""

from datetime import timedelta
from pathlib import Path

from elastic import DAG
from elastic.operators import task
from elastic.sensors import FileSensor, PokeReturnValue


@task.sensor
def complete(path: str) -> PokeReturnValue:
    """Wait until the last line is `end`, and return the number of lines before it."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return PokeReturnValue(is_done=lines[-1:] in (["end"], ["# end"]), xcom_value=len(lines) - 1)


@task
def load(count: int) -> None:
    """Print the number of lines."""
    print(f"{count} lines")  # noqa: T201 - it goes to the log of the task


with DAG("arrival", schedule=None, params={"file": __file__}, default_args={"timeout": timedelta(hours=6)}) as arrival:
    # A triggerer checks it, so it holds no process while it waits. Its value is the path.
    arrived = FileSensor(
        task_id="arrived",
        path="{{ conf.get('file', params.file) }}",
        min_size=1,
    )
    load(complete(arrived.output))

# end
