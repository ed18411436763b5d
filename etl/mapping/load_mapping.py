"""Read a mapping: a folder of TOML files, its own or one that comes with the program."""

from __future__ import annotations

from etl.mapping.model import Mapping
from etl.settings import MappingSettings


def load_mapping(settings: MappingSettings) -> Mapping:
    """The whole mapping that `settings` names. Raises ConfigurationError with file, line and the nearest valid name."""
    raise NotImplementedError(settings.path)
