"""Tutorial of Flux, which became Airflow: a hook, an operator over dates, a DAG, templates, a custom operator.

python examples/ancestors/flux_tutorial.py

The tables are in SQLite. Set ELASTIC_CONN_LOCAL_MYSQL to use MySQL: mysql://login:password@localhost/test.
"""

import os
import tempfile
from datetime import datetime
from typing import Any

from elastic import DAG
from elastic.dag import BaseOperator
from elastic.hooks import MySqlHook
from elastic.operators import MySqlOperator

TABLE = "create table visits (day varchar(30), page varchar(30), number double precision)"
INSERT = "insert into visits values ('{{ ds }}', 'home', 1)"
TEMPLATES = [
    "insert into visits select '{{ task_instance.execution_date }}', 'guess', {{ macros.random() }}",
    "insert into {{ params.table }} select '{{ ds }}', 'total', sum(number) from {{ params['table'] }}",
    "delete from visits where {% if ds_nodash == '20140915' %}page = 'guess'{% else %}number = 0{% endif %}",
]


class CountOperator(BaseOperator):
    """Operator that prints the rows of a query."""

    template_fields = ("sql",)

    def __init__(self, sql: str, mysql_dbid: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hook, self.sql = MySqlHook(mysql_dbid=mysql_dbid), sql

    def execute(self, execution_date: datetime) -> None:
        print(f"{self.hook.get_records(self.sql)} on {execution_date}")


def main(db: str, start: datetime, end: datetime) -> None:
    hook = MySqlHook(mysql_dbid=db)
    hook.run([TABLE, "insert into visits values ('2014-09-14', 'about', 1), ('2014-09-14', 'home', 3)"])
    print(hook.get_records("select page, number from visits order by page"))
    task = MySqlOperator(task_id="test_task3", sql=INSERT, mysql_dbid=db, owner="max")
    task.run(start_date=start, end_date=end)
    task.run(start_date=start, end_date=end)  # skips dates that have succeeded
    dag = DAG("mysql_example", start_date=start, default_args={"mysql_dbid": db, "params": {"table": "visits"}})
    mysql_first = MySqlOperator(task_id="mysql_first", sql="delete from visits where number = 3", dag=dag)
    mysql_second = MySqlOperator(task_id="mysql_second", sql=TEMPLATES, dag=dag)
    mysql_second.set_upstream(mysql_first)
    dag.tree_view()
    dag.run(start_date=start, end_date=end, max_active_runs=1)
    CountOperator("select count(*) from visits where day = '{{ ds }}'", db, task_id="count").run(start, end)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"ELASTIC_HOME": folder, "ELASTIC_CONN_LOCAL_MYSQL": f"sqlite:///{folder}/tables"} | os.environ
        main("local_mysql", datetime(2014, 9, 15), datetime(2014, 9, 17))
