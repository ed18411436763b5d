"""Grey release: stores move in waves, gates are watched, and every step can be taken back."""
