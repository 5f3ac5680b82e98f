"""Tables of the users of the web server.

- user_account: names, roles and hashes of passwords
- session: logged-in browsers. A row has the digest of the session id.
- api_token: tokens of programs, stored as digests
- idempotency_key: answers to requests of the API, which repeated requests get again
- login_try: failed logins of the last minutes, which delay further logins
"""

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, false, true

from elastic.db.schema.types import OPTIONS, Digest, Instant, Key, Label, LongText, Serial, Word, metadata

user_account = Table(
    "user_account",
    metadata,
    Column("username", Key, primary_key=True),
    #: viewer, operator or admin
    Column("role", Word, nullable=False),
    #: argon2 or scrypt hash
    Column("password_hash", LongText, nullable=False),
    #: true while the user has the password that a command generated
    Column("is_password_initial", Boolean, nullable=False, server_default=false()),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    #: time zone of times on pages; null for the zone of the browser
    Column("zone", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("logged_in_at", Instant),
    **OPTIONS,
)


session = Table(
    "session",
    metadata,
    #: SHA-256 of the id, so that a copy of the database opens no session
    Column("digest", Digest, primary_key=True),
    Column("username", Key, nullable=False, index=True),
    Column("address", Label),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    **OPTIONS,
)


api_token = Table(
    "api_token",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    #: SHA-256 of the token
    Column("digest", Digest, nullable=False, unique=True),
    Column("username", Key, nullable=False, index=True),
    Column("name", Label, nullable=False),
    #: role of the token; it never has more rights than the user
    Column("role", Word, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("used_at", Instant),
    **OPTIONS,
)


login_try = Table(
    "login_try",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    #: SHA-256 of the given name, which may be a password in the wrong field
    Column("account", Digest, nullable=False),
    Column("address", Digest, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_login_try_address", "address", "at"),
    **OPTIONS,
)


idempotency_key = Table(
    "idempotency_key",
    metadata,
    #: SHA-256 of the user and the key
    Column("digest", Digest, primary_key=True),
    #: SHA-256 of method, path, query and body
    Column("request_digest", Digest, nullable=False),
    #: null while the request runs
    Column("status", Integer),
    #: JSON object
    Column("headers", LongText),
    Column("body", LongText),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
    **OPTIONS,
)
