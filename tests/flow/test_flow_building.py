"""Flows, steps and options are values, and what cannot be done is said when they are made."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import elastic
from elastic.aggregators import Count, Emit, Max, MergeMappings, Reduce, Sum
from elastic.core.errors import StepFailedError, UsageError
from elastic.core.policies.engine_tuning import EngineTuning
from elastic.engine.options import OPTION_NAMES, GivenOptions


def flow() -> elastic.Flow:
    return elastic.from_iterable([1, 2, 3])


def test_each_link_is_a_new_flow_and_the_old_ones_still_run() -> None:
    numbers = flow()
    doubled = numbers.map(lambda number: number * 2)
    assert numbers.aggregate(Sum()).run(cluster="inline").value == 6
    assert doubled.aggregate(Sum()).run(cluster="inline").value == 12
    assert doubled.aggregate(Sum()).run(cluster="inline").value == 12


def test_a_flow_and_a_step_show_what_they_are_made_of() -> None:
    written = flow().map(str).filter(len).key_by(len).aggregate(Count())
    assert repr(written) == "Flow(source -> map(str) -> filter(len) -> key_by(len) -> Count)"
    assert repr(written.step()) == "Step('len')"
    assert repr(written.step(name="lengths")) == "Step('lengths')"
    assert written.step().manifest()["transforms"] == ["map(str)", "filter(len)", "key_by(len)"]


def test_the_options_of_a_flow_hold_for_its_runs_and_can_be_overruled() -> None:
    named = flow().options(cluster="inline", name="first", max_chunks_in_flight=10)
    assert named.run().name == "first"
    assert named.run(name="second").name == "second"
    assert named.step().options.tuning == EngineTuning(max_chunks_in_flight=10)


def test_interceptors_that_are_given_in_several_places_all_watch() -> None:
    class Watch(elastic.Interceptor):
        pass

    first, second = Watch(), Watch()
    step = flow().options(interceptor=first).step(interceptor=[second, Watch])
    assert step.options.interceptors[:2] == (first, second)
    assert len(step.options.interceptors) == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [("count", "Count"), (" Sum ", "Sum"), ("TOP_K", None), ("merge_mappings", "MergeMappings"), ("by_type", "ByType")],
)
def test_aggregators_have_names(name: str, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(UsageError, match="TopK needs arguments"):
            flow().aggregate(name)
    else:
        assert repr(flow().aggregate(name)).endswith(f"-> {kind})")


NO_FLOW: Any = None
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "map": (lambda: flow().map(5), r"map\(5\): expected a function"),
    "filter": (lambda: flow().filter(None), r"filter\(None\): expected a function"),
    "flat_map": (lambda: flow().flat_map("split"), r"flat_map\('split'\): expected a function"),
    "map_chunks": (lambda: flow().map_chunks([]), "map_chunks"),
    "key_by": (lambda: flow().key_by("name"), "key_by"),
    "two aggregators": (lambda: flow().aggregate("sum").aggregate("sum"), "one aggregator"),
    "map behind aggregate": (lambda: flow().aggregate("sum").map(str), "map cannot follow aggregate"),
    "a name with a near match": (lambda: flow().aggregate("cuont"), "did you mean 'count'"),
    "a name without one": (lambda: flow().aggregate("zzzzzz"), "there are approximate_distinct"),
    "no aggregator": (lambda: flow().aggregate(7), "is not an aggregator"),
    "a class that is none": (lambda: flow().aggregate(dict), "class dict is not an aggregator"),
    "a function of one": (lambda: flow().aggregate(lambda one: one), "write it as aggregate"),
    "no source": (lambda: elastic.Flow([1, 2]), "is not a Source"),
    "from_source": (lambda: elastic.from_source([1]), "is not a Source"),
    "no task": (lambda: elastic.Step([1]), "the step has no task"),
    "task": (lambda: elastic.Step([1], task="count"), "task='count' is not a function"),
    "step of a number": (lambda: elastic.Step(5, task=len), "5 cannot be iterated"),
    "step of a text": (lambda: elastic.Step("a.txt", task=len), "is a string; pass a list"),
    "step of a flow": (lambda: elastic.Step(flow(), task=len), "cannot be iterated"),
    "step's chunk_size": (lambda: elastic.Step([1], task=len, chunk_size=0), "chunk_size"),
    "step's window": (lambda: elastic.Step([1], task=len, window=3), "window must be a function"),
    "step's aggregator": (lambda: elastic.Step([1], task=len, aggregator="sun"), "did you mean 'sum'"),
    "chunk_size of a source": (
        lambda: elastic.Step(elastic.stages.sources.RangeSource(0, 3), task=len, chunk_size=2),
        "chunk_size cannot be given with a Source",
    ),
    "unknown option": (lambda: flow().run(cluser="inline"), "there is no option 'cluser'; did you mean 'cluster'"),
    "unlike any option": (lambda: flow().options(xyz=1), "there is no option 'xyz'; options are name, cluster"),
    "unknown option of a step": (lambda: elastic.Step([1], task=len, wokers=1), "did you mean 'workers'"),
    "workers": (lambda: flow().options(workers=0), "workers=0 must be a whole number above 0"),
    "workers as a float": (lambda: flow().options(workers=2.0), "workers=2.0"),
    "workers as a truth": (lambda: flow().options(workers=True), "workers=True"),
    "cluster": (lambda: flow().run(cluster="nowhere"), "cluster 'nowhere' is not inline, local, auto or host:port"),
    "cluster as a number": (lambda: flow().options(cluster=6379), "cluster=6379 must be a non-empty string"),
    "empty cluster": (lambda: flow().options(cluster=""), "cluster='' must be a non-empty string"),
    "port": (lambda: flow().run(cluster="host:99999"), "cluster 'host:99999' is not"),
    "name": (lambda: flow().options(name=5), "name=5 must be a non-empty string"),
    "home": (lambda: flow().options(home=5), "home=5 must be the path of a folder"),
    "empty home": (lambda: flow().options(home=""), "home='' must be the path of a folder"),
    "chunk_store": (
        lambda: flow().options(chunk_store="memory"),
        "must be one of segment, directory, a class",
    ),
    "chunk_store of another class": (lambda: flow().options(chunk_store=dict), "must derive from elastic.ChunkStore"),
    "half a chunk_store": (
        lambda: flow().options(chunk_store=elastic.ChunkStore),
        "lacks delete, get, put",
    ),
    "no chunk_store": (lambda: flow().options(chunk_store="no_module_of_this_name:Store"), "is missing"),
    "chunk_store without a class": (lambda: flow().options(chunk_store="json:dumps"), "must derive from"),
    "stages": (lambda: flow().options(stages=0), "stages=0 must be a whole number above 0"),
    "stages and workers": (lambda: flow().options(stages=2, workers=3), "stages=2 and workers=3 mean the same"),
    "hash": (
        lambda: flow().options(hash=len),
        "chunks are not assigned by a hash: each goes to a free worker",
    ),
    "partition": (lambda: flow().options(partition=len), "give shards= to partition the result by key"),
    "compress": (lambda: flow().options(compress=1), "compress=1 must be True or False"),
    "project": (lambda: flow().options(project=3), "project=3 must be a function"),
    "placement": (lambda: flow().options(placement="round_robbin"), "did you mean 'round_robin'"),
    "interceptor": (lambda: flow().options(interceptor=print), "is not an Interceptor"),
    "persist": (lambda: flow().options(persist="off"), "persist='off' must be True or False"),
    "whole_chunks": (lambda: flow().options(whole_chunks=1), "whole_chunks=1 must be True or False"),
    "max_chunks_in_flight": (
        lambda: flow().options(max_chunks_in_flight=0),
        "max_chunks_in_flight=0 must be a whole number above 0",
    ),
    "target_call_seconds": (
        lambda: flow().options(target_call_seconds="1"),
        "target_call_seconds='1' must be a number above 0",
    ),
    "max_worker_losses": (
        lambda: flow().options(max_worker_losses=1.5),
        "max_worker_losses=1.5 must be a whole number",
    ),
    "queue's home": (lambda: elastic.StepQueue(home=7), "home=7"),
    "queue's chunk_store": (lambda: elastic.StepQueue(chunk_store="disk"), "chunk_store='disk'"),
}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("trim", "option 'trim' was renamed; use 'project'."),
        ("look_ahead", "option 'look_ahead' was renamed; use 'max_chunks_in_flight'."),
        ("look_ahead_bytes", "option 'look_ahead_bytes' was renamed; use 'max_bytes_in_flight'."),
        ("call_seconds", "option 'call_seconds' was renamed; use 'target_call_seconds'."),
        ("call_chunks", "option 'call_chunks' was renamed; use 'max_chunks_per_call'."),
        ("call_bytes", "option 'call_bytes' was renamed; use 'max_bytes_per_call'."),
        ("collect_seconds", "option 'collect_seconds' was renamed; use 'collect_interval'."),
        ("commit_seconds", "option 'commit_seconds' was renamed; use 'commit_interval'."),
        ("speculate_seconds", "option 'speculate_seconds' was renamed; use 'speculation_timeout'."),
        ("full_disk_seconds", "option 'full_disk_seconds' was renamed; use 'disk_full_timeout'."),
        ("max_attempts", "option 'max_attempts' was renamed; use 'max_worker_losses'."),
        ("splittable", "give whole_chunks=True in place of splittable=False."),
        ("durability", "give persist=False in place of durability='off'."),
    ],
)
def test_a_former_name_of_an_option_is_refused_with_its_new_name(name: str, advice: str) -> None:
    given: dict[str, Any] = {name: 1}
    for refused in (flow().options, flow().run, lambda **options: elastic.Step([1], task=len, **options)):
        with pytest.raises(UsageError, match=re.escape(advice)):
            refused(**given)


def test_every_option_is_declared_for_the_type_checker() -> None:
    assert set(GivenOptions.__annotations__) == OPTION_NAMES


async def later(entry: Any, other: Any = None) -> Any:
    return entry


def yielding(entry: Any, other: Any = None) -> Any:
    yield entry


async def yielding_later(entry: Any, other: Any = None) -> Any:
    yield entry


class Call:
    async def __call__(self, entry: Any) -> Any:
        return entry


class Late(elastic.Aggregator[Any, Any, Any]):
    def create(self) -> Any:
        return []

    async def add(self, state: Any, entry: Any) -> Any:
        return state

    def merge(self, state: Any, other: Any) -> Any:
        return state

    def finish(self, state: Any) -> Any:
        return state


class Watch(elastic.Interceptor):
    async def failed(self, failure: Any) -> None:
        """Would never run."""


ROLES: dict[str, Callable[[Any], Any]] = {
    "map": lambda function: flow().map(function),
    "filter": lambda function: flow().filter(function),
    "flat_map": lambda function: flow().flat_map(function),
    "map_chunks": lambda function: flow().map_chunks(function),
    "key_by": lambda function: flow().key_by(function),
    "task": lambda function: elastic.Step([1], task=function),
    "aggregate": lambda function: flow().aggregate(function),
    "Reduce": Reduce,
    "MergeMappings": MergeMappings,
    "Emit": Emit,
    "Max(key=)": Max,
    "window": lambda function: elastic.Step([1], task=len, window=function),
    "project": lambda function: flow().options(project=function),
}
#: Where the elements of a generator are what is wanted.
ITERATING = ("flat_map", "map_chunks")


@pytest.mark.parametrize("role", ROLES)
def test_a_function_whose_call_runs_nothing_is_refused_when_the_flow_is_built(role: str) -> None:
    makes = [
        (later, "an async function"),
        (yielding_later, "an async generator"),
        (partial(later, other=1), "an async function"),
    ]
    if role not in ITERATING:
        makes.append((yielding, "a generator function"))
    for function, kind in makes:
        with pytest.raises(UsageError, match=rf"{re.escape(role)} got .*, which is {kind}.*; .*\.$"):
            ROLES[role](function)
    with pytest.raises(UsageError, match="which is an async function"):
        flow().map(Call())


def test_async_methods_are_refused_when_the_flow_is_built() -> None:
    with pytest.raises(UsageError, match=r"aggregator Late: method add got .* which is an async function"):
        flow().aggregate(Late)
    with pytest.raises(UsageError, match=r"interceptor Watch: method failed got .* which is an async function"):
        flow().options(interceptor=Watch)


def test_a_generator_function_serves_where_many_entries_are_wanted() -> None:
    assert flow().flat_map(yielding).map_chunks(yielding).aggregate("size").run(cluster="inline").value > 0


class Yielding:
    def __init__(self, entries: Any) -> None:
        self.entries = entries

    def __iter__(self) -> Any:
        return iter(self.entries)


def test_a_class_is_a_function_only_where_its_objects_make_sense() -> None:
    class Plain:
        def __init__(self, entry: Any) -> None:
            self.entry = entry

    for verb in ("map", "filter", "flat_map", "map_chunks", "key_by"):
        with pytest.raises(UsageError, match=rf"{verb} got the class Call, whose objects are called; pass Call\("):
            getattr(flow(), verb)(Call)
    with pytest.raises(UsageError, match="filter got the class Plain, whose objects are always true"):
        flow().filter(Plain)
    for verb in ("flat_map", "map_chunks"):
        with pytest.raises(UsageError, match=rf"{verb} got the class Plain, whose objects are not iterable"):
            getattr(flow(), verb)(Plain)
    assert flow().map(str).map_chunks(Yielding).map(int).filter(int).run(cluster="inline").entries
    assert flow().map(Plain).map(lambda one: one.entry).aggregate("collect").run(cluster="inline").value


def test_previous_is_explained_where_a_function_does_not_know_it() -> None:
    with pytest.raises(UsageError, match=r"aggregate\(max\) .* previous is None for the first entry; .*\('max'\)"):
        flow().aggregate(max)
    with pytest.raises(
        StepFailedError, match=r"previous is None .*; begin the function with `if previous is None: return new`"
    ):
        flow().aggregate(lambda new, previous: new + previous).run(cluster="inline")


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_done_is_said_in_one_sentence(what: str, home: Path) -> None:
    action, text = BAD[what]
    with pytest.raises(UsageError, match=text) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert ". " not in sentence
    assert list(home.iterdir()) == []


def test_stages_of_elasticflow_are_the_number_of_workers() -> None:
    assert flow().step(stages=3).options.workers == 3
    assert flow().step(stages=None).options.workers is None
    assert flow().step(workers=2, stages=2).options.workers == 2
