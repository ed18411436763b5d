"""python -m cli: the same program as `membershift`."""

from cli.app import main

main()
