"""Files that could not be imported."""

from sqlalchemy import Column, Table

from elastic.db.model.schema import OPTIONS, Digest, Instant, LongText, Prose, metadata

import_error = Table(
    "import_error",
    metadata,
    #: of the file's path, because MySQL indexes no text of any length
    Column("path_digest", Digest, primary_key=True),
    Column("path", LongText, nullable=False),
    Column("traceback", Prose, nullable=False),
    Column("at", Instant, nullable=False),
    **OPTIONS,
)
