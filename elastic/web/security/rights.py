"""Rights, and the least role that has each. No other module decides what a role may do."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from elastic.db.stores.users import Role


class Right(StrEnum):
    """Right to one kind of action; its value completes the sentence "You may not ..."."""

    #: everything but secrets and administration
    READ = "see this page"
    #: own settings, such as the time zone and the password
    PREFER = "change your settings"
    TRIGGER = "start runs"
    PAUSE = "pause DAGs"
    PARSE = "load DAG files again"
    CLEAR = "clear task instances"
    MARK = "set the state of runs and task instances"
    CANCEL = "cancel runs"
    BACKFILL = "start backfills"
    #: redrive, resume and verify runs of flows
    REDRIVE = "redrive, resume or verify flows"
    MANAGE_POOLS = "change pools"
    READ_CONNECTIONS = "see connections"
    MANAGE_CONNECTIONS = "change connections"
    TEST_CONNECTIONS = "test connections"
    READ_VARIABLES = "see variables"
    MANAGE_VARIABLES = "change variables"
    MANAGE_USERS = "manage users"
    MANAGE_TOKENS = "manage API tokens"
    READ_SETTINGS = "see settings"
    READ_AUDIT = "see the audit log"


class Public(Enum):
    """Marker of a route that needs no login."""

    PUBLIC = "public"


PUBLIC: Final = Public.PUBLIC

_OPERATOR = (
    Right.TRIGGER,
    Right.PAUSE,
    Right.PARSE,
    Right.CLEAR,
    Right.MARK,
    Right.CANCEL,
    Right.BACKFILL,
    Right.REDRIVE,
)

#: Least role that has each right; a right that is not named here needs an admin.
LEAST_ROLE: Mapping[Right, Role] = MappingProxyType(
    {
        **dict.fromkeys(Right, Role.ADMIN),
        **dict.fromkeys(_OPERATOR, Role.OPERATOR),
        Right.READ: Role.VIEWER,
        Right.PREFER: Role.VIEWER,
    }
)
