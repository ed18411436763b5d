"""`config check`: is the configuration sound, without connecting to anything?"""

from __future__ import annotations

from dataclasses import dataclass

from etl.settings import Settings


@dataclass(frozen=True)
class ConfigCheck:
    """What was read: the file, the mapping's name, and how many tables and parts it has."""

    file: str
    mapping: str
    tables: int
    parts: int


def check_config(settings: Settings) -> ConfigCheck:
    """Read the mapping too. Raises ConfigurationError at the first mistake, with its place."""
    from etl.mapping.load_mapping import load_mapping

    mapping = load_mapping(settings.mapping, settings.config_dir)
    return ConfigCheck(str(settings.origin), mapping.name, len(mapping.tables), sum(len(table.parts) for table in mapping.tables))
