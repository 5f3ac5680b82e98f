"""Templates: their context, their errors, and the limits of the sandbox."""

import ast
import random
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from dag_samples import DAY, Echo, attempt, rendered, sample_dag

from elastic.dag.context import ContextServices
from elastic.dag.errors import LookupFailedError, TemplateError
from elastic.dag.execution.build_context import build_context
from elastic.dag.execution.execute import execute, prepare


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no template", "no template"),
        ("{{ ds }} {{ ds_nodash }} {{ tomorrow_ds }} {{ yesterday_ds }}", "2016-02-22 20160222 2016-02-23 2016-02-21"),
        ("{{ execution_date }} {{ logical_date.year }} {{ ts }}", "2016-02-22 00:00:00 2016 2016-02-22T00:00:00+00:00"),
        ("{{ data_interval_start }} {{ data_interval_end }}", "2016-02-22 00:00:00 2016-02-23 00:00:00"),
        ("{{ prev_ds }} {{ next_ds }} {{ timeperiod }}", "2016-02-21 2016-02-23 20160222"),
        ("{{ task_instance.execution_date }} {{ ti.task_id }}", "2016-02-22 00:00:00 echo"),
        ("{{ ti.key }}", "sample.echo of scheduled_20160222T000000"),
        ("{{ dag }} {{ dag.dag_id }} {{ dag.schedule_interval }}", "<DAG: sample> sample @daily"),
        ("{{ task }} {{ task.owner }} {{ task.retries }}", "<Task(Echo): echo> elastic 0"),
        ("{{ ti.task.task_id }} {{ ti.try_number }} {{ run_id }}", "echo 1 scheduled_20160222T000000"),
        ("{% if ds > '2016-02-21' %}late{% else %}early{% endif %}", "late"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{{ macros.ds_add(ds, -22) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.') }}", "2016-01-31 22.02."),
        ("{{ macros.dates.last_of_month(ds) }} {{ macros.dates.days_between('2016-02-01', ds) }}", "2016-02-29 21"),
        ("{{ macros.dates.range(ds, tomorrow_ds) }}", "['2016-02-22', '2016-02-23']"),
        ("{{ macros.datetime(2016, 2, 22).isoformat() }}", "2016-02-22T00:00:00"),
        ("{{ execution_date + macros.timedelta(days=7) }}", "2016-02-29 00:00:00"),
        ("{{ macros.uuid.uuid4() | length }} {{ macros.uuid.uuid5('dns', 'a.b') | length }}", "36 36"),
        ("{{ 0 <= macros.random() < 1 }} {{ macros.random() == macros.random() }}", "True False"),
        ("{{ macros.datetime.now().year > 2020 }} {{ macros.time() > 0 }}", "True True"),
        ("{{ conf.asked }} {{ params.asked }}", "yes yes"),
        ("a\n", "a\n"),
        (["{{ ds }}", 7, {"k": ("{{ ti.task_id }}", None)}], ["2016-02-22", 7, {"k": ("echo", None)}]),
    ],
)  # fmt: skip
def test_a_template_sees_the_context(text: Any, expected: Any) -> None:
    assert rendered(text, conf={"asked": "yes"}) == expected


def test_the_three_texts_of_the_tutorial_render() -> None:
    texts = [
        "INSERT INTO t SELECT '{{ task_instance.execution_date }}'",
        "SELECT {{ macros.random() }}",
        "{% if params['my_param'] == 'x' %}SELECT '{{ params.my_param }}'{% endif %}",
    ]
    found = [rendered(text, day="2014-09-15", params={"my_param": "x"}) for text in texts]
    assert found[0] == "INSERT INTO t SELECT '2014-09-15 00:00:00'"
    assert found[1].startswith("SELECT 0.")
    assert found[2] == "SELECT 'x'"


def a_module() -> ModuleType:
    module = ModuleType("params_module")
    module.x, module.nested = "from a module", {"y": [1, 2]}  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"x": "from a dict", "nested": {"y": [1, 2]}}, "from a dict"),
        (a_module(), "from a module"),
        (SimpleNamespace(x="from an object", nested={"y": [1, 2]}), "from an object"),
    ],
)
def test_params_may_be_a_dict_a_module_or_any_object(params: Any, said: str) -> None:
    assert rendered("{{ params.x }}|{{ params['x'] }}|{{ params.nested.y[1] }}", params=params) == f"{said}|{said}|2"
    assert rendered("{{ params.nested | tojson }}", params=params) == '{"y": [1, 2]}'


