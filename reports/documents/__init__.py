"""One function per kind of result: result -> Document."""
