"""Turn results into documents, and documents into terminal, JSON and HTML."""
