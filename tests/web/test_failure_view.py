"""The failure of an attempt as pages show it."""

from elastic.web.views.failure import failure_of

_FRAMES = """Traceback (most recent call last):
  File "/srv/elastic/scheduler/attempts/run_attempt.py", line 92, in run_attempt
    outcome = execute(task, context)
  File "/home/ada/dags/prices.py", line 14, in cents
    return int(price)
{more}ValueError: invalid literal
"""


def test_the_place_of_a_failure_is_the_innermost_line_of_user_code() -> None:
    ours = '  File "/srv/elastic/engine/master.py", line 237, in run\n    raise error\n'
    for more in ("", ours):
        found = failure_of(_FRAMES.format(more=more))
        assert found is not None
        assert (found.line, found.place) == ("ValueError: invalid literal", "prices.py:14 in cents")


def test_without_user_code_the_place_is_the_innermost_line() -> None:
    text = _FRAMES.format(more="").replace("/home/ada/dags/prices.py", "/srv/elastic/dag/execution/execute.py")
    found = failure_of(text)
    assert found is not None
    assert found.place == "execute.py:14 in cents"
