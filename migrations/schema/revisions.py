"""Ask Alembic about the revisions, and let it run them."""

from __future__ import annotations

import io
import re
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine

from etl.errors import UsageError
from migrations.schema.names import Role, SchemaNames


def alembic_config(names: SchemaNames, output: io.StringIO | None = None) -> Config:
    """Alembic's configuration, made here instead of read from an alembic.ini: all of it follows from the settings."""
    config = Config(output_buffer=output, stdout=io.StringIO())
    folder = str(resources.files("migrations.schema").joinpath("alembic"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["names"] = names
    return config


def scripts(names: SchemaNames) -> ScriptDirectory:
    """All revisions."""
    return ScriptDirectory.from_config(alembic_config(names))


def ordered(names: SchemaNames) -> tuple[Script, ...]:
    """The revisions, oldest first."""
    return tuple(reversed(list(scripts(names).walk_revisions())))


def resolve(names: SchemaNames, wanted: str) -> str | None:
    """A revision from what people write: "head", "base", a revision ("0001_tables"), its number or its name.

    Returns None for "base". Raises UsageError with the revisions there are.
    """
    known = [script.revision for script in ordered(names)]
    if wanted == "base":
        return None
    if wanted == "head":
        return known[-1]
    found = [revision for revision in known if wanted in (revision, *revision.split("_", 1))]
    if len(found) != 1:
        raise UsageError(f"There is no revision {wanted!r}.", f"Use one of: base, {', '.join(known)}, head.")
    return found[0]


def position(names: SchemaNames, revision: str | None) -> int:
    """How many revisions stand at `revision`: 0 for none. Raises UsageError when this program does not know it."""
    known = [script.revision for script in ordered(names)]
    if revision is not None and revision not in known:
        raise UsageError(
            f"The target stands at revision {revision}, which this version of membershift does not know.",
            "Use the version of membershift that made it, or a newer one.",
        )
    return 0 if revision is None else known.index(revision) + 1


def between(names: SchemaNames, low: str | None, high: str | None) -> tuple[Script, ...]:
    """The revisions after `low` up to `high`, oldest first."""
    return ordered(names)[position(names, low) : position(names, high)]


def created_tables(steps: tuple[Script, ...]) -> tuple[tuple[Role, str], ...]:
    """The tables that `steps` create, and that going back over them drops."""
    return tuple(created for step in steps for created in getattr(step.module, "CREATES", ()))


def current_revision(engine: Engine, names: SchemaNames) -> str | None:
    """Where the target stands; None when nothing of ours is there."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": names.state})
        return context.get_current_revision()


def migrate(connection: Connection, names: SchemaNames, revision: str | None, *, up: bool) -> None:
    """Run revisions on a connection in autocommit mode."""
    config = alembic_config(names)
    config.attributes["connection"] = connection
    if up:
        command.upgrade(config, revision or "base")
    else:
        command.downgrade(config, revision or "base")


def offline_sql(names: SchemaNames, start: str | None, end: str | None) -> str:
    """The SQL from one revision to another, for a DBA to run by hand; connects to nothing."""
    output = io.StringIO()
    config = alembic_config(names, output)
    forward = position(names, start) <= position(names, end)
    config.attributes["create_schemas"] = forward and start is None
    if forward:
        command.upgrade(config, f"{start or 'base'}:{end or 'base'}", sql=True)
    else:
        command.downgrade(config, f"{start}:{end or 'base'}", sql=True)
    # By hand, a way down and up again must not stumble over the version table, which stays.
    return re.sub(r"CREATE TABLE (\S*alembic_version\S*) \(", r"CREATE TABLE IF NOT EXISTS \1 (", output.getvalue(), count=1)
