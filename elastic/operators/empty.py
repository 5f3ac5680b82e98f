"""A task that does nothing."""

from elastic.dag.operator import BaseOperator


class EmptyOperator(BaseOperator):
    """Does nothing: a point where links meet."""

    ui_color = "#e8f7e4"

    def execute(self) -> None:
        return None