def test_users_add_macros_of_their_own() -> None:
    dag = sample_dag(user_defined_macros={"twice": lambda n: 2 * n, "rate": 0.5, "table": {"name": "t"}})
    text = "{{ twice(4) }} {{ macros.twice(5) }} {{ rate }} {{ macros.rate }} {{ table.name }} {{ macros.table.name }}"
    assert rendered(text, dag=dag) == "8 10 0.5 0.5 t t"


def test_variables_and_connections_are_looked_up_in_templates() -> None:
    connection = SimpleNamespace(conn_id="db", host="h", password="p", get_hook=lambda: None)
    outside = ContextServices(
        get_variable={"a": "1", "j": '{"k": [2]}'}.__getitem__, get_connection={"db": connection}.__getitem__
    )

    def look(text: str) -> Any:
        return attempt(Echo(text, task_id="t"), services=outside).result

    assert look("{{ var.a }} {{ var['a'] }} {{ var.value.a }} {{ var.json.j.k[0] }}") == "1 1 1 2"
    assert look("{{ var.get('none', 'x') }} {{ var.json.get('none', 'y') }}") == "x y"
    assert look("{{ conn.db.host }} {{ conn.db.password }}") == "h p"
    with pytest.raises(TemplateError, match="has no 'get_hook'"):
        look("{{ conn.db.get_hook() }}")
    with pytest.raises(TemplateError, match="var has no 'missing'"):
        look("{{ var.missing }}")


def test_a_variable_that_cannot_be_looked_up_says_why() -> None:
    def locked(name: str) -> str:
        raise LookupFailedError(f"variable {name!r} needs a key")

    with pytest.raises(TemplateError, match="variable 'a' needs a key"):
        attempt(Echo("{{ var.a }}", task_id="t"), services=ContextServices(get_variable=locked))


def test_what_other_tasks_passed_on_is_there_for_templates() -> None:
    dag, services = sample_dag(), ContextServices()
    attempt(Echo({"n": 3}, task_id="a", dag=dag), services=services)
    assert attempt(Echo("{{ ti.xcom_pull('a').n }}", task_id="b", dag=dag), services=services).result == "3"


FAILURES = [
    ("{{ [nothing] }}", "line 1", "'nothing' is undefined"),
    ("{{ nothing }}", "line 1", "'nothing' is undefined"),
    ("select\n  {{ dss }}\n", "line 2", "'dss' is undefined"),
    ("\n\n{% if %}", "line 3", "Expected an expression"),
    ("{{ ds", "line 1", "unexpected end of template"),
    ("a\nb {{ 1 / 0 }}", "line 2", "ZeroDivisionError: division by zero"),
    ("{{ dag.clear() }}", "line 1", "<DAG: sample> has no 'clear'"),
    ("{{ task.execute() }}", "line 1", "<Task\\(Echo\\): echo> has no 'execute'"),
    ("{{ params.x }}", "line 1", "has no attribute 'x'"),
    ("{% include 'other.sql' %}", "line 1", "there is no file 'other.sql'"),
]


