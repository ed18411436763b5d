"""One benchmark per capability, run by hand: prints a table, and with --json one object a line."""
