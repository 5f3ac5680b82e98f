"""Errors of notifiers.

NotifierError (ElasticError)        the channel did not take the message; another try may help
+-- RefusedMessageError             another try cannot help
"""

from elastic.core.errors import ElasticError


class NotifierError(ElasticError):
    """A channel did not take a message. Another try may help."""


class RefusedMessageError(NotifierError):
    """A channel refused a message, and would refuse it again."""
