"""Run by Alembic for every command: on the connection it is given, or offline into its output."""

from __future__ import annotations

from alembic import context

from migrations.schema.names import SchemaNames

names: SchemaNames = context.config.attributes["names"]
connection = context.config.attributes.get("connection")

if context.is_offline_mode():
    context.configure(dialect_name="mysql", version_table_schema=names.state, output_buffer=context.config.output_buffer)
    with context.begin_transaction():
        if context.config.attributes.get("create_schemas"):
            for statement in names.create_statements():
                context.get_context().impl.static_output(f"{statement};\n")
        context.run_migrations()
else:
    context.configure(connection=connection, version_table_schema=names.state)
    with context.begin_transaction():
        context.run_migrations()
