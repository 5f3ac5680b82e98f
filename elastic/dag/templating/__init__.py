"""Jinja templates of tasks: sandbox, template context, macros and size limits."""
