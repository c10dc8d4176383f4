"""Alembic runs this file. `rag_assets.tracking.versions` hands over the connection, within its transaction."""

from alembic import context

from rag_assets.tracking.tables import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
