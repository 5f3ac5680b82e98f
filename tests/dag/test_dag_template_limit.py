"""Limits on the output and the time of a template."""

import pytest
from dag_samples import Echo, attempt, rendered, sample_dag

from elastic.dag.errors import TemplateError


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x'.center(100000000) }}",
        "{{ 'x'.ljust(100000000) }}",
        "{{ 'x'.rjust(100000000) }}",
        "{{ 'x'.zfill(100000000) }}",
        "{{ ('\t' * 1000).expandtabs(1000000) }}",
        "{{ ('x' * 100000).replace('x', 'y' * 1000) }}",
        "{{ ('x' * 100000) | replace('x', 'y' * 1000) }}",
        "{{ ('x' * 100000).replace('', 'y' * 1000) }}",
        "{{ ('y' * 1000).join('x' * 100000) }}",
        "{{ ('x' * 100000) | join('y' * 1000) }}",
        "{{ range(100000) | join('y' * 1000) }}",
        "{{ '{:>100000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 100000000) }}",
        "{{ '{a:>100000000}'.format_map({'a': 1}) }}",
        "{{ ('{0}' * 10000).format('x' * 10000) }}",
        "{{ '%100000000d' | format(1) }}",
        "{{ '%*d' | format(100000000, 1) }}",
        "{{ 'x' | center(100000000) }}",
        "{{ ('x\n' * 10000) | indent(100000) }}",
        "{{ ('x' * 100000) | wordwrap(1, True, 'y' * 1000) }}",
        "{{ 'x' | indent('y' * 999999 ~ 'y' * 999999) }}",
        "{{ {'a': 'x' * 600000 ~ 'x' * 600000} | xmlattr }}",
        "{{ [1] | batch(100000000, 0) | list }}",
        "{{ [1] | slice(100000000) | list }}",
        "{{ 1.5 | round(100000000, 'ceil') }}",
        "{{ 1 | round(-100000000) }}",
        "{{ [[[1]]] | tojson(100000000) }}",
        "{{ [[1], [2]] | sum(start=[]) }}",
        "{{ (5).to_bytes(100000000, 'big') }}",
        "{{ 'x'.translate({120: 'y' * 1000000}) }}",
        "{% set n = namespace(t='x' * 1000) %}{% for i in range(40) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
        "{% set n = namespace(t='x' * 1000) %}{% for i in range(40) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = '%s%s' | format(n.t, n.t) %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t %}{{ n.t }}{{ n.t }}{% endset %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.t }}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = (n.t, n.t) %}{% endfor %}{{ n.t == n.t }}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = {1: n.t, 2: n.t} %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = dict(a=n.t, b=n.t) %}{% endfor %}",
        "{% set n = namespace(t=9) %}{% for i in range(40) %}{% set n.t = n.t * n.t %}{% endfor %}",
        "{% set n = namespace(t=[]) %}{% for i in range(1000) %}{% set n.t = ['x' * 1000000] %}{% endfor %}",
        "{{ ('x' | e).center(100000000) }}",
        "{{ (('x' * 1000) | e).replace('x', 'y' * 100000) }}",
        "{{ (('y' * 1000) | e).join(('x' * 100000) | list) }}",
        "{{ true.to_bytes(100000000, 'big') }}",
        "{{ dict.fromkeys(range(1000), 'x' * 900000) }}",
        "{{ (['x' * 900000] * 1000) | string }}",
        "{% macro twice(t) %}{{ t }}{{ t }}{% endmacro %}"
        "{% set n = namespace(t='x') %}{% for i in range(40) %}{% set n.t = twice(n.t) %}{% endfor %}",
    ],
)
@pytest.mark.slow
def test_a_template_that_makes_too_much_is_refused_before_it_does(text: str) -> None:
    with pytest.raises(TemplateError, match=r"too long|too large|too much|up to|numbers|not allowed"):
        rendered(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 'x'.center(5) }}|{{ 'x' | center(5) }}|{{ 'x'.ljust(3) }}|{{ 'x'.zfill(3) }}", "  x  |  x  |x  |00x"),
        ("{{ 'a\tb'.expandtabs(4) }}|{{ 'aXb'.replace('X', '--') }}|{{ 'aXb' | replace('X', '') }}", "a   b|a--b|ab"),
        ("{{ ', '.join(['a', 'b']) }}|{{ [1, 2] | join('-') }}|{{ 'ab' | join('.') }}", "a, b|1-2|a.b"),
        ("{{ [{'n': 1}, {'n': 2}] | join(',', attribute='n') }}", "1,2"),
        ("{{ '{:>4}|{a}|{{}}'.format(1234567, a=7654321) }}", "1234567|7654321|{}"),
        ("{{ '%5.1f %s 12345678' | format(1.25, 1234567) }}", "  1.2 1234567 12345678"),
        ("{{ 5000000 | default(6000000) }}{{ [5000000] | sum(start=6000000) }}", "500000011000000"),
        ("{{ 'a' ~ 1 ~ [2] ~ {'k': (3, 4)} }}", "a1[2]{'k': (3, 4)}"),
        ("{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }}{% endfor %}{{ [1] + [2] }}{{ [0] * 3 }}", "37[1, 2][0, 0, 0]"),
        ("{% set a, b = 1, 2 %}{{ a }}{{ b }}{{ (1, 2)[1] }}{{ dict(a=1) }}", "122{'a': 1}"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{% set t %}{{ m(2) }}{% endset %}{{ t }}", "<1><2>"),
        ("{{ [3, 1] | sort | list }}{{ [1, 2] | sum }}{{ 1.256 | round(2) }}{{ [1, 2, 3] | batch(2) | list }}",
         "[1, 3]31.26[[1, 2], [3]]"),
        ("{{ [1, 2] | map('string') | join }}{{ {'b': 1} | tojson }}{{ 'a b' | wordwrap(1) }}", '12{"b": 1}a\nb'),
    ],
)  # fmt: skip
def test_small_results_are_those_of_jinja(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_a_namespace_does_not_show_what_it_holds() -> None:
    nested = "{% set n.t = namespace(a=n.t, b=n.t) %}"
    text = f"{{% set n = namespace(t=1) %}}{{% for i in range(60) %}}{nested}{{% endfor %}}{{{{ n }}}} {{{{ [n.t] }}}}"
    assert rendered(text) == "<namespace> [<namespace>]"


def test_a_template_that_does_not_end_is_stopped() -> None:
    text = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
    task = Echo(text, task_id="slow", dag=sample_dag(), execution_timeout=0.05)
    with pytest.raises(TemplateError, match=r"field 'text'.* it takes longer than 0.05 s. Nothing was executed"):
        attempt(task)
