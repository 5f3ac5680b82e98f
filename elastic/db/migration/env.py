"""Environment of Alembic: runs migrations on the caller's connection, within the caller's transaction."""

from alembic import context

from elastic.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter columns, so Alembic copies the tables
    render_as_batch=True,
)
context.run_migrations()