@pytest.mark.parametrize(("text", "place", "reason"), FAILURES)
def test_a_template_error_names_task_field_line_and_reason(text: str, place: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=f"^the template of task 'echo', field 'text' \\({place}\\) .*{reason}"):
        rendered(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sql").mkdir()
    (tmp_path / "load.sql").write_text("load {{ ds }};\n{% include 'sql/part.sql' %}")
    (tmp_path / "sql" / "part.sql").write_text("\n\npart {{ oops }}")
    (tmp_path / "fine.sql").write_text("fine {{ ds }}\n")
    return tmp_path


def test_a_field_that_is_a_file_name_is_the_text_of_the_file(folder: Path) -> None:
    dag = sample_dag(template_searchpath=str(folder))
    assert rendered("fine.sql", dag=dag) == "fine 2016-02-22\n"
    assert rendered(str(folder / "fine.sql")) == "fine 2016-02-22\n"
    assert rendered("select 'fine.sql", dag=sample_dag()) == "select 'fine.sql"
    assert rendered("run it.sql", dag=sample_dag()) == "run it.sql"
    beside = sample_dag()
    beside.fileloc = str(folder / "dags.py")
    assert rendered("fine.sql", dag=beside) == "fine 2016-02-22\n"


@pytest.mark.parametrize(
    "part", ["{% include 'b.sql' %}", "{% extends 'b.sql' %}", "{% from 'b.sql' import own %}{{ own() }}"]
)
def test_a_relative_file_lies_beside_the_dag_after_a_file_from_elsewhere(part: str, tmp_path: Path) -> None:
    for place in ("far", "near", "searched"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "b.sql").write_text(f"{place}{{% macro own() %}}{place}{{% endmacro %}}")
        (tmp_path / place / "a.sql").write_text(part)
    (tmp_path / "searched" / "c.sql").write_text(part)
    dag = sample_dag(template_searchpath=[tmp_path / "searched"])
    dag.fileloc = str(tmp_path / "near" / "dags.py")
    names = [str(tmp_path / "far/a.sql"), "b.sql", "a.sql", "c.sql", part, str(tmp_path / "far/a.sql")]
    assert rendered(names, dag=dag) == ["far", "near", "near", "near", "near", "far"]


def test_an_error_in_a_file_names_the_file_and_the_line(folder: Path) -> None:
    dag = sample_dag(template_searchpath=[folder])
    with pytest.raises(TemplateError, match=r"sql/part\.sql:3\) cannot be rendered: 'oops' is undefined"):
        rendered("load.sql", dag=dag)
    (folder / "bad.sql").write_text("a\n{% endif %}")
    with pytest.raises(TemplateError, match=f"{folder}/bad.sql:2\\) cannot be rendered"):
        rendered("bad.sql", dag=sample_dag(template_searchpath=[folder]))


@pytest.mark.parametrize("name", ["gone.sql", "../fine.sql", "sql/../fine.sql"])
def test_a_file_that_is_not_below_the_folders_is_not_there(name: str, folder: Path) -> None:
    with pytest.raises(TemplateError, match=f"there is no file '{name}' in the folder of the DAG file"):
        rendered(name, dag=sample_dag(template_searchpath=folder / "sql"))


def test_nothing_is_executed_after_a_template_error() -> None:
    done: list[str] = []

    class Doing(Echo):
        def execute(self) -> None:
            done.append("it")

    with pytest.raises(TemplateError, match="Nothing was executed"):
        attempt(Doing("{{ oops }}", task_id="t"))
    assert done == []


def test_rendered_values_are_logged() -> None:
    for text, told in ((["{{ ds }}", 1], {"text": "['2016-02-22', 1]"}), ("{{ ds }}", {"text": DAY}), (None, {})):
        task = Echo(text, task_id="t")
        _, fields = prepare(task, build_context(task, task.attempt_info(DAY)))
        assert fields == told


def test_a_field_that_the_class_forgot_is_named() -> None:
    class Forgetful(Echo):
        template_fields = ("text", "tetx")

    with pytest.raises(TemplateError, match=r"field 'tetx' .* the task has no such attribute"):
        attempt(Forgetful(task_id="t"))


#: Templates that try to escape from the sandbox; none may render.
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{0.__class__.__mro__}'.format(1) }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ (''|attr('format'))(1).__class__ }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{{ ('{0.__class__}'|attr('format'))(1) }}",
    "{{ ['{0.__class__}']|map('format', 1)|list }}{{ oops }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ range.__class__ }}",
    "{{ dict.__base__ }}",
    "{{ dict.mro() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__ }}",
    "{{ config }}",
    "{{ request }}",
    "{% import 'os' as os %}{{ os }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../../../etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{{ dag.tasks }}",
    "{{ dag.add_task }}",
    "{{ dag.run() }}",
    "{{ dag._tokens }}",
    "{{ dag.__init__ }}",
    "{{ dag._facts }}",
    "{{ task._dag }}",
    "{{ task.execute }}",
    "{{ task.dag }}",
    "{{ task.on_failure_callback }}",
    "{{ ti.xcom_push('a', 1) }}",
    "{{ ti._xcoms }}",
    "{{ ti.run() }}",
    "{{ ti.error() }}",
    "{{ ti.task.dag.clear() }}",
    "{{ ti.xcom_pull.__self__ }}",
    "{{ ti.xcom_pull.__func__.__globals__ }}",
    "{{ ti.xcom_pull.__globals__ }}",
    "{{ params.secret_function() }}",
    "{{ params.secret_function.__globals__ }}",
    "{{ params._hidden }}",
    "{{ params.module.system('true') }}",
    "{{ params.kind() }}",
    "{{ params.__dict__ }}",
    "{{ params.__class__.__init__ }}",
    "{{ settings }}",
    "{{ settings.password }}",
    "{{ twice.__globals__ }}",
    "{{ twice.__code__ }}",
    "{{ twice|attr('__globals__') }}",
    "{{ twice.func_globals }}",
    "{{ macros.twice.__globals__ }}",
    "{{ macros.random.__globals__ }}",
    "{{ macros.random.__code__.co_consts }}",
    "{{ macros.datetime.now.__self__ }}",
    "{{ macros.datetime.__class__ }}",
    "{{ macros.__init__ }}",
    "{{ macros.os }}",
    "{{ macros.uuid.os }}",
    "{{ macros.uuid.uuid5('__class__', 'x') }}",
    "{{ var._lookup }}",
    "{{ var.__init__ }}",
    "{{ conn._lookup('x') }}",
    "{{ execution_date.__reduce__() }}",
    "{{ (execution_date.tzinfo).__class__ }}",
    "{{ conf.update({'a': 1}) }}",
    "{{ params.numbers.append(1) }}",
    "{{ conf.clear() }}",
    "{% do conf.clear() %}",
    "{% set dag.dag_id = 'x' %}",
    "{{ 10 ** 10000000 }}",
    "{{ 2 ** (2 ** 30) }}",
    "{{ 'a' * 1000000000 }}",
    "{{ 1000000000 * 'a' }}",
    "{{ [1] * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ '%*d'|format(1000000000, 1) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a'|indent(1000000000, true) }}",
    "{% for a in range(1000000000) %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(9999) %}{{ 'a' * 1000 }}{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_way_leads_out_of_the_sandbox(text: str) -> None:
    params = SimpleNamespace(secret_function=lambda: "out", module=random, kind=Path, numbers=[1], _hidden="out")
    dag = sample_dag(user_defined_macros={"twice": lambda n: 2 * n})
    task = Echo(text, task_id="t", dag=dag, params=params)
    services = ContextServices(
        settings={"password": "s3cret"}, get_variable={}.__getitem__, get_connection={}.__getitem__
    )
    with pytest.raises(TemplateError):
        execute(task, build_context(task, task.attempt_info("2016-02-22"), services))
    assert dag.task_ids == ["t"]
    assert params.numbers == [1]


def test_templates_cannot_change_what_they_are_given() -> None:
    conf = {"list": [1], "dict": {"a": 1}}
    assert rendered("{{ conf.list }} {{ conf.dict }}", conf=conf) == "[1] {'a': 1}"
    assert ast.literal_eval(rendered("{{ conf }}", conf=conf)) == conf
    for text in ("{{ conf.list.append(2) }}", "{{ conf.dict.pop('a') }}", "{{ conf.dict.update(b=1) }}"):
        with pytest.raises(TemplateError, match=r"is not safely callable|unsafe"):
            rendered(text, conf=conf)
    assert conf == {"list": [1], "dict": {"a": 1}}


def test_a_value_is_never_a_template() -> None:
    assert rendered("{{ conf.text }}", conf={"text": "{{ ds }} {% if"}) == "{{ ds }} {% if"


SECRET = "{{ conn.inside.password }}"


@pytest.mark.parametrize("name", ["params", "conf", "var", "macro", "xcom", "extra"])
def test_a_value_of_any_kind_is_never_a_template(name: str) -> None:
    """Values from data are never rendered as templates."""
    source = {
        "params": "{{ params.evil }}", "conf": "{{ conf.evil }}", "var": "{{ var.evil }}{{ var.value.evil }}",
        "macro": "{{ evil() }}", "xcom": "{{ ti.xcom_pull('before') }}", "extra": "{{ conn.inside.extra.evil }}",
    }  # fmt: skip
    connection = SimpleNamespace(conn_id="inside", password="hunter22", extra={"evil": SECRET})
    dag = sample_dag(user_defined_macros={"evil": lambda: SECRET})
    services = ContextServices(get_variable=lambda _: SECRET, get_connection=lambda _: connection)
    before, task = Echo(SECRET, task_id="before", dag=dag), Echo(source[name], task_id="after", dag=dag)
    facts = task.attempt_info(DAY, conf={"evil": SECRET})
    context = build_context(task, facts, services)
    build_context(before, before.attempt_info(DAY), services)["ti"].xcom_push("return_value", SECRET)
    shown = execute(task, context).result
    assert shown.replace(SECRET, "") == ""
    assert shown
