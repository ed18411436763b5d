"""Changes of the target brought to the legacy side: values inverted, checked, written under lock, and remembered."""
