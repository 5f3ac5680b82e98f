"""Plug-ins: hooks, notifiers, operators, macros and commands of other packages, and of files in the home folder."""
