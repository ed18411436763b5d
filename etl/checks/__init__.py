"""What `doctor` checks: this machine, the source, the target. Each check is a function that returns a CheckResult."""
