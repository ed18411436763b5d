"""What applications carry: one file, nothing but the standard library in it."""
