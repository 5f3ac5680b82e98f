"""When a DAG is due: schedules, data intervals and time periods."""
