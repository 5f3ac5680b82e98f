"""Tasks made in a loop: ten commands, then one that waits for all of them, then the last.

elastic run example_2 runme_1 2014-09-01 -sd examples/dags
"""

from datetime import datetime

from elastic import DAG
from elastic.operators import BashOperator, EmptyOperator

default_args = {"owner": "elastic", "start_date": datetime(2014, 9, 1)}

dag = DAG("example_2", default_args=default_args)

run_this_last = EmptyOperator(task_id="run_this_last", dag=dag)
run_this = BashOperator(task_id="run_this", bash_command="echo 1", dag=dag)
run_this.set_downstream(run_this_last)

for number in range(10):
    task = BashOperator(
        task_id=f"runme_{number}",
        bash_command=f'echo "{number}: {{{{ task_instance.execution_date }}}}"',
        dag=dag,
    )
    task.set_downstream(run_this)

also_run_this = BashOperator(
    task_id="also_run_this", bash_command='echo "{{ macros.uuid.uuid4() }} of {{ dag }}"', dag=dag
)
also_run_this.set_downstream(run_this_last)

if __name__ == "__main__":
    dag.tree_view()
