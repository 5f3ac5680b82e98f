"""A repeated collect request is an error: an actor gives up its state with the first reply."""

import pytest

from elastic.core.errors import ClusterError
from elastic.stages.ray_backend.actors import CollectRequests


def test_a_repeated_request_is_an_error() -> None:
    requests = CollectRequests()
    requests.check_not_repeated(1)
    requests.check_not_repeated(2)
    for number in (2, 1):
        with pytest.raises(ClusterError, match=f"request {number} was already answered"):
            requests.check_not_repeated(number)
    requests.check_not_repeated(3)
