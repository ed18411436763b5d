"""The commented membershift.toml that `config init` writes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from etl.errors import ConfigurationError
from etl.personal_files import disk_error


def config_template() -> str:
    """The file's text: every setting with its default and what it means."""
    return resources.files("etl").joinpath("membershift.template.toml").read_text("utf-8")


def write_template(path: Path) -> None:
    """Write the template for its owner only. Raises ConfigurationError when a file is there already."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(config_template(), "utf-8")
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already.", "Edit it, or name another path.") from error
    except OSError as error:
        raise disk_error(error, path) from error
