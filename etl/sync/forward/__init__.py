"""Changes of the legacy side brought to the target: read at one snapshot, made into target rows, merged, committed with the
position they lead to."""
