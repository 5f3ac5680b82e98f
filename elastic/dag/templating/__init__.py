"""Jinja templates of tasks: the sandbox, the context, macros and limits."""
