"""`python -m elastic` is the command `elastic`."""

from elastic.cli.main import main

main()
