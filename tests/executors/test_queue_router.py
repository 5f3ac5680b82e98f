"""Queues with executors of their own."""

from typing import Any

import pytest
from executor_samples import PlainExecutor, events_of, key_of, python, states_of

from elastic.config.queues import QueueSetting, queues_of
from elastic.core.errors import UsageError
from elastic.dag.states.state import TaskState
from elastic.executors import LocalExecutor, RayExecutor
from elastic.executors.queue_router import QueueRouter
from elastic.executors.registry import executor_by_queue


@pytest.fixture
def router() -> Any:
    found = QueueRouter({"default": LocalExecutor(2), "light": LocalExecutor(1), "plain": PlainExecutor()})
    found.start()
    yield found
    found.terminate()


def test_each_command_runs_in_the_executor_of_its_queue(router: QueueRouter) -> None:
    router.queue_command(key_of("a"), python("pass"))
    router.queue_command(key_of("b"), python("raise SystemExit(2)"), "light")
    router.queue_command(key_of("c"), python("pass"), "plain")
    assert {name: len(one.queued) for name, one in router.members.items()} == {"default": 1, "light": 1, "plain": 1}
    assert states_of(events_of(router, 3)) == {
        "a": TaskState.SUCCESS,
        "b": TaskState.FAILED,
        "c": TaskState.SUCCESS,
    }
    assert not router.running
    assert not router.queued


def test_a_full_executor_keeps_no_other_waiting(router: QueueRouter) -> None:
    slow = [key_of("slow0"), key_of("slow1")]
    for key in slow:
        router.queue_command(key, python("import signal; signal.pause()"), "light")
    router.queue_command(key_of("quick"), python("pass"))
    assert states_of(events_of(router, 1)) == {"quick": TaskState.SUCCESS}
    assert list(router.running) == slow[:1]
    assert {name: one.free for name, one in router.members.items()}["light"] == 0
    router.withdraw(lambda key: key == slow[1])
    router.kill(slow[0])
    assert states_of(events_of(router, 1)) == {"slow0": TaskState.FAILED}
    assert not router.queued


@pytest.mark.cluster
@pytest.mark.usefixtures("embedded_ray")
def test_local_workers_start_beside_ray_and_end_with_this_process() -> None:
    router = QueueRouter({"default": RayExecutor(2, "local"), "light": LocalExecutor(2)})
    router.start()
    try:
        router.queue_command(key_of("far"), python("pass"))
        router.queue_command(key_of("near"), python("pass"), "light")
        assert states_of(events_of(router, 2)) == {"far": TaskState.SUCCESS, "near": TaskState.SUCCESS}
    finally:
        router.terminate()


def test_queues_may_share_an_executor() -> None:
    shared = LocalExecutor(3)
    router = QueueRouter({"default": shared, "other": shared})
    assert router.queues == {"default": "default", "other": "default"}
    assert (list(router.members), router.free, router.title) == (["default"], 3, "LocalExecutor")


def test_a_queue_without_an_executor_is_refused(router: QueueRouter) -> None:
    with pytest.raises(UsageError, match="no executor has the queue 'heavy'"):
        router.queue_command(key_of("a"), python("pass"), "heavy")
    with pytest.raises(UsageError, match="no executor has the queue 'default'"):
        QueueRouter({"other": LocalExecutor(1)})


def test_the_setting_names_executors_with_their_parallelism() -> None:
    assert queues_of(" heavy=ray*64 ,small = local,mine=my.module:Class*2,") == {
        "heavy": QueueSetting("ray", 64),
        "small": QueueSetting("local"),
        "mine": QueueSetting("my.module:Class", 2),
    }
    router = executor_by_queue("sequential", queues_of("small=local*2,wide=local"), 5)
    assert [one.parallelism for one in router.members.values()] == [1, 2, 5]
    assert router.title == "SequentialExecutor, LocalExecutor"
    assert executor_by_queue("local", {}, 5).queues is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("heavy", "has the entry 'heavy'"),
        ("heavy=", "has the entry 'heavy='"),
        ("=ray", "has the entry '=ray'"),
        ("heavy=ray*0", "has the entry 'heavy=ray\\*0'"),
        ("heavy=ray*1*2", "has the entry"),
        ("h\u00e9=ray", "has the entry"),
        ("a=ray,a=local", "names the queue 'a' twice"),
        ("default=ray", "whose executor is core.executor"),
    ],
)
def test_an_invalid_setting_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        queues_of(text)


def test_an_unknown_executor_of_a_queue_is_refused() -> None:
    with pytest.raises(UsageError, match=r"core\.queues, queue 'heavy': unknown executor 'celery'"):
        executor_by_queue("local", queues_of("heavy=celery"))
