"""Open-loop load on the target: what is asked of the server does not depend on how fast it answers."""
