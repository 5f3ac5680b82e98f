"""Add the indexes of the lists of runs and of events, and of the search for runs."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_dag_run_logical_date_dag_id", "dag_run", ["logical_date", "dag_id"])
    op.create_index("ix_dag_run_state_logical_date_dag_id", "dag_run", ["state", "logical_date", "dag_id"])
    op.drop_index("ix_dag_run_state", "dag_run")
    op.create_index("ix_dag_run_run_id", "dag_run", ["run_id"], postgresql_ops={"run_id": "varchar_pattern_ops"})
    op.create_index("ix_log_dag_id_id", "log", ["dag_id", "id"])
    op.create_index("ix_log_event_id", "log", ["event", "id"])


def downgrade() -> None:
    op.drop_index("ix_log_event_id", "log")
    op.drop_index("ix_log_dag_id_id", "log")
    op.drop_index("ix_dag_run_run_id", "dag_run")
    op.create_index("ix_dag_run_state", "dag_run", ["state"])
    op.drop_index("ix_dag_run_state_logical_date_dag_id", "dag_run")
    op.drop_index("ix_dag_run_logical_date_dag_id", "dag_run")
