"""Where the figures of stores come from: Prometheus, a query on the target, or a file."""
