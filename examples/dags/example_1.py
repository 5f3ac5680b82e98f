"""Run three tasks in a row, each day.

elastic backfill example_1 -s 2014-09-01 -e 2014-09-03 -sd examples/dags
"""

from datetime import datetime, timedelta

from elastic import DAG
from elastic.operators import BashOperator, EmptyOperator

default_args = {
    "owner": "elastic",
    "start_date": datetime(2014, 9, 1),
    "retries": 1,
    "retry_delay": timedelta(seconds=10),
}

dag = DAG("example_1", default_args=default_args, doc="Prints the date between an empty first and an empty last task.")

begin = EmptyOperator(task_id="begin", dag=dag)
print_date = BashOperator(task_id="print_date", bash_command="echo it is {{ ds }}", dag=dag)
end = EmptyOperator(task_id="end", dag=dag)

print_date.set_upstream(begin)
print_date.set_downstream(end)

if __name__ == "__main__":
    dag.tree_view()
