"""Run by Alembic: it hands over the connection, within the transaction of whoever called it."""

from alembic import context

from elastic.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot change columns: tables are copied instead
    render_as_batch=True,
)
context.run_migrations()
