"""First DAG: three tasks, of which the second runs once per element of a list.

A master runs it for the last day that has passed, and then each day; `elastic dags trigger tutorial` runs it now.
"""

from elastic import DAG
from elastic.operators import task


@task
def numbers() -> list[int]:
    """Return the numbers to work on."""
    return [1, 2, 3]


@task
def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


@task
def report(values: list[int], ds: str) -> None:
    """Print the sum."""
    print(f"{ds}: the sum of {values} is {sum(values)}")  # noqa: T201 - it goes to the log of the task


with DAG("tutorial", schedule="@daily", start_date="2026-01-01", catchup=False) as tutorial:
    report(double.expand(number=numbers()))
