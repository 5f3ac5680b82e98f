"""What an actor has handed out is not there any more: a request that comes again must not look as if nothing was."""

import pytest

from elastic.core.errors import ClusterError
from elastic.stages.ray_backend.actors import CollectRequests


def test_a_request_that_was_answered_before_is_an_error() -> None:
    requests = CollectRequests()
    requests.check_not_repeated(1)
    requests.check_not_repeated(2)
    for number in (2, 1):
        with pytest.raises(ClusterError, match=f"request {number} was answered before"):
            requests.check_not_repeated(number)
    requests.check_not_repeated(3)
