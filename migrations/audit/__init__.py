"""The audit log: who changed what, when, and how it ended; each entry holds the hash of the one before."""
