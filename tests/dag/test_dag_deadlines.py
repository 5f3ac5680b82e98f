"""Deadlines in the definition of DAGs and tasks."""

import datetime as dt
from typing import Any

import pytest

from elastic.dag import DAG, Deadline
from elastic.dag.errors import DefinitionError
from elastic.operators import DummyOperator

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"after": "midnight", "within": HOUR}, "counts after one of queued, started, logical_date, interval_end"),
        ({"after": "queued", "within": 60}, "within of a Deadline must be a timedelta >= 0, got 60"),
        ({"after": "queued", "within": -HOUR}, "must be a timedelta >= 0"),
        ({"after": "queued", "within": HOUR, "notify": [None]}, "a recipient or a list of recipients, got one of the"),
    ],
)
def test_a_wrong_deadline_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        Deadline(**fields)


def test_dags_and_tasks_take_one_deadline_or_several() -> None:
    one = Deadline(after="queued", within=HOUR, notify="ops")
    with DAG("etl", start_date="2016-02-22", deadlines=one) as dag:
        task = DummyOperator(task_id="load", deadlines=[one, one])
    assert dag.deadlines == (one,)
    assert task.deadlines == (one, one)
    assert one.notify == ("ops",)
    with pytest.raises(DefinitionError, match="DAG 'x': deadlines must be a Deadline or a list of them, got 3"):
        DAG("x", start_date="2016-02-22", deadlines=3)  # type: ignore[typeddict-item]
    with pytest.raises(DefinitionError, match="deadlines must be a Deadline or a list of them"):
        DummyOperator(task_id="x", deadlines="soon")  # type: ignore[arg-type]


@pytest.mark.parametrize("notify", ["https://hooks.example.org/t0p-s3cret", ["ops", "slack:t0p-s3cret"]])
def test_the_error_of_a_recipient_does_not_show_its_url(notify: Any) -> None:
    said = "notify must be mailto: URLs or ids of connections, got '(https|slack):...'; store any other"
    with pytest.raises(DefinitionError, match=said) as raised:
        DAG("etl", start_date="2016-02-22", notify=notify)
    assert "s3cret" not in str(raised.value)
    with pytest.raises(DefinitionError, match="notify of a Deadline must be") as raised:
        Deadline(after="queued", within=HOUR, notify=notify)
    assert "s3cret" not in str(raised.value)
