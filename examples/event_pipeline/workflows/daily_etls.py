"""DAGs of the pipeline: the tables, made once, and the load and the statistics of each day."""

from datetime import datetime, timedelta

from event_load import LOAD_OPTIONS, events_of_day, save
from organization_statistics import count_day

from elastic import DAG
from elastic.operators import FlowOperator, PythonOperator, SqlOperator
from elastic.sensors import S3DatepartSensor

default_args = {
    "owner": "data",
    "start_date": datetime(2016, 2, 21),
    "conn_id": "warehouse",
    "depends_on_past": True,
    "email": ["data@example.org"],
    "email_on_failure": True,
    "email_on_retry": False,
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "poke_interval": timedelta(seconds=30),
    "execution_timeout": timedelta(minutes=5),
}

with DAG("event_tables", schedule="@once", default_args=default_args) as tables:
    SqlOperator(task_id="create", sql="tables.sql")

with DAG("daily_etls", schedule="@daily", default_args=default_args, concurrency=4) as pipeline:
    load = FlowOperator(task_id="load", flow=events_of_day, on_result=save, options=LOAD_OPTIONS)
    # The first object of the next day shows that this day is complete.
    S3DatepartSensor(task_id="wait", bucket="{{ var['bucket'] }}", prefix="talk") >> load
    load >> PythonOperator(task_id="count", python_callable=count_day)
